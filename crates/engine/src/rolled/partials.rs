//! The partials of slots: from the cache, or folded.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::join_all;
use jiff::Timestamp;
use samovar_cache::{Answer as Cached, Beginning, Parts, ReadError, Ticket, Turn};
use samovar_widgets::{Bound, Fold, Folded, Partial, PartitionUnit, Rollup, Slot, Snapshot};
use xxhash_rust::xxh3::xxh3_64;

use super::{bundles::Bundles, kept::Kept};
use crate::{Member, catalogue::Rolled, engine::Inner};

/// Partials that are asked for in one look.
const AT_ONCE: usize = 128;
/// Partials that are begun at the same time: the store does them in one go.
const TOGETHER: usize = 256;
/// Partials that are committed at the same time: until then a store holds each of them more than once.
const COMMITTED: usize = 16;
/// How often partials that somebody else is making are waited for.
const ROUNDS: usize = 8;

/// What is to be folded, and where it goes.
struct Missing {
    index: usize,
    slot: Slot,
    /// `None`: it is kept nowhere.
    ticket: Option<Ticket>,
}

/// A slot that was asked for, or a piece of some.
struct Piece {
    slot: Slot,
    /// Those that were asked for, by their places.
    of: Vec<usize>,
}

/// A slot whose pieces come one by one.
struct Divided {
    left: usize,
    merged: Partial,
    aging: Option<Cached>,
}

/// The partials of slots that are in the order of time, each handed on once.
pub(super) struct Gathering<'g> {
    inner: &'g Arc<Inner>,
    rolled: &'g Arc<Rolled>,
    member: &'g Member,
    /// The way to what is kept; without it everything is folded, and kept nowhere.
    parts: Option<&'g Parts>,
    slots: &'g [Slot],
    /// In the order of time.
    pieces: Vec<Piece>,
    /// Of the slots that have more than one piece.
    divided: BTreeMap<usize, Divided>,
    /// Of each piece; `None` for what is no whole partition.
    kept: Vec<Option<Kept<'g>>>,
    /// `None`: nothing is kept in bundles.
    bundles: Option<Bundles<'g>>,
    /// What is kept of partitions that go on, and is too old to be used for something new.
    worn: BTreeMap<usize, Cached>,
    done: Vec<bool>,
    now: Timestamp,
    queries: u32,
    rows: u64,
}

impl<'g> Gathering<'g> {
    pub(super) fn new(
        inner: &'g Arc<Inner>,
        rolled: &'g Arc<Rolled>,
        member: &'g Member,
        parts: Option<&'g Parts>,
        slots: &'g [Slot],
    ) -> Result<Self, String> {
        let partials = &inner.partials[&rolled.name];
        let now = inner.now();
        let finer = rolled.finer.filter(|_| parts.is_some());
        let (pieces, divided) = divide(slots, finer, member, &rolled.rollup, now);
        let kept = pieces.iter().map(|Piece { slot, of }| {
            if parts.is_none() || !slot.is_whole() {
                return Ok(None);
            }
            let widget = if slot.to() > now { &partials.open } else { &partials.sealed };
            // The rest of something depends on whatever lies in all of it.
            let tagged = if slot.is_rest() { &slots[of[0]] } else { slot };
            Kept::partial(widget, rolled, member, slot, tagged).map(Some)
        });
        let kept = kept.collect::<Result<Vec<Option<Kept<'_>>>, String>>()?;
        let bundles = (parts.is_some() && rolled.is_told).then(|| {
            let whole = pieces.iter().enumerate().filter(|(_, piece)| piece.slot.is_whole());
            Bundles::new(inner, rolled, member, whole.map(|(index, it)| (index, it.slot)), now)
        });
        let bundles = bundles.transpose()?;
        let done = vec![false; pieces.len()];
        let (worn, queries, rows) = (BTreeMap::new(), 0, 0);
        Ok(Self {
            inner,
            rolled,
            member,
            parts,
            slots,
            pieces,
            divided,
            kept,
            bundles,
            worn,
            done,
            now,
            queries,
            rows,
        })
    }

