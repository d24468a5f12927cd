//! What the metering stands on: jemalloc, and in tests under Miri the system's allocator.

#![expect(unsafe_code, reason = "allocators are unsafe to implement and to call")]

use std::alloc::{GlobalAlloc, Layout};

use tikv_jemallocator::Jemalloc;

use super::header::{NATURAL_ALIGN, SMALL, small_class};

/// An allocator that can tell what a request really takes.
///
/// # Safety
/// As for [`GlobalAlloc`]; and `class` neither allocates nor unwinds.
pub unsafe trait Backend: GlobalAlloc {
    /// The size of the block that a request with this layout gets; at least that of the layout.
    fn class(&self, layout: Layout) -> usize;

    /// `alloc` of a request that is aligned no more than its header: the way of most.
    ///
    /// # Safety
    /// The size is not zero.
    unsafe fn alloc_natural(&self, size: usize) -> *mut u8;

    /// `dealloc` of a block that `alloc_natural` gave for this size.
    ///
    /// # Safety
    /// As for `dealloc`.
    unsafe fn dealloc_natural(&self, block: *mut u8, size: usize);
}

// SAFETY: nallocx computes, without touching the heap.
unsafe impl Backend for Jemalloc {
    #[inline]
    fn class(&self, layout: Layout) -> usize {
        let is_natural = layout.align() <= NATURAL_ALIGN;
        if is_natural && layout.size() <= SMALL {
            return small_class(layout.size());
        }
        let flags = if is_natural { 0 } else { tikv_jemalloc_sys::MALLOCX_ALIGN(layout.align()) };
        // SAFETY: the size is not zero, a header is in it. Zero for what jemalloc cannot serve.
        let class = unsafe { tikv_jemalloc_sys::nallocx(layout.size(), flags) };
        class.max(layout.size())
    }

    #[inline]
    unsafe fn alloc_natural(&self, size: usize) -> *mut u8 {
        // SAFETY: any size may be asked for.
        unsafe { tikv_jemalloc_sys::malloc(size).cast() }
    }

    #[inline]
    unsafe fn dealloc_natural(&self, block: *mut u8, size: usize) {
        // SAFETY: it was allocated with this size and no flags.
        unsafe { tikv_jemalloc_sys::sdallocx(block.cast(), size, 0) }
    }
}

#[cfg(test)]
// SAFETY: gives back what it was given.
unsafe impl Backend for std::alloc::System {
    fn class(&self, layout: Layout) -> usize {
        layout.size()
    }

    unsafe fn alloc_natural(&self, size: usize) -> *mut u8 {
        // SAFETY: the size is not zero, a header is in it.
        unsafe { self.alloc(natural(size)) }
    }

    unsafe fn dealloc_natural(&self, block: *mut u8, size: usize) {
        // SAFETY: allocated with this layout.
        unsafe { self.dealloc(block, natural(size)) }
    }
}

#[cfg(test)]
fn natural(size: usize) -> Layout {
    Layout::from_size_align(size, super::header::HEADER).expect("small")
}
