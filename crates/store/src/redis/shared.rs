//! What the tasks and the handles of one [`Redis`](super::Redis) share.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, PoisonError, RwLock},
    task::Poll,
    time::Duration,
};

use samovar_clock::{Clock, Random, Spawner};
use tokio::sync::{Notify, watch};

use super::{
    address::Address,
    client::OnMessage,
    error::Unavailable,
    handshake::Reason,
    link::Link,
    node::{Node, State},
    options::Options,
    table::{Choice, Table},
};

pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) clock: Clock,
    pub(super) random: Random,
    pub(super) on_message: OnMessage,
    pub(super) bus_channel: String,
    /// Swapped whole.
    table: RwLock<Arc<Table>>,
    /// Why the masters could not be asked for the last time; gone when they could.
    topology_error: RwLock<Option<Reason>>,
    pub(super) changed: watch::Sender<u64>,
    /// Asks for the masters to be looked up again.
    pub(super) look_again: Notify,
    /// Counts finished look-ups.
    pub(super) looked: watch::Sender<u64>,
    closing: watch::Sender<bool>,
    spawner: Spawner,
    tasks: watch::Sender<usize>,
}

impl Shared {
    pub(super) fn new(
        options: Options,
        clock: Clock,
        random: Random,
        spawner: Spawner,
        on_message: OnMessage,
    ) -> Self {
        Self {
            bus_channel: options.bus_channel(),
            options,
            clock,
            random,
            on_message,
            table: RwLock::default(),
            topology_error: RwLock::default(),
            changed: watch::Sender::new(0),
            look_again: Notify::new(),
            looked: watch::Sender::new(0),
            closing: watch::Sender::new(false),
            spawner,
            tasks: watch::Sender::new(0),
        }
    }

    /// Says that a link, the topology or trust has changed.
    pub(super) fn announce(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    pub(super) fn table(&self) -> Arc<Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the table by what `change` makes of it. Only short work is done under the lock.
    pub(super) fn change_table<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Table::clone(&table);
        let result = change(&mut next);
        *table = Arc::new(next);
        result
    }

    pub(super) fn topology_error(&self) -> Option<Reason> {
        self.topology_error.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_topology_error(&self, error: Option<Reason>) {
        *self.topology_error.write().unwrap_or_else(PoisonError::into_inner) = error;
    }

    /// Runs a task until it ends or everything is shut down; then it is dropped where it waits.
    pub(super) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.send_modify(|count| *count += 1);
        let shared = self.clone();
        self.spawner.spawn(async move {
            let _counted = Counted(&shared);
            until(shared.closed(), task).await;
        });
    }

    pub(super) fn close(&self) {
        self.closing.send_replace(true);
        self.announce();
    }

    pub(super) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    async fn closed(&self) {
        // An error means that the sender is gone, and it is a field of `self`.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }

    /// Waits until no task is left.
    pub(super) async fn stopped(&self, limit: Duration) -> bool {
        let mut tasks = self.tasks.subscribe();
        let gone = async { tasks.wait_for(|count| *count == 0).await.is_ok() };
        self.clock.timeout(limit, gone).await.unwrap_or(false)
    }

    pub(super) async fn link_to_slot(&self, slot: u16) -> Result<Arc<Link>, Unavailable> {
        self.link_where(|table| table.owner(slot)).await
    }

    pub(super) async fn link_to(&self, address: &Address) -> Result<Arc<Link>, Unavailable> {
        self.link_where(|table| table.at(address)).await
    }

    async fn link_where(
        &self,
        choose: impl Fn(&Table) -> Choice,
    ) -> Result<Arc<Link>, Unavailable> {
        match self.look(&choose) {
            Look::Found(outcome) => return outcome,
            Look::Wait(_) => {}
        }
        let limit = self.options.link_wait;
        let mut changed = self.changed.subscribe();
        let mut awaited = None;
        let found = self.clock.timeout(limit, async {
            loop {
                match self.look(&choose) {
                    Look::Found(outcome) => return outcome,
                    Look::Wait(address) => awaited = address,
                }
                // Cannot fail: the sender is a field of `self`.
                let _ = changed.changed().await;
            }
        });
        match found.await {
            Ok(outcome) => outcome,
            Err(_) => Err(match awaited {
                Some(address) => Unavailable::Slow { address, waited: limit },
                None => Unavailable::NoMaster { reason: "they are still being looked up".into() },
            }),
        }
    }

    fn look(&self, choose: &impl Fn(&Table) -> Choice) -> Look {
        if self.is_closing() {
            return Look::Found(Err(Unavailable::ShutDown));
        }
        let choice = choose(&self.table.read().unwrap_or_else(PoisonError::into_inner));
        let node: Arc<Node> = match choice {
            Choice::Node(node) => node,
            Choice::Nobody => {
                let reason = "no master serves the slot".into();
                return Look::Found(Err(Unavailable::NoMaster { reason }));
            }
            Choice::Unknown => match self.topology_error() {
                Some(reason) => return Look::Found(Err(Unavailable::NoMaster { reason })),
                None => return Look::Wait(None),
            },
        };
        match node.state() {
            State::Up(link) if !link.is_ended() => Look::Found(Ok(link)),
            State::Up(_) | State::Connecting => Look::Wait(Some(node.address().clone())),
            State::Down(reason) => {
                let address = node.address().clone();
                Look::Found(Err(Unavailable::Down { address, reason }))
            }
        }
    }
}

enum Look {
    Found(Result<Arc<Link>, Unavailable>),
    /// For a link to this master, or for the masters to become known.
    Wait(Option<Address>),
}

struct Counted<'a>(&'a Shared);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.tasks.send_modify(|count| *count -= 1);
    }
}

/// Runs `task`, but drops it when `end` comes first. Returns whether the task was finished.
pub(super) async fn until(end: impl Future<Output = ()>, task: impl Future<Output = ()>) -> bool {
    let mut end = pin!(end);
    let mut task = pin!(task);
    poll_fn(|cx| {
        if Pin::new(&mut end).poll(cx).is_ready() {
            return Poll::Ready(false);
        }
        Pin::new(&mut task).poll(cx).map(|()| true)
    })
    .await
}
