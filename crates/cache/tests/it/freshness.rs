//! What a reader gets as time passes and data changes, with time in our hands.

use std::{
    future::Future,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use samovar_cache::{
    Answer, Beginning, Bucket, Cache, Definition, Divided, Freshness, How, ReadError, Reading,
    RefreshAhead, StaleBecause, State, Subject, Tag, Tenant, Ticket, Tier, Widget,
};
use samovar_clock::{Clock, ManualClock, WallTime};
use tokio::sync::Semaphore;

mod composed;
mod divided;

const TTL: Duration = Duration::from_secs(100);
const GRACE: Duration = Duration::from_secs(50);

struct Bench {
    _folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    cache: Cache,
    tenant: Tenant,
    /// What the source holds, and how often it was asked.
    source: Arc<AtomicU64>,
    asked: Arc<AtomicU64>,
    begun: Arc<AtomicU64>,
    /// A compute takes one permit before it reads the source.
    gate: Arc<Semaphore>,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // 2025-08-06 16:59:00 UTC
        let clock = Arc::new(ManualClock::new(WallTime::from_millis(1_754_499_540_000)));
        let cache = open(folder.path(), &clock).await;
        Self {
            _folder: folder,
            clock,
            cache,
            tenant: Tenant::new("acme").expect("valid"),
            source: Arc::new(AtomicU64::new(1)),
            asked: Arc::default(),
            begun: Arc::default(),
            gate: Arc::new(Semaphore::new(1000)),
        }
    }

    /// TTL 100 s, grace 50 s, refreshed at 80 s, no jitter.
    fn widget(&self, definition: Definition) -> Widget {
        let mut freshness = Freshness::new("test", TTL);
        freshness.grace = GRACE;
        freshness.jitter = 0.0;
        freshness.refresh = RefreshAhead::At(0.8);
        self.cache.declare(definition.freshness(freshness)).expect("valid")
    }

    fn compute(
        &self,
    ) -> impl FnOnce() -> std::pin::Pin<Box<dyn Future<Output = Result<String, String>> + Send>> + use<>
    {
        let (source, asked, gate) = (self.source.clone(), self.asked.clone(), self.gate.clone());
        let begun = self.begun.clone();
        move || {
            Box::pin(async move {
                begun.fetch_add(1, Ordering::SeqCst);
                gate.acquire().await.expect("open").forget();
                asked.fetch_add(1, Ordering::SeqCst);
                match source.load(Ordering::SeqCst) {
                    0 => Err("the source is down".to_owned()),
                    value => Ok(value.to_string()),
                }
            })
        }
    }

    async fn read(&self, reading: &Reading<'_>) -> Answer {
        self.cache.get_or_compute(reading, self.compute()).await.expect("an answer")
    }

    fn change(&self, value: u64) {
        self.source.store(value, Ordering::SeqCst);
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    async fn invalidate(&self, tag: &str) {
        let tags = [tag.parse().expect("valid")];
        self.announce(Subject::Tags(&tags), Some(&self.tenant), Duration::ZERO).await;
    }

    async fn announce(&self, subject: Subject<'_>, tenant: Option<&Tenant>, over: Duration) {
        let how = How { over, cause: "test".to_owned() };
        self.cache.invalidate(&subject, tenant, &how).await.expect("invalidates");
    }

    /// Waits for what runs in the background.
    async fn settled(&self) {
        while self.cache.local_state().in_flight > 0 {
            tokio::task::yield_now().await;
        }
    }
}

async fn open(folder: &Path, clock: &Arc<ManualClock>) -> Cache {
    let builder = Cache::builder().clock(Clock::Manual(clock.clone()));
    builder.open(folder).await.expect("opens")
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.bytes().expect("readable").to_vec()).expect("text")
}

#[tokio::test]
async fn a_value_is_fresh_then_refreshed_then_stale_then_gone() {
    let bench = Bench::new().await;
    let widget = bench.widget(Definition::new("w"));
    let reading = widget.reading(&bench.tenant);

    let first = bench.read(&reading).await;
    assert_eq!((first.tier(), first.state()), (Tier::Computed, State::Fresh));
    bench.clock.advance(Duration::from_secs(79));
    let hit = bench.read(&reading).await;
    assert_eq!((hit.tier(), hit.age()), (Tier::Local, Duration::from_secs(79)));
    assert_eq!(hit.fresh_for(), Duration::from_secs(21));
    assert_eq!(bench.asked(), 1);

    // The lead is reached: served at once, and refreshed behind.
    bench.clock.advance(Duration::from_secs(2));
    bench.change(2);
    assert_eq!(text(&bench.read(&reading).await), "1");
    bench.settled().await;
    assert_eq!(bench.asked(), 2);
    assert_eq!(text(&bench.read(&reading).await), "2");

    // Past its TTL: stale, served at once, and refreshed behind.
    bench.clock.advance(TTL);
    bench.change(3);
    let stale = bench.read(&reading).await;
    assert_eq!(stale.state(), State::Stale(StaleBecause::Age));
    assert_eq!(text(&stale), "2");
    bench.settled().await;
    assert_eq!(text(&bench.read(&reading).await), "3");

    // Past its grace: nobody gets it.
    bench.clock.advance(TTL + GRACE);
    bench.change(4);
    let computed = bench.read(&reading).await;
    assert_eq!((computed.tier(), text(&computed)), (Tier::Computed, "4".to_owned()));
}

