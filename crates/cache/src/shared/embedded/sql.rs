//! The statements, each in a file of its own.

pub(super) const SCHEMA: &str = include_str!("sql/schema.sql");

pub(super) const ENTRY_GET: &str = include_str!("sql/entry_get.sql");
pub(super) const ENTRY_COMMIT: &str = include_str!("sql/entry_commit.sql");
pub(super) const ENTRY_PUT: &str = include_str!("sql/entry_put.sql");
pub(super) const ENTRY_DROP: &str = include_str!("sql/entry_drop.sql");
pub(super) const ENTRY_EVICT: &str = include_str!("sql/entry_evict.sql");
pub(super) const ENTRY_NEXT: &str = include_str!("sql/entry_next.sql");
pub(super) const ENTRY_SWEEP: &str = include_str!("sql/entry_sweep.sql");
pub(super) const ENTRY_EXPIRED: &str = include_str!("sql/entry_expired.sql");
pub(super) const ENTRY_REMOVE: &str = include_str!("sql/entry_remove.sql");

pub(super) const VERSION_GET: &str = include_str!("sql/version_get.sql");
pub(super) const VERSION_PUT: &str = include_str!("sql/version_put.sql");
pub(super) const VERSION_CHANGE: &str = include_str!("sql/version_change.sql");
pub(super) const VERSION_KEEP: &str = include_str!("sql/version_keep.sql");
pub(super) const VERSION_EVICT: &str = include_str!("sql/version_evict.sql");
pub(super) const VERSION_SWEEP: &str = include_str!("sql/version_sweep.sql");

pub(super) const COUNT: &str = include_str!("sql/count.sql");
