//! An engine over a database of its own and an embedded store.

use std::{path::Path, sync::Arc, time::Duration};

use rusqlite::Connection;
use samovar_cache::{Cache, Folder, Settings};
use samovar_clock::{Clock, ManualClock, Random, WallTime};
use samovar_engine::{Answer, Ask, Catalogue, Change, Engine, Observe, ReadFailure};
use samovar_jobs::{Store, store::EmbeddedStore};

use samovar_testkit::wait;
use samovar_widgets::{Definitions, Document, Problem};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Desk {
    pub(crate) folder: TempDir,
    pub(crate) cache: Cache,
    pub(crate) jobs: Arc<Store>,
    pub(crate) engine: Engine,
}

/// Everything that is wrong with definitions, whose databases lie in `folder`.
pub(crate) async fn check(
    text: &str,
    folder: &Path,
    clock: &Clock,
    ask: Ask,
) -> Result<Catalogue, Vec<Problem>> {
    let document = Document::parse(text).expect("it is TOML");
    let definitions = Definitions::read(&mut document.root());
    let problems = document.problems();
    if problems.is_empty() {
        Catalogue::check(&definitions, folder, clock, ask).await
    } else {
        Err(problems)
    }
}

impl Desk {
    /// `schema` fills a SQLite database `shop.db`.
    pub(crate) async fn open(definitions: &str, schema: &str) -> Self {
        Self::open_at(definitions, schema, Clock::System).await
    }

    pub(crate) async fn open_at(definitions: &str, schema: &str, clock: Clock) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Connection::open(folder.path().join("shop.db")).expect("a database");
        database.pragma_update(None, "journal_mode", "wal").expect("a log");
        database.execute_batch(schema).expect("tables");
        Self::over(folder, definitions, clock, Ask::All).await
    }

    /// An engine over whatever the definitions name.
    pub(crate) async fn over(folder: TempDir, definitions: &str, clock: Clock, ask: Ask) -> Self {
        Self::within(folder, definitions, clock, ask, Settings::default()).await
    }

    /// One whose jobs have another clock than its cache.
    pub(crate) async fn over_with(
        folder: TempDir,
        definitions: &str,
        clock: Clock,
        ask: Ask,
        clock_of_jobs: Clock,
    ) -> Self {
        Self::set_up(folder, definitions, clock, ask, Settings::default(), clock_of_jobs).await
    }

    /// [`Desk::over`], with other limits.
    pub(crate) async fn within(
        folder: TempDir,
        definitions: &str,
        clock: Clock,
        ask: Ask,
        settings: Settings,
    ) -> Self {
        Self::set_up(folder, definitions, clock, ask, settings, Clock::System).await
    }

    async fn set_up(
        folder: TempDir,
        definitions: &str,
        clock: Clock,
        ask: Ask,
        settings: Settings,
        clock_of_jobs: Clock,
    ) -> Self {
        let cache = Cache::builder().settings(settings.clone()).clock(clock.clone());
        let cache = cache.open(&folder.path().join("store")).await.expect("a store");
        let catalogue = check(definitions, folder.path(), &clock, ask).await;
        let catalogue = catalogue.expect("nothing is wrong");
        let observe = Observe { slow: Duration::from_millis(1), ..Observe::default() };
        let owned = Folder::own(folder.path().join("jobs")).expect("a folder");
        let jobs = EmbeddedStore::open(owned, clock_of_jobs, Random::System).await;
        let jobs = Arc::new(Store::Embedded(jobs.expect("a store of jobs")));
        let engine =
            Engine::start(cache.clone(), &settings, catalogue, observe, Some(jobs.clone()));
        Self { folder, cache, jobs, engine: engine.expect("it starts") }
    }

    /// Another engine over the same store and database, as after a restart.
    pub(crate) async fn reopen(self, definitions: &str, clock: Clock, ask: Ask) -> Self {
        self.reopen_with(definitions, clock, ask, Clock::System).await
    }

    pub(crate) async fn reopen_with(
        self,
        definitions: &str,
        clock: Clock,
        ask: Ask,
        clock_of_jobs: Clock,
    ) -> Self {
        let Self { folder, cache, jobs, engine } = self;
        cache.close().await;
        jobs.close().await;
        drop((engine, cache, jobs));
        Self::over_with(folder, definitions, clock, ask, clock_of_jobs).await
    }

    pub(crate) fn database(&self) -> Connection {
        Connection::open(self.folder.path().join("shop.db")).expect("a database")
    }

    pub(crate) fn write(&self, sql: &str) {
        self.database().execute_batch(sql).expect("written");
    }

    pub(crate) async fn try_read(
        &self,
        widget: &str,
        tenant: &str,
        given: &[(&str, &str)],
    ) -> Result<Answer, ReadFailure> {
        self.engine.read(widget, tenant, pairs(given)).await
    }

    pub(crate) async fn read(&self, widget: &str, given: &[(&str, &str)]) -> Answer {
        self.try_read(widget, "north", given).await.expect("an answer")
    }

    pub(crate) async fn invalidate(&self, tenant: &str, tag: &str) {
        let (tenant, tags) = (Some(tenant.to_owned()), vec![tag.to_owned()]);
        let change = Change { tenant, tags, ..Change::default() };
        self.engine.invalidate(&change).await.expect("invalidated");
    }
}

/// When what is done behind readers has ended.
pub(crate) async fn settled(engine: &Engine) {
    let idle = || async { (engine.statistics().await.local.in_flight == 0).then_some(()) };
    wait::until_async(PATIENCE, "what is done behind readers", idle).await.expect("it ends");
}

pub(crate) fn pairs(given: &[(&str, &str)]) -> Vec<(String, String)> {
    given.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

pub(crate) fn data(answer: &Answer) -> Value {
    let bytes = answer.bytes().expect("it decodes");
    let mut whole: Value = serde_json::from_slice(&bytes).expect("it is JSON");
    whole["data"].take()
}

/// A clock that says this.
pub(crate) fn clock_at(time: &str) -> Arc<ManualClock> {
    let at: jiff::Timestamp = time.parse().expect("a time");
    Arc::new(ManualClock::new(WallTime::from_millis(at.as_millisecond())))
}
