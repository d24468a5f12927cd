//! The compute that outlives an invalidation.

use std::sync::atomic::{AtomicU64, Ordering};

use samovar_cache::{Beginning, Definition, How, Reading, Subject, Widget};
use samovar_clock::Clock;
use samovar_testkit::{RedisServer, wait};

use super::{LIMIT, Scene, number_in, value_of};

const ROUNDS: usize = 150;

/// A ticket reads the source, the source changes and is invalidated, readers come, and then the
/// ticket commits what it had read. Those who came late wait for the next value.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_readers_never_get_what_was_read_before() {
    let server = RedisServer::start().expect("starts");
    let scene = &Scene::new(&[server.url(), server.url()]).await;
    let canary = &Canary::new(scene);
    let late_on = [AtomicU64::new(0), AtomicU64::new(0)];
    for round in 0..ROUNDS {
        change_and_tell(scene, canary).await;
        let computing = round % 2;
        let begun = scene.cache(computing).begin(&scene.reading(computing)).await;
        let Beginning::Compute(ticket) = begun.expect("answers") else {
            panic!("nothing has been computed since the change")
        };
        let read = scene.source.load(Ordering::SeqCst);
        scene.computing.fetch_add(1, Ordering::SeqCst);
        change_and_tell(scene, canary).await;

        // From here on both nodes know, whatever the bound.
        let late = |node: usize| {
            let late_on = &late_on[node];
            async move {
                let answer = scene.read(node).await.expect("a value");
                if answer.is_fresh() {
                    assert!(number_in(&answer) > read, "round {round}, node {node}: {answer:?}");
                    late_on.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        let commit = async {
            // The readers before it are polled first: they wait by now.
            let answer = ticket.commit(value_of(read)).await.expect("lands");
            scene.computing.fetch_sub(1, Ordering::SeqCst);
            assert_eq!(number_in(&answer), read);
        };
        futures_util::join!(late(0), late(1), commit, late(0), late(1));
    }
    let late = late_on.map(AtomicU64::into_inner);
    assert!(late.iter().all(|fresh| *fresh > 0), "{late:?}");
    scene.record.conclude("a compute that outlives an invalidation");
}

/// A second reading under the same tags, by which one sees that node 1 has heard.
struct Canary(Widget);

impl Canary {
    fn new(scene: &Scene) -> Self {
        Self(scene.cache(1).declare(Definition::new("canary")).expect("valid"))
    }

    fn reading<'a>(&'a self, scene: &'a Scene) -> Reading<'a> {
        self.0.reading(&scene.tenant).tags(&scene.tags)
    }
}

/// Returns when both nodes know of the change.
async fn change_and_tell(scene: &Scene, canary: &Canary) {
    let (cache, reading) = (scene.cache(1), &canary.reading(scene));
    let sings = || async {
        let made = cache.get_or_compute(reading, || async { Ok::<_, String>("song") }).await;
        made.expect("a value");
        cache.get(reading)
    };
    wait::until_async(LIMIT, "a local hit", sings).await.expect("it becomes local");
    assert!(scene.change().await);
    let silent = || async { cache.get(reading).is_none().then_some(()) };
    wait::until_async(LIMIT, "the news", silent).await.expect("arrives");
}

/// On the node that invalidates, readers, writers and computes without any order between them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_breaks_and_nothing_is_wrong() {
    let server = RedisServer::start().expect("starts");
    let scene = Scene::new(&[server.url(), server.url(), server.url()]).await;
    let time = async { wait_for_changes(&scene, 100).await };
    scene.withstands("no fault at all", time).await;
    let how = How::default();
    let everything = scene.cache(0).invalidate(&Subject::Everything, None, &how).await;
    everything.expect("answers");
    let began = Clock::System.now();
    assert!(scene.read(0).await.expect("a value").age() <= Clock::System.now().since(began));
}

async fn wait_for_changes(scene: &Scene, count: u64) {
    let until = scene.source.load(Ordering::SeqCst) + count;
    let made = || async { (scene.source.load(Ordering::SeqCst) >= until).then_some(()) };
    wait::until_async(LIMIT, "changes", made).await.expect("they are made");
}
