//! A rate and a schedule beside the plain list.

use std::time::Duration;

use super::plain::{Plain, kind};
use crate::{
    job::NewJob,
    name::QueueName,
    rule::{Rate, Rule},
    store::{Claim, Fired},
};

/// Of the one kind that is limited.
const RATE: Rate = Rate { count: 3, per: Duration::from_millis(2000) };

pub(super) fn rule() -> Rule {
    Rule { kind: kind("report"), rate: Some(RATE), needs: Vec::new() }
}

fn per_ms() -> u64 {
    RATE.per.as_millis() as u64
}

impl Plain {
    /// Jobs of the limited kind that may go now: each moves the time at which the rate is unused
    /// by its share, and that time is at most one span ahead.
    pub(super) fn permits(&self, claim: &Claim, queue: &QueueName) -> u64 {
        if claim.rules.is_empty() {
            return u64::MAX;
        }
        let now = self.now_ms * u64::from(RATE.count);
        let full_at = self.full_at.get(queue).copied().unwrap_or(0).max(now);
        let span = per_ms() * u64::from(RATE.count);
        (now + span - full_at) / per_ms()
    }

    pub(super) fn use_permit(&mut self, claim: &Claim, queue: &QueueName, at: usize) {
        if claim.rules.is_empty() || self.jobs[at].new.kind != rule().kind {
            return;
        }
        let now = self.now_ms * u64::from(RATE.count);
        let full_at = self.full_at.entry(queue.clone()).or_default();
        *full_at = (*full_at).max(now) + per_ms();
    }

    pub(super) fn fire(
        &mut self,
        queue: &QueueName,
        expected_ms: Option<u64>,
        mark_ms: u64,
        jobs: &[NewJob],
    ) -> Fired {
        let kept = self.marks.get(queue).copied();
        if kept != expected_ms {
            return Fired::Moved { mark_ms: kept };
        }
        self.marks.insert(queue.clone(), mark_ms);
        Fired::Now(self.push(jobs).expect("in no batch"))
    }
}
