//! Copying the log into the file: when, and how hard to try.

use std::cell::Cell;

use rusqlite::Connection;

use super::{file, limits};

/// What a checkpoint that was asked for left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// False when a reader held on to the log: part of it is still needed.
    pub complete: bool,
    pub wal_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// As far as readers allow, without waiting.
    Passive,
    /// Waits for readers, so that the log starts over.
    Restart,
    /// The same, and gives the log's disk space back.
    Truncate,
}

/// Decides when the writer stops to copy. Never on an operation's way to its answer.
#[derive(Debug)]
pub(super) struct Schedule {
    seen_pages: u64,
    due_pages: u64,
    step_pages: u64,
    limit_pages: u64,
}

impl Schedule {
    pub(super) fn new(page_bytes: u64) -> Self {
        let step_pages = (limits::WAL_CHECKPOINT_BYTES / page_bytes).max(1);
        let limit_pages = limits::WAL_LIMIT_BYTES / page_bytes;
        Self { seen_pages: 0, due_pages: step_pages, step_pages, limit_pages }
    }

    /// What to do about a log of this length.
    pub(super) fn effort(&mut self, log_pages: u64) -> Option<Effort> {
        if log_pages < self.seen_pages {
            // All of it was copied and nobody needed it: the log has started over.
            self.due_pages = self.step_pages;
        }
        self.seen_pages = log_pages;
        if log_pages < self.due_pages {
            None
        } else if log_pages < self.limit_pages {
            Some(Effort::Passive)
        } else {
            Some(Effort::Restart)
        }
    }

    /// Until the log starts over, the next attempt waits for as much growth again: a reader may
    /// hold on to the log for long, and each attempt syncs the disk.
    pub(super) fn attempted(&mut self, log_pages: u64) {
        self.due_pages = log_pages + self.step_pages;
    }
}

/// Copies, and says whether nothing is left to copy.
pub(super) fn run(connection: &Connection, effort: Effort) -> rusqlite::Result<Checkpoint> {
    let sql = match effort {
        Effort::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        Effort::Restart => "PRAGMA wal_checkpoint(RESTART)",
        Effort::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    connection.busy_timeout(limits::WAL_READERS_WAIT)?;
    let outcome = connection.query_row(sql, [], |row| {
        Ok((row.get::<_, bool>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    });
    connection.busy_timeout(limits::FILE_LOCK_WAIT)?;
    let (busy, log_pages, copied_pages) = outcome?;
    Ok(Checkpoint {
        complete: !busy && log_pages == copied_pages,
        wal_bytes: u64::try_from(log_pages).unwrap_or(0) * file::page_bytes(connection)?,
    })
}

thread_local! {
    /// SQLite reports the length of the log after each commit, to a plain function.
    static LOG_PAGES: Cell<u64> = const { Cell::new(0) };
}

/// From now on [`log_pages`] answers on this thread; SQLite no longer checkpoints by itself.
pub(super) fn watch_log(connection: &Connection) {
    connection.wal_hook(Some(|_, pages| {
        LOG_PAGES.set(u64::try_from(pages).unwrap_or(0));
        Ok(())
    }));
}

pub(super) fn log_pages() -> u64 {
    LOG_PAGES.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: u64 = limits::WAL_CHECKPOINT_BYTES / 4096;
    const LIMIT: u64 = limits::WAL_LIMIT_BYTES / 4096;

    #[test]
    fn the_writer_copies_once_per_step_of_growth_and_again_after_the_log_started_over() {
        let mut schedule = Schedule::new(4096);
        assert_eq!(schedule.effort(STEP - 1), None);
        assert_eq!(schedule.effort(STEP), Some(Effort::Passive));
        schedule.attempted(STEP);
        assert_eq!(schedule.effort(STEP + 1), None, "a pinned log is not tried at every commit");
        assert_eq!(schedule.effort(2 * STEP), Some(Effort::Passive));
        schedule.attempted(2 * STEP);
        assert_eq!(schedule.effort(3), None);
        assert_eq!(schedule.effort(STEP), Some(Effort::Passive));
    }

    #[test]
    fn readers_are_waited_for_only_at_the_limit() {
        let mut schedule = Schedule::new(4096);
        assert_eq!(schedule.effort(LIMIT - 1), Some(Effort::Passive));
        schedule.attempted(LIMIT - 1);
        assert_eq!(schedule.effort(LIMIT), None);
        assert_eq!(schedule.effort(LIMIT + STEP), Some(Effort::Restart));
    }
}
