//! The shared tier in a file of this machine, for the one process that owns its folder.
//!
//! Entries and versions are rows of `cache.db`; leases and back-offs are in memory. What was
//! written before the owner died counts as stale, because its generation is over (law 2).

mod asked;
mod clean_up;
mod errors;
mod leases;
mod limits;
mod open;
mod reads;
mod room;
mod sql;
#[cfg(test)]
mod tests;
mod writes;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use rusqlite::Connection;
use samovar_clock::Clock;
use samovar_store::{
    Trust,
    embedded::{Database, FaultKind, WriteError},
};

use self::{
    asked::Asked,
    leases::{Leases, NotTaken},
    reads::Captured,
    room::Removed,
    writes::NotLanded,
};
use super::{
    BackOff, Begin, Begun, Commit, Committed, Invalidate, LeaseState, Look, LookUp, Origin,
    Origins, Release, StoreError, Won,
};
use crate::key::EntryKey;

#[derive(Debug)]
pub(crate) struct EmbeddedTier {
    database: Database,
    leases: Arc<Leases>,
    asked: Arc<Asked>,
    /// One for both scopes: nobody else can write, so what was heard last is true for ever.
    origins: Origins,
    limit_bytes: u64,
    page_bytes: u64,
    /// Counts the writes that may add something; decides when to sweep.
    writes: AtomicU64,
    expired: AtomicU64,
    evicted: AtomicU64,
    closed: AtomicBool,
    last_error: Mutex<Option<String>>,
}

/// An entry past its grace.
#[derive(Debug)]
struct Expired {
    expires_ms: i64,
    row: i64,
    key: String,
    bytes: u64,
}

impl EmbeddedTier {
    fn new(database: Database, clock: Clock, limit_bytes: u64, page_bytes: u64) -> Self {
        let trust = Arc::new(Trust::forever());
        let origin = Origin { incarnation: database.generation(), trust };
        Self {
            database,
            leases: Leases::new(clock),
            asked: Arc::default(),
            origins: Origins { tenant: origin.clone(), global: origin },
            limit_bytes,
            page_bytes,
            writes: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            last_error: Mutex::default(),
        }
    }

    pub(crate) fn origins(&self, _: &EntryKey) -> Option<Origins> {
        Some(self.origins.clone())
    }

    pub(crate) async fn look(&self, at: &[LookUp]) -> Result<Vec<Look>, StoreError> {
        let (database, origins) = (self.database.clone(), self.origins.clone());
        let wanted = at.to_vec();
        let looked = self.database.read(move |connection| {
            reads::look(connection, &wanted, &origins, || database.now_ms())
        });
        let looks = looked.await.map_err(|error| self.failed(errors::read(&error)))?;
        let found = at.iter().zip(&looks).filter(|(_, look)| look.entry.is_some());
        found.for_each(|(look_up, _)| self.asked.note(&look_up.entry));
        Ok(looks)
    }

    pub(crate) async fn begin(&self, begin: Begin) -> Result<Begun, StoreError> {
        // Taken before anything is read: from here on no other commit of this key can land, so the
        // entry that is compared is the last one.
        let held = match self.leases.take(&begin) {
            Ok(held) => held,
            Err(NotTaken::Begun(begun)) => return Ok(begun),
            Err(NotTaken::Full) => {
                let full = format!("{} leases are taken, there are no more", limits::LEASES);
                return Err(self.failed(StoreError::Refused(full)));
            }
        };
        let begin = Arc::new(begin);
        let (database, asked) = (self.database.clone(), begin.clone());
        let read = self
            .database
            .read(move |connection| reads::capture(connection, &asked, database.now_ms()))
            .await
            .map_err(|error| self.failed(errors::read(&error)))?;
        let captured = match read {
            Captured::Incomplete => {
                self.sweep_now_and_then().await;
                let database = self.database.clone();
                self.write(move |connection| writes::capture(connection, &begin, database.now_ms()))
                    .await?
            }
            captured => captured,
        };
        match captured {
            Captured::Complete { versions, now_ms } => {
                held.keep();
                Ok(Begun::Won(Won { versions, origins: self.origins.clone(), now_ms }))
            }
            Captured::Changed | Captured::Incomplete => Ok(Begun::Changed),
        }
    }

    pub(crate) async fn renew(
        &self,
        entry: &EntryKey,
        token: u64,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        Ok(self.leases.renew(entry, token, lease))
    }

