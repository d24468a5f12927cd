//! Breakers: what workers say of remotes, and what people see.

use std::time::Duration;

use futures_util::future::try_join_all;

use super::{
    RedisStore, pack, reply,
    scripts::{REPORT, SHOW_BREAKERS},
};
use crate::{
    job::cut,
    limits,
    name::{JobId, QueueName, RemoteName},
    store::{BreakerState, BreakerView, Report, Said, StoreError},
};

impl RedisStore {
    pub(crate) async fn report(&self, report: Report) -> Result<Option<Duration>, StoreError> {
        let Report { queue, remote, said } = report;
        self.know(&queue).await?;
        let (what, hold, reason) = match said {
            Said::Broken { reason } => (0, None, reason),
            Said::ProbeWorked(hold) => (1, Some(hold), String::new()),
            Said::ProbeFailed { hold, reason } => (2, Some(hold), reason),
            Said::ProbeUnused(hold) => (3, Some(hold), String::new()),
        };
        let call = self
            .call(&REPORT, &queue)
            .arg(remote.as_str())
            .arg(what)
            .arg(hold.map(pack::hold).unwrap_or_default())
            .arg(cut(reason, limits::REASON_BYTES));
        let mut answer = self.write(&queue, &call, true).await?.ok_or_else(reply::unexpected)?;
        let left = Duration::from_millis(answer.size()?);
        Ok(Some(left).filter(|left| !left.is_zero()))
    }

    pub(crate) async fn breakers(&self) -> Result<Vec<BreakerView>, StoreError> {
        let queues = self.known().await?;
        let all = try_join_all(queues.iter().map(|queue| self.breakers_of(queue))).await?;
        Ok(all.concat())
    }

    async fn breakers_of(&self, queue: &QueueName) -> Result<Vec<BreakerView>, StoreError> {
        let answer = self.ask(queue, &self.call(&SHOW_BREAKERS, queue)).await?;
        let shown = answer.ok_or_else(reply::unexpected)?;
        shown.map(|value| view(queue, reply::list(value)?)).collect()
    }

    pub(crate) async fn close_breaker(
        &self,
        queue: QueueName,
        remote: RemoteName,
    ) -> Result<bool, StoreError> {
        self.drop_one(&queue, "breakers", remote.as_str()).await
    }
}

fn view(queue: &QueueName, mut shown: reply::Answer) -> Result<BreakerView, StoreError> {
    let (remote, since_ms) = (reply::remote(shown.bytes()?)?, shown.size()?);
    let (next_probe, trips) = (Duration::from_millis(shown.size()?), shown.size()?);
    let probe = shown.bytes()?;
    let state = match probe.try_into().map(u64::from_be_bytes) {
        _ if next_probe.is_zero() => BreakerState::Due,
        Ok(id) => BreakerState::Probing { job: JobId::from_u64(id), next_probe },
        Err(_) => BreakerState::Open { next_probe },
    };
    Ok(BreakerView {
        queue: queue.clone(),
        remote,
        state,
        since_ms,
        trips: u32::try_from(trips).unwrap_or(u32::MAX),
        reason: shown.text()?,
    })
}
