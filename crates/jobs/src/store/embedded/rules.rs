//! What rates and breakers leave of a queue for one claim.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, params};

use super::{
    breakers::BreakerRow,
    sql,
    tx::{Tx, Undone},
};
use crate::{
    job::Claimed,
    limits,
    name::{Kind, QueueName},
    rule::{Rate, Rule},
    store::{Claim, OpenBreaker},
};

/// A rate and what was taken of it: whole numbers, so that nothing is lost by rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bucket {
    count: i64,
    per_ms: i64,
    debt: i64,
    at_ms: i64,
}

impl Bucket {
    fn new(rate: Rate, now_ms: i64) -> Self {
        let per_ms = i64::try_from(rate.per.as_millis()).unwrap_or(i64::MAX).max(1);
        Self { count: rate.count.into(), per_ms, debt: 0, at_ms: now_ms }
    }

    /// This one, with what was taken when it was kept. Where the rate was another one then, jobs
    /// taken stay taken.
    fn after(mut self, kept: Bucket) -> Self {
        let passed_ms = self.at_ms.saturating_sub(kept.at_ms).max(0);
        let left = kept.debt.saturating_sub(passed_ms.saturating_mul(kept.count)).max(0);
        let left = i128::from(left) * i128::from(self.per_ms) / i128::from(kept.per_ms);
        self.debt = i64::try_from(left).unwrap_or(i64::MAX).min(self.count * self.per_ms);
        self
    }

    /// How many may go now.
    fn free(&self) -> i64 {
        (self.count * self.per_ms - self.debt) / self.per_ms
    }

    /// How long until one more may go, when none may now.
    fn wait_ms(&self) -> i64 {
        let missing = self.debt + self.per_ms - self.count * self.per_ms;
        missing.max(0).div_euclid(self.count) + i64::from(missing.max(0) % self.count > 0)
    }

    fn take(&mut self) {
        self.debt += self.per_ms;
    }
}

/// For one queue of a claim.
#[derive(Debug)]
pub(super) struct Gate<'c> {
    rules: &'c [Rule],
    now_ms: i64,
    buckets: BTreeMap<(i64, &'c Kind), Bucket>,
    breakers: Vec<BreakerRow>,
    next_ms: Option<i64>,
}

/// What a lane may give.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Room {
    /// Of its kind; nothing: as many as there are.
    pub(super) most: Option<usize>,
    /// The breakers, by their place, of which one job among all that need them is the probe.
    pub(super) probes: Vec<usize>,
}

impl<'c> Gate<'c> {
    pub(super) fn new(tx: &Tx<'_>, claim: &'c Claim, queue: &QueueName) -> Result<Self, Undone> {
        let rules = &*claim.rules;
        let needs = rules.iter().any(|rule| !rule.needs.is_empty());
        let breakers = if needs { BreakerRow::of_queue(tx, queue)? } else { Vec::new() };
        let (buckets, next_ms) = (BTreeMap::new(), None);
        Ok(Self { rules, now_ms: tx.now_ms, buckets, breakers, next_ms })
    }

    /// Nothing: its jobs are left alone.
    pub(super) fn room(
        &mut self,
        tx: &Tx<'_>,
        queue: i64,
        kind: &Kind,
    ) -> Result<Option<Room>, Undone> {
        let Some(rule) = self.rules.iter().find(|rule| rule.kind == *kind) else {
            return Ok(Some(Room::default()));
        };
        let mut room = Room::default();
        for (at, breaker) in self.breakers.iter().enumerate() {
            if !rule.needs.contains(&breaker.remote) {
                continue;
            }
            if breaker.until_ms > self.now_ms {
                let until_ms = breaker.until_ms;
                self.may_go_at(until_ms);
                return Ok(None);
            }
            room.probes.push(at);
        }
        if let Some(rate) = rule.rate {
            let bucket = self.bucket(tx, (queue, &rule.kind), rate)?;
            if bucket.free() == 0 {
                self.may_go_at(self.now_ms + bucket.wait_ms());
                return Ok(None);
            }
            room.most = Some(usize::try_from(bucket.free()).unwrap_or(usize::MAX));
        }
        Ok(Some(room))
    }