    /// Queries that folding took.
    pub(super) fn queries(&self) -> u32 {
        self.queries
    }

    /// Rows that were folded.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) async fn run(
        &mut self,
        mut take: impl FnMut(&Slot, &Partial, Option<&Cached>) + Send,
    ) -> Result<(), String> {
        self.look(&mut take).await?;
        for _ in 0..ROUNDS {
            let (missing, elsewhere) = self.begin(&mut take).await?;
            self.fold_all(missing, &mut take).await?;
            if elsewhere.is_empty() {
                break;
            }
            for index in elsewhere {
                let Some(kept) = &self.kept[index] else { continue };
                let pairs = kept.pairs();
                // Nothing is held now: whoever is at it may take its time.
                match self.inner.cache.begin(&kept.borrow(&pairs)).await {
                    Ok(Beginning::Answer(answer)) if answer.is_fresh() => {
                        self.hand_on(index, &answer, &mut take)?;
                    }
                    // It was given up: the next round makes it.
                    Ok(Beginning::Compute(_) | Beginning::Answer(_)) => {}
                    Err(error) => return Err(error.to_string()),
                }
            }
        }
        match self.done.iter().all(|done| *done) {
            true => {
                if let Some(bundles) = self.bundles.take() {
                    bundles.make_behind();
                }
                Ok(())
            }
            false => Err("others did not finish what they were making".to_owned()),
        }
    }

    /// Says how many bytes it has.
    fn hand_on(
        &mut self,
        index: usize,
        kept: &Cached,
        take: &mut impl FnMut(&Slot, &Partial, Option<&Cached>),
    ) -> Result<usize, String> {
        let bytes = kept.bytes().map_err(|error| error.to_string())?;
        self.give(index, &decode(self.rolled, &bytes)?, Some(kept), take);
        Ok(bytes.len())
    }

    /// A slot is handed on when its last piece is there.
    fn give(
        &mut self,
        index: usize,
        partial: &Partial,
        kept: Option<&Cached>,
        take: &mut impl FnMut(&Slot, &Partial, Option<&Cached>),
    ) {
        self.done[index] = true;
        let aging = self.aging(index, kept);
        for of in &self.pieces[index].of {
            let Some(divided) = self.divided.get_mut(of) else {
                take(&self.slots[*of], partial, aging);
                continue;
            };
            divided.merged.merge(&self.rolled.rollup, partial);
            // Only its rest goes on.
            divided.aging = aging.cloned().or(divided.aging.take());
            divided.left -= 1;
            if divided.left == 0 {
                take(&self.slots[*of], &divided.merged, divided.aging.as_ref());
                self.divided.remove(of);
            }
        }
    }

    /// What is over does not grow old: it lives until its data changes.
    fn aging<'k>(&self, index: usize, kept: Option<&'k Cached>) -> Option<&'k Cached> {
        kept.filter(|_| self.pieces[index].slot.to() > self.now)
    }

    /// Whether what is made of it now would be due again soon.
    fn is_worn(&self, index: usize, found: &Cached) -> bool {
        let ttl = self.kept[index].as_ref().map(|kept| kept.widget.freshness().ttl);
        self.aging(index, Some(found)).is_some() && ttl.is_some_and(|ttl| found.age() * 2 > ttl)
    }

    async fn look(
        &mut self,
        take: &mut impl FnMut(&Slot, &Partial, Option<&Cached>),
    ) -> Result<(), String> {
        let Some(parts) = self.parts else { return Ok(()) };
        self.look_in_bundles(take).await;
        let is_wanted = |index: &usize| self.kept[*index].is_some() && !self.done[*index];
        let whole: Vec<usize> = (0..self.pieces.len()).filter(is_wanted).collect();
        for some in whole.chunks(AT_ONCE) {
            let kept: Vec<&Kept<'_>> =
                some.iter().filter_map(|index| self.kept[*index].as_ref()).collect();
            let pairs: Vec<_> = kept.iter().map(|kept| kept.pairs()).collect();
            let readings: Vec<_> =
                kept.iter().zip(&pairs).map(|(kept, pairs)| kept.borrow(pairs)).collect();
            // Where the store cannot be asked, they are made.
            let answers = parts.find(&readings).await.unwrap_or_else(|_| vec![None; some.len()]);
            for (index, answer) in some.iter().zip(answers) {
                match answer {
                    Some(answer) if self.is_worn(*index, &answer) => {
                        self.worn.insert(*index, answer);
                    }
                    Some(answer) => {
                        let bytes = self.hand_on(*index, &answer, take)?;
                        if let Some(bundles) = &mut self.bundles {
                            bundles.found_beside(*index, bytes);
                        }
                    }
                    None => {}
                }
            }
        }
        // What has been bundled between the two looks.
        self.look_in_bundles(take).await;
        Ok(())
    }

    async fn look_in_bundles(&mut self, take: &mut impl FnMut(&Slot, &Partial, Option<&Cached>)) {
        let Some(mut bundles) = self.bundles.take() else { return };
        bundles.leave_out(&self.done);
        bundles.look(|index, partial| self.give(index, partial, None, take)).await;
        self.bundles = Some(bundles);
    }

    /// The right to make what is missing, in the order of time, so that two who need the same divide it
    /// into few stretches. And what somebody else is making.
    async fn begin(
        &mut self,
        take: &mut impl FnMut(&Slot, &Partial, Option<&Cached>),
    ) -> Result<(Vec<Missing>, Vec<usize>), String> {
        let (mut missing, mut elsewhere) = (Vec::new(), Vec::new());
        let open: Vec<usize> = (0..self.pieces.len()).filter(|index| !self.done[*index]).collect();
        for some in open.chunks(TOGETHER) {
            let turns = join_all(some.iter().map(|index| self.turn(*index))).await;
            for (index, turn) in some.iter().copied().zip(turns) {
                let slot = self.pieces[index].slot;
                let of = |ticket| Missing { index, slot, ticket };
                match turn {
                    None => missing.push(of(None)),
                    Some(Ok(Turn::Compute(ticket))) => missing.push(of(Some(ticket))),
                    Some(Ok(Turn::Answer(answer))) if answer.is_fresh() => {
                        self.hand_on(index, &answer, take)?;
                    }
                    Some(Ok(Turn::Elsewhere)) => elsewhere.push(index),
                    // Without the store it is folded for this answer alone.
                    Some(Ok(Turn::Answer(_)) | Err(ReadError::Store(_))) => {
                        missing.push(of(None));
                    }
                    Some(Err(error)) => return Err(error.to_string()),
                }
            }
        }
        Ok((missing, elsewhere))
    }

    async fn turn(&self, index: usize) -> Option<Result<Turn, ReadError>> {
        let kept = self.kept[index].as_ref()?;
        let pairs = kept.pairs();
        let than = self.worn.get(&index);
        Some(self.inner.cache.begin_newer(&kept.borrow(&pairs), than).await)
    }

    /// One query for each stretch of slots without a gap, all through one snapshot that is opened
    /// after the stamps of all of them were captured.
    async fn fold_all(
        &mut self,
        missing: Vec<Missing>,
        take: &mut impl FnMut(&Slot, &Partial, Option<&Cached>),
    ) -> Result<(), String> {
        if missing.is_empty() {
            return Ok(());
        }
        let mut stretches: Vec<Vec<Missing>> = Vec::new();
        for one in missing {
            match stretches.last_mut() {
                Some(last) if last.last().is_some_and(|it| it.slot.to() == one.slot.from()) => {
                    last.push(one);
                }
                _ => stretches.push(vec![one]),
            }
        }
        let mut snapshot = match self.rolled.source.snapshot().await {
            Ok(snapshot) => snapshot,
            Err(error) => return Err(give_up(stretches, &error.to_string()).await),
        };
        let mut stretches = stretches.into_iter();
        while let Some(stretch) = stretches.next() {
            let slots = stretch.iter().map(|it| it.slot).collect();
            self.queries += 1;
            let before = snapshot.rows();
            let folded = match self.fold(&mut snapshot, slots).await {
                Ok(folded) => folded,
                Err(error) => {
                    let left = std::iter::once(stretch).chain(stretches).collect();
                    return Err(give_up(left, &error).await);
                }
            };
            self.rows += snapshot.rows() - before;
            let mut folded = stretch.into_iter().zip(folded).peekable();
            while folded.peek().is_some() {
                let mut commits = Vec::new();
                for (missing, Folded { bytes, .. }) in folded.by_ref().take(COMMITTED) {
                    let mut partial = Some(decode(self.rolled, &bytes)?);
                    // Decoded it takes several times its bytes. What is over waits for nothing.
                    if missing.slot.to() <= self.now
                        && let Some(partial) = partial.take()
                    {
                        self.give(missing.index, &partial, None, take);
                    }
                    commits.push(async move {
                        let kept = match missing.ticket {
                            Some(ticket) => Some(ticket.commit(bytes).await?),
                            None => None,
                        };
                        Ok::<_, ReadError>((missing.index, partial, kept))
                    });
                }
                for committed in join_all(commits).await {
                    let (index, partial, kept) = committed.map_err(|error| error.to_string())?;
                    if let Some(partial) = partial {
                        self.give(index, &partial, kept.as_ref(), take);
                    }
                }
            }
        }
        Ok(())
    }

    async fn fold(&self, snapshot: &mut Snapshot, slots: Vec<Slot>) -> Result<Vec<Folded>, String> {
        let (Some(first), Some(last)) = (slots.first(), slots.last()) else {
            return Ok(Vec::new());
        };
        let bindings = [
            ("tenant".to_owned(), Bound::Text(self.member.tenant.as_str().to_owned())),
            ("from".to_owned(), Bound::Time(first.from())),
            ("to".to_owned(), Bound::Time(last.to())),
        ];
        let fold = Fold::new(self.rolled.rollup.clone(), slots, self.rolled.times);
        let folded = snapshot.read(&self.rolled.query, &bindings, fold).await;
        Ok(folded.map_err(|error| error.to_string())?.finish())
    }
}

