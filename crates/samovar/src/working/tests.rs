//! One worker after the other, whatever became of the last one.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use samovar_engine::Ask;
use samovar_testkit::wait;
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
};

use super::*;
use crate::config::Config;

const LIMIT: Duration = Duration::from_secs(60);

const CONFIG: &str = "[tenants]\nlist = [{ id = \"north\" }]\n[source.shop]\nurl = \"sqlite://shop.db\"\n\
                      [widget.one]\nsource = \"shop\"\nquery = \"select 1 as one where :tenant <> ''\"\n";

/// What a worker over this folder is started with.
async fn office(folder: &Path) -> (State, Arc<Office>) {
    let file = folder.join("samovar.toml");
    fs::write(&file, CONFIG).expect("written");
    rusqlite::Connection::open(folder.join("shop.db")).expect("a database");
    let (config, catalogue) =
        Config::load_with_catalogue(&file, Ask::Reachable).await.expect("nothing is wrong");
    let state = State::open(&config).await.expect("opens");
    let engine = state.engine(&config, catalogue).expect("it starts");
    let office = Office::open(&config.workers, &engine, &state.jobs);
    (state, office)
}

/// Keeps workers until the test is over.
struct Keeping {
    stop: watch::Sender<Option<Instant>>,
    keeper: JoinHandle<()>,
    _offices: watch::Sender<Option<Arc<Office>>>,
}

impl Keeping {
    fn start(first: Option<Worker>, office: Arc<Office>) -> Self {
        let (_offices, offices) = watch::channel(Some(office));
        let (stop, stopped) = watch::channel(None);
        Self { stop, keeper: tokio::spawn(keep(first, offices, stopped)), _offices }
    }

    async fn end(self) {
        self.stop.send_replace(Some(Clock::System.now()));
        self.keeper.await.expect("a good end");
    }
}

/// A worker whose rounds panic the first time that they have something to say.
struct PanicsOnce(Arc<AtomicUsize>);

impl<S: Subscriber> Layer<S> for PanicsOnce {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "samovar_jobs::run::rounds" {
            assert_ne!(self.0.fetch_add(1, Ordering::SeqCst), 0, "on purpose");
        }
    }
}

/// Nobody noticed: a process went on without running jobs.
#[tokio::test]
async fn a_worker_that_has_ended_by_itself_is_followed_by_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let (state, office) = office(folder.path()).await;
    let said = Arc::new(AtomicUsize::new(0));
    let panics = tracing_subscriber::registry().with(PanicsOnce(said.clone()));
    let _panics = tracing::subscriber::set_default(panics);
    // Rounds say that the store does not answer.
    state.jobs.close().await;
    let first = office.worker().expect("it starts");
    let keeping = Keeping::start(Some(first), office);
    let again = async || (said.load(Ordering::SeqCst) > 1).then_some(());
    wait::until_async(LIMIT, "another worker", again)
        .await
        .expect("it takes the first one's place");
    keeping.end().await;
    state.close().await;
}

#[tokio::test]
async fn a_worker_that_could_not_be_started_is_tried_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (state, office) = office(folder.path()).await;
    let keeping = Keeping::start(None, office);
    let is_there = async || {
        let workers = state.jobs.workers().await.expect("answers");
        (!workers.is_empty()).then_some(())
    };
    wait::until_async(LIMIT, "a worker", is_there).await.expect("it starts");
    keeping.end().await;
    state.close().await;
}

#[test]
fn a_worker_is_called_by_its_process_and_no_two_are_called_alike() {
    let random = Random::seeded(1);
    let (one, other) = (name(&random), name(&random));
    assert!(one.as_str().contains(&format!("-{}-", std::process::id())), "{one}");
    assert_ne!(one, other);
}
