//! One unbroken session with one incarnation of one master.

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ::redis::{Pipeline, ServerError, Value, aio::MultiplexedConnection};
use samovar_clock::Clock;
use tokio::sync::{Semaphore, watch};

use super::{
    address::Address,
    cluster::Ownership,
    error::{Lost, QueryError, Unavailable},
    reply::{self, Turn},
};
use crate::Trust;

/// A command connection and a subscription to one master, since its incarnation was read. Whatever
/// goes wrong ends it for good, and with it the trust; another link then takes its place.
pub struct Link {
    address: Address,
    incarnation: u64,
    life: Arc<Life>,
    /// Gone once the link has ended. Commands on their way hold their own handle: they may still
    /// be answered.
    connections: RwLock<Option<Connections>>,
    room: Semaphore,
    room_size: usize,
    response_timeout: Duration,
    clock: Clock,
    /// What the master owned when the link was made; in a Cluster only.
    ownership: Option<Ownership>,
    /// 0 until the first heartbeat came back.
    beat_round_trip_ns: AtomicU64,
}

pub(super) struct Connections {
    pub(super) command: MultiplexedConnection,
    /// Only held: dropping it closes it.
    pub(super) _subscription: MultiplexedConnection,
}

/// What a link is made from.
pub(super) struct Parts {
    pub(super) address: Address,
    pub(super) incarnation: u64,
    pub(super) life: Arc<Life>,
    pub(super) connections: Option<Connections>,
    pub(super) ownership: Option<Ownership>,
}

impl Link {
    pub(super) fn new(
        parts: Parts,
        room_size: usize,
        response_timeout: Duration,
        clock: Clock,
    ) -> Self {
        let Parts { address, incarnation, life, connections, ownership } = parts;
        Self {
            address,
            incarnation,
            life,
            connections: RwLock::new(connections),
            room: Semaphore::new(room_size),
            room_size,
            response_timeout,
            clock,
            ownership,
            beat_round_trip_ns: AtomicU64::new(0),
        }
    }