#[tokio::test]
async fn a_refresh_that_failed_is_tried_again_after_its_back_off() {
    let bench = Bench::new().await;
    let widget = bench.widget(Definition::new("w"));
    let reading = widget.reading(&bench.tenant);
    bench.read(&reading).await;
    bench.clock.advance(Duration::from_secs(85));
    bench.change(0);
    bench.read(&reading).await;
    bench.settled().await;
    assert_eq!(bench.asked(), 2);
    bench.read(&reading).await;
    bench.settled().await;
    assert_eq!(bench.asked(), 2, "a failing source is left alone");
    bench.clock.advance(Duration::from_secs(5));
    bench.change(2);
    bench.read(&reading).await;
    bench.settled().await;
    assert_eq!(text(&bench.read(&reading).await), "2");
}

#[tokio::test]
async fn changed_data_is_recomputed_first_within_the_readers_patience() {
    let bench = Bench::new().await;
    let widget = bench.widget(Definition::new("w"));
    let tags = [Tag::new("orders").expect("valid")];
    let reading = widget.reading(&bench.tenant).tags(&tags);
    bench.read(&reading).await;

    bench.change(2);
    bench.invalidate("orders/2026/11/19").await;
    let answer = bench.read(&reading).await;
    assert_eq!((answer.state(), text(&answer)), (State::Fresh, "2".to_owned()));

    // A reader without patience takes the old value and leaves the compute running.
    bench.gate.forget_permits(1000);
    bench.change(3);
    bench.invalidate("orders").await;
    let stale = bench.read(&reading.patience(Duration::ZERO)).await;
    assert_eq!(stale.state(), State::Stale(StaleBecause::Change));
    assert_eq!(text(&stale), "2");
    bench.gate.add_permits(1000);
    bench.settled().await;
    let fresh = bench.read(&reading).await;
    assert_eq!((fresh.tier(), text(&fresh)), (Tier::Local, "3".to_owned()));
}

#[tokio::test]
async fn a_compute_known_to_be_slow_is_not_waited_for() {
    let bench = Bench::new().await;
    let widget = bench.widget(Definition::new("w"));
    let tags = [Tag::new("orders").expect("valid")];
    let reading = widget.reading(&bench.tenant).tags(&tags);
    match bench.cache.begin(&reading).await.expect("begins") {
        Beginning::Compute(ticket) => {
            bench.clock.advance(Duration::from_secs(10));
            ticket.commit("slow").await.expect("commits");
        }
        Beginning::Answer(answer) => panic!("{answer:?} of an empty cache"),
    }
    bench.gate.forget_permits(1000);
    bench.invalidate("orders").await;
    // The clock stands still: patience cannot be over.
    assert_eq!(bench.read(&reading).await.state(), State::Stale(StaleBecause::Change));
}

#[tokio::test]
async fn a_failing_source_leaves_the_stale_value_or_a_clear_error() {
    let bench = Bench::new().await;
    let widget = bench.widget(Definition::new("w"));
    let tags = [Tag::new("orders").expect("valid")];
    let reading = widget.reading(&bench.tenant).tags(&tags);
    bench.read(&reading).await;
    bench.change(0);
    bench.invalidate("orders").await;
    assert_eq!(bench.read(&reading).await.state(), State::Stale(StaleBecause::Change));

    let strict = bench.widget(Definition::new("strict").strict());
    let strict = strict.reading(&bench.tenant).tags(&tags);
    let failed = bench.cache.get_or_compute(&strict, bench.compute()).await;
    assert!(matches!(failed, Err(ReadError::Failed { .. })), "{failed:?}");
    let failed = bench.cache.get_or_compute(&strict, bench.compute()).await.expect_err("backs off");
    assert!(matches!(failed, ReadError::BackingOff { failures: 1, .. }), "{failed:?}");
    assert!(failed.retry_after().is_some_and(|wait| wait <= Duration::from_secs(1)));
}

