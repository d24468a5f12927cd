//! Races on real Redis, through the public API: whatever breaks, no fresh answer holds a value from
//! before an invalidation that had returned.
//!
//! The source is a number that only grows. Every change of it is followed by an invalidation, so
//! every fresh answer can be checked against the invalidations that had returned when its read
//! began: on the node that invalidated without delay, on the others after the heartbeat bound.

#![expect(clippy::print_stdout, reason = "what a run has seen is what it shows")]

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use samovar_cache::{
    Answer, Cache, Definition, How, ReadError, Reading, Settings, Subject, Tag, Tenant, Tier,
    Value, Widget,
};
use samovar_clock::{Clock, Instant, Random};
use samovar_testkit::wait;

mod cut_off;
mod failover;
mod lost_data;
mod outlived;
mod stopped_holder;

/// After this, a node that cannot be reached has stopped trusting what it holds.
const HEARTBEAT_BOUND: Duration = Duration::from_secs(1);
/// For what has to come in the end.
const LIMIT: Duration = Duration::from_secs(60);
/// Between reading the source and committing what was read.
const COMPUTE_TIME: Duration = Duration::from_millis(3);
/// Between two reads of one reader: other tests need the processor too.
const READ_EVERY: Duration = Duration::from_millis(1);
/// The writer makes some changes in a row, up to this far apart, so that most hit a compute; then
/// it waits for the last one to be seen.
const CHANGE_WITHIN_MS: u64 = 8;
const CHANGES_IN_A_ROW: u64 = 4;

/// One number in a source, some caches over it, and what they answered.
struct Scene {
    nodes: Vec<(Cache, Widget)>,
    tenant: Tenant,
    tags: [Tag; 2],
    source: Arc<AtomicU64>,
    /// Computes that have read the source and not committed.
    computing: Arc<AtomicU64>,
    record: Record,
}

impl Scene {
    /// A cache for each of the URLs.
    async fn new(urls: &[String]) -> Self {
        let mut scene = Self {
            nodes: Vec::new(),
            tenant: Tenant::new("acme").expect("valid"),
            tags: [Tag::new("orders").expect("valid"), Tag::global("rates").expect("valid")],
            source: Arc::new(AtomicU64::new(1)),
            computing: Arc::default(),
            record: Record::default(),
        };
        for url in urls {
            scene.join(url).await;
        }
        scene
    }

    /// Adds a process that knows nothing.
    async fn join(&mut self, url: &str) {
        let settings = Settings { lease: Duration::from_secs(1), ..Settings::default() };
        let cache = Cache::builder().settings(settings).connect(url).await.expect("connects");
        let definition = Definition::new("number")
            .patience(Duration::from_millis(100))
            .deadline(Duration::from_secs(5))
            .back_off(Duration::from_millis(10), Duration::from_millis(10));
        let widget = cache.declare(definition).expect("valid");
        self.nodes.push((cache, widget));
        self.record.seen.push(AtomicU64::new(0));
    }

    fn cache(&self, node: usize) -> &Cache {
        &self.nodes[node].0
    }

    fn reading<'a>(&'a self, node: usize) -> Reading<'a> {
        self.nodes[node].1.reading(&self.tenant).tags(&self.tags)
    }

    /// Reads, and checks what came.
    async fn read(&self, node: usize) -> Result<Answer, ReadError> {
        let began = Clock::System.now();
        let (source, computing) = (self.source.clone(), self.computing.clone());
        let compute = move || async move {
            // The worst case: what was read is on its way while it changes.
            let number = source.load(Ordering::SeqCst);
            computing.fetch_add(1, Ordering::SeqCst);
            Clock::System.sleep(COMPUTE_TIME).await;
            computing.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, std::convert::Infallible>(value_of(number))
        };
        let answer = self.cache(node).get_or_compute(&self.reading(node), compute).await;
        self.record.check(node, began, &answer);
        answer
    }

    /// What the local tier says by itself.
    fn read_local(&self, node: usize) -> Option<Answer> {
        let began = Clock::System.now();
        let answer = self.cache(node).get(&self.reading(node))?;
        self.record.check(node, began, &Ok(answer.clone()));
        Some(answer)
    }

    /// Changes the source, then invalidates at node 0. Says whether that was done.
    async fn change(&self) -> bool {
        let number = self.source.fetch_add(1, Ordering::SeqCst) + 1;
        if self.computing.load(Ordering::SeqCst) > 0 {
            self.record.overlaps.fetch_add(1, Ordering::Relaxed);
        }
        // In a Cluster the two tags are at two masters.
        let tag = &self.tags[number as usize % 2..][..1];
        let (subject, how) = (Subject::Tags(tag), How::default());
        let done = self.cache(0).invalidate(&subject, Some(&self.tenant), &how).await;
        self.record.changed(number, done.is_ok());
        done.is_ok()
    }

    /// Waits until every node has a fresh value in its local tier.
    async fn settle(&self) {
        for node in 0..self.nodes.len() {
            let local = || async {
                let answer = self.read(node).await.ok()?;
                (answer.is_fresh() && answer.tier() == Tier::Local).then_some(())
            };
            wait::until_async(LIMIT, "a local hit", local).await.expect("settles");
        }
    }

    /// Reads on all nodes and changes all the while, before `fault`, during and after it, until
    /// every node answers fresh and from the store again. Fails if any answer was wrong.
    async fn withstands(&self, name: &str, fault: impl Future<Output = ()>) {
        let stop = AtomicBool::new(false);
        let reads = |node: usize| {
            let stop = &stop;
            async move {
                while !stop.load(Ordering::Relaxed) {
                    let _ = self.read(node).await;
                    Clock::System.sleep(READ_EVERY).await;
                }
            }
        };
        let readers = join_all((0..self.nodes.len() * 2).map(|reader| reads(reader / 2)));
        let writer = async {
            while !stop.load(Ordering::Relaxed) {
                self.change().await;
                let number = self.source.load(Ordering::SeqCst);
                if !number.is_multiple_of(CHANGES_IN_A_ROW) {
                    let pause = Random::System.below(CHANGE_WITHIN_MS);
                    Clock::System.sleep(Duration::from_millis(pause)).await;
                    continue;
                }
                let seen = || async { (self.record.seen_everywhere() >= number).then_some(()) };
                let _ = wait::until_async(Duration::from_millis(100), "", seen).await;
            }
        };
        let plot = async {
            self.goes_on().await;
            fault.await;
            self.goes_on().await;
            stop.store(true, Ordering::Relaxed);
        };
        futures_util::join!(readers, writer, plot);
        self.record.conclude(name);
        assert!(self.record.overlaps.load(Ordering::Relaxed) > 0, "{name}: no overlaps");
    }

    /// Waits until every node has seen values that are made from now on.
    async fn goes_on(&self) {
        let number = self.source.load(Ordering::SeqCst) + 10;
        let seen = || async { (self.record.seen_everywhere() >= number).then_some(()) };
        if let Err(error) = wait::until_async(LIMIT, "fresh values everywhere", seen).await {
            let states = join_all(self.nodes.iter().map(|(cache, _)| cache.store_state())).await;
            panic!("{error}: {:?} of {states:#?}", self.record.seen);
        }
    }
}

