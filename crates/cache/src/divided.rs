//! Values that are divided by their tags: what has not moved of them is found and taken over, piece by
//! piece, and never as a whole.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use samovar_clock::Instant;

use crate::{
    answer::{Answer, ReadError},
    cache::{Cache, Inner},
    cells::Capture,
    codec::decompress,
    entry::{EntryError, StoredEntry},
    judge::{Compared, age_of, compare_all},
    limits,
    shared::{Look, LookUp, StoreError},
    stats::Count,
    ticket::Ticket,
    widget::{Bound, Reading, ReadingError},
};

/// A value of which parts may have moved, see [`Reading::divided`].
///
/// It is no answer, and never becomes one: under tags that do not hold it says nothing at all.
#[derive(Clone, Debug)]
pub struct Divided {
    stored: StoredEntry,
    /// Of each stamp, which tags depend on it: a bit for each.
    depending: Box<[u32]>,
    /// The tags that hold.
    holding: u32,
    as_of: Instant,
    read_at: Instant,
}

impl Divided {
    /// Whether what is said under this tag, by its place among the reading's, is good: all that it
    /// depends on is as it was.
    pub fn holds(&self, tag: usize) -> bool {
        self.holding & bit(tag) != 0
    }

    /// The value as the compute returned it.
    pub fn bytes(&self) -> Result<Bytes, EntryError> {
        decompress(self.stored.coding, &self.stored.value, self.stored.raw_len)
    }

    /// Since its stamps were captured.
    pub fn age(&self) -> Duration {
        self.read_at.since(self.as_of)
    }

    /// Names this value: another one has another.
    pub fn commit(&self) -> u64 {
        self.stored.commit
    }
}

impl Cache {
    /// What has not moved of divided values, asked of the shared tier in one wait. `None` where there
    /// is nothing that holds, or it is past its TTL.
    pub async fn find_divided(
        &self,
        readings: &[Reading<'_>],
    ) -> Result<Vec<Option<Divided>>, ReadError> {
        self.0.find_divided(readings).await
    }

    /// Lets go what was found in the shared tier, or committed, if it is still there: as a store does
    /// by itself that has no room. For what another value has taken over. What local tiers hold is as
    /// good as it was.
    pub async fn evict(&self, answers: &[Answer]) -> Result<(), ReadError> {
        within_a_call(answers.len())?;
        let entry = |it: &Answer| (it.entry.key.clone(), it.entry.commit);
        let entries: Vec<_> = answers.iter().map(entry).collect();
        self.0.shared.evict(&entries).await.map_err(StoreError::into)
    }
}

impl Ticket {
    /// Whether this value was made under the very versions that this ticket has captured, however long
    /// ago: what is taken over of it is as good as if its data were read now.
    pub fn vouches_for(&self, answer: &Answer) -> bool {
        let stamps = &answer.entry.stamps;
        // What was made without the store has none.
        answer.stored && stamps.iter().all(|local| self.has_captured(&local.stamp))
    }

    /// [`Ticket::vouches_for`] what a divided value says under one of its tags.
    pub fn vouches_for_piece(&self, found: &Divided, tag: usize) -> bool {
        let stamps = found.stored.stamps.iter().zip(&found.depending);
        let mut of_tag = stamps.filter(|(_, tags)| **tags & bit(tag) != 0).peekable();
        of_tag.peek().is_some() && of_tag.all(|(stamp, _)| self.has_captured(stamp))
    }
}

impl Inner {
    async fn find_divided(
        &self,
        readings: &[Reading<'_>],
    ) -> Result<Vec<Option<Divided>>, ReadError> {
        within_a_call(readings.len())?;
        let sent_at = self.clock.now();
        let asked = readings.iter().map(|reading| {
            let bound = self.bind(reading)?;
            let capture = self.node.cells.capture(&bound.versions);
            let depending = reading.depending(&bound.versions).map_err(ReadingError::from)?;
            Ok::<_, ReadError>((bound, capture, depending))
        });
        let asked: Vec<(Arc<Bound>, Capture, Box<[u32]>)> = asked.collect::<Result<_, _>>()?;
        let look_ups: Vec<LookUp> = asked.iter().map(|(bound, ..)| bound.look_up()).collect();
        let looks = self.shared.look(&look_ups).await?;
        let found = asked.into_iter().zip(looks).map(|((bound, capture, depending), look)| {
            let found = self.divide(&bound, look, &capture, depending, sent_at)?;
            bound.row.count(Count::SharedHits);
            Some(found)
        });
        Ok(found.collect())
    }

    /// Tells the cells what the store said, and judges the entry tag by tag.
    fn divide(
        &self,
        bound: &Bound,
        look: Look,
        capture: &Capture,
        depending: Box<[u32]>,
        sent_at: Instant,
    ) -> Option<Divided> {
        let Look { entry, versions, origins, now_ms } = look;
        let said: Vec<_> = versions.iter().map(|it| it.as_ref().map(|it| it.ids)).collect();
        self.node.cells.observe(capture, &said, Some((&origins, sent_at)));
        let stored = self.decode(bound, entry, capture)?;
        let compared = compare_all(bound, &stored, &versions, capture, &origins);
        let holding = holding(compared, &depending);
        let age = age_of(&stored, now_ms);
        let is_found = holding != 0 && !stored.absent && age < stored.lifetimes.ttl;
        let as_of = sent_at - age;
        is_found.then_some(Divided { stored, depending, holding, as_of, read_at: sent_at })
    }
}

/// The tags of which no version is any other than it was: also where it only may be, as after a restart
/// of the store, or is said to be one after the other.
fn holding(compared: impl Iterator<Item = Compared>, depending: &[u32]) -> u32 {
    let known = depending.iter().fold(0, |tags, depend| tags | depend);
    let moved = compared.zip(depending).filter(|(compared, _)| *compared != Compared::Current);
    moved.fold(known, |tags, (_, depend)| tags & !depend)
}

fn bit(tag: usize) -> u32 {
    u32::try_from(tag).ok().and_then(|tag| 1u32.checked_shl(tag)).unwrap_or(0)
}

fn within_a_call(count: usize) -> Result<(), ReadingError> {
    let limit = limits::READINGS_PER_CALL;
    if count > limit { Err(ReadingError::TooMany { count, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_holds_while_all_that_it_depends_on_is_as_it_was() {
        // The first two tags share a version, all three another; the last one has one of its own.
        let depending = [0b011, 0b111, 0b100];
        use Compared::{Changed, Current, Gone, OtherIncarnation, Spread};
        let spread = Spread { turn_ms: u64::MAX };
        for (compared, expected) in [
            ([Current, Current, Current], 0b111),
            ([Changed, Current, Current], 0b100),
            ([Current, Current, spread], 0b011),
            ([Current, Current, OtherIncarnation], 0b011),
            ([Current, Gone, Current], 0),
        ] {
            assert_eq!(holding(compared.into_iter(), &depending), expected, "{compared:?}");
        }
        assert_eq!(holding([Current].into_iter(), &[0b100]), 0b100, "and no tag that is none");
        assert_eq!([bit(0), bit(31), bit(32), bit(usize::MAX)], [1, 1 << 31, 0, 0]);
    }
}
