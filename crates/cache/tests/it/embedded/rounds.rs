//! The race that other caches leave open: a compute reads the data, the data changes and is
//! invalidated, the compute lands. Here a hundred thousand times, with readers all around it.

use samovar_clock::Random;
use tokio::task::JoinHandle;

use super::*;

const ROUNDS: u64 = 100_000;
const LANES: u64 = 32;

/// One reading that is worked on while others are.
#[derive(Clone)]
struct Lane {
    cache: Cache,
    wanted: Wanted,
    tag: String,
    source: Source,
    /// The newest value whose invalidation has returned.
    floor: Arc<AtomicU64>,
    tally: Arc<Tally>,
}

#[derive(Default, Debug)]
struct Tally {
    rounds: AtomicU64,
    /// Invalidations that began after a compute had read the data, and returned before it landed.
    overlaps: AtomicU64,
    fresh: AtomicU64,
    stale: AtomicU64,
    errors: AtomicU64,
    violations: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Lane {
    fn new(cache: &Cache, number: u64, tally: &Arc<Tally>) -> Self {
        let tag = format!("orders/{number}");
        let wanted = Wanted::new(cache, definition(&format!("lane-{number}")), &[&tag]);
        let (source, floor) = (Source::default(), Arc::default());
        Self { cache: cache.clone(), wanted, tag, source, floor, tally: tally.clone() }
    }

    /// Judges by what was promised before the read began.
    fn reader(&self) -> JoinHandle<()> {
        let lane = self.clone();
        tokio::spawn(async move {
            let floor = lane.floor.load(Ordering::SeqCst);
            let tally = &lane.tally;
            match lane.source.try_get(&lane.cache, &lane.wanted).await {
                Ok(answer) if answer.is_fresh() => {
                    count(&tally.fresh);
                    if number(&answer) < floor {
                        count(&tally.violations);
                    }
                }
                Ok(_) => count(&tally.stale),
                Err(_) => count(&tally.errors),
            }
        })
    }

    async fn change(&self, kind: u64) {
        let own = tags(&[&self.tag]);
        let above = tags(&["orders"]);
        let (own, above) = (Subject::Tags(&own), Subject::Tags(&above));
        let (tenant, how) = (tenant(), How::default());
        let done = match kind {
            // Moves all other lanes too.
            0 => self.cache.invalidate(&above, Some(&tenant), &how).await,
            1 => self.cache.clear(&own, Some(&tenant), &how).await,
            2 => {
                self.cache.invalidate(&Subject::Widget(self.wanted.widget.name()), None, &how).await
            }
            _ => self.cache.invalidate(&own, Some(&tenant), &how).await,
        };
        done.expect("written");
    }

    async fn round(&self, value: u64, random: &Random) {
        let in_flight = self.source.start(&self.cache, &self.wanted).await;
        let before = self.reader();
        self.source.set(value);
        let during = self.reader();
        self.change(random.below(16)).await;
        self.floor.store(value, Ordering::SeqCst);
        let after = self.reader();
        if random.below(2) == 0 {
            tokio::task::yield_now().await;
        }
        let landing = tokio::spawn(in_flight.land());
        let beside = self.reader();
        if number(&landing.await.expect("no panic")) < value {
            count(&self.tally.overlaps);
        }
        for reader in [before, during, after, beside] {
            reader.await.expect("no panic");
        }
        count(&self.tally.rounds);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_that_begins_after_an_invalidation_is_served_the_old_value_as_fresh() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::builder().open(folder.path()).await.expect("opens");
    let tally = Arc::new(Tally::default());
    let started = Clock::System.now();
    let lanes: Vec<_> = (0..LANES)
        .map(|number| {
            let lane = Lane::new(&cache, number, &tally);
            let random = Random::seeded(number);
            tokio::spawn(async move {
                for value in 1..=ROUNDS / LANES {
                    lane.round(value, &random).await;
                }
                lane.source.reads()
            })
        })
        .collect();
    let mut computes = 0;
    for lane in lanes {
        computes += lane.await.expect("no panic");
    }
    let took = Clock::System.now().since(started);
    let [rounds, overlaps, fresh, stale, errors, violations] = [
        &tally.rounds,
        &tally.overlaps,
        &tally.fresh,
        &tally.stale,
        &tally.errors,
        &tally.violations,
    ]
    .map(|counter| counter.load(Ordering::Relaxed));
    println!(
        "{rounds} rounds on one node, a compute in flight across {overlaps} invalidations, \
         4 readers each: {fresh} fresh answers, {stale} marked stale, {errors} errors, \
         {computes} computes, {violations} fresh stale reads, {took:?}"
    );
    assert_eq!((rounds, overlaps), (ROUNDS, ROUNDS));
    assert_eq!((violations, errors), (0, 0));
    assert!(fresh > ROUNDS * 3, "readers that are all put off prove nothing");
    cache.close().await;
}
