//! Partials that are kept together. When a month is over, those of its days become one entry, a
//! bundle, whose stamps tell of each day; when a day is over, so do those of its hours.
//!
//! Here is what a look finds in bundles, and which of them it shows to be due.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use jiff::Timestamp;
use samovar_cache::Divided;
use samovar_widgets::{Bundled, Partial, Partition, Slot, decode_bundle};
use tokio::sync::Semaphore;
use tracing::Instrument;

use super::{bundling, kept::Kept};
use crate::{Member, catalogue::Rolled, engine::Inner};

/// Partials beside a bundle for which it is made, or made anew: fewer are left as they are.
pub(super) const WORTH_A_BUNDLE: usize = 8;
/// Bytes of partials in one bundle, before they are compressed. One with more is not made: what is so
/// large gains nothing by it, and whoever makes a bundle holds all of it a few times.
const BUNDLE_BYTES: u64 = 512 << 10;
/// What a bundle adds to its partials at most.
const HEAD_BYTES: u64 = 1 << 10;
/// Bundles that are asked for in one look.
const AT_ONCE: usize = 16;
/// Looks of one process whose bundles are being made. Those of others are left to a later look.
const PLACES: usize = 2;

/// Where a process makes bundles, behind those who read.
#[derive(Debug)]
pub(crate) struct Bundling(Arc<Semaphore>);

impl Default for Bundling {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(PLACES)))
    }
}

impl Bundling {
    pub(crate) fn in_flight(&self) -> usize {
        PLACES - self.0.available_permits()
    }
}

/// Those of the time that a look is about.
pub(super) struct Bundles<'g> {
    inner: &'g Arc<Inner>,
    rolled: &'g Arc<Rolled>,
    member: &'g Member,
    all: Vec<Bundle<'g>>,
    /// Of pieces that may be in one: in which of them, and where in it.
    places: BTreeMap<usize, (usize, usize)>,
}

struct Bundle<'g> {
    kept: Kept<'g>,
    of: Partition,
    children: usize,
    /// Pieces that are looked for, by their places in it.
    wanted: BTreeMap<usize, usize>,
    /// The commit of what was found.
    seen: Option<u64>,
    /// Bytes of the partials that it has.
    bytes: u64,
    /// Those that were found beside it, by their places, and their bytes.
    beside: Vec<usize>,
    bytes_beside: u64,
}

/// A bundle to be made.
pub(super) struct Due {
    pub(super) of: Partition,
    /// The one that was there: another is somebody else's work.
    pub(super) seen: Option<u64>,
    /// Places of the partials to be added.
    pub(super) beside: Vec<usize>,
}

