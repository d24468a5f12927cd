//! Opening a file: whose it is, how new it is, how SQLite is to treat it.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, config::DbConfig};
use samovar_clock::{Clock, Random};

use super::{
    errors::{Fault, OpenError},
    generation::{self, Identity, Record},
    limits,
    options::{Durability, Options},
    time::StoreTime,
};

/// "Smvr": tells our files from those of other programs.
const APPLICATION_ID: i64 = 0x536D_7672;

/// A file that is ready for its threads.
pub(super) struct Opened {
    pub(super) writer: Connection,
    pub(super) page_bytes: u64,
    pub(super) generation: u64,
    pub(super) time: Arc<StoreTime>,
}

/// Opens for writing: checks, marks as open, brings up to date, in this order, so that a migration
/// that is interrupted leaves a file that was not closed cleanly.
pub(super) fn open(
    path: &Path,
    identity: impl FnOnce(&Path) -> std::io::Result<Identity>,
    options: &Options,
    clock: Clock,
    random: &Random,
) -> Result<Opened, OpenError> {
    let failed = |error| failed(path, &error);
    create(path)?;
    let mut writer = Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_WRITE))
        .map_err(failed)?;
    writer.busy_timeout(limits::FILE_LOCK_WAIT).map_err(failed)?;
    let record = check(&writer, path, options)?;
    configure(&writer, options).map_err(failed)?;
    let page_bytes = page_bytes(&writer).map_err(failed)?;
    limit_growth(&writer, page_bytes, options).map_err(failed)?;

    let seen = identity(path).map_err(|source| folder_failed(path, source))?;
    let time = Arc::new(StoreTime::start(clock, generation::recorded_ms(record.as_ref())));
    let generation = mark(&mut writer, record.as_ref(), &seen, &time, random).map_err(failed)?;
    migrate(&mut writer, path, options)?;

    if options.durability == Durability::Normal {
        writer.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
    }
    Ok(Opened { writer, page_bytes, generation, time })
}

/// A connection that cannot write, for a reader thread.
pub(super) fn open_reader(path: &Path, options: &Options) -> Result<Connection, OpenError> {
    let open = || {
        let flags = flags(OpenFlags::SQLITE_OPEN_READ_ONLY);
        let reader = Connection::open_with_flags(path, flags)?;
        reader.busy_timeout(limits::FILE_LOCK_WAIT)?;
        reader.pragma_update(None, "query_only", true)?;
        tune(&reader, options, options.cache_bytes / options.readers.max(1) as u64)?;
        Ok(reader)
    };
    open().map_err(|error| failed(path, &error))
}

/// Runs a statement that takes and gives nothing.
pub(super) fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// Only when it is missing: to open and close a file that SQLite has open would end its locks.
fn create(path: &Path) -> Result<(), OpenError> {
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(folder_failed(path, error)),
        _ => Ok(()),
    }
}

/// A connection is used by one thread at a time, so SQLite needs no locks of its own.
fn flags(access: OpenFlags) -> OpenFlags {
    access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE
}

/// Refuses files that are not ours or too new, before anything in them is changed.
fn check(
    connection: &Connection,
    path: &Path,
    options: &Options,
) -> Result<Option<Record>, OpenError> {
    let failed = |error| failed(path, &error);
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let tables = "SELECT count(*) FROM sqlite_schema";
    let tables: i64 = connection.query_row(tables, [], |row| row.get(0)).map_err(failed)?;
    let application = number("application_id").map_err(failed)?;
    if tables > 0 && application != APPLICATION_ID {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }

    let pending = options.migrations.pending_migrations(connection);
    let pending = i64::from(pending.map_err(|error| not_migrated(path, error))?);
    if pending < 0 {
        let found = number("user_version").map_err(failed)?;
        return Err(OpenError::Newer { path: path.to_owned(), found, known: found + pending });
    }
    let record = generation::read(connection).map_err(failed)?;
    match record.as_ref().map(|record| record.format) {
        Some(found) if found > generation::FORMAT => {
            Err(OpenError::Newer { path: path.to_owned(), found, known: generation::FORMAT })
        }
        _ => Ok(record),
    }
}

fn configure(writer: &Connection, options: &Options) -> rusqlite::Result<()> {
    // Has an effect on an empty file only, and before the journal mode.
    writer.pragma_update(None, "page_size", options.page_bytes)?;
    writer.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // Whatever is asked for later, the mark that the file is open must reach the disk first.
    writer.pragma_update(None, "synchronous", "FULL")?;
    let limit_bytes = limits::WAL_LIMIT_BYTES as i64;
    writer.pragma_update_and_check(None, "journal_size_limit", limit_bytes, |_| Ok(()))?;
    tune(writer, options, options.cache_bytes)
}

fn tune(connection: &Connection, options: &Options, cache_bytes: u64) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(options.statements);
    // Otherwise what is given as LIMIT is part of the plan, which is made anew for each value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -((cache_bytes / 1024) as i64))?;
    // Answers with the size it took, or with nothing where mapping is compiled out.
    connection.pragma(None, "mmap_size", options.mmap_bytes as i64, |_| Ok(()))
}

/// What it is, whatever was asked for: it is decided when a file is made.
pub(super) fn page_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    connection.pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0)).map(u64::from)
}

fn limit_growth(writer: &Connection, page_bytes: u64, options: &Options) -> rusqlite::Result<()> {
    let Some(max_bytes) = options.max_bytes else { return Ok(()) };
    let max_pages = (max_bytes / page_bytes).max(1) as i64;
    writer.pragma_update_and_check(None, "max_page_count", max_pages, |_| Ok(()))
}

fn mark(
    writer: &mut Connection,
    record: Option<&Record>,
    seen: &Identity,
    time: &StoreTime,
    random: &Random,
) -> rusqlite::Result<u64> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    let generation = generation::open(&transaction, record, seen, time, random)?;
    transaction.commit()?;
    Ok(generation)
}

fn migrate(writer: &mut Connection, path: &Path, options: &Options) -> Result<(), OpenError> {
    let failed = |error| not_migrated(path, error);
    if options.migrations.pending_migrations(writer).map_err(failed)? > 0 {
        options.migrations.to_latest(writer).map_err(failed)?;
    }
    Ok(())
}

fn failed(path: &Path, error: &rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    let fault = Fault::from(error);
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            OpenError::Corrupt { path, fault }
        }
        _ => OpenError::Failed { path, fault },
    }
}

fn not_migrated(path: &Path, error: rusqlite_migration::Error) -> OpenError {
    match error {
        rusqlite_migration::Error::RusqliteError { err, .. } if Fault::from(&err).casts_doubt() => {
            failed(path, &err)
        }
        source => OpenError::Migration { path: path.to_owned(), source },
    }
}

fn folder_failed(path: &Path, source: std::io::Error) -> OpenError {
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_owned);
    OpenError::Folder { folder, source }
}
