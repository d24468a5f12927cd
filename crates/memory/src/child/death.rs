//! Of what a child died, told from what was left behind.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

use crate::{
    MB,
    alloc::out_of_memory::FailedAllocation,
    limit::{Limit, megabytes},
};

/// Why a child did not come back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Death {
    #[error("went over {limit}: {hit}")]
    Limit { limit: Limit, hit: LimitHit },
    #[error(
        "the system gave no memory: an allocation of {:.1} MB failed below {limit}, \
         with {:.1} MB in use",
        megabytes(*requested_bytes), megabytes(*data_bytes)
    )]
    FailedAllocation { limit: Limit, requested_bytes: u64, data_bytes: u64 },
    #[error("killed by the kernel because the machine ran out of memory")]
    HostOutOfMemory,
    #[error("killed from outside by signal {signal}")]
    Killed { signal: i32 },
    #[error("crashed with signal {signal}")]
    Crashed { signal: i32 },
    #[error("panicked: {message}")]
    Panicked { message: String },
    #[error("exited with code {code} in the middle of its work")]
    Exited { code: i32 },
}

/// What noticed that a child went over its limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitHit {
    #[error(
        "an allocation of {:.1} MB failed with {:.1} MB in use",
        megabytes(*requested_bytes), megabytes(*data_bytes)
    )]
    Allocation { requested_bytes: u64, data_bytes: u64 },
    #[error("{:.1} MB were resident above idle", megabytes(*rss_bytes))]
    Resident { rss_bytes: u64 },
    #[error("the kernel killed it in its cgroup")]
    Cgroup,
}

/// What is known after a death.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) status: ExitStatus,
    pub(super) limit: Limit,
    /// The hard limit on mapped data, idle included.
    pub(super) data_limit_bytes: u64,
    /// The watchdog killed it, having seen this much above idle.
    pub(super) watchdog_rss_bytes: Option<u64>,
    pub(super) failed_allocation: Option<FailedAllocation>,
    pub(super) panic: Option<String>,
    pub(super) was_cgroup_oom: bool,
    /// The kernel killed somebody for want of memory while this child lived.
    pub(super) was_host_oom: bool,
}

/// The allocator maps more than was asked for: a failure this near to the limit is its doing.
const NEAR_LIMIT_BYTES: u64 = 8 * MB;

const ABORTED: i32 = 6;
const KILLED: i32 = 9;
/// Hang-up, interrupt, quit, kill, terminate: nobody sends these to himself.
const FROM_OUTSIDE: [i32; 5] = [1, 2, 3, KILLED, 15];

impl Evidence {
    pub(super) fn death(self) -> Death {
        let limit = self.limit;
        if let Some(rss_bytes) = self.watchdog_rss_bytes {
            return Death::Limit { limit, hit: LimitHit::Resident { rss_bytes } };
        }
        match (self.status.signal(), self.failed_allocation) {
            (Some(KILLED), _) if self.was_cgroup_oom => {
                Death::Limit { limit, hit: LimitHit::Cgroup }
            }
            (Some(KILLED), _) if self.was_host_oom => Death::HostOutOfMemory,
            (Some(ABORTED), Some(failed)) => {
                let FailedAllocation { requested_bytes, data_bytes } = failed;
                let wanted = data_bytes.saturating_add(requested_bytes);
                if wanted.saturating_add(NEAR_LIMIT_BYTES) > self.data_limit_bytes {
                    let hit = LimitHit::Allocation { requested_bytes, data_bytes };
                    Death::Limit { limit, hit }
                } else {
                    Death::FailedAllocation { limit, requested_bytes, data_bytes }
                }
            }
            (signal, _) => match (self.panic, signal) {
                (Some(message), _) => Death::Panicked { message },
                (None, Some(signal)) if FROM_OUTSIDE.contains(&signal) => Death::Killed { signal },
                (None, Some(signal)) => Death::Crashed { signal },
                (None, None) => Death::Exited { code: self.status.code().unwrap_or_default() },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    fn died(signal: i32) -> Evidence {
        Evidence {
            status: ExitStatus::from_raw(signal),
            limit: Class::Mb128.into(),
            data_limit_bytes: 140 * MB,
            watchdog_rss_bytes: None,
            failed_allocation: None,
            panic: None,
            was_cgroup_oom: false,
            was_host_oom: false,
        }
    }

    #[test]
    fn a_kill_is_told_by_what_else_happened() {
        assert_eq!(died(KILLED).death(), Death::Killed { signal: KILLED });
        assert_eq!(Evidence { was_host_oom: true, ..died(KILLED) }.death(), Death::HostOutOfMemory);
        // In its own cgroup the kernel counts the same kill twice.
        let cgroup = Evidence { was_cgroup_oom: true, was_host_oom: true, ..died(KILLED) };
        assert!(matches!(cgroup.death(), Death::Limit { hit: LimitHit::Cgroup, .. }));
        let watchdog = Evidence { watchdog_rss_bytes: Some(150 * MB), ..died(KILLED) };
        assert_eq!(
            watchdog.death().to_string(),
            "went over its limit of 128 MB: 150.0 MB were resident above idle"
        );
    }

    #[test]
    fn a_failed_allocation_is_the_limit_or_the_systems() {
        let failed = |data_mb: u64| {
            let allocation =
                FailedAllocation { requested_bytes: 10 * MB, data_bytes: data_mb * MB };
            Evidence { failed_allocation: Some(allocation), ..died(ABORTED) }.death()
        };
        assert!(matches!(failed(131), Death::Limit { hit: LimitHit::Allocation { .. }, .. }));
        assert!(matches!(failed(50), Death::FailedAllocation { .. }));
        assert!(failed(131).to_string().contains("its limit of 128 MB"));
    }

    #[test]
    fn the_rest_is_what_it_is() {
        assert_eq!(died(ABORTED).death(), Death::Crashed { signal: ABORTED });
        assert_eq!(died(11).death(), Death::Crashed { signal: 11 });
        assert_eq!(died(15).death(), Death::Killed { signal: 15 });
        let exited = Evidence { status: ExitStatus::from_raw(3 << 8), ..died(0) };
        assert_eq!(exited.death(), Death::Exited { code: 3 });
        let panicked = Evidence { panic: Some("oh".to_owned()), ..died(ABORTED) };
        assert_eq!(panicked.death(), Death::Panicked { message: "oh".to_owned() });
    }
}
