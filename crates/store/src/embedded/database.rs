//! One file: writes through one thread, reads through a few, and an orderly end.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::Connection;
use samovar_clock::{Clock, Random};
use tokio::sync::{oneshot, watch};

use super::{
    checkpoint::{Checkpoint, Schedule},
    errors::{CheckpointError, CloseError, OpenError, ReadError, WriteError},
    file,
    folder::Folder,
    generation::Identity,
    health::{Health, Ledger},
    operation,
    options::Options,
    queue::Queue,
    readers::{self, Read},
    size::Size,
    time::StoreTime,
    writer::{Work, Writer},
};

/// An open file, cheap to clone. The last clone to go stops the threads; only [`Database::close`]
/// marks the file as closed cleanly.
#[derive(Debug, Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    generation: u64,
    clock: Clock,
    time: Arc<StoreTime>,
    patience: Duration,
    writes: Arc<Queue<Work>>,
    reads: Arc<Queue<Read>>,
    ledger: Arc<Ledger>,
    clean: Arc<AtomicBool>,
    ended: watch::Receiver<Option<Result<(), CloseError>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Database {
    /// Opens the file, makes it or brings it up to date. Blocks for a few syncs of the disk.
    #[expect(clippy::needless_pass_by_value, reason = "time and chance are handed over alike")]
    pub fn open(
        folder: &Folder,
        options: Options,
        clock: Clock,
        random: Random,
    ) -> Result<Self, OpenError> {
        Self::open_as(folder, options, clock, &random, Identity::of)
    }

    /// [`Database::open`] for tasks: it waits for the disk in a thread of its own. The folder stays
    /// owned until the file is closed.
    pub async fn open_aside(
        folder: Folder,
        options: Options,
        clock: Clock,
        random: Random,
    ) -> Result<Self, OpenError> {
        let path = folder.path().join(options.file);
        let name = format!("{} open", options.file);
        let (opened, answer) = oneshot::channel();
        let open = move || drop(opened.send(Self::open(&folder, options, clock, random)));
        let failed = |source| OpenError::Thread { path: path.clone(), source };
        thread::Builder::new().name(name).spawn(open).map_err(failed)?;
        answer.await.unwrap_or_else(|_| Err(failed(io::Error::other("it panicked"))))
    }

    fn open_as(
        folder: &Folder,
        options: Options,
        clock: Clock,
        random: &Random,
        identity: impl FnOnce(&Path) -> io::Result<Identity>,
    ) -> Result<Self, OpenError> {
        let options = options.bounded();
        let claim = folder.claim(options.file)?;
        let path = claim.path();
        let opened = file::open(&path, identity, &options, clock.clone(), random)?;
        let file::Opened { writer: connection, page_bytes, generation, time } = opened;

        let writes = Arc::new(Queue::new(options.queue));
        let reads = Arc::new(Queue::new(options.queue));
        let ledger = Arc::new(Ledger::new(time.clone()));
        let clean = Arc::new(AtomicBool::new(false));
        let readers = start_readers(&path, &options, &reads, &ledger)?;
        let writer = Writer {
            connection,
            writes: writes.clone(),
            reads: reads.clone(),
            readers,
            ledger: ledger.clone(),
            clock: clock.clone(),
            time: time.clone(),
            recorded_ms: 0,
            batch: options.batch,
            window: options.window,
            schedule: Schedule::new(page_bytes),
            clean: clean.clone(),
            shared: options.shared.clone(),
            claim,
        };
        let (end, ended) = watch::channel(None);
        let thread = thread::Builder::new()
            .name(format!("{} write", options.file))
            .spawn(move || {
                let outcome = writer.run();
                end.send_replace(Some(outcome));
            })
            .map_err(|source| OpenError::Thread { path: path.clone(), source });
        let thread = thread.inspect_err(|_| reads.close())?;
        Ok(Self {
            inner: Arc::new(Inner {
                path,
                generation,
                clock,
                time,
                patience: options.patience,
                writes,
                reads,
                ledger,
                clean,
                ended,
                writer: Mutex::new(Some(thread)),
            }),
        })
    }

    /// Runs `operation` in a transaction of the writer thread, and answers after its commit.
    ///
    /// The transaction is shared with whoever else waits; an operation that fails or panics undoes
    /// its own changes only. It must leave transactions and savepoints alone, and block on nothing.
    /// Once it has a place in the queue, dropping the future does not undo it.
    pub async fn write<T, E, F>(&self, operation: F) -> Result<T, WriteError<E>>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let inner = &*self.inner;
        let place = inner.writes.enter(&inner.clock, inner.patience).await?;
        let (call, answer) = operation::call(operation);
        inner.writes.push(place, Work::Operation(call))?;
        answer.await.unwrap_or(Err(WriteError::Lost))
    }

    /// [`Database::write`] for a thread that may block.
    ///
    /// # Panics
    /// On a thread that drives async tasks. Inside an operation it would wait for itself.
    pub fn write_blocking<T, E, F>(&self, operation: F) -> Result<T, WriteError<E>>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let inner = &*self.inner;
        let place = inner.writes.enter_blocking(&inner.clock, inner.patience)?;
        let (call, answer) = operation::call(operation);
        inner.writes.push(place, Work::Operation(call))?;
        answer.blocking_recv().unwrap_or(Err(WriteError::Lost))
    }

    /// Runs `operation` on a reader thread. Everything it reads is of one snapshot, which holds
    /// every write that was answered before this was called.
    pub async fn read<T, E, F>(&self, operation: F) -> Result<T, ReadError<E>>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let inner = &*self.inner;
        let place = inner.reads.enter(&inner.clock, inner.patience).await?;
        let (call, answer) = readers::call(operation);
        inner.reads.push(place, call)?;
        answer.await.unwrap_or(Err(ReadError::Lost))
    }

    /// [`Database::read`] for a thread that may block.
    ///
    /// # Panics
    /// On a thread that drives async tasks.
    pub fn read_blocking<T, E, F>(&self, operation: F) -> Result<T, ReadError<E>>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let inner = &*self.inner;
        let place = inner.reads.enter_blocking(&inner.clock, inner.patience)?;
        let (call, answer) = readers::call(operation);
        inner.reads.push(place, call)?;
        answer.blocking_recv().unwrap_or(Err(ReadError::Lost))
    }

    /// Names the unbroken history of this file: what was recorded under another generation may
    /// have been made from writes that this file does not hold, or miss some that it does.
    pub fn generation(&self) -> u64 {
        self.inner.generation
    }

    /// Milliseconds that never go back for this file. A time that an operation writes into the
    /// file is never later than the time after any restart.
    pub fn now_ms(&self) -> u64 {
        self.inner.time.now_ms()
    }

    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    pub async fn size(&self) -> Result<Size, ReadError<rusqlite::Error>> {
        let path = self.inner.path.clone();
        self.read(move |connection| Size::of(connection, &path)).await
    }

    /// Copies all of the log into the file and cuts it off, after every write that waits now.
    pub async fn checkpoint(&self) -> Result<Checkpoint, CheckpointError> {
        let inner = &*self.inner;
        let place = inner.writes.enter(&inner.clock, inner.patience).await?;
        let (caller, answer) = oneshot::channel();
        inner.writes.push(place, Work::Checkpoint(caller))?;
        match answer.await {
            Ok(outcome) => outcome.map_err(CheckpointError::Failed),
            Err(_) => Err(CheckpointError::Closed),
        }
    }

    pub fn health(&self) -> Health {
        let inner = &*self.inner;
        inner.ledger.report(inner.writes.waiting(), inner.reads.waiting())
    }

    /// Finishes what has a place in a queue, marks the file as clean, and ends the threads. Further
    /// operations, and those still waiting for a place, are refused. Later calls give the same
    /// answer.
    pub async fn close(&self) -> Result<(), CloseError> {
        let inner = &*self.inner;
        inner.clean.store(true, Ordering::Release);
        inner.reads.close();
        inner.writes.close();
        let mut ended = inner.ended.clone();
        let outcome = match ended.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Err(CloseError::Lost)),
            Err(_) => Err(CloseError::Lost),
        };
        let writer = inner.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // It has said that it ended, or it panicked, which was answered above.
            let _ = writer.join();
        }
        outcome
    }
}

