//! Where the header stands and what a block costs: arithmetic without a pointer in it.

use std::alloc::Layout;

/// Bytes before each block: the ledger's address and what the block was charged with.
pub(super) const HEADER: usize = 16;

/// How far into the allocator's block the caller's block begins. A multiple of its alignment, so
/// that the alignment is kept; the header fills the 16 bytes before it.
#[inline]
pub(super) const fn offset(align: usize) -> usize {
    if align > HEADER { align } else { HEADER }
}

/// The layout to ask the allocator for; nothing when it is more than can exist.
#[inline]
pub(super) const fn outer(size: usize, align: usize) -> Option<Layout> {
    let align = if align > HEADER { align } else { HEADER };
    match size.checked_add(align) {
        Some(size) => match Layout::from_size_align(size, align) {
            Ok(layout) => Some(layout),
            Err(_) => None,
        },
        None => None,
    }
}

/// Sizes up to here have their class computed in place.
pub(super) const SMALL: usize = 4096;

/// The size class of a small request with an alignment of at most 16, as jemalloc cuts them: four
/// to each doubling, at least 16 bytes apart. A test compares it with jemalloc's own answer.
#[inline]
pub(super) const fn small_class(size: usize) -> usize {
    let log = (size - 1).ilog2();
    let spacing = 1usize << (if log < 6 { 4 } else { log - 2 });
    (size + spacing - 1) & !(spacing - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_fits_before_each_block_and_keeps_its_alignment() {
        for align in (0..=12).map(|log| 1usize << log) {
            assert!(offset(align) >= HEADER);
            assert_eq!(offset(align) % align, 0);
            for size in [1, 7, 16, 4096, 1 << 20] {
                let outer = outer(size, align).expect("it is small");
                assert!(outer.size() >= offset(align) + size);
                assert!(outer.align() >= align);
            }
        }
    }

    #[test]
    fn what_cannot_exist_has_no_layout() {
        assert_eq!(outer(isize::MAX.unsigned_abs(), 1), None);
        assert_eq!(outer(usize::MAX - 4, 4096), None);
    }

    #[test]
    fn classes_are_cut_as_written() {
        let pairs = [(17, 32), (32, 32), (64, 64), (65, 80), (128, 128), (129, 160), (4096, 4096)];
        for (size, class) in pairs {
            assert_eq!(small_class(size), class, "{size}");
        }
        // DEPENDENCIES: a page and its header land in the next class, of five quarters.
        assert_eq!(small_class(4096 + HEADER), 5120);
    }
}