    /// Stands for answers that came over several links: never up, equal to no other.
    pub(super) fn stand_in(address: Address, incarnation: u64) -> Self {
        let life = Arc::new(Life::default());
        life.end("it stands for several masters");
        let parts = Parts { address, incarnation, life, connections: None, ownership: None };
        Self::new(parts, 0, Duration::ZERO, Clock::System)
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    /// A hash of the `master_replid` that was read on this connection before anything else. Never
    /// 0. Links that stand for answers of several masters have one that nothing else has.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Holds while heartbeats come back over the subscription; ended together with the link.
    pub fn trust(&self) -> &Arc<Trust> {
        &self.life.trust
    }

    pub fn is_ended(&self) -> bool {
        self.life.trust.has_ended()
    }

    /// Sends a pipeline to this master and nowhere else: no repeats, no redirects. Answers are in
    /// the order of the commands (`ignore()` changes nothing).
    pub async fn query(&self, pipeline: &Pipeline) -> Result<Vec<Value>, QueryError> {
        let values = self.send(pipeline).await?;
        match reply::first_error(&values) {
            Some((index, error)) => {
                self.note(error);
                Err(self.refused(index, error))
            }
            None => Ok(values),
        }
    }

    /// As [`Link::query`], with the servers' errors among the values.
    pub(super) async fn send(&self, pipeline: &Pipeline) -> Result<Vec<Value>, QueryError> {
        check(pipeline)?;
        let mut connection = self.command()?;
        let mut sent = false;
        let exchange = async {
            let _room = match self.room.try_acquire() {
                Ok(room) => Ok(room),
                Err(_) => self.room.acquire().await,
            };
            sent = true;
            exchange(&mut connection, pipeline).await
        };
        match self.clock.timeout(self.response_timeout, exchange).await {
            Ok(Ok(values)) => Ok(values),
            Ok(Err(failure)) => Err(self.failed(failure)),
            Err(_) if sent => Err(self.unanswered(Lost::TimedOut(self.response_timeout))),
            Err(_) => {
                Err(Unavailable::Full { address: self.address.clone(), limit: self.room_size }
                    .into())
            }
        }
    }

    /// Past the limit of pipelines on their way and without a timeout: for heartbeats.
    pub(super) async fn send_beat(&self, pipeline: &Pipeline) -> Result<Vec<Value>, QueryError> {
        let mut connection = self.command()?;
        exchange(&mut connection, pipeline).await.map_err(|failure| self.failed(failure))
    }

    fn command(&self) -> Result<MultiplexedConnection, Unavailable> {
        let connections = self.connections.read().unwrap_or_else(PoisonError::into_inner);
        match &*connections {
            Some(connections) => Ok(connections.command.clone()),
            None => Err(Unavailable::Down {
                address: self.address.clone(),
                reason: self.life.reason().unwrap_or_else(|| "the link has ended".into()),
            }),
        }
    }

    fn failed(&self, failure: Failure) -> QueryError {
        match failure {
            Failure::Lost => {
                self.life.end("the connection broke");
                self.unanswered(Lost::Connection)
            }
            Failure::Protocol(what) => {
                self.life.end("the answers do not fit the questions");
                QueryError::Protocol(what)
            }
        }
    }

    fn unanswered(&self, reason: Lost) -> QueryError {
        QueryError::Unanswered { address: self.address.clone(), reason }
    }

    pub(super) fn refused(&self, index: usize, error: &ServerError) -> QueryError {
        QueryError::Refused {
            address: self.address.clone(),
            index,
            code: error.code().into(),
            detail: error.details().unwrap_or_default().into(),
        }
    }

    /// Draws the consequence of an error for the link itself: some say that the master is not, or
    /// not any more, what the link was made to.
    pub(super) fn note(&self, error: &ServerError) {
        let reason = match (reply::turn(error, &self.address), &self.ownership) {
            (Turn::NotNow, _) => "it is loading, or no master any more",
            (Turn::Moved { slot, .. }, Some(own)) if own.holds(slot) => "a slot has moved away",
            (Turn::Ask { .. } | Turn::Later { moving: true }, Some(own)) if own.is_settled() => {
                "a slot is being moved"
            }
            _ => return,
        };
        self.life.end(reason);
    }

    pub(super) fn ownership(&self) -> Option<&Ownership> {
        self.ownership.as_ref()
    }

    pub(super) fn life(&self) -> &Arc<Life> {
        &self.life
    }

    /// Ends the link and lets go of its connections.
    pub(super) fn close(&self, reason: &str) {
        self.life.end(reason);
        *self.connections.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn set_beat_round_trip(&self, round_trip: Duration) {
        let nanos = u64::try_from(round_trip.as_nanos()).unwrap_or(u64::MAX);
        self.beat_round_trip_ns.store(nanos.max(1), Ordering::Relaxed);
    }

    pub(super) fn beat_round_trip(&self) -> Option<Duration> {
        match self.beat_round_trip_ns.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_ended() { ", ended" } else { "" };
        write!(f, "Link({}, {:016x}{state})", self.address, self.incarnation)
    }
}

enum Failure {
    Lost,
    Protocol(Box<str>),
}

fn check(pipeline: &Pipeline) -> Result<(), QueryError> {
    if pipeline.is_empty() {
        return Err(QueryError::Protocol("an empty pipeline".into()));
    }
    // `MULTI` does not get along with redirects one by one.
    if pipeline.is_transaction() {
        return Err(QueryError::Protocol("what must be atomic is written as a script".into()));
    }
    Ok(())
}

async fn exchange(
    connection: &mut MultiplexedConnection,
    pipeline: &Pipeline,
) -> Result<Vec<Value>, Failure> {
    let count = pipeline.len();
    match connection.send_packed_commands(pipeline, 0, count).await {
        Ok(values) if values.len() == count => Ok(values),
        Ok(values) => Err(Failure::Protocol(format!("{} answers to {count}", values.len()).into())),
        Err(error) if error.kind() == ::redis::ErrorKind::Parse => {
            Err(Failure::Protocol("not the protocol of Redis".into()))
        }
        Err(_) => Err(Failure::Lost),
    }
}

/// Whether a link lives. Shared with what reads the connections, which outlives nothing.
#[derive(Debug)]
pub(super) struct Life {
    trust: Arc<Trust>,
    ended: watch::Sender<Option<Arc<str>>>,
}

impl Default for Life {
    fn default() -> Self {
        Self { trust: Arc::new(Trust::unproven()), ended: watch::Sender::new(None) }
    }
}

impl Life {
    /// Trust goes first: whoever sees the link ended must not find it trusted.
    pub(super) fn end(&self, reason: &str) {
        self.trust.end();
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            if first {
                *ended = Some(reason.into());
            }
            first
        });
    }

    pub(super) fn is_ended(&self) -> bool {
        self.trust.has_ended()
    }

    pub(super) fn reason(&self) -> Option<Arc<str>> {
        self.ended.borrow().clone()
    }

    /// Waits for the end and says why.
    pub(super) async fn ended(&self) -> Arc<str> {
        let mut ended = self.ended.subscribe();
        match ended.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_else(|| "unknown".into()),
            Err(_) => "unknown".into(),
        }
    }
}
