//! The writer thread: takes everything that waits, commits once, then answers.
//!
//! Nothing is delayed to make groups larger. They form by themselves: what arrives while one
//! commit is on its way to the disk shares the next.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use rusqlite::Connection;
use samovar_clock::Clock;
use tokio::sync::oneshot;

use super::{
    checkpoint::{self, Checkpoint, Effort, Schedule},
    errors::{CloseError, Fault},
    file::execute,
    folder::Claim,
    generation,
    health::Ledger,
    limits,
    operation::Operation,
    options::Shared,
    queue::Queue,
    readers::Read,
    time::StoreTime,
};

pub(super) enum Work {
    Operation(Box<dyn Operation>),
    Checkpoint(oneshot::Sender<Result<Checkpoint, Fault>>),
}

/// Owns the connection that writes, and ends last: readers, connection, claim, in this order.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) writes: Arc<Queue<Work>>,
    pub(super) reads: Arc<Queue<Read>>,
    pub(super) readers: Vec<JoinHandle<()>>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) clock: Clock,
    pub(super) time: Arc<StoreTime>,
    /// The file says that no time in it is later than this.
    pub(super) recorded_ms: u64,
    pub(super) batch: usize,
    pub(super) window: Duration,
    pub(super) schedule: Schedule,
    /// Set before the queues are closed when the end is a proper one.
    pub(super) clean: Arc<AtomicBool>,
    pub(super) shared: Option<Arc<dyn Shared>>,
    pub(super) claim: Claim,
}

/// What one operation did to the transaction it shares.
enum Step {
    Kept,
    Undone,
    /// There is no transaction any more.
    Lost(Fault),
}

impl Writer {
    /// Until the queue is closed and empty. `Ok` when nothing was left undone.
    pub(super) fn run(mut self) -> Result<(), CloseError> {
        checkpoint::watch_log(&self.connection);
        let closing = Abandon { writes: self.writes.clone(), reads: self.reads.clone() };
        let mut waiting = VecDeque::with_capacity(self.batch);
        let mut operations = VecDeque::with_capacity(self.batch);
        while self.writes.take_all(self.batch, &mut waiting) {
            let mut checkpoints = Vec::new();
            for work in waiting.drain(..) {
                match work {
                    Work::Operation(operation) => operations.push_back(operation),
                    Work::Checkpoint(caller) => checkpoints.push(caller),
                }
            }
            while !operations.is_empty() {
                self.transaction(&mut operations);
            }
            for caller in checkpoints {
                // Nobody has to be waiting any more.
                let _ = caller.send(self.checkpoint(Effort::Truncate));
            }
            if let Some(effort) = self.schedule.effort(checkpoint::log_pages()) {
                let _ = self.checkpoint(effort);
            }
        }
        drop(closing);
        self.end()
    }

    /// Runs operations from the front of the queue in one transaction, and answers those it ran.
    fn transaction(&mut self, waiting: &mut VecDeque<Box<dyn Operation>>) {
        if let Err(error) = self.begin() {
            let fault = Fault::from(error);
            self.report(&fault, waiting.len());
            waiting.drain(..).for_each(|operation| answer(operation, Err(&fault)));
            return;
        }
        let opened_at = self.clock.now();
        let mut ran = Vec::with_capacity(waiting.len());
        let mut kept = false;
        let mut lost = None;
        while let Some(mut operation) = waiting.pop_front() {
            let alone = ran.is_empty() && waiting.is_empty();
            let step = self.step(&mut *operation, alone);
            ran.push(operation);
            match step {
                Step::Kept => kept = true,
                Step::Undone => {}
                Step::Lost(fault) => {
                    lost = Some(fault);
                    break;
                }
            }
            if self.clock.now().since(opened_at) >= self.window {
                break;
            }
        }
        self.ledger.ran(ran.len());
        let ended = match lost {
            Some(fault) => Err(fault),
            None if kept => self.commit(),
            None => {
                self.roll_back();
                Ok(())
            }
        };
        match &ended {
            Err(fault) => self.report(fault, ran.len()),
            Ok(()) if kept => self.ledger.committed(),
            Ok(()) => {}
        }
        ran.into_iter().for_each(|operation| answer(operation, ended.as_ref().copied()));
    }

    fn begin(&self) -> rusqlite::Result<()> {
        if !self.connection.is_autocommit() {
            execute(&self.connection, "ROLLBACK")?;
        }
        if let Some(shared) = &self.shared {
            shared.begun();
        }
        execute(&self.connection, "BEGIN IMMEDIATE")
    }

