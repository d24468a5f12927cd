//! Access in a file of this machine, for the one process that owns its folder.

mod sql;

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};
use samovar_clock::{Clock, Random};
use samovar_store::embedded::{
    Database, FaultKind, Folder, M, Migrations, Options, ReadError, WriteError,
};

use super::{
    Found, Refusal, Shared, StoreError, Times, TokenRecord, TokenShown, UserRecord, UserShown,
    left, ms, read, write,
};
use crate::{Entry, Hash, NewEntry, TokenId, UserName, limits};

pub use samovar_store::embedded::OpenError;

const FILE: &str = "access.db";
const READERS: usize = 1;
const CACHE_BYTES: u64 = 1 << 20;
/// How often an operation is tried whose transaction a neighbour spoiled.
const TRIES: u32 = 3;

#[derive(Debug)]
pub struct EmbeddedStore {
    database: Database,
}

/// Why an operation is undone.
#[derive(Debug, thiserror::Error)]
enum Undone {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl EmbeddedStore {
    /// Synchronous FULL, the default: a revocation that was acknowledged survives the loss of power.
    pub async fn open(folder: Folder, clock: Clock, random: Random) -> Result<Self, OpenError> {
        let mut options = Options::new(FILE, Migrations::new(vec![M::up(sql::SCHEMA)]));
        options.readers = READERS;
        options.cache_bytes = CACHE_BYTES;
        Ok(Self { database: Database::open_aside(folder, options, clock, random).await? })
    }

    pub(super) async fn put_token(
        &self,
        record: TokenRecord,
        hash: Hash,
        lifetime: Option<Duration>,
    ) -> Result<(), StoreError> {
        let (id, record) = (record.id.as_u64() as i64, Shared::new(write(&record)));
        self.write(move |connection, now_ms| {
            let kept_ms = ms(limits::EXPIRED_KEPT) as i64;
            connection.execute(sql::TOKEN_SWEEP, [now_ms.saturating_sub(kept_ms)])?;
            if count(connection, sql::TOKEN_COUNT)? >= limits::TOKENS {
                return Err(Refusal::TooManyTokens { limit: limits::TOKENS }.into());
            }
            let expires_ms = lifetime.map(|lifetime| now_ms.saturating_add(ms(lifetime) as i64));
            let row = params![id, hash.as_bytes(), *record, now_ms, expires_ms];
            connection.execute(sql::TOKEN_PUT, row)?;
            Ok(())
        })
        .await
    }

    pub(super) async fn tokens(&self) -> Result<Vec<TokenShown>, StoreError> {
        let now_ms = self.database.now_ms();
        self.read(move |connection| {
            let mut all = connection.prepare_cached(sql::TOKEN_ALL)?;
            let rows = all.query_and_then([], |row| {
                let (record, times) = token(row)?;
                Ok(record.shown(now_ms, times))
            })?;
            rows.collect()
        })
        .await
    }

    pub(super) async fn drop_token(&self, id: TokenId) -> Result<bool, StoreError> {
        self.change(move |connection| connection.execute(sql::TOKEN_DELETE, [id.as_u64() as i64]))
            .await
    }

    pub(super) async fn note_use(&self, hash: Hash) -> Result<(), StoreError> {
        self.write(move |connection, now_ms| {
            connection.execute(sql::TOKEN_USED, params![hash.as_bytes(), now_ms])?;
            Ok(())
        })
        .await
    }

    pub(super) async fn find_token(&self, hash: Hash) -> Result<Option<Found>, StoreError> {
        let now_ms = self.database.now_ms();
        self.read(move |connection| {
            let mut find = connection.prepare_cached(sql::TOKEN_FIND)?;
            let mut rows = find.query([hash.as_bytes()])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            let (record, times) = token(row)?;
            Ok(record.found(now_ms, times))
        })
        .await
    }

    pub(super) async fn put_user(
        &self,
        name: UserName,
        record: UserRecord,
        password: String,
    ) -> Result<(), StoreError> {
        let user = Shared::new((name, write(&record), password));
        self.write(move |connection, now_ms| {
            if count(connection, sql::USER_COUNT)? >= limits::USERS {
                return Err(Refusal::TooManyUsers { limit: limits::USERS }.into());
            }
            let (name, record, password) = &*user;
            let row = params![name.as_str(), record, password, now_ms];
            let is_new = connection.execute(sql::USER_PUT, row)? > 0;
            if is_new { Ok(()) } else { Err(Refusal::UserExists.into()) }
        })
        .await
    }

