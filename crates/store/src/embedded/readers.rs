//! The reader threads: each has a connection that cannot write, and takes reads from one queue.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{
    errors::{Fault, ReadError, panic_message},
    file::execute,
    health::Ledger,
    queue::Queue,
};

pub(super) type Read = Box<dyn FnOnce(&Connection, &Ledger) + Send>;

pub(super) type Answer<T, E> = oneshot::Receiver<Result<T, ReadError<E>>>;

pub(super) fn call<T, E, F>(function: F) -> (Read, Answer<T, E>)
where
    F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    let (caller, answer) = oneshot::channel();
    let read = move |connection: &Connection, ledger: &Ledger| {
        ledger.read();
        let outcome = in_one_snapshot(connection, ledger, function);
        // Nobody has to be waiting any more.
        let _ = caller.send(outcome);
    };
    (Box::new(read), answer)
}

pub(super) fn start(
    name: String,
    connection: Connection,
    queue: Arc<Queue<Read>>,
    ledger: Arc<Ledger>,
) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name).spawn(move || {
        while let Some(read) = queue.take() {
            // Panics of the operation were caught within; this is for values that panic when they
            // are dropped, which must not cost the thread.
            let _ = catch_unwind(AssertUnwindSafe(|| read(&connection, &ledger)));
        }
    })
}

/// The snapshot is given back before the answer, so that who has his answer pins no log.
fn in_one_snapshot<T, E>(
    connection: &Connection,
    ledger: &Ledger,
    function: impl FnOnce(&Connection) -> Result<T, E>,
) -> Result<T, ReadError<E>> {
    if let Err(error) = begin(connection) {
        let fault = Fault::from(error);
        ledger.failed(&fault);
        return Err(ReadError::Failed(fault));
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| function(connection)));
    if let Err(error) = execute(connection, "COMMIT") {
        // The next read rolls back before it begins.
        ledger.failed(&Fault::from(error));
    }
    match outcome {
        Ok(outcome) => outcome.map_err(ReadError::Operation),
        Err(payload) => Err(ReadError::Panicked(panic_message(&*payload))),
    }
}

fn begin(connection: &Connection) -> rusqlite::Result<()> {
    if !connection.is_autocommit() {
        execute(connection, "ROLLBACK")?;
    }
    execute(connection, "BEGIN")
}
