//! The embedded store: who owns it, what its writer promises, what it knows after a crash.

use std::{
    future::Future,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use futures_util::{
    future::{FutureExt, LocalBoxFuture},
    poll,
};
use rusqlite::Connection;
use samovar_clock::{Clock, ManualClock, Random, WallTime};
use samovar_store::embedded::{Database, Folder, M, Migrations, OpenError, Options, WriteError};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

mod children;
mod closing;
mod history;
mod opening;
mod reads;
mod space;
mod writes;

/// A data folder of one table, by a clock that stands still.
struct Home {
    folder: Folder,
    clock: Arc<ManualClock>,
    /// Last, so that the folder is free before it is removed.
    directory: TempDir,
}

impl Home {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a folder");
        let folder = Folder::own(directory.path()).expect("nobody owns it");
        let clock = Arc::new(ManualClock::new(WallTime::from_millis(1_000_000)));
        Self { folder, clock, directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn clock(&self) -> Clock {
        Clock::Manual(self.clock.clone())
    }

    fn open(&self) -> Database {
        self.try_open(options()).expect("opens")
    }

    fn open_with(&self, change: impl FnOnce(&mut Options)) -> Database {
        let mut options = options();
        change(&mut options);
        self.try_open(options).expect("opens")
    }

    fn try_open(&self, options: Options) -> Result<Database, OpenError> {
        Database::open(&self.folder, options, self.clock(), Random::System)
    }

    /// Drops a database without closing it, and waits until its threads are gone.
    async fn crash(self, database: Database) -> Self {
        let Self { folder, clock, directory } = self;
        drop((database, folder));
        let patience = Duration::from_secs(60);
        let folder = Folder::own_within(directory.path(), patience, &Clock::System).await;
        Self { folder: folder.expect("the threads end"), clock, directory }
    }
}

const NOTES: &str = "CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT";

fn options() -> Options {
    Options::new("notes.db", Migrations::new(vec![M::up(NOTES)]))
}

fn add(connection: &Connection, text: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("INSERT INTO note (text) VALUES (?1)")?.execute([text])?;
    Ok(())
}

fn texts(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare_cached("SELECT text FROM note ORDER BY id")?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// A write of one note that waits to be polled.
fn note(
    database: &Database,
    text: impl Into<String>,
) -> LocalBoxFuture<'_, Result<(), WriteError<rusqlite::Error>>> {
    let text = text.into();
    database.write(move |connection| add(connection, &text)).boxed_local()
}

async fn notes(database: &Database) -> Vec<String> {
    database.read(texts).await.expect("readable")
}

/// The writer, held inside an operation until it is let go: whatever is queued meanwhile waits.
struct Held {
    release: mpsc::Sender<()>,
    operation: JoinHandle<Result<(), WriteError<rusqlite::Error>>>,
}

async fn hold(database: &Database) -> Held {
    let (running, is_running) = oneshot::channel();
    let (release, released) = mpsc::channel();
    let database = database.clone();
    let operation = tokio::spawn(async move {
        let operation = move |_: &Connection| {
            running.send(()).expect("awaited");
            // An error means: let go by dropping.
            let _ = released.recv();
            Ok(())
        };
        database.write(operation).await
    });
    is_running.await.expect("the writer runs it");
    Held { release, operation }
}

impl Held {
    async fn let_go(self) {
        drop(self.release);
        self.operation.await.expect("no panic").expect("committed");
    }
}

/// Polls once, which is enough for an operation to take its place in the queue.
async fn queue_up(mut waiting: impl Future + Unpin) {
    assert!(poll!(&mut waiting).is_pending());
}

/// Counts the commits of the writer's connection, as SQLite sees them.
async fn count_commits(database: &Database) -> Arc<AtomicU64> {
    let commits = Arc::new(AtomicU64::new(0));
    let counter = commits.clone();
    let install = move |connection: &Connection| {
        connection.commit_hook(Some(move || {
            counter.fetch_add(1, Ordering::SeqCst);
            false
        }))
    };
    database.write(install).await.expect("installed");
    // The commit of the installing operation itself.
    commits.store(0, Ordering::SeqCst);
    commits
}
