//! The outbox of a source while it is being read: rows are taken, and deleted once they were applied.

use std::{collections::HashSet, time::Duration};

use serde_json::Value;

use super::{
    connection::{Connection, Place},
    dialect::{Dialect, Rows},
};
use crate::{SourceError, SourceKind, limits, source::sqlite};

/// A row of an outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub id: i64,
    pub capture: String,
    /// The declared columns of the rows that changed. `None` where anything may have changed.
    pub rows: Option<Vec<Value>>,
    pub age: Duration,
}

/// What there was to take.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    pub recorded: Vec<Recorded>,
    /// There may be more.
    pub more: bool,
}

/// An open outbox. After an error it is of no use any more.
#[derive(Debug)]
pub struct Outbox {
    /// The server that widgets read from.
    reader: Connection,
    /// Where rows are deleted, when that is somewhere else.
    remover: Option<Connection>,
    dialect: Dialect,
    /// Rows that were deleted there, and are yet to vanish here.
    applied: HashSet<i64>,
    /// Somebody rings.
    rings: bool,
    poll: Duration,
    /// What a SQLite file says of itself as long as nobody writes to it.
    seen: Option<Seen>,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    version: i64,
    file: sqlite::FileId,
}

/// Even where somebody rings, one looks so often: a bell that is lost is heard that much later.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Outbox {
    pub(super) async fn open(
        place: &Place,
        remover: Option<&Place>,
        dialect: Dialect,
        poll: Duration,
    ) -> Result<Self, SourceError> {
        // Before it is opened: whatever takes its place from now on is noticed.
        let file = (dialect.kind == SourceKind::Sqlite).then(|| sqlite::FileId::of(&place.file()));
        let seen = file.and_then(Result::ok).map(|file| Seen { version: i64::MIN, file });
        let mut reader = place.connect().await?;
        let mut rings = false;
        if dialect.kind == SourceKind::Postgres {
            let rows = reader.rows("select pg_is_in_recovery()::int").await?;
            let is_standby = rows.first().and_then(|row| row[0].as_deref()) == Some("1");
            if is_standby && remover.is_none() {
                let reason = "it is a standby, where nothing can be deleted: name its primary with \
                              capture_url";
                let (place, reason) = (place.url.to_string(), reason.to_owned());
                return Err(SourceError::Unreachable { place, reason });
            }
            if dialect.notify && !is_standby {
                reader.run(&format!("listen \"{}\"", dialect.outbox)).await?;
                rings = true;
            }
        }
        let remover = match remover {
            Some(place) => Some(place.connect().await?),
            None => None,
        };
        let (applied, place) = (HashSet::new(), place.clone());
        Ok(Self { reader, remover, dialect, applied, rings, poll, seen, place })
    }

    /// Whether it is this session that applies what comes. Others only watch: they take what lies there
    /// for too long.
    pub async fn leads(&mut self) -> Result<bool, SourceError> {
        let Some(asked) = self.dialect.lead() else { return Ok(true) };
        let rows = self.remover.as_mut().unwrap_or(&mut self.reader).rows(&asked).await?;
        Ok(rows.first().and_then(|row| row[0].as_deref()) == Some("1"))
    }

    /// Rows that lie there for so long, the oldest first.
    pub async fn take(&mut self, lying: Duration) -> Result<Taken, SourceError> {
        let most = limits::OUTBOX_ROWS;
        let rows = self.reader.rows(&self.dialect.take(most + self.applied.len(), lying)).await?;
        Ok(self.without_applied(read(rows), most))
    }

    /// Many more of them, without what is in them.
    pub async fn take_many(&mut self, lying: Duration) -> Result<Taken, SourceError> {
        let most = limits::OUTBOX_ROWS_AT_ONCE;
        let sql = self.dialect.take_many(most + self.applied.len(), lying);
        let rows = self.reader.rows(&sql).await?;
        Ok(self.without_applied(read(rows), most))
    }

    /// How many there are, counted no further than to [`limits::OUTBOX_BACKLOG`], and the age of the
    /// oldest in milliseconds.
    pub async fn count(&mut self) -> Result<(usize, Option<u64>), SourceError> {
        let sql = self.dialect.count(limits::OUTBOX_BACKLOG + self.applied.len());
        let (rows, oldest_ms) = read_count(&self.reader.rows(&sql).await?);
        let rows = rows.saturating_sub(self.applied.len());
        Ok((rows, oldest_ms.filter(|_| rows > 0)))
    }

    /// Deletes what was applied.
    pub async fn remove(&mut self, ids: &[i64]) -> Result<(), SourceError> {
        for some in ids.chunks(limits::OUTBOX_ROWS_AT_ONCE) {
            let sql = self.dialect.remove(some);
            match &mut self.remover {
                None => self.reader.run(&sql).await?,
                Some(remover) => {
                    remover.run(&sql).await?;
                    self.applied.extend(some);
                }
            }
        }
        Ok(())
    }

    /// Whether it lies in a file, in whose place there may be another one when it is opened again.
    pub fn is_file(&self) -> bool {
        self.dialect.kind == SourceKind::Sqlite
    }

    /// Whether more was applied than can be told from what is new.
    pub fn is_behind(&self) -> bool {
        self.applied.len() > limits::OUTBOX_APPLIED
    }

    /// Returns when there may be something new.
    pub async fn wait(&mut self) -> Result<Waited, SourceError> {
        if self.rings {
            let clock = self.place.clock.clone();
            let _ = clock.timeout(LOOK_AGAIN, self.reader.woken()).await;
            return Ok(Waited::Changed);
        }
        if self.dialect.kind != SourceKind::Sqlite {
            self.place.clock.sleep(self.poll).await;
            return Ok(Waited::Changed);
        }
        loop {
            let seen = self.look().await?;
            let before = self.seen.replace(seen);
            match before {
                Some(before) if before.file != seen.file => return Ok(Waited::Replaced),
                Some(before) if before == seen => self.place.clock.sleep(self.poll).await,
                _ => return Ok(Waited::Changed),
            }
        }
    }

    async fn look(&mut self) -> Result<Seen, SourceError> {
        let path = self.place.file();
        let file = sqlite::FileId::of(&path).map_err(|error| SourceError::Unreachable {
            place: path.display().to_string(),
            reason: error.to_string(),
        })?;
        let rows = self.reader.rows("pragma data_version").await?;
        let version = rows.first().and_then(|row| row[0].as_deref()?.parse().ok());
        Ok(Seen { version: version.unwrap_or_default(), file })
    }

    /// Those that have vanished are forgotten: with all rows at hand that are older, they are seen not
    /// to be there.
    fn without_applied(&mut self, recorded: Vec<Recorded>, most: usize) -> Taken {
        let more = recorded.len() >= most + self.applied.len();
        if self.applied.is_empty() {
            return Taken { recorded, more };
        }
        let last = if more { recorded.last().map_or(i64::MIN, |row| row.id) } else { i64::MAX };
        let there: HashSet<i64> = recorded.iter().map(|row| row.id).collect();
        self.applied.retain(|id| *id > last || there.contains(id));
        let is_new = |row: &Recorded| !self.applied.contains(&row.id);
        Taken { recorded: recorded.into_iter().filter(is_new).collect(), more }
    }
}