/// What is kept of slots that go on, or that are no whole partitions, is kept in pieces, so that a
/// change of one of them costs no more than that.
fn divide(
    slots: &[Slot],
    finer: Option<PartitionUnit>,
    member: &Member,
    rollup: &Rollup,
    now: Timestamp,
) -> (Vec<Piece>, BTreeMap<usize, Divided>) {
    let (mut pieces, mut divided) = (BTreeMap::<_, Piece>::new(), BTreeMap::new());
    for (place, slot) in slots.iter().enumerate() {
        let is_cut = slot.to() > now || !slot.is_whole();
        let cut = match finer.filter(|_| is_cut) {
            Some(unit) => slot.pieces(unit, &member.zone, now),
            None => vec![*slot],
        };
        if let left @ 2.. = cut.len() {
            let merged = Partial::empty(rollup);
            divided.insert(place, Divided { left, merged, aging: None });
        }
        for slot in cut {
            // Slots that lie over one another share them.
            let piece = pieces.entry((slot.from(), slot.to()));
            piece.or_insert(Piece { slot, of: Vec::new() }).of.push(place);
        }
    }
    (pieces.into_values().collect(), divided)
}

/// Ends what cannot be folded, so that it backs off and nobody waits for it.
async fn give_up(stretches: Vec<Vec<Missing>>, error: &str) -> String {
    for Missing { ticket, .. } in stretches.into_iter().flatten() {
        if let Some(ticket) = ticket {
            ticket.fail(error).await;
        }
    }
    error.to_owned()
}

fn decode(rolled: &Rolled, bytes: &[u8]) -> Result<Partial, String> {
    Partial::decode(&rolled.rollup, bytes).map_err(|_| {
        format!("a partial of the rollup `{}` cannot be read ({:x})", rolled.name, xxh3_64(bytes))
    })
}