impl Drop for Inner {
    /// Does not wait: the threads finish what has a place, and keep the folder owned until then.
    fn drop(&mut self) {
        self.reads.close();
        self.writes.close();
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("path", &self.path).finish_non_exhaustive()
    }
}

fn start_readers(
    path: &Path,
    options: &Options,
    reads: &Arc<Queue<Read>>,
    ledger: &Arc<Ledger>,
) -> Result<Vec<JoinHandle<()>>, OpenError> {
    let start = |number| {
        let connection = file::open_reader(path, options)?;
        let name = format!("{} read {number}", options.file);
        readers::start(name, connection, reads.clone(), ledger.clone())
            .map_err(|source| OpenError::Thread { path: path.to_owned(), source })
    };
    // Those that did start end with the queue.
    (0..options.readers).map(start).collect::<Result<_, _>>().inspect_err(|_| reads.close())
}

#[cfg(test)]
mod tests {
    use rusqlite_migration::{M, Migrations};

    use super::*;

    fn options() -> Options {
        Options::new("a.db", Migrations::new(vec![M::up("CREATE TABLE note (text TEXT)")]))
    }

    fn open_under(folder: &Folder, boot: &str) -> Database {
        let identity = |path: &Path| Identity::under_boot(boot, path);
        Database::open_as(folder, options(), Clock::System, &Random::System, identity)
            .expect("opens")
    }

    #[tokio::test]
    async fn another_boot_of_the_kernel_gives_another_generation() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Folder::own(home.path()).expect("owned");
        let mut generations = Vec::new();
        for boot in ["first", "first", "second", "first"] {
            let database = open_under(&folder, boot);
            generations.push(database.generation());
            database.close().await.expect("closes");
        }
        assert_eq!(generations[0], generations[1], "the same boot");
        assert_ne!(generations[1], generations[2]);
        assert_ne!(generations[2], generations[3], "only the last boot is remembered");
        assert_ne!(generations[0], generations[3]);
    }

    #[tokio::test]
    async fn a_file_whose_sync_failed_is_not_marked_as_clean() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Folder::own(home.path()).expect("owned");
        let database = open_under(&folder, "boot");
        let generation = database.generation();
        let fault = crate::embedded::Fault {
            kind: crate::embedded::FaultKind::Io,
            message: "disk I/O error".into(),
        };
        database.inner.ledger.failed(&fault);
        assert_eq!(database.close().await, Err(CloseError::NotClean(fault)));
        assert_ne!(open_under(&folder, "boot").generation(), generation);
    }
}
