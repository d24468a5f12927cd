//! SQLite's own memory, routed through Rust's allocator and so to accounts.

#![expect(unsafe_code, reason = "SQLite takes its allocator as a table of C functions")]

use std::{
    alloc::{Layout, alloc, dealloc, realloc},
    ffi::{c_int, c_void},
    ptr,
    sync::OnceLock,
};

use rusqlite::ffi;

use crate::{Account, process_scope};

/// Who pays for SQLite's memory.
#[derive(Debug, Clone, Default)]
pub enum Payer {
    /// The account that runs the statement. Pages that stay in a pooled connection's cache stay
    /// charged to whoever read them first.
    #[default]
    Running,
    /// One account for all of SQLite.
    Account(Account),
}

/// SQLite was used before, and keeps the allocator it began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("SQLite is in use already: route its memory before the first connection")]
pub struct TooLate;

static PAYER: OnceLock<Payer> = OnceLock::new();

/// Call it before the first connection of the process; only the first call counts.
pub fn route(payer: Payer) -> Result<(), TooLate> {
    if PAYER.set(payer).is_err() {
        return Err(TooLate);
    }
    let methods = ffi::sqlite3_mem_methods {
        xMalloc: Some(malloc),
        xFree: Some(free),
        xRealloc: Some(resize),
        xSize: Some(size),
        xRoundup: Some(round_up),
        xInit: Some(init),
        xShutdown: Some(shutdown),
        pAppData: ptr::null_mut(),
    };
    // SAFETY: SQLite copies the table. Before its start this is allowed, after it is refused.
    let result = unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, &raw const methods) };
    if result == ffi::SQLITE_OK { Ok(()) } else { Err(TooLate) }
}

/// SQLite asks for the size of a block: it stands before it. 16 bytes keep the alignment.
const PREFIX: usize = 16;

fn layout(size: usize) -> Option<Layout> {
    Layout::from_size_align(size.checked_add(PREFIX)?, PREFIX).ok()
}

fn paid<T>(work: impl FnOnce() -> T) -> T {
    match PAYER.get() {
        Some(Payer::Account(account)) => account.scope(work),
        Some(Payer::Running) => work(),
        None => process_scope(work),
    }
}

unsafe extern "C" fn malloc(size: c_int) -> *mut c_void {
    let Some(bytes) = usize::try_from(size).ok().filter(|bytes| *bytes > 0) else {
        return ptr::null_mut();
    };
    let Some(layout) = layout(bytes) else { return ptr::null_mut() };
    // SAFETY: the layout has a size. The prefix is inside of it, and aligned.
    unsafe {
        let base = paid(|| alloc(layout));
        if base.is_null() {
            return ptr::null_mut();
        }
        base.cast::<usize>().write(bytes);
        base.add(PREFIX).cast()
    }
}

/// # Safety
/// `block` came from `malloc` or `resize` and is live.
unsafe fn base_of(block: *mut c_void) -> (*mut u8, usize) {
    // SAFETY: the prefix stands before each block.
    unsafe {
        let base = block.cast::<u8>().sub(PREFIX);
        (base, base.cast::<usize>().read())
    }
}

unsafe extern "C" fn free(block: *mut c_void) {
    if block.is_null() {
        return;
    }
    // SAFETY: SQLite frees what it got here, once; the layout is the one it was allocated with.
    unsafe {
        let (base, bytes) = base_of(block);
        dealloc(base, Layout::from_size_align_unchecked(bytes + PREFIX, PREFIX));
    }
}

unsafe extern "C" fn resize(block: *mut c_void, size: c_int) -> *mut c_void {
    let Some(wanted) = usize::try_from(size).ok().filter(|bytes| *bytes > 0) else {
        return ptr::null_mut();
    };
    let Some(new) = layout(wanted) else { return ptr::null_mut() };
    // SAFETY: as for `free`. On failure the old block stays as it was.
    unsafe {
        let (base, bytes) = base_of(block);
        let old = Layout::from_size_align_unchecked(bytes + PREFIX, PREFIX);
        let base = realloc(base, old, new.size());
        if base.is_null() {
            return ptr::null_mut();
        }
        base.cast::<usize>().write(wanted);
        base.add(PREFIX).cast()
    }
}

unsafe extern "C" fn size(block: *mut c_void) -> c_int {
    if block.is_null() {
        return 0;
    }
    // SAFETY: SQLite asks about live blocks. Each size came from a `c_int`.
    unsafe { base_of(block).1 as c_int }
}

unsafe extern "C" fn round_up(size: c_int) -> c_int {
    size.saturating_add(7) & !7
}

unsafe extern "C" fn init(_: *mut c_void) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn shutdown(_: *mut c_void) {}
