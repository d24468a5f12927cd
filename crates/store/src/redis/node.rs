//! One master address, and the task that keeps a link to it.

use std::sync::{
    Arc, Mutex, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::watch;

use super::{
    address::Address,
    backoff::{Backoff, jittered},
    beat,
    handshake::{self, Reason},
    link::Link,
    options::Topology,
    shared::{Shared, until},
};

pub(super) struct Node {
    address: Address,
    state: RwLock<State>,
    retired: watch::Sender<bool>,
    links_made: AtomicU64,
    last_error: Mutex<Option<Reason>>,
}

#[derive(Clone)]
pub(super) enum State {
    /// A link is being made, and nothing speaks against it yet: worth waiting for.
    Connecting,
    Up(Arc<Link>),
    /// The last attempt failed. The next ones change that only when they succeed.
    Down(Reason),
}

impl Node {
    pub(super) fn new(address: Address) -> Self {
        Self {
            address,
            state: RwLock::new(State::Connecting),
            retired: watch::Sender::new(false),
            links_made: AtomicU64::new(0),
            last_error: Mutex::new(None),
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn state(&self) -> State {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn link(&self) -> Option<Arc<Link>> {
        match self.state() {
            State::Up(link) if !link.is_ended() => Some(link),
            _ => None,
        }
    }

    pub(super) fn links_made(&self) -> u64 {
        self.links_made.load(Ordering::Relaxed)
    }

    pub(super) fn last_error(&self) -> Option<Reason> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_error(&self, reason: Reason) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    /// It is no master any more, or not ours: its link ends, and no other is made.
    pub(super) fn retire(&self) {
        self.retired.send_replace(true);
    }

    async fn retired(&self) {
        // An error means that the sender is gone, and it is a field of `self`.
        let _ = self.retired.subscribe().wait_for(|retired| *retired).await;
    }

    fn set(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// Keeps a link to the node until it is retired.
pub(super) async fn keep(shared: Arc<Shared>, node: Arc<Node>) {
    until(node.retired(), keep_for_ever(&shared, &node)).await;
}

async fn keep_for_ever(shared: &Arc<Shared>, node: &Node) {
    let mut backoff = Backoff::new(shared.options.backoff);
    loop {
        let pause = match handshake::open(shared, &node.address).await {
            Ok(opened) => {
                let up = Up::new(shared, node, opened.link);
                let end = beat::run(shared, node, &up.link, opened.ear).await;
                tracing::info!(
                    master = %node.address, reason = %end.reason, "the link to Redis has ended"
                );
                node.set_error(end.reason.clone());
                if end.proven {
                    backoff.reset();
                    up.finish(State::Connecting);
                    // Callers wait for this one: soon, but not all nodes at once.
                    jittered(shared.options.backoff.0 / 10, &shared.random)
                } else {
                    up.finish(State::Down(end.reason));
                    backoff.pause(&shared.random)
                }
            }
            Err(reason) => {
                tracing::debug!(master = %node.address, %reason, "no link to Redis");
                node.set_error(reason.clone());
                node.set(State::Down(reason));
                shared.announce();
                backoff.pause(&shared.random)
            }
        };
        ask_for_the_master(shared).await;
        shared.clock.sleep(pause).await;
    }
}

/// Behind Sentinel a new link waits for a fresh word on who the master is; if it is another, this
/// node is retired meanwhile. A Cluster is asked too, but there every master speaks for itself.
async fn ask_for_the_master(shared: &Shared) {
    let mut looked = shared.looked.subscribe();
    looked.mark_unchanged();
    shared.look_again.notify_one();
    if matches!(shared.options.topology, Topology::Sentinel { .. }) {
        let limit = shared.options.connect_timeout;
        let _ = shared.clock.timeout(limit, looked.changed()).await;
    }
}

/// A link that is in use. Dropped with the task, it takes the link with it.
struct Up<'a> {
    shared: &'a Shared,
    node: &'a Node,
    link: Arc<Link>,
}

impl<'a> Up<'a> {
    fn new(shared: &'a Shared, node: &'a Node, link: Arc<Link>) -> Self {
        tracing::info!(master = %node.address, "a link to Redis is up");
        node.links_made.fetch_add(1, Ordering::Relaxed);
        node.set(State::Up(link.clone()));
        shared.announce();
        Self { shared, node, link }
    }

    fn finish(self, state: State) {
        self.node.set(state);
    }
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        self.link.close("it is no longer needed");
        if let State::Up(_) = self.node.state() {
            self.node.set(State::Down("it is no longer needed".into()));
        }
        self.shared.announce();
    }
}
