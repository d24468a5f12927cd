//! A process that pushes jobs, runs them, or both, until it is told to end or dies.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use samovar_clock::{Clock, Random};
use samovar_jobs::{
    QueueName, Store, WorkerName,
    run::{Job, Served, Settings, Slots, Worker, run_as_child},
};
use samovar_memory::{
    Budget, MB,
    child::{ChildOptions, Pool, PoolSize},
};
use samovar_testkit::process::{hear, say};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use crate::{
    command::CHILD,
    deed::{self, Deed},
    entry::{Entry, Life},
    place::Address,
    points::{self, Doom},
    produce::Producer,
    recorder::Journal,
};

/// Said by a node once it works.
pub(crate) const BEGAN: &str = "began";
/// Before the number of jobs that have not ended.
pub(crate) const OPEN: &str = "open ";
/// Nothing is pushed any more.
pub(crate) const CALM: &str = "calm";
/// Short, so that what is lost is noticed within the life of a process.
pub(crate) const LEASE: Duration = Duration::from_millis(500);
const SLOTS: usize = 8;
const POLL: Duration = Duration::from_millis(10);
/// Between two tries of what an outage hinders.
const AGAIN: Duration = Duration::from_millis(50);
/// A process looks this often whether it gets its share of the machine…
const TICK: Duration = Duration::from_millis(20);
/// …and says so when it has waited longer than this for it: heartbeats may have come too late.
const STARVED: Duration = Duration::from_millis(120);

/// How a node is started, in one argument.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) life: Life,
    pub(crate) pipe: std::path::PathBuf,
    pub(crate) store: Address,
    pub(crate) seed: u64,
    pub(crate) produces: bool,
    pub(crate) works: bool,
    /// Whether suspects run in child processes.
    pub(crate) children: bool,
}

enum Order {
    Calm,
    Open,
    End,
}

/// A child of a node: it is started with the same role.
pub(crate) fn child(role: &str) -> ExitCode {
    run_as_child(async || {
        let role: Role = serde_json::from_str(role)?;
        deed::registry_of_child(&role.pipe, role.life)
    })
}

/// The whole life of a node.
pub(crate) fn node(role: &str) -> Result<()> {
    let role: Role = serde_json::from_str(role)?;
    let journal = Arc::new(Journal::open(&role.pipe, role.life, Clock::System)?);
    let doom = Arc::new(Doom::default());
    points::watch(journal.clone(), doom.clone());
    notice_starvation(journal.clone())?;
    // Children are started from a thread, before there are many.
    let children = role.children.then(|| pool(&role)).transpose()?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build()?;
    let lived = runtime.block_on(live(&role, journal.clone(), &doom, children));
    if let Err(error) = &lived {
        journal.write(Entry::Trouble { reason: cut(format!("{error:#}")) });
    }
    lived
}

fn cut(mut text: String) -> String {
    let end = (0..=text.len().min(2000)).rev().find(|at| text.is_char_boundary(*at));
    text.truncate(end.unwrap_or(0));
    text
}

fn pool(role: &Role) -> Result<Pool> {
    let arguments = vec![CHILD.into(), serde_json::to_string(role)?.into()];
    let options = ChildOptions { arguments, ..ChildOptions::default() };
    Ok(Pool::new(options, PoolSize { most: 4, warm: 1 })?)
}

async fn live(
    role: &Role,
    journal: Arc<Journal>,
    doom: &Arc<Doom>,
    children: Option<Pool>,
) -> Result<()> {
    let random = Random::seeded(role.seed);
    let store = Arc::new(opened(role, &random).await);
    journal.write(Entry::Began { node: role.name.clone() });
    let worker =
        role.works.then(|| start_worker(role, &store, &journal, children, &random)).transpose()?;
    let (calm, calms) = watch::channel(!role.produces);
    let producer = Producer {
        store: store.clone(),
        journal,
        clock: Clock::System,
        random,
        batches: Vec::new(),
    };
    let mut producing = Some(tokio::spawn(producer.run(calms)));
    let mut orders = listen(doom.clone());
    say(BEGAN);
    while let Some(order) = orders.recv().await {
        match order {
            Order::Calm => {
                calm.send_replace(true);
                // A push that is under way may still be acknowledged.
                if let Some(producing) = producing.take() {
                    producing.await??;
                }
                say(CALM);
            }
            Order::Open => say(format_args!("{OPEN}{}", open_jobs(&store).await)),
            Order::End => break,
        }
    }
    calm.send_replace(true);
    if let Some(producing) = producing.take() {
        producing.await??;
    }
    if let Some(worker) = worker {
        worker.drain().await;
    }
    store.close().await;
    Ok(())
}

/// However long an outage takes.
async fn opened(role: &Role, random: &Random) -> Store {
    loop {
        match role.store.open(random).await {
            Ok(store) => return store,
            Err(error) => tracing::warn!(%error, "the store cannot be opened yet"),
        }
        Clock::System.sleep(AGAIN).await;
    }
}

fn start_worker(
    role: &Role,
    store: &Arc<Store>,
    journal: &Arc<Journal>,
    children: Option<Pool>,
    random: &Random,
) -> Result<Worker> {
    let queue = QueueName::new(Deed::QUEUE)?;
    let served = vec![Served { queue, weight: 1, reserved: 0, reserved_bytes: 0 }];
    let name = WorkerName::new(format!("{}-{}", role.name, role.life))?;
    let mut settings = Settings::new(name, served);
    (settings.slots, settings.lease, settings.poll) = (Slots::fixed(SLOTS), LEASE, POLL);
    settings.children = children;
    let registry = deed::registry(journal.clone())?;
    let budget = Budget::new(64 * 128 * MB, Clock::System);
    let random = random.clone();
    Worker::start(settings, store.clone(), registry, budget, Clock::System, random)
        .context("the worker does not start")
}

/// How many jobs have not ended; more than there are while the store does not say.
async fn open_jobs(store: &Store) -> u64 {
    match store.figures().await {
        Ok(figures) => {
            figures.iter().map(|it| it.scheduled + it.waiting + it.claimed + it.running).sum()
        }
        Err(_) => u64::MAX,
    }
}

/// Orders come on standard input. Those to die are followed at once.
fn listen(doom: Arc<Doom>) -> mpsc::UnboundedReceiver<Order> {
    let (orders, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        while let Some(line) = hear() {
            let order = match understand(&line, &doom) {
                Ok(None) => continue,
                Ok(Some(order)) => order,
                Err(error) => {
                    tracing::error!(%error, "an order is not understood");
                    continue;
                }
            };
            if orders.send(order).is_err() {
                return;
            }
        }
    });
    receiver
}

fn understand(line: &str, doom: &Doom) -> Result<Option<Order>> {
    let words: Vec<&str> = line.split(' ').collect();
    Ok(match words[..] {
        ["die", point, passings] => {
            doom.set(point.to_owned(), passings.parse()?);
            None
        }
        ["calm"] => Some(Order::Calm),
        ["open"] => Some(Order::Open),
        ["end"] => Some(Order::End),
        _ => bail!("{line:?}"),
    })
}

/// From a thread of its own, as heartbeats are.
fn notice_starvation(journal: Arc<Journal>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let clock = Clock::System;
    let notice = async move {
        loop {
            let before = clock.now();
            clock.sleep(TICK).await;
            let waited = clock.now().since(before);
            if waited > TICK + STARVED {
                journal.write(Entry::Starved { ms: waited.as_millis() as u64 });
            }
        }
    };
    std::thread::Builder::new()
        .name("prove-starvation".to_owned())
        .spawn(move || runtime.block_on(notice))?;
    Ok(())
}
