//! All links of one process, and the way to the right one.

use std::{sync::Arc, time::Duration};

use ::redis::{Pipeline, Value};
use samovar_clock::{Clock, Random, Spawner};
use tokio::sync::watch;

use super::{
    error::{ConnectError, QueryError, Repeat, Unavailable},
    info,
    link::Link,
    node::{Node, State},
    options::Options,
    route::{self, Request},
    script::{Call, Script},
    shared::Shared,
    slot,
    status::{self, Status},
    topology,
};

/// Called with each bus message, on the task that reads the subscription: must not block. Messages
/// that were published at a master before a heartbeat are delivered before it counts. In a Cluster
/// each message arrives once per master.
pub type OnMessage = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// How long [`Redis::shutdown`] waits for tasks; they only have to be dropped.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Connections to all masters of one Redis. Cheap to clone; the last clone that is dropped shuts
/// them down.
#[derive(Clone)]
pub struct Redis {
    shared: Arc<Shared>,
    _last: Arc<CloseOnDrop>,
}

struct CloseOnDrop(Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Redis {
    /// Returns at once and connects in the background, again and again if need be. Has to be
    /// called within a Tokio runtime.
    pub fn start(
        options: Options,
        clock: Clock,
        random: Random,
        spawner: Spawner,
        on_message: OnMessage,
    ) -> Self {
        let shared = Arc::new(Shared::new(options, clock, random, spawner, on_message));
        topology::start(&shared);
        Self { _last: Arc::new(CloseOnDrop(shared.clone())), shared }
    }

    /// [`Redis::start`], then [`Redis::connected`]; shuts down when that fails.
    pub async fn connect(
        options: Options,
        clock: Clock,
        random: Random,
        spawner: Spawner,
        on_message: OnMessage,
    ) -> Result<Self, ConnectError> {
        let redis = Self::start(options, clock, random, spawner, on_message);
        match redis.connected().await {
            Ok(()) => Ok(redis),
            Err(error) => {
                redis.shutdown().await;
                Err(error)
            }
        }
    }

    /// Waits, for `connect_timeout` at most, until there is a link to one master and every other
    /// one is linked to as well or known to be down.
    pub async fn connected(&self) -> Result<(), ConnectError> {
        let limit = self.shared.options.connect_timeout;
        let mut changed = self.changed();
        let complete = async {
            // Cannot fail: the sender lives in `self`.
            while !self.is_complete() && changed.changed().await.is_ok() {}
        };
        let timeout = self.shared.clock.timeout(limit, complete).await;
        timeout.map_err(|_| ConnectError { waited: limit, reason: self.what_is_missing() })
    }

    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// Publish here, in the pipeline or script that makes the change, to reach `on_message` of
    /// every node.
    pub fn bus_channel(&self) -> &str {
        &self.shared.bus_channel
    }

    /// The link to the master that owns the key. Waits for one that is being made, for `link_wait`
    /// at most; fails at once when the last attempt to make one failed.
    pub async fn link(&self, key: &[u8]) -> Result<Arc<Link>, Unavailable> {
        self.shared.link_to_slot(slot::of(key)).await
    }

    /// The links that are up, one per master.
    pub fn links(&self) -> Vec<Arc<Link>> {
        self.shared.table().nodes().filter_map(|node| node.link()).collect()
    }

    /// Sends a pipeline, all of whose keys are in the slot of `key`, and returns the answers in the
    /// order of the commands together with the link they came over. Usually one network wait.
    ///
    /// Commands that were redirected or turned away are sent again, alone: each is executed once,
    /// but for a `PUBLISH` behind them, which follows them again. Whatever else must be done in
    /// order is a script.
    ///
    /// When answers came over more than one link, the one returned is an ended stand-in with an
    /// incarnation of its own.
    pub async fn query(
        &self,
        key: &[u8],
        pipeline: &Pipeline,
        repeat: Repeat,
    ) -> Result<(Vec<Value>, Arc<Link>), QueryError> {
        route::query(&self.shared, &Request { key, pipeline, scripts: &[], repeat }).await
    }

    /// Runs a script where its first key is.
    pub async fn run(
        &self,
        call: &Call<'_>,
        repeat: Repeat,
    ) -> Result<(Value, Arc<Link>), QueryError> {
        let (mut values, link) = self.run_all(std::slice::from_ref(call), repeat).await?;
        Ok((values.pop().unwrap_or(Value::Nil), link))
    }

    /// Runs calls in one pipeline where the first key of the first one is. They are independent: a
    /// script that the server does not know yet runs after the others.
    pub async fn run_all(
        &self,
        calls: &[Call<'_>],
        repeat: Repeat,
    ) -> Result<(Vec<Value>, Arc<Link>), QueryError> {
        let mut pipeline = Pipeline::with_capacity(calls.len());
        for call in calls {
            pipeline.add_command(call.command.clone());
        }
        let scripts: Vec<&Script> = calls.iter().map(|call| call.script).collect();
        let key = calls.first().map_or(&[][..], |call| &call.key);
        let request = Request { key, pipeline: &pipeline, scripts: &scripts, repeat };
        route::query(&self.shared, &request).await
    }

    /// Counts every change of links, topology and trust. Subscribe, look, then wait.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    /// The processes that listen to this master, by the number in their [`Options::node`].
    pub async fn nodes_at(&self, link: &Link) -> Result<Vec<u64>, QueryError> {
        let mut question = Pipeline::with_capacity(1);
        let pattern = format!("{}*", escape_glob(&self.options().beat_channel("")));
        question.cmd("PUBSUB").arg("CHANNELS").arg(pattern);
        let answers = link.query(&question).await?;
        let Some(Value::Array(channels)) = answers.first() else {
            return Err(QueryError::Protocol("no list of channels".into()));
        };
        let prefix = self.options().beat_channel("");
        let node = |channel: &Value| {
            let (node, _) = info::text(channel)?.strip_prefix(&prefix)?.split_once(':')?;
            u64::from_str_radix(node, 16).ok()
        };
        Ok(channels.iter().filter_map(node).collect())
    }

    pub async fn status(&self) -> Status {
        status::gather(&self.shared).await
    }

    /// Ends all links and waits for the tasks behind them.
    pub async fn shutdown(&self) {
        self.shared.close();
        if !self.shared.stopped(STOP_WITHIN).await {
            tracing::warn!("tasks of the Redis connections did not stop in time");
        }
    }

    /// Whether the masters are known, one is linked to, and none is still to be heard of.
    fn is_complete(&self) -> bool {
        let table = self.shared.table();
        let settled = |node: &Arc<Node>| !matches!(node.state(), State::Connecting);
        table.is_known()
            && table.nodes().all(settled)
            && table.nodes().any(|node| node.link().is_some())
    }

    fn what_is_missing(&self) -> Arc<str> {
        let table = self.shared.table();
        let down = table.nodes().find_map(|node| match node.state() {
            State::Down(reason) => Some(format!("{}: {reason}", node.address()).into()),
            _ => None,
        });
        down.or_else(|| self.shared.topology_error())
            .unwrap_or_else(|| "nobody has answered yet".into())
    }
}

/// A text as a pattern that only it matches.
fn escape_glob(text: &str) -> String {
    text.chars()
        .flat_map(|c| ("*?[]^-\\".contains(c).then_some('\\')).into_iter().chain([c]))
        .collect()
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("links", &self.links()).finish_non_exhaustive()
    }
}