#[tokio::test]
async fn a_strict_widget_asks_the_shared_tier_and_never_serves_stale() {
    let bench = Bench::new().await;
    let strict = bench.widget(Definition::new("strict").strict());
    let tags = [Tag::new("orders").expect("valid")];
    let reading = strict.reading(&bench.tenant).tags(&tags).patience(Duration::ZERO);
    bench.read(&reading).await;
    assert_eq!(bench.read(&reading).await.tier(), Tier::Shared);
    bench.change(2);
    bench.invalidate("orders").await;
    let answer = bench.read(&reading).await;
    assert_eq!((answer.state(), text(&answer)), (State::Fresh, "2".to_owned()));
}

#[tokio::test]
async fn an_invalidation_over_time_is_served_stale_until_its_turn() {
    let bench = Bench::new().await;
    let widget = bench.widget(Definition::new("w"));
    let tags = [Tag::new("orders").expect("valid")];
    let keys: Vec<String> = (0..20).map(|key| key.to_string()).collect();
    let params: Vec<[(&str, &str); 1]> = keys.iter().map(|key| [("key", &**key)]).collect();
    let readings: Vec<Reading<'_>> = params
        .iter()
        .map(|params| widget.reading(&bench.tenant).params(params).tags(&tags))
        .collect();
    for reading in &readings {
        bench.read(reading).await;
    }
    let over = Duration::from_secs(40);
    bench.announce(Subject::Tags(&tags), Some(&bench.tenant), over).await;
    bench.change(2);

    let mut recomputed = Vec::new();
    for _ in 0..=4 {
        let before = bench.asked();
        for reading in &readings {
            let answer = bench.read(reading).await;
            let old = answer.state() == State::Stale(StaleBecause::Spread);
            assert_eq!(text(&answer), if old { "1" } else { "2" });
        }
        recomputed.push(bench.asked() - before);
        bench.clock.advance(Duration::from_secs(10));
    }
    assert_eq!(recomputed.iter().sum::<u64>(), 20, "{recomputed:?}");
    assert!(recomputed.iter().all(|count| *count < 15), "not all at once: {recomputed:?}");
}

#[tokio::test]
async fn a_bucket_rolls_over_on_the_boundary_of_the_readers_clock() {
    let bench = Bench::new().await;
    let widget = bench.widget(Definition::new("live").bucket(Bucket::Hour));
    let reading = widget.reading(&bench.tenant);
    assert_eq!(bench.read(&reading).await.key(), "widget:live:acme:2025-08-06-16#1");
    bench.clock.advance(Duration::from_secs(59));
    assert_eq!(bench.read(&reading).await.tier(), Tier::Local);
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.read(&reading).await.key(), "widget:live:acme:2025-08-06-17#1");
    assert_eq!(bench.asked(), 2);
}

#[tokio::test]
async fn what_was_cleared_is_not_served_even_marked_stale() {
    let bench = Bench::new().await;
    let widget = bench.widget(Definition::new("w"));
    let reading = widget.reading(&bench.tenant).patience(Duration::ZERO);
    let clear = |subject| {
        let (cache, tenant) = (&bench.cache, &bench.tenant);
        async move { cache.clear(&subject, Some(tenant), &How::default()).await.expect("clears") }
    };
    for (step, subject) in
        [Subject::Widget("w"), Subject::Class("test"), Subject::Everything].into_iter().enumerate()
    {
        bench.change(step as u64 + 10);
        bench.read(&reading).await;
        bench.change(step as u64 + 20);
        clear(subject).await;
        assert_eq!(text(&bench.read(&reading).await), (step + 20).to_string());
        clear(Subject::Everything).await;
    }
    bench.change(0);
    let failed = bench.cache.get_or_compute(&reading, bench.compute()).await;
    assert!(matches!(failed, Err(ReadError::Failed { .. })), "{failed:?}");
}

#[tokio::test]
async fn tenants_do_not_see_each_other_and_classes_reach_all() {
    let bench = Bench::new().await;
    let widget = bench.widget(Definition::new("w").key("w"));
    let other = Tenant::new("other").expect("valid");
    let tags = [Tag::new("orders").expect("valid")];
    let (own, foreign) =
        (widget.reading(&bench.tenant).tags(&tags), widget.reading(&other).tags(&tags));
    bench.read(&own).await;
    bench.change(2);
    assert_eq!(text(&bench.read(&foreign).await), "2");
    assert_eq!(text(&bench.read(&own).await), "1");

    bench.invalidate("orders").await;
    assert_eq!(bench.read(&own).await.tier(), Tier::Computed);
    assert_eq!(bench.read(&foreign).await.tier(), Tier::Local);

    bench.announce(Subject::Class("test"), None, Duration::ZERO).await;
    assert_eq!(bench.read(&own).await.tier(), Tier::Computed);
    assert_eq!(bench.read(&foreign).await.tier(), Tier::Computed);
}

#[tokio::test]
async fn a_ticket_that_is_dropped_gives_the_lease_back() {
    let bench = Bench::new().await;
    let widget = bench.widget(Definition::new("w"));
    let reading = widget.reading(&bench.tenant);
    let ticket = bench.cache.begin(&reading).await.expect("begins");
    assert!(matches!(ticket, Beginning::Compute(_)));
    drop(ticket);
    assert_eq!(bench.read(&reading).await.tier(), Tier::Computed);
}

