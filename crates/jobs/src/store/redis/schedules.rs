//! Marks of schedules: one script pushes what was due and moves the mark.

use super::{
    RedisStore, pack, push, reply,
    scripts::{DROP, FIRE, MARKS},
};
use crate::{
    name::{QueueName, ScheduleName},
    store::{Fire, Fired, Mark, StoreError},
};

impl RedisStore {
    pub(crate) async fn fire(&self, fire: Fire) -> Result<Fired, StoreError> {
        let expected = fire.expected_ms.map(|mark_ms| mark_ms.to_string()).unwrap_or_default();
        let mut call = self
            .call(&FIRE, &fire.queue)
            .arg(fire.schedule.as_str())
            .arg(expected)
            .arg(fire.mark_ms.to_string());
        for job in &fire.jobs {
            call = call.arg(pack::job(job)).arg(pack::body(job));
        }
        let mut answer = match self.bring(&fire.queue, &call).await {
            Ok(answer) => answer.ok_or_else(reply::unexpected)?,
            Err(error) => return Err(self.elsewhere(error, &fire.queue).await?),
        };
        if answer.integer()? == 0 {
            let mark_ms = number(&answer.text()?)?;
            return Ok(Fired::Moved { mark_ms });
        }
        Ok(Fired::Now(push::pushed(&fire.jobs, answer)?))
    }

    pub(crate) async fn marks(&self, queue: QueueName) -> Result<Vec<Mark>, StoreError> {
        let call = self.call(&MARKS, &queue);
        let mut answer = self.ask(&queue, &call).await?.ok_or_else(reply::unexpected)?;
        let mut marks = Vec::new();
        while let Some(name) = answer.maybe()? {
            let name = String::from_utf8(name).map_err(|_| reply::unexpected())?;
            let kept = answer.text()?;
            let (mark, fired) = kept.split_once(' ').ok_or_else(reply::unexpected)?;
            marks.push(Mark {
                schedule: ScheduleName::new(name)
                    .map_err(|error| reply::damaged("a schedule", error))?,
                mark_ms: number(mark)?.ok_or_else(reply::unexpected)?,
                fired_ms: number(fired)?,
            });
        }
        marks.sort_unstable_by(|one, other| one.schedule.cmp(&other.schedule));
        Ok(marks)
    }

    pub(crate) async fn forget_schedule(
        &self,
        queue: QueueName,
        schedule: ScheduleName,
    ) -> Result<bool, StoreError> {
        self.drop_one(&queue, "schedules", schedule.as_str()).await
    }

    /// Whether there was one.
    pub(super) async fn drop_one(
        &self,
        queue: &QueueName,
        of: &str,
        name: &str,
    ) -> Result<bool, StoreError> {
        let call = self.call(&DROP, queue).arg(of).arg(name);
        let mut answer = self.write(queue, &call, true).await?.ok_or_else(reply::unexpected)?;
        Ok(answer.integer()? == 1)
    }
}

/// Nothing is an empty text.
fn number(text: &str) -> Result<Option<u64>, StoreError> {
    let number = (!text.is_empty()).then(|| text.parse()).transpose();
    number.map_err(|error| reply::damaged("a schedule", error))
}
