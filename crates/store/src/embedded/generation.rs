//! Whether the history of a file is unbroken (law 2).
//!
//! A generation names one unbroken history. It stays the same over a restart only if the file was
//! closed cleanly, under the same boot of the kernel, and is the same file and no copy of it.

use std::{fs, io, path::Path};

use rusqlite::{Connection, OptionalExtension, Row, params};
use rustix::fs::{AtFlags, CWD, StatxFlags};
use samovar_clock::Random;

use super::time::StoreTime;

/// Of the table `samovar_file`.
pub(super) const FORMAT: i64 = 1;

/// What tells this opening of this file from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// Empty when the kernel does not say: then no two openings are under the same boot.
    boot: String,
    place: String,
}

impl Identity {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self::under_boot(boot.trim(), path)
    }

    pub(super) fn under_boot(boot: &str, path: &Path) -> io::Result<Self> {
        let wanted = StatxFlags::INO | StatxFlags::BTIME;
        let stat = rustix::fs::statx(CWD, path, AtFlags::empty(), wanted)?;
        // The time of birth, because a file system gives the inode of a deleted file to the next
        // one, such as the copy that replaces it. Zero where the file system keeps none.
        let born = stat.stx_btime;
        let place = format!(
            "{}:{}/{}/{}.{}",
            stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino, born.tv_sec, born.tv_nsec
        );
        Ok(Self { boot: boot.to_owned(), place })
    }
}

/// What the last owner left in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) format: i64,
    generation: u64,
    clean: bool,
    identity: Identity,
    time_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum History {
    Unbroken,
    FirstOpened,
    NotClosedCleanly,
    OtherBoot,
    OtherFile,
}

pub(super) fn judge(record: Option<&Record>, seen: &Identity) -> History {
    let Some(record) = record else { return History::FirstOpened };
    if !record.clean {
        History::NotClosedCleanly
    } else if seen.boot.is_empty() || record.identity.boot != seen.boot {
        History::OtherBoot
    } else if record.identity.place != seen.place {
        History::OtherFile
    } else {
        History::Unbroken
    }
}

/// `None` in a file that no Samovar has opened yet.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<Option<Record>> {
    if !connection.table_exists(None, "samovar_file")? {
        return Ok(None);
    }
    let record = |row: &Row<'_>| {
        Ok(Record {
            format: row.get(0)?,
            generation: row.get::<_, i64>(1)? as u64,
            clean: row.get(2)?,
            identity: Identity { boot: row.get(3)?, place: row.get(4)? },
            time_ms: u64::try_from(row.get::<_, i64>(5)?).unwrap_or(0),
        })
    };
    connection.query_row(include_str!("sql/file_read.sql"), [], record).optional()
}

/// Marks the file as open, inside the caller's transaction, and gives its generation.
pub(super) fn open(
    connection: &Connection,
    record: Option<&Record>,
    seen: &Identity,
    time: &StoreTime,
    random: &Random,
) -> rusqlite::Result<u64> {
    let history = judge(record, seen);
    let generation = match record {
        Some(record) if history == History::Unbroken => record.generation,
        _ => draw(record, random),
    };
    tracing::debug!(?history, generation, path = connection.path(), "file opened");
    connection.execute_batch(include_str!("sql/file_create.sql"))?;
    connection.execute(
        include_str!("sql/file_open.sql"),
        params![FORMAT, generation as i64, seen.boot, seen.place, time.now_ms() as i64],
    )?;
    Ok(generation)
}

/// No time that is written into the file until the next record may be later than `time_ms`.
pub(super) fn record_time(connection: &Connection, time_ms: u64) -> rusqlite::Result<()> {
    connection.prepare_cached(include_str!("sql/file_time.sql"))?.execute([time_ms as i64])?;
    Ok(())
}

pub(super) fn close(connection: &Connection, time_ms: u64) -> rusqlite::Result<()> {
    connection.execute(include_str!("sql/file_close.sql"), [time_ms as i64])?;
    Ok(())
}

pub(super) fn recorded_ms(record: Option<&Record>) -> u64 {
    record.map_or(0, |record| record.time_ms)
}

/// Never the recorded one again, even from a source that repeats itself.
fn draw(record: Option<&Record>, random: &Random) -> u64 {
    loop {
        let generation = random.id();
        if record.is_none_or(|record| record.generation != generation) {
            return generation;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn seen(boot: &str, place: &str) -> Identity {
        Identity { boot: boot.to_owned(), place: place.to_owned() }
    }

    fn left(clean: bool) -> Record {
        Record {
            format: FORMAT,
            generation: 7,
            clean,
            identity: seen("boot", "8:1/42/1.0"),
            time_ms: 0,
        }
    }

    #[test]
    fn history_is_unbroken_only_when_nothing_speaks_against_it() {
        let here = seen("boot", "8:1/42/1.0");
        assert_eq!(judge(Some(&left(true)), &here), History::Unbroken);
        assert_eq!(judge(None, &here), History::FirstOpened);
        assert_eq!(judge(Some(&left(false)), &here), History::NotClosedCleanly);
        assert_eq!(judge(Some(&left(true)), &seen("other", "8:1/42/1.0")), History::OtherBoot);
        assert_eq!(judge(Some(&left(true)), &seen("boot", "8:1/43/1.0")), History::OtherFile);
    }

    #[test]
    fn two_kernels_that_do_not_name_their_boot_are_not_the_same() {
        let mut record = left(true);
        record.identity.boot.clear();
        assert_eq!(judge(Some(&record), &seen("", "8:1/42/1.0")), History::OtherBoot);
    }

    #[test]
    fn a_file_that_takes_the_inode_of_a_deleted_one_is_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let make = || {
            fs::write(&path, "same").expect("written");
            let inode = fs::metadata(&path).expect("exists").ino();
            (inode, Identity::under_boot("boot", &path).expect("seen"))
        };
        let (inode, first) = make();
        assert_eq!(Identity::under_boot("boot", &path).expect("seen"), first);
        // The file system's clock ticks every few milliseconds, and births in one tick are equal;
        // so this looks until a file with that inode is born in another one.
        let mut told_apart = None;
        for _ in 0..10_000 {
            fs::remove_file(&path).expect("removed");
            let (taken, next) = make();
            if taken == inode {
                told_apart = Some(next != first);
            }
            if told_apart == Some(true) {
                break;
            }
        }
        assert_ne!(told_apart, Some(false), "`None`: this file system does not reuse inodes");
    }

    #[test]
    fn a_generation_is_never_the_recorded_one_again() {
        let mut record = left(false);
        record.generation = Random::seeded(1).id();
        assert_ne!(draw(Some(&record), &Random::seeded(1)), record.generation);
    }
}
