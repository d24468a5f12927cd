//! jemalloc's own figures and knobs: the only place that speaks `mallctl`.

#![expect(unsafe_code, reason = "jemalloc's control interface is a C function")]

use std::{
    ffi::CStr,
    ptr,
    sync::atomic::{AtomicU64, Ordering},
};

/// What the allocators of this process have out, as they see it themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AllocatorFigures {
    /// Handed out by jemalloc, size classes and headers included, thread caches excluded.
    pub allocated_bytes: u64,
    /// Pages jemalloc keeps in memory, unused ones included.
    pub resident_bytes: u64,
    /// Free blocks in the caches of threads.
    pub cached_bytes: u64,
    /// Handed out by the C library's allocator, to whatever C code is not routed to ours.
    pub c_library_bytes: u64,
}

/// jemalloc's name for all arenas at once.
const ALL_ARENAS: &CStr = c"stats.arenas.4096.tcache_bytes";

impl AllocatorFigures {
    pub fn read() -> Self {
        let mut epoch = 1_u64;
        // SAFETY: the epoch is a u64; writing it renews the figures.
        unsafe { control(c"epoch", ptr::null_mut::<u64>(), &raw mut epoch) };
        let cached = read(ALL_ARENAS);
        Self {
            allocated_bytes: read(c"stats.allocated").saturating_sub(cached),
            resident_bytes: read(c"stats.resident"),
            cached_bytes: cached,
            c_library_bytes: c_library_bytes(),
        }
    }
}

fn read(name: &CStr) -> u64 {
    let mut value = 0_usize;
    // SAFETY: these statistics are all of type size_t.
    unsafe { control(name, &raw mut value, ptr::null_mut::<usize>()) };
    value as u64
}

/// # Safety
/// `old` and `new` are null or of the type that `name` has.
unsafe fn control<O, N>(name: &CStr, old: *mut O, new: *mut N) -> bool {
    let mut old_size = size_of::<O>();
    let new_size = if new.is_null() { 0 } else { size_of::<N>() };
    let old_size_at = if old.is_null() { ptr::null_mut() } else { &raw mut old_size };
    // SAFETY: the name ends with a zero; sizes are those of what is pointed to.
    let result = unsafe {
        tikv_jemalloc_sys::mallctl(name.as_ptr(), old.cast(), old_size_at, new.cast(), new_size)
    };
    result == 0
}

static PURGES: AtomicU64 = AtomicU64::new(0);

/// Gives every page that jemalloc does not use back to the system. Takes milliseconds for
/// gigabytes: for moments that matter, not for each free.
pub fn purge() {
    PURGES.fetch_add(1, Ordering::Relaxed);
    // SAFETY: neither takes nor gives a value.
    unsafe {
        control::<(), ()>(c"thread.tcache.flush", ptr::null_mut(), ptr::null_mut());
        control::<(), ()>(c"arena.4096.purge", ptr::null_mut(), ptr::null_mut());
    }
}

/// How often [`purge`] was called.
pub(crate) fn purges() -> u64 {
    PURGES.load(Ordering::Relaxed)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn c_library_bytes() -> u64 {
    // SAFETY: only reads the C library's own counters.
    let info = unsafe { libc::mallinfo2() };
    (info.uordblks + info.hblkhd) as u64
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn c_library_bytes() -> u64 {
    0
}

#[cfg(all(test, not(miri)))]
mod tests {
    use std::alloc::{GlobalAlloc, Layout};

    use tikv_jemallocator::Jemalloc;

    use super::super::backend::Backend;

    /// What is charged is what jemalloc really gave, for every size up to some MB, and
    /// every alignment up to 4 KiB.
    #[test]
    fn classes_are_those_of_the_blocks_that_jemalloc_gives() {
        let large = [64 << 20, (64 << 20) + 1, (1 << 30) + (1 << 20)];
        let sizes = (9..=9000).chain((9001..40 << 20).step_by(4099)).chain(large);
        for size in sizes {
            for align in [8, 16, 32, 64, 256, 1024, 4096] {
                if align > 16 && size > 9000 && size % 3 != 0 {
                    continue;
                }
                let layout = Layout::from_size_align(size, align).expect("it is valid");
                // SAFETY: freed with the layout it was allocated with.
                let really = unsafe {
                    let block = Jemalloc.alloc(layout);
                    let really = tikv_jemallocator::usable_size(block);
                    Jemalloc.dealloc(block, layout);
                    really
                };
                assert_eq!(Jemalloc.class(layout), really, "{size} aligned to {align}");
            }
        }
    }
}
