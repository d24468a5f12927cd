//! With the allocator installed: what accounts show against the truth, admission, and children.

mod accounting;
mod admission;
mod c_libraries;
mod children;
mod watching;
mod works;

#[global_allocator]
static ALLOCATOR: samovar_memory::Metered = samovar_memory::Metered::new();
