//! The allocator itself: forwards each call, keeps the header, charges and debits.

#![expect(unsafe_code, reason = "a global allocator is unsafe to implement")]

use std::{
    alloc::{GlobalAlloc, Layout},
    ptr,
    sync::OnceLock,
};

use tikv_jemallocator::Jemalloc;

use super::{
    backend::Backend,
    header::{HEADER, SMALL, offset, outer},
    local, out_of_memory,
};
use crate::account::Ledger;

/// jemalloc that knows for whom it allocates. Install it in the binary:
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: samovar_memory::Metered = samovar_memory::Metered::new();
/// # fn main() {
/// assert_eq!(samovar_memory::metering(), samovar_memory::Metering::On);
/// # }
/// ```
///
/// It never fails for a limit and never unwinds: a limit is a flag that work looks at.
#[derive(Debug, Default)]
pub struct Metered<B = Jemalloc>(B);

impl Metered {
    pub const fn new() -> Self {
        Self(Jemalloc)
    }
}

/// Stands right before each block.
type Header = &'static Ledger;

const _: () = assert!(size_of::<Header>() == HEADER && align_of::<Header>() <= HEADER);

/// # Safety
/// `block` came from this allocator and is live.
#[inline]
unsafe fn header_of(block: *mut u8) -> *mut Header {
    // SAFETY: each block has its header before it, inside the same allocation; blocks are aligned
    // as headers are at least, because their offset and their outer layout are.
    unsafe { block.sub(HEADER).cast() }
}

/// # Safety
/// `base` is a new allocation of the outer layout for `align`, charged with `bytes`.
#[inline]
unsafe fn begin(base: *mut u8, align: usize, bytes: usize) -> *mut u8 {
    // SAFETY: the outer layout has room for the offset and the caller's block behind it.
    let block = unsafe { base.add(offset(align)) };
    let ledger = local::charge_current(signed(bytes));
    // SAFETY: as above.
    unsafe { header_of(block).write(ledger) };
    block
}

/// The layout that a live block of this layout was allocated with.
///
/// # Safety
/// `layout` had an outer one.
#[inline]
unsafe fn outer_of(layout: Layout) -> Layout {
    let offset = offset(layout.align());
    // SAFETY: as `outer` computed it.
    unsafe { Layout::from_size_align_unchecked(layout.size() + offset, offset) }
}

/// Layouts never exceed `isize::MAX`.
#[inline]
fn signed(bytes: usize) -> i64 {
    bytes as i64
}

impl<B: Backend> Metered<B> {
    /// # Safety
    /// As for `alloc`.
    #[cold]
    #[inline(never)]
    unsafe fn alloc_unusual(&self, layout: Layout) -> *mut u8 {
        let Some(outer) = outer(layout.size(), layout.align()) else { return ptr::null_mut() };
        // SAFETY: the size is not zero, a header is in it.
        let base = unsafe { self.0.alloc(outer) };
        if base.is_null() {
            out_of_memory::report(layout.size());
            return base;
        }
        // SAFETY: it is what `outer` asked for.
        unsafe { begin(base, layout.align(), self.0.class(outer)) }
    }
}

/// Most requests are: small, and aligned no more than their header.
#[inline]
fn is_usual(layout: Layout) -> bool {
    layout.size() <= SMALL - HEADER && layout.align() <= HEADER
}

/// The outer layout of a usual request, its header included in the size.
#[inline]
fn usual(size: usize) -> Layout {
    // SAFETY: the alignment is a power of two, and the size is small.
    unsafe { Layout::from_size_align_unchecked(size, HEADER) }
}

