#![doc = include_str!("guide.md")]

mod account;
mod alerts;
mod alloc;
mod budget;
pub mod child;
mod chunks;
mod history;
mod limit;
mod sample;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod system;

pub use account::{
    Account, Adopt, InAccount, Inherited, Unattributed, Usage, inherit, inherit_future,
    process_scope, spawn, spawn_blocking, spawn_thread, step, unattributed,
};
pub use alerts::{Alert, AlertMark, Detector, Thresholds};
pub use alloc::{AllocatorFigures, Metered, Metering, local::BATCH_BYTES, metering, purge};
pub use budget::{
    Admitted, Budget, BudgetUsage, ChildGauge, InvalidShare, Pressure, Refused, Rss, RunningJob,
    Work,
};
pub use chunks::{ChunkMemory, ChunkSize, Sizer, SmallerChunks, in_chunks};
pub use history::{History, Leak};
pub use limit::{Class, Exceeded, Limit, MB, UnknownClass, WARNING_PERCENT};
pub use sample::{FlightRecorder, OperationLine, Sample, Watch, watch};
pub use system::{Cgroup, ProcessMemory, SystemMemory};