    /// Ends the lease, whatever comes of it: nobody computes any more.
    pub(crate) async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        let held = self.leases.held(commit.at.entry.clone(), commit.token);
        let entry_bytes = writes::entry_bytes(&commit);
        let limits = (self.limit_bytes, self.page_bytes);
        if room::needed_bytes(entry_bytes, self.page_bytes) > self.limit_bytes {
            return Err(self.failed(errors::too_large(entry_bytes, self.limit_bytes)));
        }
        self.sweep_now_and_then().await;
        let (database, asked) = (self.database.clone(), self.asked.clone());
        let written = self.database.write(move |connection| {
            // Whose the lease is counts at the moment of the write. It is not free for others
            // before the transaction has ended, so it travels with the result.
            let landed = match held.land() {
                true => Some(writes::land(connection, &commit, limits, &asked, database.now_ms())?),
                false => None,
            };
            Ok::<_, NotLanded>((held, landed))
        });
        let written = written.await;
        let (_held, landed) = written
            .map_err(|error| self.failed(errors::landing(error, entry_bytes, self.limit_bytes)))?;
        Ok(match landed {
            Some(landed) => {
                self.count(landed.removed);
                Committed::Stored { versions: Some(landed.versions) }
            }
            None => Committed::Lost,
        })
    }

    /// Nobody is told: there is no other process, and this one tells itself when it gives back the
    /// lease of a ticket that was dropped. Others who wait follow the flight that holds it, or ask
    /// again.
    pub(crate) async fn release(&self, release: Release) -> Result<(), StoreError> {
        self.leases.release(&release.entry, release.token, release.failure.as_ref());
        Ok(())
    }

    pub(crate) async fn invalidate(&self, invalidate: Invalidate) -> Result<(), StoreError> {
        let (database, invalidate) = (self.database.clone(), Arc::new(invalidate));
        self.write(move |connection| writes::invalidate(connection, &invalidate, database.now_ms()))
            .await
    }

    pub(crate) async fn drop_entry(&self, entry: &EntryKey) -> Result<(), StoreError> {
        let (leases, entry) = (self.leases.clone(), entry.clone());
        self.write(move |connection| {
            // Here and not before: a commit that is written after this finds no lease.
            leases.drop_key(&entry);
            writes::drop_entry(connection, &entry)
        })
        .await
    }

    pub(crate) async fn evict(&self, entries: &[(EntryKey, u64)]) -> Result<(), StoreError> {
        let entries = Arc::<[_]>::from(entries);
        self.write(move |connection| writes::evict(connection, &entries)).await
    }

    pub(crate) async fn lease_state(
        &self,
        entry: &EntryKey,
    ) -> Result<(Option<LeaseState>, Option<BackOff>), StoreError> {
        Ok(self.leases.show(entry))
    }

    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        if let Err(error) = self.database.close().await {
            tracing::warn!(%error, "the cache's file will count as interrupted");
        }
    }

    /// For operations that repeat without harm: one whose transaction was spoiled by a neighbour
    /// is tried again.
    async fn write<T, F>(&self, operation: F) -> Result<T, StoreError>
    where
        F: Fn(&Connection) -> rusqlite::Result<T> + Clone + Send + 'static,
        T: Send + 'static,
    {
        let mut tries = 1;
        loop {
            match self.database.write(operation.clone()).await {
                Err(WriteError::NotCommitted(fault))
                    if fault.kind == FaultKind::RolledBack && tries < limits::TRIES =>
                {
                    tries += 1;
                }
                done => return done.map_err(|error| self.failed(errors::write(error))),
            }
        }
    }

    /// In an operation of its own, so that it gives room also when what follows fails for want of
    /// it.
    async fn sweep_now_and_then(&self) {
        if self.writes.fetch_add(1, Ordering::Relaxed) % limits::SWEEP_EVERY
            != limits::SWEEP_EVERY - 1
        {
            return;
        }
        let database = self.database.clone();
        let swept = self.write(move |connection| room::sweep(connection, database.now_ms())).await;
        match swept {
            Ok(removed) => self.count(removed),
            Err(error) => tracing::debug!(%error, "expired entries could not be swept"),
        }
    }

    /// Remembers it for people.
    fn failed(&self, error: StoreError) -> StoreError {
        let mut last_error = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        *last_error = Some(error.to_string());
        drop(last_error);
        error
    }

    fn count(&self, removed: Removed) {
        self.expired.fetch_add(removed.expired, Ordering::Relaxed);
        self.evicted.fetch_add(removed.evicted, Ordering::Relaxed);
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
