//! All links of one process, and the way to the right one.

use std::sync::Arc;

use ::redis::{Pipeline, Value};
use samovar_clock::{Clock, Random, Spawner};
use tokio::sync::watch;

use super::{
    error::{ConnectError, QueryError, Repeat, Unavailable},
    link::Link,
    options::Options,
    script::Call,
    status::Status,
};

/// Called with each bus message, on the task that reads the subscription: must not block. Messages
/// that were published at a master before a heartbeat are delivered before it counts. In a Cluster
/// each message arrives once per master.
pub type OnMessage = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// Connections to all masters of one Redis. Cheap to clone; the last clone that is dropped shuts
/// them down.
#[derive(Clone)]
pub struct Redis {
    options: Arc<Options>,
    changed: watch::Sender<u64>,
}

impl Redis {
    /// Returns at once and connects in the background, again and again if need be. Has to be
    /// called within a Tokio runtime.
    pub fn start(
        options: Options,
        _clock: Clock,
        _random: Random,
        _spawner: Spawner,
        _on_message: OnMessage,
    ) -> Self {
        Self { options: Arc::new(options), changed: watch::Sender::new(0) }
    }

    /// [`Redis::start`], then waits for a link to every master, for `connect_timeout` at most.
    pub async fn connect(
        options: Options,
        clock: Clock,
        random: Random,
        spawner: Spawner,
        on_message: OnMessage,
    ) -> Result<Self, ConnectError> {
        Ok(Self::start(options, clock, random, spawner, on_message))
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Publish here, in the pipeline or script that makes the change, to reach `on_message` of
    /// every node.
    pub fn bus_channel(&self) -> &str {
        ""
    }

    /// The link to the master that owns the key. Waits for one that is being made, for `link_wait`
    /// at most; fails at once when the last attempt to make one failed.
    pub async fn link(&self, _key: &[u8]) -> Result<Arc<Link>, Unavailable> {
        Err(Unavailable::ShutDown)
    }

    /// The links that are up, one per master.
    pub fn links(&self) -> Vec<Arc<Link>> {
        Vec::new()
    }

    /// Sends a pipeline, all of whose keys are in the slot of `key`, and returns the answers in the
    /// order of the commands together with the link they came over. Usually one network wait.
    ///
    /// Commands that were redirected or turned away are sent again, alone: each is executed once.
    /// When answers came over more than one link, the one returned is an ended stand-in with an
    /// incarnation of its own.
    pub async fn query(
        &self,
        _key: &[u8],
        _pipeline: &Pipeline,
        _repeat: Repeat,
    ) -> Result<(Vec<Value>, Arc<Link>), QueryError> {
        Err(Unavailable::ShutDown.into())
    }

    /// Runs a script where its first key is.
    pub async fn run(
        &self,
        _call: &Call<'_>,
        _repeat: Repeat,
    ) -> Result<(Value, Arc<Link>), QueryError> {
        Err(Unavailable::ShutDown.into())
    }

    /// Runs calls in one pipeline where the first key of the first one is.
    pub async fn run_all(
        &self,
        _calls: &[Call<'_>],
        _repeat: Repeat,
    ) -> Result<(Vec<Value>, Arc<Link>), QueryError> {
        Err(Unavailable::ShutDown.into())
    }

    /// Counts every change of links, topology and trust. Subscribe, look, then wait.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub async fn status(&self) -> Status {
        Status { masters: Vec::new(), topology_error: None }
    }

    /// Ends all links and waits for the tasks behind them.
    pub async fn shutdown(&self) {}
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("topology", &self.options.topology).finish_non_exhaustive()
    }
}
