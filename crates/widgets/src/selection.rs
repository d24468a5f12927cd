//! What a widget reads: the rows of a query and the rows related to them, in as many queries as were
//! declared, however many rows there are.

use std::{collections::HashMap, ops::Range};

use crate::{Bound, Query, Row, Rows, Snapshot, SourceError, rows::Objects, value::write_text};

/// Rows, with the rows related to each.
#[derive(Clone, Debug)]
pub struct Selection {
    pub query: Query,
    /// Columns whose texts are JSON.
    pub json: Vec<String>,
    /// The first row alone, or null, instead of a list.
    pub one: bool,
    pub related: Vec<Related>,
}

/// Rows of another query that belong to rows of the first. Its query is given the keys of all of
/// them at once, as the list `:ids`.
#[derive(Clone, Debug)]
pub struct Related {
    /// The field of the first that holds them.
    pub name: String,
    pub selection: Selection,
    /// The column of the first, and that of its own, which are equal where rows are related.
    pub key: String,
    pub on: String,
    /// Rows kept of each; those that the query gives first.
    pub limit: Option<usize>,
}

/// What one answer may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// That one query gives, also where not all of them are kept.
    pub rows: usize,
    /// Of all of it.
    pub bytes: u64,
}

/// Keys that one query is given: as many parameters as every database takes.
pub const MOST_KEYS: usize = 30_000;

impl Selection {
    /// How many queries it takes; fewer where no row has anything related.
    pub fn queries(&self) -> usize {
        1 + self.related.iter().map(|related| related.selection.queries()).sum::<usize>()
    }

    /// Appends `{"rows":[...]}` to `body`, or the first row where it is only one.
    pub async fn append(
        &self,
        snapshot: &mut Snapshot,
        bindings: &[(String, Bound)],
        limits: Limits,
        body: Vec<u8>,
    ) -> Result<Vec<u8>, SourceError> {
        let before = if self.one { &b""[..] } else { b"{\"rows\":[" };
        let after = if self.one { &b""[..] } else { b"]}" };
        let mut output = Output { json: body, limit: limits.bytes };
        output.put(before)?;
        if self.related.is_empty() && !self.one {
            let objects = Objects::new(&self.json, limits, 0);
            let list = List { objects, json: output.json, is_empty: true };
            output.json = snapshot.read(&self.query, bindings, list).await?.json;
        } else {
            Tree::load(self, snapshot, bindings, limits).await?.write(&mut output)?;
        }
        output.put(after)?;
        Ok(output.json)
    }
}

/// An answer that grows to its limit and not beyond: rows that are related to many others are
/// written once for each of them, so little that was read may become a lot that is written.
struct Output {
    json: Vec<u8>,
    limit: u64,
}

impl Output {
    fn put(&mut self, json: &[u8]) -> Result<(), SourceError> {
        if self.json.len() as u64 + json.len() as u64 > self.limit {
            return Err(SourceError::TooManyBytes { limit: self.limit });
        }
        self.json.extend(json);
        Ok(())
    }
}

/// Objects with commas between them.
struct List {
    objects: Objects,
    json: Vec<u8>,
    is_empty: bool,
}

impl Rows for List {
    fn columns(&mut self, names: &[String]) -> Result<(), SourceError> {
        self.objects.begin(names)
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), SourceError> {
        self.objects.count()?;
        if !std::mem::take(&mut self.is_empty) {
            self.json.push(b',');
        }
        self.objects.write(row, &mut self.json)
    }
}

/// All rows of a selection.
struct Tree<'s> {
    /// The first are the selection's own; every other comes after what it is related to.
    levels: Vec<Level<'s>>,
}

struct Level<'s> {
    selection: &'s Selection,
    kept: Kept,
    /// For each related: its name and its level, in the order of the selection.
    related: Vec<(&'s Related, usize)>,
}

/// The rows of one query.
struct Kept {
    objects: Objects,
    json: Vec<u8>,
    rows: Vec<KeptRow>,
    /// Columns with the keys of what is related to these rows.
    keys: Vec<Wanted>,
    /// The column that says to whom a row belongs, and how many rows anybody may have.
    on: Option<Wanted>,
    limit: usize,
    /// Rows by whom they belong to: everybody who was asked for is here.
    owners: HashMap<String, Vec<usize>>,
}

/// A column by its name, and its place once that is known.
struct Wanted {
    name: String,
    index: usize,
}

struct KeptRow {
    json: Range<usize>,
    /// One for each that is related.
    keys: Vec<Option<Bound>>,
}

impl<'s> Tree<'s> {
    async fn load(
        selection: &'s Selection,
        snapshot: &mut Snapshot,
        bindings: &[(String, Bound)],
        limits: Limits,
    ) -> Result<Self, SourceError> {
        let kept = Kept::new(selection, None, limits, 0);
        let kept = snapshot.read(&selection.query, bindings, kept).await?;
        let mut taken = kept.json.len() as u64;
        let mut tree = Self { levels: vec![Level { selection, kept, related: Vec::new() }] };
        let mut at = 0;
        while at < tree.levels.len() {
            let selection = tree.levels[at].selection;
            for (index, related) in selection.related.iter().enumerate() {
                let mut kept = Kept::new(&related.selection, Some(related), limits, taken);
                let keys = tree.levels[at].kept.distinct_keys(index)?;
                kept.owners = keys.iter().map(|key| (key.name(), Vec::new())).collect();
                let kept = if keys.is_empty() {
                    kept
                } else {
                    let mut bindings = bindings.to_vec();
                    bindings.push((IDS.to_owned(), Bound::List(keys)));
                    snapshot.read(&related.selection.query, &bindings, kept).await?
                };
                taken += kept.json.len() as u64;
                let level = tree.levels.len();
                tree.levels.push(Level {
                    selection: &related.selection,
                    kept,
                    related: Vec::new(),
                });
                tree.levels[at].related.push((related, level));
            }
            at += 1;
        }
        Ok(tree)
    }