/// What came of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    Changed,
    /// The path leads to another file, in which anything may be: it has to be opened again.
    Replaced,
}

fn read(rows: Rows) -> Vec<Recorded> {
    let read = rows.into_iter().filter_map(|row| {
        let [id, capture, data, age] = row.try_into().ok()?;
        Some(Recorded {
            id: id?.parse().ok()?,
            capture: capture.unwrap_or_default(),
            rows: data.and_then(|data| rows_of(&data)),
            // Clocks are set back now and then.
            age: Duration::from_millis(age.and_then(|age| age.parse().ok()).unwrap_or(0)),
        })
    });
    read.collect()
}

/// An object, or a list of them. What is neither says nothing.
fn rows_of(data: &str) -> Option<Vec<Value>> {
    let rows = match serde_json::from_str(data).ok()? {
        Value::Array(rows) => rows,
        row => vec![row],
    };
    (!rows.is_empty() && rows.iter().all(Value::is_object)).then_some(rows)
}

pub(super) fn read_count(rows: &Rows) -> (usize, Option<u64>) {
    let cell = |index: usize| rows.first().and_then(|row| row.get(index)?.as_deref());
    let count = cell(0).and_then(|count| count.parse().ok()).unwrap_or(0);
    let oldest = cell(1).and_then(|age| age.parse::<i64>().ok());
    (count, oldest.map(|ms| u64::try_from(ms).unwrap_or(0)))
}