    /// A lone operation needs no savepoint: rolling back the transaction undoes nobody else.
    fn step(&self, operation: &mut dyn Operation, alone: bool) -> Step {
        let run = |operation: &mut dyn Operation| -> rusqlite::Result<Step> {
            if alone {
                let kept = operation.run(&self.connection);
                return Ok(if kept { Step::Kept } else { Step::Undone });
            }
            execute(&self.connection, "SAVEPOINT samovar_operation")?;
            let kept = operation.run(&self.connection);
            if self.connection.is_autocommit() {
                return Ok(Step::Lost(Fault::rolled_back()));
            }
            if !kept {
                execute(&self.connection, "ROLLBACK TO samovar_operation")?;
            }
            execute(&self.connection, "RELEASE samovar_operation")?;
            Ok(if kept { Step::Kept } else { Step::Undone })
        };
        let step = run(operation).unwrap_or_else(|error| {
            // Half an operation must not be committed: all of them go.
            self.roll_back();
            Step::Lost(Fault::from(error))
        });
        match step {
            Step::Kept if self.connection.is_autocommit() => Step::Lost(Fault::rolled_back()),
            step => step,
        }
    }

    /// The time goes with the operations: whatever of it they wrote into the file was taken before.
    fn commit(&mut self) -> Result<(), Fault> {
        if let Some(shared) = &self.shared
            && let Err(error) = shared.commits(&self.connection)
        {
            self.roll_back();
            return Err(error.into());
        }
        let now_ms = self.time.now_ms();
        let record_ms = (now_ms > self.recorded_ms).then_some(now_ms + limits::TIME_RECORD_MS);
        let recorded = match record_ms {
            Some(record_ms) => generation::record_time(&self.connection, record_ms),
            None => Ok(()),
        };
        if let Err(error) = recorded.and_then(|()| execute(&self.connection, "COMMIT")) {
            self.roll_back();
            return Err(error.into());
        }
        self.recorded_ms = record_ms.unwrap_or(self.recorded_ms);
        Ok(())
    }

    /// SQLite may have done it already. When it fails, `begin` tries again.
    fn roll_back(&self) {
        if !self.connection.is_autocommit() {
            let _ = execute(&self.connection, "ROLLBACK");
        }
    }

    fn report(&self, fault: &Fault, operations: usize) {
        tracing::error!(
            path = self.connection.path(),
            kind = ?fault.kind,
            error = %fault,
            operations,
            "a transaction did not commit"
        );
        self.ledger.not_committed(fault);
    }

    fn checkpoint(&mut self, effort: Effort) -> Result<Checkpoint, Fault> {
        let outcome = checkpoint::run(&self.connection, effort).map_err(Fault::from);
        let complete = outcome.as_ref().is_ok_and(|checkpoint| checkpoint.complete);
        self.schedule.attempted(checkpoint::log_pages());
        let path = self.connection.path();
        match &outcome {
            Err(fault) => {
                tracing::error!(path, kind = ?fault.kind, error = %fault, "checkpoint failed");
                self.ledger.failed(fault);
            }
            Ok(checkpoint) if !complete && effort != Effort::Passive => {
                let wal_bytes = checkpoint.wal_bytes;
                tracing::warn!(path, wal_bytes, "a reader keeps the log from starting over");
            }
            Ok(_) => {}
        }
        outcome
    }

    fn end(mut self) -> Result<(), CloseError> {
        for reader in self.readers.drain(..) {
            // A reader that panicked has ended too.
            let _ = reader.join();
        }
        let ended = if self.clean.load(Ordering::Acquire) { self.mark_clean() } else { Ok(()) };
        // Closing the last connection copies what is left of the log and removes it.
        if let Err((connection, error)) = self.connection.close() {
            tracing::warn!(path = connection.path(), %error, "the file did not close at once");
        }
        drop(self.claim);
        ended
    }

    fn mark_clean(&mut self) -> Result<(), CloseError> {
        if let Some(fault) = self.ledger.doubt() {
            return Err(CloseError::NotClean(fault));
        }
        let mark = || {
            // The mark vouches for all before it, so all before it has to be on the disk.
            self.connection.pragma_update(None, "synchronous", "FULL")?;
            self.begin()?;
            generation::close(&self.connection, self.time.now_ms())?;
            execute(&self.connection, "COMMIT")
        };
        mark().map_err(|error| CloseError::NotClean(error.into()))?;
        // The log holds the mark as well as the file would.
        let _ = self.checkpoint(Effort::Truncate);
        Ok(())
    }
}

/// If the writer should panic, nobody waits for it for ever.
struct Abandon {
    writes: Arc<Queue<Work>>,
    reads: Arc<Queue<Read>>,
}

impl Drop for Abandon {
    fn drop(&mut self) {
        self.reads.close();
        self.writes.abandon();
    }
}

/// A value that panics when it is dropped unread must not cost the thread.
fn answer(operation: Box<dyn Operation>, ended: Result<(), &Fault>) {
    let _ = catch_unwind(AssertUnwindSafe(|| operation.answer(ended)));
}
