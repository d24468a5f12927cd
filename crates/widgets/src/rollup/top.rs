//! Which keys weigh the most. Each partial keeps the heaviest, and by how much at most any other
//! can be off: while there are no more keys than are kept, everything is exact.

use hashbrown::HashMap;

use super::{
    encoding::{Malformed, Reader, Writer},
    keys::{Keys, Renumber},
    number::Number,
    sum::Sum,
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Top {
    weights: HashMap<u32, Sum>,
    /// The sum of the heaviest that was let go each time: a key can be off by so much.
    dropped: Sum,
}

/// While rows are folded, so many times what is kept in the end; and never fewer than these.
const ROOM: usize = 4;
const LEAST_ROOM: usize = 1024;

impl Top {
    pub(crate) fn add(&mut self, key: u32, weight: Number, keep: usize, keys: &Keys) {
        self.weights.entry(key).or_default().add(weight);
        let room = (keep * ROOM).max(LEAST_ROOM);
        if self.weights.len() > room {
            self.keep(room / 2, keys);
        }
    }

    /// Lets all go but the heaviest, whatever their sign; of equal ones the first by name stay.
    pub(crate) fn keep(&mut self, keep: usize, keys: &Keys) {
        if self.weights.len() <= keep {
            return;
        }
        let mut ordered: Vec<(f64, u32)> =
            self.weights.iter().map(|(key, sum)| (sum.to_f64().abs(), *key)).collect();
        ordered.sort_unstable_by(|(a, a_key), (b, b_key)| {
            b.total_cmp(a).then_with(|| keys.get(*a_key).cmp(&keys.get(*b_key)))
        });
        self.dropped.add(Number::float(ordered[keep].0));
        for (_, key) in &ordered[keep..] {
            self.weights.remove(key);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self, renumber: &mut Renumber<'_>, keys: &mut Keys) {
        for (key, weight) in &other.weights {
            self.weights.entry(renumber.id(*key, keys)).or_default().merge(weight);
        }
        if other.dropped.count() > 0 {
            self.dropped.merge(&other.dropped);
        }
    }

    /// By how much the weight of any key may be off, and by how much one that is not there may weigh.
    pub(crate) fn error(&self) -> &Sum {
        &self.dropped
    }

    /// The heaviest first; of equal ones the first by name.
    pub(crate) fn heaviest(&self, keys: &Keys) -> Vec<(u32, &Sum)> {
        let mut ordered: Vec<_> =
            self.weights.iter().map(|(key, sum)| (sum.to_f64(), *key, sum)).collect();
        ordered.sort_unstable_by(|(a, a_key, _), (b, b_key, _)| {
            b.total_cmp(a).then_with(|| keys.get(*a_key).cmp(&keys.get(*b_key)))
        });
        ordered.into_iter().map(|(_, key, sum)| (key, sum)).collect()
    }

    pub(crate) fn weight_of(&self, key: u32) -> Option<&Sum> {
        self.weights.get(&key)
    }

    pub(crate) fn mark(&self, used: &mut [bool]) {
        self.weights.keys().for_each(|key| used[*key as usize] = true);
    }

    pub(crate) fn write(&self, places: &[u32], to: &mut Writer) {
        let mut ordered: Vec<_> =
            self.weights.iter().map(|(key, sum)| (places[*key as usize], sum)).collect();
        ordered.sort_unstable_by_key(|(place, _)| *place);
        to.count(ordered.len());
        for (place, sum) in ordered {
            to.unsigned(place.into());
            sum.write(to);
        }
        self.dropped.write(to);
    }

    pub(crate) fn read(from: &mut Reader<'_>, keys: &Keys) -> Result<Self, Malformed> {
        let mut top = Self::default();
        let count = from.count()?;
        top.weights.reserve(count.min(keys.count()));
        for _ in 0..count {
            let key = from.index(keys.count())? as u32;
            if top.weights.insert(key, Sum::read(from)?).is_some() {
                return Err(Malformed);
            }
        }
        top.dropped = Sum::read(from)?;
        Ok(top)
    }

    pub(crate) fn weight(&self) -> usize {
        self.weights.capacity() * 72
    }
}
