//! A two-tier cache whose invalidation has no open race.

mod advice;
mod answer;
mod cache;
mod cells;
mod change;
mod entry;
mod explain;
mod flight;
mod freshness;
mod judge;
mod key;
mod laws;
pub mod limits;
mod local;
mod node;
mod read;
mod shared;
mod stats;
mod tag;
mod tenant;
mod ticket;
mod typed;
mod version;
mod widget;

pub use advice::{Advice, Sample, advise};
pub use answer::{Answer, ReadError, StaleBecause, State, Tier, Value};
pub use cache::{Builder, Cache, LocalState, OpenError, Settings};
pub use change::{ChangeError, ClearedBy, How, Subject};
pub use entry::{Coding, EntryError, check_stored_entry};
pub use explain::{Explanation, StampShown};
pub use freshness::{Freshness, FreshnessError, RefreshAhead};
pub use key::{Bucket, KeyError, KeyTemplate, Pattern};
pub use laws::{Law, Laws};
pub use read::Beginning;
#[cfg(feature = "simulation")]
pub use shared::simulated;
pub use shared::{BackOff, CleanedUp, LeaseState, StoreError, StoreState};
pub use stats::{Counters, Health, HealthTargets, LATENCY_BOUNDS_US, Latency};
pub use tag::{Tag, TagError};
pub use tenant::{Tenant, TenantError};
pub use ticket::Ticket;
pub use version::VersionKey;
pub use widget::{Definition, DefinitionError, Reading, ReadingError, Widget};
