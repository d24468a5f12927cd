//! Every limit of jobs in one place, each with what happens when it is reached.

use std::time::Duration;

/// Bytes of the name of a queue or a kind of job, of a worker and of a batch. Longer: refused.
pub const NAME_BYTES: usize = 64;
/// Bytes of a tenant id. Longer: refused.
pub const TENANT_BYTES: usize = 128;
/// Bytes of a unique key, and of the key of a result that is recorded once. Longer: refused.
pub const KEY_BYTES: usize = 256;
/// Bytes of a payload. Larger: refused; put the data where the job can read it.
pub const PAYLOAD_BYTES: usize = 1 << 20;
/// Bytes of a result, a checkpoint or a recorded value. Larger: refused.
pub const RESULT_BYTES: usize = 256 << 10;
/// Bytes of a reason and of a progress note. Longer: cut.
pub const REASON_BYTES: usize = 2000;
/// Notes kept of an attempt. More: the first and the last ones.
pub const NOTES: usize = 32;
/// Bytes of a note. Longer: cut.
pub const NOTE_BYTES: usize = 500;
/// Samples of what a job held, kept of an attempt that was stopped. More: the last ones.
pub const FLIGHT: usize = 120;
/// Jobs in one push, follow-ups and batches included. More: refused; push again.
pub const JOBS_PER_PUSH: usize = 10_000;
/// Jobs in one claim, renewal, start or finish. A claim gives fewer, the others are refused.
pub const JOBS_PER_CALL: usize = 1000;
/// Jobs that one finished job may leave behind. More: refused, the job stays running.
pub const FOLLOW_UPS: usize = 1000;
/// Queues of one store. More: refused.
pub const QUEUES: usize = 256;
/// Kinds on one queue, each version and suspects apart. More: refused.
pub const LANES_PER_QUEUE: i64 = 4096;
/// Jobs that wait or are scheduled on one queue, unless it has a limit of its own. More: refused.
pub const QUEUE_JOBS: u64 = 10_000_000;
/// Jobs one call promotes, reaps, cancels, prunes or revives. The rest: the next call.
pub const CHUNK: usize = 1000;
/// Rows one page of a list shows. More: the next page.
pub const PAGE: usize = 500;
/// Rows one page looks at for a filter that has no index. Then: a shorter page with a cursor.
pub const PAGE_LOOKS: usize = 10_000;
/// Tenants that one filter names. More: refused; ask in several calls.
pub const TENANTS_IN_A_FILTER: usize = 1000;
/// Ended attempts kept per job. Older: forgotten, the first of all kept.
pub const HISTORY: usize = 32;
/// Results recorded once per job. More: refused.
pub const ONCE_PER_JOB: i64 = 10_000;
/// Workers of one store that are alive or were lately. More: they work without being seen.
pub const WORKERS: usize = 1000;
/// How long a worker may be silent before it counts as lost.
pub const WORKER_LOST: Duration = Duration::from_secs(10);
/// How long a worker is remembered after it was seen last. Then: forgotten.
pub const WORKER_FORGOTTEN: Duration = Duration::from_secs(3600);
/// Kinds with a rule of their own in one claim. More: refused.
pub const RULES: usize = 1000;
/// Jobs that a rate may let through at once.
pub const RATE_COUNT: u32 = 1_000_000;
/// The time over which a rate may count.
pub const RATE_PER: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
/// Remotes one kind may need. More: refused.
pub const NEEDS: usize = 8;
/// Remotes of one queue whose breakers are not closed. More: refused, the jobs go on.
pub const BREAKERS_PER_QUEUE: i64 = 256;
/// How long a breaker stays open the first time; twice as long each time in a row.
pub const BREAKER_OPEN: Duration = Duration::from_secs(5);
/// How long a breaker stays open at most.
pub const BREAKER_OPEN_LONGEST: Duration = Duration::from_secs(300);
/// How long the job that tries a remote out may be silent about it. Then another one tries.
pub const PROBE: Duration = Duration::from_secs(60);
/// Schedules of one queue, and of one scheduler. More: refused.
pub const SCHEDULES_PER_QUEUE: usize = 1000;
/// Instants of a schedule that are run later because they were missed. Older: left out, and said.
pub const CATCH_UP: usize = 100;
/// How late an instant of a schedule may be fired without counting as missed.
pub const ON_TIME: Duration = Duration::from_secs(60);
/// Kinds of one queue that are counted by themselves over time. The others: together.
pub const TALLIED_KINDS: i64 = 200;
/// How long minutes are kept. Older: added up to hours.
pub const MINUTES_KEPT: Duration = Duration::from_secs(26 * 3600);
/// How long hours are kept. Older: forgotten.
pub const HOURS_KEPT: Duration = Duration::from_secs(31 * 24 * 3600);
/// Minutes or hours of a kind that one call folds or forgets. The rest: the next call.
pub const TALLIES_PER_CALL: usize = 200;
/// Steps in one answer. More: refused.
pub const POINTS: u64 = 1600;
/// Times a job's worker may be lost in a row, nobody knowing why. Then it fails.
pub const LAPSES: u32 = 16;
/// Targets that jobs of kind `http` may post to. More: refused.
pub const HTTP_TARGETS: usize = 1000;
/// Headers of a job of kind `http`. More: refused.
pub const HTTP_HEADERS: usize = 32;
/// How long it may take to reach whatever is posted to.
pub const HTTP_CONNECT: Duration = Duration::from_secs(10);
/// Tries a policy may ask for.
pub const TRIES: u16 = 1000;
/// Length of a list of delays.
pub const BACKOFF_STEPS: usize = 64;
/// Kills a policy may allow.
pub const KILLS: u16 = 10;
/// Longest delay of a push or a retry.
pub const LONGEST_DELAY: Duration = Duration::from_secs(366 * 24 * 3600);
/// Longest time one attempt may have.
pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Bounds of a lease. A claim outside of them is refused.
pub const LEASE: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(3600);
