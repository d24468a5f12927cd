//! The product between its surfaces and its libraries: readings are bound, read and invalidated.
//!
//! Definitions become a [`Catalogue`], where everything that can be wrong with them has been
//! found. An [`Engine`] serves a catalogue out of a cache.

mod alerts;
mod asked;
mod board;
mod capture;
mod catalogue;
mod change;
mod classes;
mod compute;
mod engine;
mod events;
mod explain;
mod hooks;
mod hot;
mod jobs;
mod keys;
mod make;
mod memory;
mod read;
mod reading;
mod rolled;
mod shadow;
mod signature;
mod slow;
mod spans;
mod statistics;
mod tags;
mod tenants;
mod values;
mod verify;
mod warm;
mod watch;

pub use alerts::{
    AlertKind, AlertRule, AlertSettings, AlertShown, Alerting, AlertsShown, Firing, SIGNATURE,
    SIGNED_AT, Side, Unit, Webhook, WebhookShown,
};
pub use asked::Asked;
pub use board::{BoardAnswer, BoardShown, Tile};
pub use capture::{CaptureRuleShown, CaptureShown, Capturing};
pub use catalogue::{Ask, Catalogue};
pub use change::{Change, ChangeFailure, Cleared, Clearing};
pub use engine::{Engine, Observe, StartError, WidgetShown};
pub use events::{
    Event, EventFailure, EventFault, EventShown, Invalidated, Raised, Settling, WarmingBegun,
};
pub use explain::{BackOffShown, ChangeShown, LeaseShown, StampShown, Stored, Why};
pub use hooks::{HookFailure, Signed};
pub use jobs::{
    AttemptShown, BatchesWanted, Bulk, Figures, Flushed, JobFailure, JobFull, JobPushed, JobRule,
    JobRules, JobShown, JobWanted, JobsWanted, KINDS as JOB_KINDS, KindFigures, MOST_HOURS,
    ManyBatches, ManyJobs, Pruned, QueueCleared, QueueFigures, Retried, ScheduleShown, Told,
};
pub use memory::{MemoryPoint, MemoryShown, QueueShown};
pub use read::ReadFailure;
pub use reading::InvalidReading;
pub use samovar_cache::{
    Answer, ChangeError, CleanedUp, Coding, Counters, HealthTargets, LATENCY_BOUNDS_US, ReadError,
    StaleBecause, State, StoreError, Tier,
};
pub use samovar_clock::{Clock, Instant};
pub use samovar_jobs::{Refusal as JobRefusal, StoreError as JobStoreError, store::Presence};
pub use samovar_widgets::parse_duration;
pub use shadow::{Comparisons, Difference};
pub use slow::SlowCompute;
pub use statistics::{
    HealthShown, SampleShown, SourceShown, Statistics, WidgetDetail, WidgetStatistics,
};
pub use tenants::{Member, Members, NoTenant};
pub use verify::{MOST_VERIFIED, Verification, Wrong};
pub use warm::{Batch, FailedJob, UsualReading, WarmFailure, WarmUp, Warming};
pub use watch::{MOST_WATCHED_READINGS, Seen, Wanted, WatchFailure, Watcher};
