//! What people ask for: a clean-up, and the state of the file.

use std::sync::{PoisonError, atomic::Ordering};

use samovar_store::embedded::{ReadError, Size};

use super::{EmbeddedTier, Expired, errors, limits, reads, room::Removed, sql, writes};
use crate::{
    limits::LISTED_KEYS,
    shared::{CleanedUp, StoreError, StoreState},
};

impl EmbeddedTier {
    /// Dead are leases that ran out and were never given back: this is the only process.
    pub(crate) async fn clean_up(
        &self,
        expired: bool,
        leases: bool,
        dry_run: bool,
    ) -> Result<CleanedUp, StoreError> {
        let mut found = CleanedUp::default();
        if leases {
            for key in self.leases.dead(!dry_run) {
                list(&mut found.dead_leases, key.as_str(), &mut found.unlisted);
            }
        }
        if expired {
            self.expired(dry_run, &mut found).await?;
        }
        Ok(found)
    }

    /// In many small transactions, so that nobody waits long for one of them.
    async fn expired(&self, dry_run: bool, found: &mut CleanedUp) -> Result<(), StoreError> {
        let now_ms = self.database.now_ms();
        let mut last = None::<Expired>;
        loop {
            let some = match dry_run {
                true => self.some_expired(last.take(), now_ms).await?,
                false => self.remove_expired(now_ms).await?,
            };
            for entry in &some {
                found.expired_bytes += entry.bytes;
                list(&mut found.expired, &entry.key, &mut found.unlisted);
            }
            if some.len() < limits::CLEANED_AT_ONCE {
                return Ok(());
            }
            last = some.into_iter().next_back();
        }
    }

    async fn some_expired(
        &self,
        last: Option<Expired>,
        now_ms: u64,
    ) -> Result<Vec<Expired>, StoreError> {
        let read = self.database.read(move |connection| {
            reads::expired(connection, last.as_ref(), now_ms, limits::CLEANED_AT_ONCE)
        });
        read.await.map_err(|error| self.failed(errors::read(&error)))
    }

    async fn remove_expired(&self, now_ms: u64) -> Result<Vec<Expired>, StoreError> {
        let removed = self.write(move |connection| {
            let some = reads::expired(connection, None, now_ms, limits::CLEANED_AT_ONCE)?;
            writes::remove(connection, &some)?;
            Ok(some)
        });
        let removed = removed.await?;
        self.count(Removed { expired: removed.len() as u64, evicted: 0 });
        Ok(removed)
    }

    pub(crate) async fn state(&self) -> StoreState {
        let read = self.database.read(|connection| {
            let count: i64 =
                connection.prepare_cached(sql::COUNT)?.query_row([], |row| row.get(0))?;
            let count = u64::try_from(count).unwrap_or(0);
            Ok::<_, rusqlite::Error>((count, Size::used_bytes(connection)?))
        });
        let read = read.await;
        let unread = read.as_ref().err().map(ReadError::to_string);
        let read = read.ok();
        let own = self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let files = self.database.health().last_error.map(|last| last.fault.to_string());
        StoreState {
            kind: "embedded",
            connected: read.is_some() && !self.closed.load(Ordering::Acquire),
            memory_bytes: read.map(|(_, bytes)| bytes),
            memory_limit_bytes: Some(self.limit_bytes),
            keys: read.map(|(count, _)| count),
            expired: Some(self.expired.load(Ordering::Relaxed)),
            evicted: Some(self.evicted.load(Ordering::Relaxed)),
            reconnects: 0,
            warnings: Vec::new(),
            last_error: unread.or(own).or(files),
        }
    }
}

fn list(names: &mut Vec<String>, name: &str, unlisted: &mut u64) {
    match names.len() < LISTED_KEYS {
        true => names.push(name.to_owned()),
        false => *unlisted += 1,
    }
}
