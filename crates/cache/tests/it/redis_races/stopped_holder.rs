//! A process that stands still for longer than its lease, and then goes on.

use std::time::Duration;

use samovar_cache::{Beginning, Cache, Definition, Settings, Tag, Tenant, Tier, Widget};
use samovar_testkit::{
    Process, RedisServer,
    process::{hear, role, say, this_test},
};

const TEST: &str =
    "redis_races::stopped_holder::a_lease_holder_that_was_stopped_beyond_its_lease_lands_nothing";
const LIMIT: Duration = Duration::from_secs(60);

async fn open(url: &str) -> (Cache, Widget) {
    let settings = Settings { lease: Duration::from_millis(400), ..Settings::default() };
    let cache = Cache::builder().settings(settings).connect(url).await.expect("connects");
    let widget = cache.declare(Definition::new("number")).expect("valid");
    (cache, widget)
}

/// The other process: begins, and commits when it is told to.
async fn hold(url: &str) {
    let (cache, widget) = open(url).await;
    let (tenant, tags) = names();
    let begun = cache.begin(&widget.reading(&tenant).tags(&tags)).await.expect("answers");
    let Beginning::Compute(ticket) = begun else { panic!("somebody was faster") };
    say("begun");
    tokio::task::spawn_blocking(hear).await.expect("hears");
    let answer = ticket.commit("the stopped one's").await.expect("an answer");
    say(format!("stored={}", answer.is_stored()));
}

fn names() -> (Tenant, [Tag; 1]) {
    (Tenant::new("acme").expect("valid"), [Tag::new("orders").expect("valid")])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_holder_that_was_stopped_beyond_its_lease_lands_nothing() {
    if let Some(url) = role() {
        return hold(&url).await;
    }
    let server = RedisServer::start().expect("starts");
    let holder = Process::spawn(this_test(TEST, &server.url()).expect("a path")).expect("starts");
    holder.hear("begun", LIMIT).expect("it has the lease");

    // While it lives it renews: nobody else computes, whatever the lease.
    let (cache, widget) = open(&server.url()).await;
    let (tenant, tags) = names();
    let reading = widget.reading(&tenant).tags(&tags);
    let compute = || async { Ok::<_, String>("the second one's") };
    let early = reading.deadline(Duration::from_millis(1200));
    let early = cache.get_or_compute(&early, compute).await;
    early.expect_err("the lease outlived three of its times");

    holder.stop().expect("stops");
    let answer = cache.get_or_compute(&reading, compute).await.expect("a value");
    assert_eq!((answer.tier(), answer.is_stored()), (Tier::Computed, true));

    holder.resume().expect("goes on");
    holder.say("commit").expect("it listens");
    assert_eq!(holder.hear("stored=", LIMIT).expect("it answers"), "false");
    holder.wait_for_success(LIMIT).expect("it ends well");
    for (cache, widget) in [(cache, widget.clone()), open(&server.url()).await] {
        let reading = widget.reading(&tenant).tags(&tags);
        let answer = cache.get_or_compute(&reading, || async { Err::<&str, _>("not again") }).await;
        let answer = answer.expect("the second one's value");
        assert_eq!(&answer.bytes().expect("decodes")[..], b"the second one's");
        assert!(answer.is_fresh());
    }
}
