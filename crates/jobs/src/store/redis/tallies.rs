//! What became of jobs over time.

use super::{RedisStore, claim::millis, reply, scripts::SHOW_TALLIES};
use crate::{
    store::{Period, StoreError, Sums, Tallies},
    tally::Tally,
};

/// Minutes and hours of a kind that one question reads, so that it holds nobody up for long.
const READ: usize = 500;

impl RedisStore {
    /// Some of the period with each question; what is counted meanwhile may be in it.
    pub(crate) async fn tallies(&self, period: Period) -> Result<Tallies, StoreError> {
        let queue = &period.queue;
        let mut sums = Sums::new(period.step);
        let mut next: [Vec<u8>; 3] = Default::default();
        loop {
            let mut call = self
                .call(&SHOW_TALLIES, queue)
                .arg(millis(period.back))
                .arg(millis(period.step))
                .arg(READ);
            for place in &next {
                call = call.arg(&place[..]);
            }
            let mut answer = self.ask(queue, &call).await?.ok_or_else(reply::unexpected)?;
            let first = answer.integer()?.to_string();
            let hour = answer.maybe_integer()?.map(|hour| hour.to_string());
            let kind = answer.bytes()?;
            for entry in answer {
                let mut entry = reply::list(entry)?;
                let (kind, at_ms) = (entry.text()?, entry.size()?);
                sums.add(kind, at_ms, &tally(entry.list()?)?);
            }
            let Some(hour) = hour else { break };
            next = [first.into_bytes(), hour.into_bytes(), kind];
        }
        let kinds = sums.end().map_err(|error| reply::damaged("a kind", error))?;
        let (figures, _) = self.figures_of(queue, None).await?;
        Ok(Tallies { kinds, oldest_waiting: figures.oldest_waiting })
    }
}

/// Fields are named in `tallies.lua`. What a newer release counts besides is not for this one.
fn tally(mut counts: reply::Answer) -> Result<Tally, StoreError> {
    let mut tally = Tally::default();
    while let Some(field) = counts.maybe()? {
        let count = counts.size()?;
        let Some((what, bucket)) = field.split_first() else { continue };
        let bucket = std::str::from_utf8(bucket).ok().and_then(|bucket| bucket.parse().ok());
        match (what, bucket) {
            (b'd', None) => tally.done = count,
            (b'f', None) => tally.failed = count,
            (b'c', None) => tally.cancelled = count,
            (b'r', None) => tally.retried = count,
            (b'k', None) => tally.killed = count,
            (b'w', Some(bucket)) => tally.waited_ms.add(bucket, count),
            (b't', Some(bucket)) => tally.ran_ms.add(bucket, count),
            (b'p', Some(bucket)) => tally.peak_bytes.add(bucket, count),
            _ => {}
        }
    }
    Ok(tally)
}