    fn write(&self, output: &mut Output) -> Result<(), SourceError> {
        let level = &self.levels[0];
        let all: Vec<usize> = (0..level.kept.rows.len()).collect();
        self.write_rows(level, &all, level.selection.one, output)
    }

    fn write_rows(
        &self,
        level: &Level<'_>,
        rows: &[usize],
        one: bool,
        output: &mut Output,
    ) -> Result<(), SourceError> {
        match (rows.first(), one) {
            (Some(first), true) => self.write_row(level, *first, output),
            (None, true) => output.put(b"null"),
            (_, false) => {
                for (index, row) in rows.iter().enumerate() {
                    output.put(if index > 0 { b"," } else { b"" })?;
                    self.write_row(level, *row, output)?;
                }
                Ok(())
            }
        }
    }

    fn write_row(
        &self,
        level: &Level<'_>,
        row: usize,
        output: &mut Output,
    ) -> Result<(), SourceError> {
        let row = &level.kept.rows[row];
        let json = &level.kept.json[row.json.clone()];
        if level.related.is_empty() {
            return output.put(json);
        }
        // The brace that ends the object comes after what is related.
        output.put(&json[..json.len() - 1])?;
        for ((related, at), key) in level.related.iter().zip(&row.keys) {
            let mut name = b",".to_vec();
            write_text(&related.name, &mut name);
            name.push(b':');
            output.put(&name)?;
            let child = &self.levels[*at];
            let owned = key.as_ref().and_then(|key| child.kept.owners.get(&key.name()));
            let rows = owned.map_or(&[][..], Vec::as_slice);
            let one = related.selection.one;
            output.put(if one { b"" } else { b"[" })?;
            self.write_rows(child, rows, one, output)?;
            output.put(if one { b"" } else { b"]" })?;
        }
        output.put(b"}")
    }
}

/// The parameter that takes the keys.
pub(crate) const IDS: &str = "ids";

impl Kept {
    fn new(
        selection: &Selection,
        related: Option<&Related>,
        limits: Limits,
        bytes_taken: u64,
    ) -> Self {
        let wanted = |name: &String| Wanted { name: name.clone(), index: 0 };
        Self {
            objects: Objects::new(&selection.json, limits, bytes_taken),
            json: Vec::new(),
            rows: Vec::new(),
            keys: selection.related.iter().map(|related| wanted(&related.key)).collect(),
            on: related.map(|related| wanted(&related.on)),
            limit: match related {
                _ if selection.one => 1,
                Some(related) => related.limit.unwrap_or(usize::MAX),
                None => usize::MAX,
            },
            owners: HashMap::new(),
        }
    }

    /// The keys of one that is related, each once.
    fn distinct_keys(&self, related: usize) -> Result<Vec<Bound>, SourceError> {
        let mut seen = HashMap::new();
        for key in self.rows.iter().filter_map(|row| row.keys[related].as_ref()) {
            seen.entry(key.name()).or_insert(key);
        }
        if seen.len() > MOST_KEYS {
            return Err(SourceError::TooManyParents { limit: MOST_KEYS });
        }
        // In an order that does not change from one read to the next.
        let mut keys: Vec<_> = seen.into_iter().collect();
        keys.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok(keys.into_iter().map(|(_, key)| key.clone()).collect())
    }
}

impl Rows for Kept {
    fn columns(&mut self, names: &[String]) -> Result<(), SourceError> {
        for wanted in self.keys.iter_mut().chain(&mut self.on) {
            let index = names.iter().position(|name| *name == wanted.name);
            wanted.index =
                index.ok_or_else(|| SourceError::NoColumn { column: wanted.name.clone() })?;
        }
        self.objects.begin(names)
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), SourceError> {
        self.objects.count()?;
        let owned = match &self.on {
            None if self.rows.len() >= self.limit => return Ok(()),
            None => None,
            Some(on) => {
                // Null is nobody's.
                let Some(owner) = row.key(on.index)? else { return Ok(()) };
                let owned = self.owners.get_mut(&owner.name());
                let owned =
                    owned.ok_or_else(|| SourceError::Unrelated { column: on.name.clone() })?;
                if owned.len() >= self.limit {
                    return Ok(());
                }
                Some(owned)
            }
        };
        if let Some(owned) = owned {
            owned.push(self.rows.len());
        }
        let start = self.json.len();
        self.objects.write(row, &mut self.json)?;
        let keys = self.keys.iter().map(|key| row.key(key.index));
        let keys = keys.collect::<Result<_, SourceError>>()?;
        self.rows.push(KeptRow { json: start..self.json.len(), keys });
        Ok(())
    }
}
