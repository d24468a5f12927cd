//! The metering allocator: jemalloc, and before each block a header that says who pays for it.

mod backend;
mod header;
pub(crate) mod jemalloc;
pub(crate) mod local;
mod metered;
pub(crate) mod out_of_memory;

pub use jemalloc::{AllocatorFigures, purge};
pub(crate) use metered::reassign;
pub use metered::{Metered, Metering, metering};
