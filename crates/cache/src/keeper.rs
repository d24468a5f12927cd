//! Who allocates what the local tier keeps.

use std::{fmt, sync::Arc};

use bytes::Bytes;

/// Runs what allocates memory that outlives the call in the local tier. For programs that charge
/// memory to whoever allocates it: without one, the first reader of an entry would be charged until it is
/// evicted.
#[derive(Clone, Default)]
pub struct Keeper(Option<Arc<Run>>);

type Run = dyn Fn(&mut dyn FnMut()) + Send + Sync;

impl Keeper {
    /// `run` calls what it is given, once and at once.
    pub fn new(run: impl Fn(&mut dyn FnMut()) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(run)))
    }

    pub(crate) fn keep<T>(&self, work: impl FnOnce() -> T) -> T {
        let Some(run) = &self.0 else { return work() };
        let (mut work, mut kept) = (Some(work), None);
        run(&mut || {
            if let Some(work) = work.take() {
                kept = Some(work());
            }
        });
        kept.expect("a keeper runs what it is given")
    }

    /// The value without what it travelled with: small ones are copied, so that what the local tier
    /// counts is what it holds; for large ones the rest is not worth a copy, unless somebody else
    /// allocated them.
    pub(crate) fn own_bytes(&self, value: &Bytes) -> Bytes {
        const COPY_BELOW: usize = 16 << 10;
        let copies = self.0.is_some() || value.len() < COPY_BELOW;
        if copies { self.keep(|| Bytes::copy_from_slice(value)) } else { value.clone() }
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Keeper" } else { "Keeper(nobody)" })
    }
}