#[tokio::test]
async fn a_reader_that_goes_away_does_not_stop_the_compute() {
    let bench = Bench::new().await;
    let widget = bench.widget(Definition::new("w"));
    let reading = widget.reading(&bench.tenant);
    bench.gate.forget_permits(1000);
    {
        let mut reader = std::pin::pin!(bench.read(&reading));
        while bench.begun.load(Ordering::SeqCst) == 0 {
            assert!(futures_util::poll!(&mut reader).is_pending());
            tokio::task::yield_now().await;
        }
    }
    bench.gate.add_permits(1);
    bench.settled().await;
    assert_eq!(bench.read(&reading).await.tier(), Tier::Local);
    assert_eq!(bench.asked(), 1);
}

#[tokio::test]
async fn a_reader_that_goes_away_while_it_looks_leaves_it_to_the_next() {
    let bench = Bench::new().await;
    let widget = bench.widget(Definition::new("w"));
    let reading = widget.reading(&bench.tenant);
    let mut next = std::pin::pin!(bench.read(&reading));
    {
        let mut first = std::pin::pin!(bench.read(&reading));
        assert!(futures_util::poll!(&mut first).is_pending());
        assert!(futures_util::poll!(&mut next).is_pending());
        assert_eq!(bench.cache.local_state().in_flight, 1);
    }
    assert_eq!(next.await.tier(), Tier::Computed);
    assert_eq!(bench.asked(), 1);
    assert_eq!(bench.cache.local_state().in_flight, 0);
}

/// A reader whose task is held up by something else holds up nobody for long.
#[tokio::test]
async fn a_reader_that_stands_still_while_it_looks_is_overtaken() {
    let bench = Bench::new().await;
    let widget = bench.widget(Definition::new("w"));
    let reading = widget.reading(&bench.tenant);
    let mut still = std::pin::pin!(bench.read(&reading));
    assert!(futures_util::poll!(&mut still).is_pending());
    let mut next = std::pin::pin!(bench.read(&reading));
    assert!(futures_util::poll!(&mut next).is_pending());
    bench.clock.advance(Duration::from_millis(999));
    assert!(futures_util::poll!(&mut next).is_pending());
    assert_eq!(bench.begun.load(Ordering::SeqCst), 0, "the other one looks");
    bench.clock.advance(Duration::from_millis(1));
    assert_eq!(next.await.tier(), Tier::Computed);

    // What it finds or makes when it goes on serves it, which began before the clearing, and is
    // not kept: the clearing could not reach it.
    bench.change(2);
    bench.cache.clear_reading(&reading).await.expect("clears");
    assert!(["1", "2"].contains(&&*text(&still.await)));
    let next = bench.read(&reading).await;
    assert_ne!(next.tier(), Tier::Local);
    assert_eq!(text(&next), "2");
    assert_eq!(bench.cache.local_state().in_flight, 0);
}

#[tokio::test]
async fn a_recompute_replaces_a_fresh_value() {
    let bench = Bench::new().await;
    let widget = bench.widget(Definition::new("w"));
    let reading = widget.reading(&bench.tenant);
    bench.read(&reading).await;
    bench.change(2);
    let anew = bench.cache.recompute(&reading, bench.compute()).await.expect("computes");
    assert_eq!((anew.tier(), text(&anew)), (Tier::Computed, "2".to_owned()));
    assert_eq!(text(&bench.read(&reading).await), "2");
}

#[tokio::test]
async fn a_compute_that_panics_or_hangs_is_a_failure() {
    let bench = Bench::new().await;
    let widget = bench.widget(Definition::new("w").compute_limit(Duration::from_secs(5)));
    let reading = widget.reading(&bench.tenant);
    let panics = || async {
        if true {
            panic!("a bug");
        }
        Ok::<_, String>("never")
    };
    let failed = bench.cache.get_or_compute(&reading, panics).await.expect_err("panics");
    assert!(failed.to_string().contains("panicked"), "{failed}");

    bench.clock.advance(Duration::from_secs(2));
    let started = Arc::new(tokio::sync::Notify::new());
    let (begun, clock) = (started.clone(), bench.clock.clone());
    let hangs = move || async move {
        begun.notify_one();
        std::future::pending::<Result<&str, String>>().await
    };
    let reader = bench.cache.get_or_compute(&reading, hangs);
    let time_passes = async {
        started.notified().await;
        clock.advance(Duration::from_secs(5));
    };
    let (failed, ()) = tokio::join!(reader, time_passes);
    let failed = failed.expect_err("hangs");
    assert!(failed.to_string().contains("longer than 5s"), "{failed}");
}