// SAFETY: forwards to an allocator. Layouts grow by the offset, which keeps alignment; what is
// handed out lies inside of the larger block, and each way back subtracts the same offset, since
// the alignment of a block never changes. Nothing here panics: `charge` does arithmetic on cells.
unsafe impl<B: Backend> GlobalAlloc for Metered<B> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_usual(layout) {
            let size = layout.size() + HEADER;
            // SAFETY: the size is not zero, a header is in it.
            let base = unsafe { self.0.alloc_natural(size) };
            if base.is_null() {
                out_of_memory::report(size - HEADER);
                return base;
            }
            // SAFETY: it has room for the header and the caller's block behind it.
            return unsafe { begin(base, HEADER, self.0.class(usual(size))) };
        }
        // SAFETY: passed on.
        unsafe { self.alloc_unusual(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(outer) = outer(layout.size(), layout.align()) else { return ptr::null_mut() };
        // SAFETY: the size is not zero, a header is in it.
        let base = unsafe { self.0.alloc_zeroed(outer) };
        if base.is_null() {
            out_of_memory::report(layout.size());
            return base;
        }
        // SAFETY: it is what `outer` asked for. The header lies outside of the zeroed block.
        unsafe { begin(base, layout.align(), self.0.class(outer)) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller hands in a live block of ours with its layout. It is settled first,
        // so that nothing has to be kept over the call.
        unsafe {
            let ledger = *header_of(block);
            if is_usual(layout) {
                let size = layout.size() + HEADER;
                local::charge(ledger, -signed(self.0.class(usual(size))));
                self.0.dealloc_natural(block.sub(HEADER), size);
            } else {
                let outer = outer_of(layout);
                local::charge(ledger, -signed(self.0.class(outer)));
                self.0.dealloc(block.sub(offset(layout.align())), outer);
            }
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let align = layout.align();
        let Some(new_outer) = outer(new_size, align) else { return ptr::null_mut() };
        // SAFETY: the block is ours with its layout. The header moves along, because it lies at
        // the front of what the allocator moves, and both sizes have room for it.
        unsafe {
            let (ledger, outer) = (*header_of(block), outer_of(layout));
            let base = self.0.realloc(block.sub(offset(align)), outer, new_outer.size());
            if base.is_null() {
                out_of_memory::report(new_size);
                return base;
            }
            // Who allocated it keeps paying for it, whoever made it grow.
            let grown = signed(self.0.class(new_outer)) - signed(self.0.class(outer));
            local::charge(ledger, grown);
            base.add(offset(align))
        }
    }
}

/// Whether this process meters its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Metering {
    On,
    /// [`Metered`] is not this binary's global allocator: what is held is unknown, which is not 0.
    Off,
}

/// Found out once, by allocating and seeing who was called.
pub fn metering() -> Metering {
    static METERING: OnceLock<Metering> = OnceLock::new();
    *METERING.get_or_init(|| {
        let seen = local::sees_allocator_in(|| {
            std::hint::black_box(Box::new(std::hint::black_box([0_u8; 24])));
        });
        if seen { Metering::On } else { Metering::Off }
    })
}

/// Makes `ledger` pay for a block from now on. Nothing without metering.
///
/// # Safety
/// `block` is a live allocation of the global allocator with this layout, and nobody frees or
/// resizes it meanwhile.
pub(crate) unsafe fn reassign(block: *mut u8, layout: Layout, ledger: &'static Ledger) {
    if metering() == Metering::Off {
        return;
    }
    // SAFETY: the global allocator is ours, so there is a header, and it is the caller's alone.
    unsafe {
        let bytes = signed(Jemalloc.class(outer_of(layout)));
        let payer = header_of(block).replace(ledger);
        local::charge(payer, -bytes);
        local::charge(ledger, bytes);
    }
}

/// These run under Miri, which cannot run jemalloc.
#[cfg(test)]
mod tests {
    use std::alloc::System;

    use super::*;
    use crate::Account;

    fn held(account: &Account) -> i64 {
        account.ledger().current()
    }

    #[test]
    fn blocks_of_any_alignment_keep_it_and_are_paid_for_until_freed() {
        let metered = Metered(System);
        let account = Account::unlimited("aligned");
        for align in [1, 2, 8, 16, 32, 64, 512, 4096] {
            for size in [1, 15, 16, 17, 100, 5000] {
                let layout = Layout::from_size_align(size, align).expect("it is valid");
                // SAFETY: allocated, written, resized and freed with one layout.
                unsafe {
                    let block = account.scope(|| metered.alloc(layout));
                    assert_eq!(block.addr() % align, 0);
                    ptr::write_bytes(block, 7, size);
                    assert_eq!(held(&account), signed(size + offset(align)));
                    let block = metered.realloc(block, layout, size * 3);
                    assert_eq!(block.addr() % align, 0);
                    assert!((0..size).all(|at| *block.add(at) == 7));
                    local::flush_all();
                    assert_eq!(held(&account), signed(size * 3 + offset(align)));
                    let grown = Layout::from_size_align(size * 3, align).expect("it is valid");
                    metered.dealloc(block, grown);
                    local::flush_all();
                }
                assert_eq!(held(&account), 0, "{size} aligned to {align}");
            }
        }
    }

    #[test]
    fn zeroed_blocks_are_zero_behind_their_header() {
        let metered = Metered(System);
        let layout = Layout::from_size_align(300, 64).expect("it is valid");
        // SAFETY: allocated and freed with one layout.
        unsafe {
            let block = metered.alloc_zeroed(layout);
            assert!((0..300).all(|at| *block.add(at) == 0));
            metered.dealloc(block, layout);
        }
    }

    #[test]
    fn another_thread_frees_and_the_account_that_allocated_is_debited() {
        let metered = Metered(System);
        let account = Account::unlimited("elsewhere");
        let layout = Layout::from_size_align(1000, 8).expect("it is valid");
        // SAFETY: a block's address moves to the one thread that frees it.
        let block = account.scope(|| unsafe { metered.alloc(layout) }).expose_provenance();
        assert_eq!(held(&account), signed(1000 + HEADER));
        let freeing = std::thread::spawn(move || {
            let metered = Metered(System);
            let block = ptr::with_exposed_provenance_mut(block);
            // SAFETY: as above.
            unsafe { metered.dealloc(block, layout) };
        });
        // Joining waits for its destructors, which `std::thread::scope` does not.
        freeing.join().expect("it ends");
        // The thread told the ledger when it ended.
        assert_eq!(held(&account), 0);
    }

    #[test]
    fn what_cannot_be_served_is_null_and_costs_nothing() {
        let metered = Metered(System);
        let account = Account::unlimited("huge");
        let layout = Layout::from_size_align(isize::MAX.unsigned_abs() - 4096, 1).expect("valid");
        // SAFETY: the size is not zero.
        assert!(account.scope(|| unsafe { metered.alloc(layout) }).is_null());
        assert_eq!(held(&account), 0);
    }
}
