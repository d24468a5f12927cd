//! What moves from one account to another while it lives: a job's result into the cache.

#![expect(unsafe_code, reason = "a block's header is rewritten through its owner")]

use std::alloc::Layout;

use super::Account;
use crate::alloc::reassign;

/// A value that owns one block of memory by itself, so that the block can change its account.
///
/// For other values build a copy inside of the receiving account's scope.
///
/// # Safety
/// `block` is a live allocation of the global allocator, with the layout that it has now, that only
/// this value can free.
pub unsafe trait Adopt {
    /// Nothing for a value that has no block.
    fn block(&mut self) -> Option<(*mut u8, Layout)>;
}

// SAFETY: a vector's storage comes from the global allocator; empty ones and those of zero-sized
// elements have none.
unsafe impl<T> Adopt for Vec<T> {
    fn block(&mut self) -> Option<(*mut u8, Layout)> {
        let layout = Layout::array::<T>(self.capacity()).ok()?;
        (layout.size() > 0).then(|| (self.as_mut_ptr().cast(), layout))
    }
}

// SAFETY: a string is a vector of bytes.
unsafe impl Adopt for String {
    fn block(&mut self) -> Option<(*mut u8, Layout)> {
        // SAFETY: nothing is written.
        unsafe { self.as_mut_vec() }.block()
    }
}

// SAFETY: a box's storage comes from the global allocator, unless its value has no size.
unsafe impl<T: ?Sized> Adopt for Box<T> {
    fn block(&mut self) -> Option<(*mut u8, Layout)> {
        let layout = Layout::for_value::<T>(self);
        (layout.size() > 0).then(|| ((&raw mut **self).cast(), layout))
    }
}

impl Account {
    /// This account pays for `value` from now on. Only its own block moves: of a `Vec<String>` the
    /// vector, not the strings.
    pub fn adopt<T: Adopt>(&self, mut value: T) -> T {
        if let Some((block, layout)) = value.block() {
            // SAFETY: the value is owned here, so nobody else frees or resizes its block.
            unsafe { reassign(block, layout, self.ledger()) };
        }
        value
    }
}
