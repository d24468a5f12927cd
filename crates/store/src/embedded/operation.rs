//! One write: a closure, what came of it, and who waits for the answer.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::errors::{Fault, WriteError, panic_message};

/// Its types forgotten, so that one transaction holds operations of many kinds.
pub(super) trait Operation: Send {
    /// Runs inside a transaction; true when its changes are to stay.
    fn run(&mut self, connection: &Connection) -> bool;

    /// Tells who waits, once the transaction has ended. An operation that failed by itself says
    /// that, whatever became of the transaction.
    fn answer(self: Box<Self>, committed: Result<(), &Fault>);
}

pub(super) type Answer<T, E> = oneshot::Receiver<Result<T, WriteError<E>>>;

pub(super) fn call<T, E, F>(function: F) -> (Box<dyn Operation>, Answer<T, E>)
where
    F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    let (caller, answer) = oneshot::channel();
    (Box::new(Call { function: Some(function), outcome: None, caller }), answer)
}

struct Call<F, T, E> {
    function: Option<F>,
    outcome: Option<Result<T, WriteError<E>>>,
    caller: oneshot::Sender<Result<T, WriteError<E>>>,
}

impl<F, T, E> Operation for Call<F, T, E>
where
    F: FnOnce(&Connection) -> Result<T, E> + Send,
    T: Send,
    E: Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        let Some(function) = self.function.take() else { return false };
        // What a panic leaves half done is in the database, and the caller rolls that back.
        let outcome = match catch_unwind(AssertUnwindSafe(|| function(connection))) {
            Ok(outcome) => outcome.map_err(WriteError::Operation),
            Err(payload) => Err(WriteError::Panicked(panic_message(&*payload))),
        };
        self.outcome.insert(outcome).is_ok()
    }

    fn answer(self: Box<Self>, committed: Result<(), &Fault>) {
        let answer = match (self.outcome, committed) {
            (Some(Err(own)), _) => Err(own),
            (_, Err(fault)) => Err(WriteError::NotCommitted(fault.clone())),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(WriteError::Lost),
        };
        // Nobody has to be waiting any more.
        let _ = self.caller.send(answer);
    }
}
