//! What becomes of a job that is too big for its limit: parts, a process of its own, the end.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use samovar_memory::{Account, MB};

use super::{
    attempt::{Host, message},
    context::Context,
    kind::Size,
    registry::{AnyJob, Doing},
};
use crate::{Claimed, JobId, NewJob, Outcome, limits};

/// Parts asked for at once. What is still too big then is split again.
const MOST_PARTS: u64 = 64;
/// What a job may be expected to take of its class before it is split ahead, in percent.
const EXPECTED_PERCENT: u64 = 80;

/// One job that may climb.
pub(super) struct Climber<'a> {
    pub(super) host: &'a Host,
    pub(super) job: &'a Claimed,
    pub(super) known: &'a Arc<dyn AnyJob>,
    pub(super) cx: &'a Context,
    pub(super) account: &'a Account,
}

impl Climber<'_> {
    /// The parts of a job that says itself that it is too big.
    pub(super) async fn ahead(&self) -> Option<Outcome> {
        if !self.may_split() {
            return None;
        }
        let size = self.known.clone().size(self.cx.clone());
        let size = match self.ask(size).await {
            Ok(size) => size?,
            Err(reason) => {
                self.cx.note(format!("its size is not known: {reason}"));
                return None;
            }
        };
        let class = self.job.policy.class;
        if size.bytes() <= class.bytes() / 100 * EXPECTED_PERCENT {
            return None;
        }
        let Size { rows, bytes_per_row } = size;
        let expected = size.bytes() / MB;
        self.cx.note(format!(
            "{rows} rows of {bytes_per_row} bytes are {expected} MB, too much for {class}"
        ));
        self.split(size.bytes(), "before it started").await
    }

    /// The next rung after it went over its limit.
    pub(super) async fn next(&self, reason: String, peak_bytes: u64) -> Outcome {
        self.cx.note(reason.as_str());
        if self.may_split() {
            if let Some(parts) = self.split(peak_bytes, "behind its last checkpoint").await {
                return parts;
            }
        } else {
            self.cx.note("it is not split: its policy forbids it");
        }
        let policy = &self.job.policy;
        if self.host.children.is_none() || self.host.isolates(self.job) {
            return Outcome::Failed { reason };
        }
        let total = self.host.budget.usage().total_bytes;
        let larger = policy.class.larger().filter(|class| class.bytes() <= total);
        let class = larger.unwrap_or(policy.class);
        self.cx.note(format!("it runs next in a child process with a hard limit of {class}"));
        Outcome::Isolated { reason, class }
    }

    /// Its code may be what killed a process: it is not run in this one.
    fn may_split(&self) -> bool {
        self.job.policy.split && !self.job.suspect
    }

    async fn split(&self, bytes: u64, when: &str) -> Option<Outcome> {
        let half = self.job.policy.class.bytes() / 2;
        let parts = bytes.div_ceil(half).clamp(2, MOST_PARTS) as usize;
        let split = self.known.clone().split(self.cx.clone(), parts);
        let payloads = self.ask(split).await.and_then(|payloads| self.checked(payloads));
        match payloads {
            Ok(payloads) => {
                let follow_ups: Vec<NewJob> =
                    payloads.into_iter().map(|it| self.part(it)).collect();
                self.cx.note(format!("split into {} jobs {when}", follow_ups.len()));
                self.host.budget.was_split(self.account.job(), follow_ups.len());
                Some(Outcome::Done { result: None, follow_ups })
            }
            Err(why) => {
                self.cx.note(format!("it is not split: {why}"));
                None
            }
        }
    }

    fn checked(&self, payloads: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, String> {
        match payloads.len() {
            0 | 1 => Err("it is in one piece".to_owned()),
            count if count > limits::FOLLOW_UPS => Err(format!("{count} parts are too many")),
            // It would be split for ever.
            _ if payloads.contains(&self.job.payload) => Err("one part is all of it".to_owned()),
            _ => Ok(payloads),
        }
    }

    /// Without the unique key, which this job holds until the parts are there.
    fn part(&self, payload: Vec<u8>) -> NewJob {
        let job = self.job;
        NewJob {
            version: job.version,
            tenant: job.tenant.clone(),
            policy: job.policy.clone(),
            batch: job.batch,
            ..NewJob::new(
                JobId::draw(&self.host.common.random),
                job.queue.clone(),
                job.kind.clone(),
                payload,
            )
        }
    }

    /// The job's own code, which may fail like any other.
    async fn ask<T>(&self, doing: Doing<T>) -> Result<T, String> {
        let doing = self.account.wrap(AssertUnwindSafe(doing).catch_unwind());
        let timeout = self.host.timeout_of(self.job);
        match self.host.common.clock.timeout(timeout, doing).await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(stop))) => Err(stop.to_string()),
            Ok(Err(panic)) => Err(format!("it panicked: {}", message(&*panic))),
            Err(_) => Err("that took longer than its timeout".to_owned()),
        }
    }
}