    pub(super) async fn users(&self) -> Result<Vec<UserShown>, StoreError> {
        self.read(move |connection| {
            let mut all = connection.prepare_cached(sql::USER_ALL)?;
            let rows = all.query_and_then([], |row| {
                let (name, record) = user(row)?;
                let (created_ms, password_ms) = (time(row, 2)?, time(row, 3)?);
                Ok(record.shown(name, created_ms, password_ms))
            })?;
            rows.collect()
        })
        .await
    }

    pub(super) async fn password(&self, name: UserName) -> Result<Option<String>, StoreError> {
        self.read(move |connection| Ok(password(connection, &name)?)).await
    }

    pub(super) async fn drop_user(&self, name: UserName) -> Result<bool, StoreError> {
        let name = Shared::new(name);
        self.change(move |connection| {
            connection.execute(sql::SESSION_DELETE_OF, [name.as_str()])?;
            connection.execute(sql::USER_DELETE, [name.as_str()])
        })
        .await
    }

    pub(super) async fn set_password(
        &self,
        name: UserName,
        password: String,
    ) -> Result<bool, StoreError> {
        let given = Shared::new((name, password));
        self.write(move |connection, now_ms| {
            let (name, password) = &*given;
            connection.execute(sql::SESSION_DELETE_OF, [name.as_str()])?;
            let row = params![name.as_str(), password, now_ms];
            Ok(connection.execute(sql::USER_SET_PASSWORD, row)? > 0)
        })
        .await
    }

    pub(super) async fn put_session(
        &self,
        hash: Hash,
        name: UserName,
        expected: String,
        lifetime: Duration,
    ) -> Result<bool, StoreError> {
        let given = Shared::new((name, expected));
        self.write(move |connection, now_ms| {
            let (name, expected) = &*given;
            if password(connection, name)?.as_ref() != Some(expected) {
                return Ok(false);
            }
            connection.execute(sql::SESSION_SWEEP, [now_ms])?;
            let trim = (name.as_str(), limits::SESSIONS as i64 - 1);
            connection.execute(sql::SESSION_TRIM, trim)?;
            let expires_ms = now_ms.saturating_add(ms(lifetime) as i64);
            let row = params![hash.as_bytes(), name.as_str(), expires_ms];
            connection.execute(sql::SESSION_PUT, row)?;
            Ok(true)
        })
        .await
    }

    pub(super) async fn find_session(&self, hash: Hash) -> Result<Option<Found>, StoreError> {
        let now_ms = self.database.now_ms();
        self.read(move |connection| {
            let mut find = connection.prepare_cached(sql::SESSION_FIND)?;
            let mut rows = find.query([hash.as_bytes()])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            let (name, record) = user(row)?;
            Ok(left(now_ms, time(row, 2)?).map(|left| record.found(name, left)))
        })
        .await
    }

    pub(super) async fn drop_session(&self, hash: Hash) -> Result<bool, StoreError> {
        self.change(move |connection| connection.execute(sql::SESSION_DELETE, [hash.as_bytes()]))
            .await
    }

    pub(super) async fn record(&self, entry: NewEntry, repeats: bool) -> Result<(), StoreError> {
        let key = repeats.then(|| entry.key());
        let given = Shared::new((key, write(&entry)));
        self.write(move |connection, now_ms| {
            let (key, record) = &*given;
            if let Some(key) = key {
                let since_ms = now_ms.saturating_sub(ms(limits::REPEATS) as i64);
                let mut same = connection.prepare_cached(sql::ENTRY_SAME)?;
                if same.execute(params![key, since_ms, now_ms])? > 0 {
                    return Ok(());
                }
            }
            connection.prepare_cached(sql::ENTRY_PUT)?.execute(params![now_ms, key, record])?;
            connection.prepare_cached(sql::ENTRY_TRIM)?.execute([limits::ENTRIES as i64])?;
            Ok(())
        })
        .await
    }

    pub(super) async fn entries(
        &self,
        before: Option<u64>,
        rows: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let before = before.map(|before| i64::try_from(before).unwrap_or(i64::MAX));
        self.read(move |connection| {
            let mut page = connection.prepare_cached(sql::ENTRY_PAGE)?;
            let rows = page.query_and_then(params![before, rows as i64], |row| {
                let (id, at_ms, last_ms) = (time(row, 0)?, time(row, 1)?, time(row, 2)?);
                let entry = record("an entry", row, 4)?;
                Ok(Entry { id, at_ms, last_ms, times: time(row, 3)?, entry })
            })?;
            rows.collect()
        })
        .await
    }

