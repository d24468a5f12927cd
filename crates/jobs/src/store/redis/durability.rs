//! What an acknowledgement promises, and the checks without which it would promise nothing.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use samovar_store::redis::{Link, ServerStatus, Value, pipe};

use super::reply;
use crate::store::StoreError;

/// How long a replica may take. The connection is held that long, so it is shorter than what its
/// heartbeats are given.
const CONFIRM_WITHIN: Duration = Duration::from_secs(1);

/// What survives once a write was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The death of Redis, and a failover to a replica that has confirmed it: an append-only file,
    /// and one replica that has received the write.
    Replicated,
    /// The death of Redis, and of its machine, if `appendfsync` is `always`. With `everysec` Redis
    /// answers up to two seconds before it has written, while its disk is busy.
    Local,
    /// Whatever the Redis is set up for: nothing is checked but that it evicts no jobs.
    None,
}

#[derive(Debug)]
pub(super) struct Gate {
    durability: Durability,
    /// Sessions with masters that may be written to.
    passed: Mutex<Vec<Passed>>,
}

#[derive(Debug, Clone)]
struct Passed {
    link: Weak<Link>,
    waits: Arc<Waits>,
}

/// Those who wait for a replica at one master.
#[derive(Debug, Default)]
struct Waits {
    next: Mutex<Option<Arc<Round>>>,
    turn: tokio::sync::Mutex<()>,
}

/// What one question answers for all whose writes were executed before it was sent.
type Round = OnceLock<Result<(), StoreError>>;

impl Gate {
    pub(super) fn durability(&self) -> Durability {
        self.durability
    }

    pub(super) fn new(durability: Durability) -> Self {
        Self { durability, passed: Mutex::default() }
    }

    /// Looks once at each master, and again after each reconnect.
    pub(super) async fn check(&self, link: &Arc<Link>) -> Result<(), StoreError> {
        if self.waits(link).is_some() {
            return Ok(());
        }
        let server = link.server().await.map_err(|error| reply::error(&error))?;
        if let Some(fault) = fault(self.durability, &server) {
            return Err(StoreError::Unavailable(format!(
                "the Redis at {} {fault}",
                link.address()
            )));
        }
        let mut passed = lock(&self.passed);
        passed.retain(|it| it.link.upgrade().is_some_and(|link| !link.is_ended()));
        passed.push(Passed { link: Arc::downgrade(link), waits: Arc::default() });
        Ok(())
    }

    /// Whether what was executed over this link so far is as durable as was asked for.
    pub(super) async fn confirm(&self, link: &Arc<Link>) -> Result<(), StoreError> {
        if self.durability != Durability::Replicated {
            return Ok(());
        }
        let Some(waits) = self.waits(link) else {
            return Err(unconfirmed("the connection broke"));
        };
        let round = lock(&waits.next).get_or_insert_default().clone();
        let _turn = waits.turn.lock().await;
        if let Some(outcome) = round.get() {
            return outcome.clone();
        }
        // Whoever comes from here on may have been executed after the question.
        lock(&waits.next).take_if(|next| Arc::ptr_eq(next, &round));
        let outcome = ask_replicas(link).await;
        round.get_or_init(|| outcome).clone()
    }

    fn waits(&self, link: &Arc<Link>) -> Option<Arc<Waits>> {
        let passed = lock(&self.passed);
        let it = passed.iter().find(|it| std::ptr::eq(it.link.as_ptr(), Arc::as_ptr(link)))?;
        Some(it.waits.clone())
    }
}

/// Why jobs cannot be entrusted to it, with the way out.
fn fault(durability: Durability, server: &ServerStatus) -> Option<String> {
    if server.may_evict_durable_keys() {
        return Some(format!(
            "may evict jobs (maxmemory-policy {}): set `maxmemory-policy noeviction`, or give the \
             cache a Redis of its own with `[cache] url`",
            server.maxmemory_policy
        ));
    }
    let fault = "keeps no append-only file, so that jobs would be lost with its process: set \
                 `appendonly yes`, or choose `durability = \"none\"`";
    let is_needed = durability != Durability::None;
    (is_needed && !server.append_only_file).then(|| fault.to_owned())
}

/// Asked on the connection that wrote: it waits for what this connection has written.
async fn ask_replicas(link: &Link) -> Result<(), StoreError> {
    let mut question = pipe();
    let within_ms = CONFIRM_WITHIN.as_millis() as u64;
    question.cmd("WAIT").arg(1).arg(within_ms);
    match link.query(&question).await {
        Ok(answers) if matches!(answers[..], [Value::Int(1..)]) => Ok(()),
        Ok(_) => Err(unconfirmed(&format!("no replica has received it within {within_ms} ms"))),
        Err(error) => Err(unconfirmed(&error.to_string())),
    }
}

fn unconfirmed(reason: &str) -> StoreError {
    StoreError::Unavailable(format!(
        "{reason}: it is not known whether it would survive a failover, repeating is safe; look \
         after the replicas, or choose `durability = \"local\"`"
    ))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
