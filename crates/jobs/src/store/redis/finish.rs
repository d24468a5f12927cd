//! The end of an attempt, with everything that happens because of it.
//!
//! A finish that is repeated finds that its holder holds nothing any more: a zombie, as on any store.
//! It has changed nothing then; what became of the first one, the job's state says.

use futures_util::future::try_join_all;

use super::{RedisStore, claim::millis, pack, reply, scripts::FINISH};
use crate::{
    job::{Finish, Finished, NewJob, Outcome, cut},
    limits,
    name::{JobId, QueueName},
    state::State,
    store::{Refusal, StoreError},
};

impl RedisStore {
    /// Queue by queue: what is refused on one of them leaves the others as they end.
    pub(crate) async fn finish(&self, finishes: Vec<Finish>) -> Result<Vec<Finished>, StoreError> {
        let ids: Vec<JobId> = finishes.iter().map(|finish| finish.hold.id).collect();
        let places = self.places(&ids).await?;
        let mut finishes: Vec<Option<Finish>> = finishes.into_iter().map(Some).collect();
        let mut groups = Vec::with_capacity(places.len());
        for (queue, at) in &places {
            let some: Vec<Finish> = at.iter().filter_map(|at| finishes[*at].take()).collect();
            groups.push((queue, some));
        }
        let ended =
            try_join_all(groups.iter().map(|(queue, some)| self.finish_on(queue, some))).await?;
        let mut all = vec![Finished::Zombie; finishes.len()];
        for ((_, at), ended) in places.iter().zip(ended) {
            for (index, ended) in at.iter().zip(ended) {
                all[*index] = ended;
            }
        }
        Ok(all)
    }

    pub(super) async fn finish_on(
        &self,
        queue: &QueueName,
        finishes: &[Finish],
    ) -> Result<Vec<Finished>, StoreError> {
        let leaving = self.leaving(queue, finishes).await?;
        let mut call = self.call(&FINISH, queue);
        for Finish { hold, outcome, record, measured: _ } in finishes {
            let follow_ups = follow_ups(outcome);
            let (here, elsewhere): (Vec<&NewJob>, Vec<&NewJob>) =
                follow_ups.iter().partition(|job| job.queue == *queue);
            let (kind, delay_ms, flag) = match outcome {
                Outcome::Done { result, .. } => (0, 0, result.is_some()),
                Outcome::Missing => (1, 0, false),
                Outcome::Retry { after, exception, .. } => (2, millis(*after), *exception),
                Outcome::Failed { .. } => (3, 0, false),
                Outcome::Released => (4, 0, false),
                Outcome::Killed { .. } => (5, 0, false),
                Outcome::Cancelled => (6, 0, false),
                Outcome::Isolated { .. } => (7, 0, false),
            };
            let mut how: Vec<u8> = vec![kind];
            how.extend(pack::hold(*hold));
            how.extend(pack::six_bytes(delay_ms));
            how.push(u8::from(flag));
            how.extend((here.len() as u16).to_be_bytes());
            how.extend((elsewhere.len() as u16).to_be_bytes());
            how.extend(class(outcome));
            call = call.arg(how).arg(text(outcome)).arg(record.stored().unwrap_or_default());
            for job in here {
                call = call.arg(pack::job(job)).arg(pack::body(job));
            }
            for job in elsewhere {
                call = call.arg(&super::id_bytes(job.id)[..]).arg(pack::addressed(job));
            }
        }
        let answer = self.write(queue, &call, true).await?.ok_or_else(reply::unexpected)?;
        let ended: Vec<Finished> = answer.integers()?.into_iter().map(finished).collect();
        self.queues.ended(finishes.iter().map(|finish| finish.hold.id));
        if leaving {
            self.deliver_or_say(queue).await;
        }
        Ok(ended)
    }

    /// Whether jobs go to other queues; then these have to be known before anything is stored.
    async fn leaving(&self, queue: &QueueName, finishes: &[Finish]) -> Result<bool, StoreError> {
        let mut leaving = false;
        for job in finishes.iter().flat_map(|finish| follow_ups(&finish.outcome)) {
            if job.queue == *queue {
                continue;
            }
            leaving = true;
            if let Some(batch) = job.batch {
                // Whether it is open is not known here, and later nobody could be told.
                return Err(Refusal::BatchElsewhere { batch, queue: queue.clone() }.into());
            }
            self.know(&job.queue).await?;
        }
        Ok(leaving)
    }
}

fn follow_ups(outcome: &Outcome) -> &[NewJob] {
    match outcome {
        Outcome::Done { follow_ups, .. } => follow_ups,
        _ => &[],
    }
}

fn text(outcome: &Outcome) -> Vec<u8> {
    match outcome {
        Outcome::Done { result, .. } => result.clone().unwrap_or_default(),
        Outcome::Retry { reason, .. }
        | Outcome::Failed { reason }
        | Outcome::Isolated { reason, .. }
        | Outcome::Killed { reason } => cut(reason.clone(), limits::REASON_BYTES).into_bytes(),
        Outcome::Missing | Outcome::Released | Outcome::Cancelled => Vec::new(),
    }
}

/// Behind its length.
fn class(outcome: &Outcome) -> Vec<u8> {
    let class = match outcome {
        Outcome::Isolated { class, .. } => class.to_string(),
        _ => String::new(),
    };
    [&[class.len() as u8], class.as_bytes()].concat()
}

fn finished(told: i64) -> Finished {
    match (told, State::from_number(told)) {
        (-1, _) => Finished::Deleted,
        (_, Some(state)) => Finished::Now(state),
        _ => Finished::Zombie,
    }
}
