//! Where the header stands and what a block costs: arithmetic without a pointer in it.

use std::alloc::Layout;

/// Bytes before each block: the address of the ledger that pays for it.
pub(super) const HEADER: usize = size_of::<&'static ()>();

/// How far into the allocator's block the caller's block begins. A multiple of its alignment, so
/// that the alignment is kept; the header fills the bytes right before it.
#[inline]
pub(super) const fn offset(align: usize) -> usize {
    if align > HEADER { align } else { HEADER }
}

/// The layout to ask the allocator for; nothing when it is more than can exist.
#[inline]
pub(super) const fn outer(size: usize, align: usize) -> Option<Layout> {
    let align = offset(align);
    match size.checked_add(align) {
        Some(size) => match Layout::from_size_align(size, align) {
            Ok(layout) => Some(layout),
            Err(_) => None,
        },
        None => None,
    }
}

/// Blocks of at least so many bytes are aligned to it without being asked.
pub(super) const NATURAL_ALIGN: usize = 16;

/// Requests up to here have their class looked up. Beyond, classes depend on the size of a page.
pub(super) const SMALL: usize = 14 << 10;

/// The size class of a small request with a natural alignment.
#[inline]
pub(super) const fn small_class(size: usize) -> usize {
    const STEP: usize = 8;
    const CLASSES: [u16; SMALL / STEP + 1] = {
        let mut classes = [0; SMALL / STEP + 1];
        let mut step = 1;
        while step < classes.len() {
            classes[step] = class(step * STEP) as u16;
            step += 1;
        }
        classes
    };
    CLASSES[size.div_ceil(STEP)] as usize
}

/// As jemalloc cuts them: four to each doubling, at least 16 bytes apart. A test compares it with
/// jemalloc's own answer.
const fn class(size: usize) -> usize {
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
        for (size, expected) in pairs {
            assert_eq!(small_class(size), expected, "{size}");
        }
        // A page and its header land in the next class, of five quarters.
        assert_eq!(small_class(4096 + HEADER), 5120);
    }
}
