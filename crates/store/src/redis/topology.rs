//! Keeps the table of masters true: the task that asks, and what redirects teach.

use std::{sync::Arc, time::Duration};

use ::redis::pipe;

use super::{
    address::Address,
    backoff::{Backoff, jittered},
    cluster::{self, View},
    handshake::{self, As, Reason},
    node,
    options::Topology,
    sentinel::Sentinels,
    shared::Shared,
    table::Change,
};

/// Nodes asked in one look-up before it counts as failed.
const ASKED_MAX: usize = 8;
/// Addresses remembered beyond the seeds.
const REMEMBERED_MAX: usize = 1024;
/// The least time between two look-ups, however often one is wanted.
const LEAST_PAUSE: Duration = Duration::from_millis(20);

/// Starts whatever the topology needs.
pub(super) fn start(shared: &Arc<Shared>) {
    match &shared.options.topology {
        Topology::Single { address } => {
            let change = shared.change_table(|table| table.install_one(address));
            apply(shared, change);
        }
        Topology::Sentinel { .. } | Topology::Cluster { .. } => {
            let task = run(shared.clone());
            shared.spawn(task);
        }
    }
}

/// A redirect has named the owner of a slot, or a master to ask once. Says whether it was taken.
pub(super) fn learn(shared: &Arc<Shared>, address: &Address, slot: Option<u16>) -> bool {
    let masters_max = shared.options.masters_max;
    let change = shared.change_table(|table| {
        table.has_room(address, masters_max).then(|| table.learn(address, slot))
    });
    let taken = change.is_some();
    if let Some(change) = change {
        apply(shared, change);
    }
    shared.look_again.notify_one();
    taken
}

fn apply(shared: &Arc<Shared>, change: Change) {
    for node in &change.went {
        node.retire();
    }
    // A master that was cut off may still believe in its slots, and its heartbeats be in order.
    for (node, slots) in &change.lost {
        if let Some(link) = node.link()
            && link.ownership().is_some_and(|own| slots.iter().any(|slot| own.holds(*slot)))
        {
            link.life().end("another master has taken over a slot");
        }
    }
    for node in change.came {
        shared.spawn(node::keep(shared.clone(), node));
    }
    shared.announce();
}

async fn run(shared: Arc<Shared>) {
    let mut guide = Guide::new(&shared.options.topology);
    let mut backoff = Backoff::new((shared.options.backoff.0, shared.options.topology_every));
    loop {
        let pause = match guide.look(&shared).await {
            Ok(change) => {
                shared.set_topology_error(None);
                if !change.is_empty() {
                    tracing::debug!(came = change.came.len(), went = change.went.len(), "masters");
                    apply(&shared, change);
                }
                backoff.reset();
                jittered(shared.options.topology_every, &shared.random)
            }
            Err(reason) => {
                tracing::debug!(%reason, "the masters cannot be looked up");
                shared.set_topology_error(Some(reason));
                shared.announce();
                backoff.pause(&shared.random)
            }
        };
        shared.looked.send_modify(|count| *count += 1);
        shared.clock.sleep(jittered(LEAST_PAUSE, &shared.random)).await;
        tokio::select! {
            () = shared.clock.sleep(pause) => {}
            () = shared.look_again.notified() => {}
        }
    }
}

/// Whoever is asked for the masters.
enum Guide {
    Sentinels(Sentinels),
    Nodes(Nodes),
}

impl Guide {
    fn new(topology: &Topology) -> Self {
        match topology {
            Topology::Sentinel { sentinels, service } => {
                Guide::Sentinels(Sentinels::new(sentinels, service))
            }
            Topology::Cluster { seeds } => {
                Guide::Nodes(Nodes { seeds: seeds.clone(), remembered: Vec::new(), turn: 0 })
            }
            Topology::Single { address } => Guide::Nodes(Nodes {
                seeds: vec![address.clone()],
                remembered: Vec::new(),
                turn: 0,
            }),
        }
    }

    async fn look(&mut self, shared: &Arc<Shared>) -> Result<Change, Reason> {
        match self {
            Guide::Sentinels(sentinels) => {
                let master = sentinels.master(shared).await?;
                Ok(shared.change_table(|table| table.install_one(&master)))
            }
            Guide::Nodes(nodes) => {
                let view = nodes.view(shared).await?;
                Ok(shared.change_table(|table| table.install_view(&view)))
            }
        }
    }
}

/// The nodes of a Cluster, any of which can be asked.
struct Nodes {
    seeds: Vec<Address>,
    /// Masters and replicas of the last view, for when no link is left.
    remembered: Vec<Address>,
    turn: usize,
}

impl Nodes {
    async fn view(&mut self, shared: &Arc<Shared>) -> Result<View, Reason> {
        self.turn = self.turn.wrapping_add(1);
        let mut last_error: Reason = "no node of the cluster could be asked".into();
        let mut view = None;
        for link in turned(shared.table().nodes().filter_map(|node| node.link()), self.turn) {
            let mut question = pipe();
            question.cmd("CLUSTER").arg("SLOTS");
            match shared.clock.timeout(patience(shared), link.query(&question)).await {
                Ok(Ok(answers)) => view = read(&answers, link.address()),
                Ok(Err(error)) => last_error = error.to_string().into(),
                Err(late) => last_error = format!("{}: {late}", link.address()).into(),
            }
            if view.is_some() {
                break;
            }
        }
        if view.is_none() {
            let known = self.remembered.iter().chain(&self.seeds).cloned();
            for address in turned(known, self.turn) {
                match ask_stranger(shared, &address).await {
                    Ok(found) => view = Some(found),
                    Err(reason) => last_error = format!("{address}: {reason}").into(),
                }
                if view.is_some() {
                    break;
                }
            }
        }
        let view = view.ok_or(last_error)?;
        if view.masters.is_empty() {
            return Err("the cluster has given its slots to nobody yet".into());
        }
        if view.masters.len() > shared.options.masters_max {
            let (given, max) = (view.masters.len(), shared.options.masters_max);
            return Err(format!("the cluster has {given} masters, the limit is {max}").into());
        }
        let masters = view.masters.iter().map(|(address, _)| address);
        self.remembered = masters.chain(&view.replicas).take(REMEMBERED_MAX).cloned().collect();
        Ok(view)
    }
}

/// A few, beginning with another one each turn, so that one stale or dead node does not decide.
fn turned<T: Clone>(items: impl Iterator<Item = T>, turn: usize) -> Vec<T> {
    let items: Vec<T> = items.collect();
    let start = if items.is_empty() { 0 } else { turn % items.len() };
    items[start..].iter().chain(&items[..start]).take(ASKED_MAX).cloned().collect()
}

fn read(answers: &[::redis::Value], asked: &Address) -> Option<View> {
    answers.first().and_then(|slots| cluster::view(slots, asked))
}

/// For one node: several may have to be asked.
fn patience(shared: &Shared) -> Duration {
    shared.options.connect_timeout / 4
}

async fn ask_stranger(shared: &Shared, address: &Address) -> Result<View, Reason> {
    let limit = patience(shared);
    let exchange = async {
        let config = handshake::unlimited();
        let mut connection =
            handshake::connect(&shared.options, As::Data, address, &config).await?;
        let mut question = pipe();
        question.cmd("CLUSTER").arg("SLOTS");
        let answers = handshake::ask(&mut connection, &question).await?;
        read(&answers, address).ok_or_else(|| Reason::from("no list of slots"))
    };
    match shared.clock.timeout(limit, exchange).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("no answer within {} ms", limit.as_millis()).into()),
    }
}
