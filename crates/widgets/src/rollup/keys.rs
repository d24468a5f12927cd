//! The values of dimensions and of tops, each kept once and meant by a number.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::encoding::{Malformed, Reader, Writer};
use crate::Value;

/// What kind of value a key was, in the order in which they are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Tag {
    Null,
    Boolean,
    Integer,
    Decimal,
    Text,
}

const TAGS: [Tag; 5] = [Tag::Null, Tag::Boolean, Tag::Integer, Tag::Decimal, Tag::Text];

/// Equal values have equal keys, and integers are in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyRef<'k> {
    pub(crate) tag: Tag,
    pub(crate) bytes: &'k [u8],
}

impl<'k> KeyRef<'k> {
    /// The bytes of an integer.
    pub(crate) fn integer(number: i64) -> [u8; 8] {
        (number ^ i64::MIN).to_be_bytes()
    }

    pub(crate) fn text(self) -> &'k str {
        std::str::from_utf8(self.bytes).unwrap_or_default()
    }

    pub(crate) fn value(self) -> Value<'k> {
        match self.tag {
            Tag::Null => Value::Null,
            Tag::Boolean => Value::Boolean(self.bytes == [1]),
            Tag::Integer => {
                let bytes = self.bytes.try_into().unwrap_or_default();
                Value::Integer(i64::from_be_bytes(bytes) ^ i64::MIN)
            }
            Tag::Decimal => Value::Decimal(self.text().into()),
            Tag::Text => Value::Text(self.text().into()),
        }
    }

    fn is_sound(self) -> bool {
        match self.tag {
            Tag::Null => self.bytes.is_empty(),
            Tag::Boolean => matches!(self.bytes, [0 | 1]),
            Tag::Integer => self.bytes.len() == 8,
            Tag::Decimal | Tag::Text => std::str::from_utf8(self.bytes).is_ok(),
        }
    }
}

#[derive(Clone, Default)]
pub(crate) struct Keys {
    bytes: Vec<u8>,
    /// Of each key: its tag, and where its bytes end.
    known: Vec<(Tag, u32)>,
    ids: HashTable<u32>,
    /// How many there were when those that nothing refers to were let go.
    kept: usize,
    hasher: DefaultHashBuilder,
}

impl Keys {
    pub(crate) fn count(&self) -> usize {
        self.known.len()
    }

    pub(crate) fn kept(&self) -> usize {
        self.kept
    }

    pub(crate) fn keep_count(&mut self) {
        self.kept = self.count();
    }

    pub(crate) fn get(&self, id: u32) -> KeyRef<'_> {
        key(&self.bytes, &self.known, id)
    }

    pub(crate) fn find(&self, wanted: KeyRef<'_>) -> Option<u32> {
        let hash = self.hasher.hash_one(wanted);
        self.ids.find(hash, |id| self.get(*id) == wanted).copied()
    }

    pub(crate) fn intern(&mut self, wanted: KeyRef<'_>) -> u32 {
        let hash = self.hasher.hash_one(wanted);
        let (bytes, known) = (&self.bytes, &self.known);
        if let Some(id) = self.ids.find(hash, |id| key(bytes, known, *id) == wanted) {
            return *id;
        }
        let id = u32::try_from(known.len()).expect("limits keep them few");
        self.bytes.extend_from_slice(wanted.bytes);
        let end = u32::try_from(self.bytes.len()).expect("limits keep them short");
        self.known.push((wanted.tag, end));
        let (bytes, known, hasher) = (&self.bytes, &self.known, &self.hasher);
        self.ids.insert_unique(hash, id, |id| hasher.hash_one(key(bytes, known, *id)));
        id
    }

    /// Puts those into `ids` whose text is the value of a parameter.
    pub(crate) fn called(&self, text: &str, ids: &mut Vec<u32>) {
        let integer = text.parse::<i64>().ok().filter(|it| it.to_string() == text);
        let integer = integer.map(KeyRef::integer);
        let flag = text.parse::<bool>().ok().map(|flag| [u8::from(flag)]);
        let candidates = [
            Some(KeyRef { tag: Tag::Text, bytes: text.as_bytes() }),
            Some(KeyRef { tag: Tag::Decimal, bytes: text.as_bytes() }),
            integer.as_ref().map(|bytes| KeyRef { tag: Tag::Integer, bytes }),
            flag.as_ref().map(|bytes| KeyRef { tag: Tag::Boolean, bytes }),
        ];
        ids.clear();
        ids.extend(candidates.into_iter().flatten().filter_map(|key| self.find(key)));
    }

    /// Writes those that are used, in their order; gives the place of each among them.
    pub(crate) fn write(&self, used: &[bool], to: &mut Writer) -> Vec<u32> {
        let ids = (0..self.known.len() as u32).filter(|id| used[*id as usize]);
        let mut ordered: Vec<u32> = ids.collect();
        ordered.sort_unstable_by(|a, b| self.get(*a).cmp(&self.get(*b)));
        let mut places = vec![u32::MAX; self.known.len()];
        to.count(ordered.len());
        for (place, id) in ordered.into_iter().enumerate() {
            places[id as usize] = place as u32;
            let KeyRef { tag, bytes } = self.get(id);
            to.byte(tag as u8);
            to.text(bytes);
        }
        places
    }

    /// As many as were written, or fewer where some were the same.
    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut keys = Self::default();
        for id in 0..from.count()? {
            let tag = *TAGS.get(usize::from(from.byte()?)).ok_or(Malformed)?;
            let key = KeyRef { tag, bytes: from.text()? };
            if !key.is_sound() || keys.intern(key) as usize != id {
                return Err(Malformed);
            }
        }
        Ok(keys)
    }

    /// About so many bytes.
    pub(crate) fn weight(&self) -> usize {
        self.bytes.len() + self.known.len() * 16
    }
}

fn key<'k>(bytes: &'k [u8], known: &[(Tag, u32)], id: u32) -> KeyRef<'k> {
    let id = id as usize;
    let start = if id == 0 { 0 } else { known[id - 1].1 };
    let (tag, end) = known[id];
    KeyRef { tag, bytes: &bytes[start as usize..end as usize] }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries((0..self.count() as u32).map(|id| self.get(id).value())).finish()
    }
}

/// From the numbers that keys have in one partial to those that they have in another.
#[derive(Debug)]
pub(crate) struct Renumber<'k> {
    from: &'k Keys,
    /// None before the first is asked for: most views show no keys.
    ids: Vec<u32>,
}

impl<'k> Renumber<'k> {
    pub(crate) fn new(from: &'k Keys) -> Self {
        Self { from, ids: Vec::new() }
    }

    pub(crate) fn id(&mut self, id: u32, to: &mut Keys) -> u32 {
        if self.ids.is_empty() {
            self.ids.resize(self.from.count(), u32::MAX);
        }
        let known = &mut self.ids[id as usize];
        if *known == u32::MAX {
            *known = to.intern(self.from.get(id));
        }
        *known
    }
}
