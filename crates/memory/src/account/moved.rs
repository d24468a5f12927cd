//! What moves from one account to another while it lives: a job's result into the cache.

#![expect(unsafe_code, reason = "a block's header is rewritten through its owner")]

use super::Account;
use crate::alloc::reassign;

/// A value that owns one block of memory by itself, so that the block can change its account.
///
/// For other values build a copy inside of the receiving account's scope.
///
/// # Safety
/// `block` is null, or a live allocation of the global allocator that only this value can free.
pub unsafe trait Adopt {
    fn block(&mut self) -> *mut u8;
}

// SAFETY: a vector's storage comes from the global allocator; empty ones and those of zero-sized
// elements have none.
unsafe impl<T> Adopt for Vec<T> {
    fn block(&mut self) -> *mut u8 {
        let has_none = self.capacity() == 0 || size_of::<T>() == 0;
        if has_none { std::ptr::null_mut() } else { self.as_mut_ptr().cast() }
    }
}

// SAFETY: a string is a vector of bytes.
unsafe impl Adopt for String {
    fn block(&mut self) -> *mut u8 {
        // SAFETY: nothing is written.
        unsafe { self.as_mut_vec() }.block()
    }
}

// SAFETY: a box's storage comes from the global allocator, unless its value has no size.
unsafe impl<T: ?Sized> Adopt for Box<T> {
    fn block(&mut self) -> *mut u8 {
        let has_none = size_of_val(&**self) == 0;
        if has_none { std::ptr::null_mut() } else { (&raw mut **self).cast() }
    }
}

impl Account {
    /// This account pays for `value` from now on. Only its own block moves: of a `Vec<String>` the
    /// vector, not the strings.
    pub fn adopt<T: Adopt>(&self, mut value: T) -> T {
        let block = value.block();
        if !block.is_null() {
            // SAFETY: the value is owned here, so nobody else frees or resizes its block.
            unsafe { reassign(block, self.ledger()) };
        }
        value
    }
}