    pub(super) async fn close(&self) {
        if let Err(error) = self.database.close().await {
            tracing::warn!(%error, "the file of access will count as interrupted");
        }
    }

    /// Whether there was something to change.
    async fn change<F>(&self, operation: F) -> Result<bool, StoreError>
    where
        F: Fn(&Connection) -> rusqlite::Result<usize> + Clone + Send + 'static,
    {
        self.write(move |connection, _| Ok(operation(connection)? > 0)).await
    }

    /// One transaction, all of it or nothing, answered after its commit. What a neighbour spoiled is
    /// tried again: it did not happen.
    async fn write<T, F>(&self, operation: F) -> Result<T, StoreError>
    where
        F: Fn(&Connection, i64) -> Result<T, Undone> + Clone + Send + 'static,
        T: Send + 'static,
    {
        let mut tries = 1;
        loop {
            let (database, operation) = (self.database.clone(), operation.clone());
            let work = move |connection: &Connection| {
                let now_ms = i64::try_from(database.now_ms()).unwrap_or(i64::MAX);
                operation(connection, now_ms)
            };
            match self.database.write(work).await {
                Err(WriteError::NotCommitted(fault))
                    if fault.kind == FaultKind::RolledBack && tries < TRIES =>
                {
                    tries += 1;
                }
                Err(WriteError::Operation(undone)) => return Err(undone.into()),
                done => return done.map_err(|error| StoreError::Unavailable(error.to_string())),
            }
        }
    }

    async fn read<T, F>(&self, operation: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> Result<T, Undone> + Send + 'static,
        T: Send + 'static,
    {
        self.database.read(operation).await.map_err(|error| match error {
            ReadError::Operation(undone) => undone.into(),
            other => StoreError::Unavailable(other.to_string()),
        })
    }
}

fn token(row: &Row<'_>) -> Result<(TokenRecord, Times), Undone> {
    let record = record("a token", row, 0)?;
    let (expires_ms, used_ms) = (row.get::<_, Option<i64>>(2)?, row.get::<_, Option<i64>>(3)?);
    let times = Times {
        created_ms: time(row, 1)?,
        expires_ms: expires_ms.map(|it| it as u64),
        used_ms: used_ms.map(|it| it as u64),
    };
    Ok((record, times))
}

fn user(row: &Row<'_>) -> Result<(UserName, UserRecord), Undone> {
    let name = UserName::new(row.get::<_, String>(0)?).map_err(|error| damaged(&error))?;
    Ok((name, record("a user", row, 1)?))
}

fn password(connection: &Connection, name: &UserName) -> rusqlite::Result<Option<String>> {
    let mut find = connection.prepare_cached(sql::USER_PASSWORD)?;
    find.query_row([name.as_str()], |row| row.get(0)).optional()
}

fn count(connection: &Connection, statement: &str) -> rusqlite::Result<usize> {
    connection.query_row(statement, [], |row| row.get::<_, i64>(0)).map(|count| count as usize)
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|ms| ms as u64)
}

fn damaged(error: &impl std::fmt::Display) -> Undone {
    Undone::Store(StoreError::Damaged(error.to_string()))
}

/// Made of names and texts, as JSON.
fn record<T: serde::de::DeserializeOwned>(
    what: &str,
    row: &Row<'_>,
    column: usize,
) -> Result<T, Undone> {
    let text = row.get_ref(column)?.as_str().map_err(|error| damaged(&error))?;
    Ok(read(what, text)?)
}

impl From<Refusal> for Undone {
    fn from(refusal: Refusal) -> Self {
        Undone::Store(refusal.into())
    }
}

impl From<Undone> for StoreError {
    fn from(undone: Undone) -> Self {
        match undone {
            Undone::Store(error) => error,
            Undone::Sqlite(error) => match error.sqlite_error_code() {
                // A row that no code of ours can have written, or a statement that does not fit it.
                None | Some(rusqlite::ErrorCode::ConstraintViolation) => {
                    StoreError::Damaged(error.to_string())
                }
                Some(_) => StoreError::Unavailable(error.to_string()),
            },
        }
    }
}