impl<'g> Bundles<'g> {
    /// Of whole partitions, by the indices of their pieces.
    pub(super) fn new(
        inner: &'g Arc<Inner>,
        rolled: &'g Arc<Rolled>,
        member: &'g Member,
        pieces: impl Iterator<Item = (usize, Slot)>,
        now: Timestamp,
    ) -> Result<Self, String> {
        let sealed = &inner.partials[&rolled.name].sealed;
        let mut bundles = Self { inner, rolled, member, all: Vec::new(), places: BTreeMap::new() };
        let mut of_parents: BTreeMap<Partition, (Vec<Slot>, Option<usize>)> = BTreeMap::new();
        for (piece, slot) in pieces {
            let Some(parent) = slot.partition().parent() else { continue };
            let (children, bundle) = match of_parents.entry(parent) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(vacant) => {
                    let children = parent.children(&member.zone);
                    let is_over = children.last().is_some_and(|last| last.to() <= now);
                    let bundle = is_over.then_some(bundles.all.len());
                    if is_over {
                        let kept = Kept::bundle(sealed, rolled, member, parent, &children)?;
                        bundles.all.push(Bundle::new(kept, parent, children.len()));
                    }
                    vacant.insert((children, bundle))
                }
            };
            let place = children.iter().position(|child| *child == slot);
            if let (Some(bundle), Some(place)) = (*bundle, place) {
                bundles.all[bundle].wanted.insert(place, piece);
                bundles.places.insert(piece, (bundle, place));
            }
        }
        Ok(bundles)
    }

    /// Pieces that are done are not looked for.
    pub(super) fn leave_out(&mut self, done: &[bool]) {
        for bundle in &mut self.all {
            bundle.wanted.retain(|_, piece| !done[*piece]);
        }
    }

    /// Hands on what they have of the pieces that are looked for.
    pub(super) async fn look(&mut self, mut give: impl FnMut(usize, &Partial)) {
        let asked = self.all.iter_mut().filter(|bundle| !bundle.wanted.is_empty());
        let mut asked: Vec<&mut Bundle<'_>> = asked.collect();
        for some in asked.chunks_mut(AT_ONCE) {
            let pairs: Vec<_> = some.iter().map(|bundle| bundle.kept.pairs()).collect();
            let readings = some.iter().zip(&pairs).map(|(bundle, it)| bundle.kept.borrow(it));
            let found = self.inner.cache.find_divided(&readings.collect::<Vec<_>>()).await;
            // Where the store cannot be asked, partials are made.
            let found = found.unwrap_or_else(|_| vec![None; some.len()]);
            for (bundle, found) in some.iter_mut().zip(found) {
                bundle.take_from(self.rolled, found.as_ref(), &mut give);
            }
        }
    }

    /// A piece was found by itself.
    pub(super) fn found_beside(&mut self, piece: usize, bytes: usize) {
        if let Some((bundle, place)) = self.places.get(&piece) {
            let bundle = &mut self.all[*bundle];
            bundle.beside.push(*place);
            bundle.bytes_beside += bytes as u64;
        }
    }

    /// Makes those that are worth it, behind whoever reads.
    pub(super) fn make_behind(self) {
        let limit = limit_of(self.inner);
        let due = self.all.into_iter().filter(|bundle| bundle.is_due(limit));
        let due: Vec<Due> = due.map(Bundle::into_due).collect();
        if due.is_empty() {
            return;
        }
        let Ok(place) = self.inner.bundling.0.clone().try_acquire_owned() else { return };
        let (inner, rolled, member) =
            (self.inner.clone(), self.rolled.clone(), self.member.clone());
        let making = async move {
            for due in due {
                let made = bundling::make(&inner, &rolled, &member, &due).await;
                if let Err(error) = made {
                    let (rollup, of) = (&rolled.name, due.of);
                    tracing::debug!(%rollup, %of, %error, "partials stay apart");
                }
            }
            drop(place);
        };
        tokio::spawn(making.in_current_span());
    }
}

impl<'g> Bundle<'g> {
    fn new(kept: Kept<'g>, of: Partition, children: usize) -> Self {
        let (wanted, seen, beside) = (BTreeMap::new(), None, Vec::new());
        Self { kept, of, children, wanted, seen, bytes: 0, beside, bytes_beside: 0 }
    }

    fn take_from(
        &mut self,
        rolled: &Rolled,
        found: Option<&Divided>,
        give: &mut impl FnMut(usize, &Partial),
    ) {
        (self.seen, self.bytes) = (found.map(Divided::commit), 0);
        let Some((found, bytes)) = found.and_then(|it| Some((it, it.bytes().ok()?))) else {
            return;
        };
        for Bundled { place, bytes, .. } in usable(rolled, self.children, found, &bytes) {
            self.bytes += bytes.len() as u64;
            if let Some(piece) = self.wanted.get(&place)
                && let Ok(partial) = Partial::decode(&rolled.rollup, bytes)
            {
                give(*piece, &partial);
            }
        }
    }

    fn is_due(&self, limit: u64) -> bool {
        self.beside.len() >= WORTH_A_BUNDLE && self.bytes + self.bytes_beside <= limit
    }

    fn into_due(self) -> Due {
        Due { of: self.of, seen: self.seen, beside: self.beside }
    }
}

/// Bytes of partials in one bundle.
pub(super) fn limit_of(inner: &Inner) -> u64 {
    BUNDLE_BYTES.min(inner.value_limit.saturating_sub(HEAD_BYTES))
}

/// What a bundle says of partitions in which nothing has moved, with what is left of the time for which
/// it may be used. Nothing, if it is of another definition.
pub(super) fn usable<'b>(
    rolled: &Rolled,
    children: usize,
    found: &Divided,
    bytes: &'b [u8],
) -> Vec<Bundled<'b>> {
    let bundled = decode_bundle(&rolled.rollup, children, bytes).unwrap_or_default();
    let holding = bundled.into_iter().filter(|it| found.holds(it.place));
    let left = holding.filter_map(|it| {
        let left = it.left.checked_sub(found.age()).filter(|left| !left.is_zero())?;
        Some(Bundled { left, ..it })
    });
    left.collect()
}
