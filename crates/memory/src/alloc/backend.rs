//! What the metering stands on: jemalloc, and in tests under Miri the system's allocator.

#![expect(unsafe_code, reason = "allocators are unsafe to implement and to call")]

use std::alloc::{GlobalAlloc, Layout};

use tikv_jemallocator::Jemalloc;

use super::header::{HEADER, SMALL, small_class};

/// An allocator that can tell what a request really takes.
///
/// # Safety
/// As for [`GlobalAlloc`]; and `class` neither allocates nor unwinds.
pub unsafe trait Backend: GlobalAlloc {
    /// The size of the block that a request with this layout gets; at least that of the layout.
    fn class(&self, layout: Layout) -> usize;
}

// SAFETY: nallocx computes, without touching the heap.
unsafe impl Backend for Jemalloc {
    #[inline]
    fn class(&self, layout: Layout) -> usize {
        if layout.size() <= SMALL && layout.align() <= HEADER {
            return small_class(layout.size());
        }
        let flags = if layout.align() <= HEADER {
            0
        } else {
            tikv_jemalloc_sys::MALLOCX_ALIGN(layout.align())
        };
        // SAFETY: the size is not zero, a header is in it. Zero for what jemalloc cannot serve.
        let class = unsafe { tikv_jemalloc_sys::nallocx(layout.size(), flags) };
        class.max(layout.size())
    }
}

#[cfg(test)]
// SAFETY: gives back what it was given.
unsafe impl Backend for std::alloc::System {
    fn class(&self, layout: Layout) -> usize {
        layout.size()
    }
}