    fn bucket(
        &mut self,
        tx: &Tx<'_>,
        (queue, kind): (i64, &'c Kind),
        rate: Rate,
    ) -> Result<Bucket, Undone> {
        if let Some(bucket) = self.buckets.get(&(queue, kind)) {
            return Ok(*bucket);
        }
        let mut get = tx.connection.prepare_cached(sql::RATE_GET)?;
        let kept = get.query_row(params![queue, kind.as_str()], |row| {
            let (count, per_ms) = (row.get(0)?, row.get(1)?);
            Ok(Bucket { count, per_ms, debt: row.get(2)?, at_ms: row.get(3)? })
        });
        let new = Bucket::new(rate, self.now_ms);
        let bucket = kept.optional()?.map_or(new, |kept| new.after(kept));
        self.buckets.insert((queue, kind), bucket);
        Ok(bucket)
    }

    /// This job was given out from a lane with such room.
    pub(super) fn took(
        &mut self,
        tx: &Tx<'_>,
        queue: i64,
        claimed: &mut Claimed,
        room: &Room,
    ) -> Result<(), Undone> {
        let rule = self.rules.iter().find(|rule| rule.kind == claimed.kind);
        if let Some(rule) = rule
            && let Some(bucket) = self.buckets.get_mut(&(queue, &rule.kind))
        {
            bucket.take();
            let bucket = *bucket;
            let mut put = tx.connection.prepare_cached(sql::RATE_PUT)?;
            put.execute(params![
                queue,
                rule.kind.as_str(),
                bucket.count,
                bucket.per_ms,
                bucket.debt,
                bucket.at_ms
            ])?;
            if bucket.free() == 0 {
                self.may_go_at(self.now_ms + bucket.wait_ms());
            }
        }
        for at in &room.probes {
            let breaker = &mut self.breakers[*at];
            let probe_ms = i64::try_from(limits::PROBE.as_millis()).unwrap_or(i64::MAX);
            breaker.until_ms = self.now_ms.saturating_add(probe_ms);
            breaker.probe = Some(claimed.hold);
            breaker.save(tx)?;
            claimed.probes.push(breaker.remote.clone());
        }
        Ok(())
    }

    fn may_go_at(&mut self, at_ms: i64) {
        self.next_ms = Some(self.next_ms.map_or(at_ms, |next_ms| next_ms.min(at_ms)));
    }

    /// When the first of what was held back may go, and the breakers that hold back jobs.
    pub(super) fn end(self, queue: &QueueName) -> (Option<i64>, Vec<OpenBreaker>) {
        let now_ms = self.now_ms;
        let open = self.breakers.into_iter().filter(|breaker| breaker.until_ms > now_ms);
        let open = open.map(|breaker| OpenBreaker {
            queue: queue.clone(),
            left: breaker.left(now_ms),
            remote: breaker.remote,
        });
        (self.next_ms, open.collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn bucket(count: u32, per_ms: u64, at_ms: i64) -> Bucket {
        Bucket::new(Rate { count, per: Duration::from_millis(per_ms) }, at_ms)
    }

    /// Three per ten milliseconds, taken as soon as each may go: never a fourth in a window that
    /// began full, and none is lost over a long time although 10 / 3 is no whole number.
    #[test]
    fn a_rate_that_does_not_divide_its_time_is_kept_exactly() {
        let mut kept = bucket(3, 10, 0);
        let mut taken = Vec::new();
        for now_ms in 0..=1000 {
            let mut now = bucket(3, 10, now_ms).after(kept);
            while now.free() > 0 {
                now.take();
                taken.push(now_ms);
            }
            let next_ms = now_ms + now.wait_ms();
            kept = now;
            let before = bucket(3, 10, next_ms - 1).after(kept);
            let then = bucket(3, 10, next_ms).after(kept);
            assert!(before.free() == 0 && then.free() > 0, "at {now_ms}: {kept:?}");
        }
        assert_eq!(taken.len(), 3 + 300);
        assert_eq!(taken[..6], [0, 0, 0, 4, 7, 10]);
    }

    #[test]
    fn what_was_taken_stays_taken_when_the_rate_changes() {
        let mut kept = bucket(10, 1000, 0);
        (0..10).for_each(|_| kept.take());
        assert_eq!(kept.free(), 0);
        assert_eq!(bucket(20, 1000, 0).after(kept).free(), 10);
        assert_eq!(bucket(5, 1000, 0).after(kept).free(), 0);
        assert_eq!(bucket(10, 60_000, 500).after(kept).free(), 5, "half was free again by then");
        assert_eq!(bucket(5, 1000, 1_000).after(kept).free(), 5);
    }
}