fn value_of(number: u64) -> Value {
    number.to_string().into_bytes().into()
}

fn number_in(answer: &Answer) -> u64 {
    let bytes = answer.bytes().expect("decodes");
    std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok()).expect("a number")
}

/// What happened, and what should not have.
#[derive(Debug, Default)]
struct Record {
    /// Invalidations that have returned, in their order: when, and what had been written before.
    returned: Mutex<Vec<(Instant, u64)>>,
    /// The highest number that a node answered fresh and kept.
    seen: Vec<AtomicU64>,
    fresh: [AtomicU64; 3],
    stale: AtomicU64,
    failed: AtomicU64,
    failed_changes: AtomicU64,
    /// Changes while something was being computed.
    overlaps: AtomicU64,
    violations: Mutex<Vec<String>>,
}

impl Record {
    fn changed(&self, number: u64, done: bool) {
        let now = Clock::System.now();
        if done {
            self.returned.lock().unwrap_or_else(PoisonError::into_inner).push((now, number));
        } else {
            self.failed_changes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The least that a fresh answer to a read may hold which began then. Node 0 invalidates.
    fn least(&self, node: usize, began: Instant) -> u64 {
        let bound = if node == 0 { Duration::ZERO } else { HEARTBEAT_BOUND };
        let returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner);
        let last = returned.iter().rev().find(|(at, _)| *at + bound <= began);
        last.map_or(0, |(_, number)| *number)
    }

    fn check(&self, node: usize, began: Instant, answer: &Result<Answer, ReadError>) {
        let answer = match answer {
            Ok(answer) if answer.is_fresh() => answer,
            Ok(_) => {
                self.stale.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Err(_) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                return;
            }
        };
        let (number, least) = (number_in(answer), self.least(node, began));
        self.fresh[answer.tier() as usize].fetch_add(1, Ordering::Relaxed);
        if number < least {
            let text = format!("node {node} answered {number} where {least} was due: {answer:?}");
            self.violations.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        }
        if answer.is_stored() {
            self.seen[node].fetch_max(number, Ordering::Relaxed);
        }
    }

    fn seen_everywhere(&self) -> u64 {
        self.seen.iter().map(|seen| seen.load(Ordering::Relaxed)).min().unwrap_or(0)
    }

    fn conclude(&self, name: &str) {
        let violations = self.violations.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let [local, shared, computed] = [0, 1, 2].map(|tier: usize| count(&self.fresh[tier]));
        println!(
            "{name}: {} invalidations, {} of them during a compute, {} refused; fresh reads: {local} \
             local, {shared} shared, {computed} computed; {} stale, {} failed; {} violations",
            self.returned.lock().unwrap_or_else(PoisonError::into_inner).len(),
            count(&self.overlaps),
            count(&self.failed_changes),
            count(&self.stale),
            count(&self.failed),
            violations.len(),
        );
        assert!(violations.is_empty(), "{name}: {violations:#?}");
        assert!(local + shared > 0 && computed > 0, "{name} has tested nothing");
    }
}

/// Runs what blocks beside the readers and the writer.
async fn aside(work: impl FnOnce() + Send + 'static) {
    tokio::task::spawn_blocking(work).await.expect("the fault works");
}
