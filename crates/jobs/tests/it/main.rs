//! Through the public API.

mod away;
mod bench;
mod busy;
mod http;
mod isolated;
mod killer;
mod orders;
mod remotes;
mod reserve;
mod schedules;
mod steady;
mod worker;

#[global_allocator]
static ALLOCATOR: samovar_memory::Metered = samovar_memory::Metered::new();
