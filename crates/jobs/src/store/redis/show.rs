//! Jobs and queues as people see them.

use std::time::Duration;

use futures_util::future::try_join_all;

use super::{
    RedisStore, id_bytes, pack, reply,
    scripts::{FIGURES, SHOW},
};
use crate::{
    job::{EndedAttempt, JobDetails, JobView},
    limits,
    name::{JobId, Kind, QueueName, Tenant, Token},
    state::Step,
    store::{Filter, QueueFigures, StoreError},
};

impl RedisStore {
    pub(crate) async fn show(&self, id: JobId) -> Result<Option<JobDetails>, StoreError> {
        let places = self.places(&[id]).await?;
        let Some((queue, _)) = places.first() else { return Ok(None) };
        let call = self.call(&SHOW, queue).arg(&id_bytes(id)[..]);
        let Some(mut answer) = self.ask(queue, &call).await? else { return Ok(None) };
        let damaged = |error| reply::damaged("a job", error);
        let (head, lease_ms) = (answer.bytes()?, answer.text()?);
        let mut head = pack::Head::read(&head).map_err(damaged)?;
        if let Ok(lease_ms) = lease_ms.parse() {
            head.at_ms = lease_ms;
        }
        let (lane, body) = (answer.bytes()?, answer.bytes()?);
        let mut body = pack::read_body(&body).map_err(damaged)?;
        let class = answer.maybe()?.unwrap_or_default();
        pack::isolate(&mut body.policy, &class).map_err(damaged)?;
        let progress = answer.maybe()?.map(|progress| pack::read_progress(&progress));
        let (checkpoint, result) = (answer.maybe()?, answer.maybe()?);
        let attempt = |value| {
            let bytes = reply::bytes(value).ok_or_else(reply::unexpected)?;
            pack::read_attempt(&bytes).map_err(|error| reply::damaged("an attempt", error))
        };
        let attempts: Vec<_> = answer.list()?.map(attempt).collect::<Result<_, _>>()?;
        let badly = attempts.iter().rfind(|attempt| attempt.step != Step::Finish.name());
        let reason = badly.map(|last| last.reason.clone());
        Ok(Some(JobDetails {
            job: view(queue, id, &head, &lane, (body.tenant, reason))?,
            payload: body.payload,
            policy: body.policy,
            progress: progress.transpose().map_err(damaged)?,
            checkpoint,
            result,
            history: attempts.into_iter().map(ended).collect(),
        }))
    }

    pub(crate) async fn figures(&self) -> Result<Vec<QueueFigures>, StoreError> {
        let queues = self.known().await?;
        let figures = queues.iter().map(|queue| self.figures_of(queue, None));
        Ok(try_join_all(figures).await?.into_iter().map(|(figures, _)| figures).collect())
    }

    /// What the counts of the lanes say.
    pub(super) async fn count_failed_of_lanes(&self, filter: &Filter) -> Result<u64, StoreError> {
        let queues = match &filter.queue {
            Some(queue) => vec![queue.clone()],
            None => self.known().await?,
        };
        let kind = filter.kind.as_ref();
        let figures = try_join_all(queues.iter().map(|queue| self.figures_of(queue, kind))).await?;
        let failed = |(figures, of_kind): (QueueFigures, u64)| match kind {
            Some(_) => of_kind,
            None => figures.failed,
        };
        Ok(figures.into_iter().map(failed).sum())
    }

    /// And how many of a kind failed.
    async fn figures_of(
        &self,
        queue: &QueueName,
        kind: Option<&Kind>,
    ) -> Result<(QueueFigures, u64), StoreError> {
        let call = self.call(&FIGURES, queue).arg(kind.map_or("", Kind::as_str));
        let mut answer = self.ask(queue, &call).await?.ok_or_else(reply::unexpected)?;
        let paused = answer.integer()? == 1;
        let limit = answer.maybe_integer()?.and_then(|limit| u64::try_from(limit).ok());
        let figures = QueueFigures {
            queue: queue.clone(),
            paused,
            limit: limit.unwrap_or(limits::QUEUE_JOBS),
            scheduled: answer.size()?,
            waiting: answer.size()?,
            claimed: answer.size()?,
            running: answer.size()?,
            done: answer.size()?,
            failed: answer.size()?,
            cancelled: answer.size()?,
            suspects: answer.size()?,
            oldest_waiting: u64::try_from(answer.integer()?).ok().map(Duration::from_millis),
        };
        Ok((figures, answer.size()?))
    }
}

pub(super) fn view(
    queue: &QueueName,
    id: JobId,
    head: &pack::Head,
    lane: &[u8],
    (tenant, reason): (Tenant, Option<String>),
) -> Result<JobView, StoreError> {
    let (_, kind) = pack::read_lane(lane).map_err(|error| reply::damaged("a job", error))?;
    Ok(JobView {
        id,
        queue: queue.clone(),
        kind,
        tenant,
        state: head.state,
        suspect: head.is_suspect(),
        attempt: head.attempt,
        exceptions: head.exceptions,
        kills: head.kills,
        batch: head.batch,
        pushed_ms: head.pushed_ms,
        at_ms: head.at_ms,
        reason,
    })
}

fn ended(attempt: pack::Attempt) -> EndedAttempt {
    EndedAttempt {
        token: Token(attempt.token),
        worker: attempt.worker,
        ended_ms: attempt.ended_ms,
        step: attempt.step,
        reason: attempt.reason,
        record: attempt.record,
    }
}
