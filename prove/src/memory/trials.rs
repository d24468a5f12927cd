//! Each trial is a process of its own, so that what one leaves behind is nobody else's, and one that dies is
//! a promise that was broken.

use std::{collections::BTreeMap, fs, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use samovar_clock::{Clock, Random};
use samovar_jobs::{
    JobDetails, JobId, QueueName, State, Store, WorkerName,
    run::{Job, Served, Settings, Slots, Worker, new_job, run_as_child},
    store::EmbeddedStore,
};
use samovar_memory::{
    Alert, AlertMark, Budget, MB, ProcessMemory,
    child::{ChildOptions, Pool, PoolSize},
    purge,
};
use samovar_store::embedded::Folder;
use serde::{Deserialize, Serialize};

use super::{
    CHILD,
    jobs::{Keep, Modest, Pass, Pile, QUEUE, registry},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Trial {
    Limits,
    Chunks,
    Splits,
    Leaks,
    Purges,
}

/// What a trial has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub jobs: usize,
    pub budget_bytes: u64,
    /// The most that the process and its children had above idle.
    pub peak_bytes: u64,
    /// What was not as promised.
    pub broken: Vec<String>,
    /// What was, in figures.
    pub figures: Vec<String>,
}

const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Only ends what hangs.
const LIMIT: Duration = Duration::from_secs(120);
/// A job of a trial may hold this much.
const CLASS_BYTES: u64 = 128 * MB;
/// What the process has in memory may be a tenth above the budget: there are free pages in it.
const OVER: u64 = 10;

impl Trial {
    pub(super) const ALL: [Self; 5] =
        [Trial::Limits, Trial::Chunks, Trial::Splits, Trial::Leaks, Trial::Purges];

    pub(super) fn name(self) -> &'static str {
        match self {
            Trial::Limits => "limits",
            Trial::Chunks => "chunks",
            Trial::Splits => "splits",
            Trial::Leaks => "leaks",
            Trial::Purges => "purges",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trial| trial.name() == name)
    }

    pub(super) fn promise(self) -> &'static str {
        match self {
            Trial::Limits => "a job over its limit fails with the evidence, and harms no other",
            Trial::Chunks => "a stream passes in chunks, each row once, through a restart as well",
            Trial::Splits => "a job that is too big becomes several, which do each row once",
            Trial::Leaks => "what stays behind is told, with its kind, and nobody else's",
            Trial::Purges => "what ended is given back before others wait for it",
        }
    }

    fn budget_bytes(self) -> u64 {
        match self {
            Trial::Purges => 160 * MB,
            _ => 512 * MB,
        }
    }

    pub(super) async fn run(self) -> Result<Seen> {
        let mut scene = Scene::open(self.budget_bytes()).await?;
        match self {
            Trial::Limits => scene.limits().await,
            Trial::Chunks => scene.chunks().await,
            Trial::Splits => scene.splits().await,
            Trial::Leaks => scene.leaks().await,
            Trial::Purges => scene.purges().await,
        }?;
        Ok(scene.end().await)
    }
}

/// A child process of a trial.
pub(super) fn child() -> ExitCode {
    run_as_child(async || registry())
}

/// A store, and a worker over it.
struct Scene {
    folder: tempfile::TempDir,
    store: Arc<Store>,
    budget: Budget,
    children: Pool,
    worker: Option<Worker>,
    seen: Seen,
}

impl Scene {
    async fn open(budget_bytes: u64) -> Result<Self> {
        let options = ChildOptions { arguments: vec![CHILD.into()], ..ChildOptions::default() };
        let children = Pool::new(options, PoolSize { most: 4, warm: 1 })?;
        let folder = tempfile::tempdir()?;
        let owned = Folder::own(folder.path().join("jobs"))?;
        let store = EmbeddedStore::open(owned, Clock::System, Random::System).await?;
        let (store, seen) =
            (Arc::new(Store::Embedded(store)), Seen { budget_bytes, ..Seen::default() });
        let budget = Budget::new(budget_bytes, Clock::System);
        let mut scene = Self { folder, store, budget, children, worker: None, seen };
        scene.start()?;
        Ok(scene)
    }

    fn start(&mut self) -> Result<()> {
        let served =
            Served { queue: QueueName::new(QUEUE)?, weight: 1, reserved: 0, reserved_bytes: 0 };
        let mut settings = Settings::new(WorkerName::new("trial")?, vec![served]);
        (settings.slots, settings.poll) = (Slots::fixed(8), LOOK_AGAIN);
        settings.watch = LOOK_AGAIN;
        settings.children = Some(self.children.clone());
        let (store, budget) = (self.store.clone(), self.budget.clone());
        let (clock, random) = (Clock::System, Random::System);
        self.worker = Some(Worker::start(settings, store, registry()?, budget, clock, random)?);
        Ok(())
    }

    async fn end(mut self) -> Seen {
        if let Some(worker) = self.worker.take() {
            worker.drain().await;
        }
        self.store.close().await;
        let Seen { peak_bytes, budget_bytes, .. } = self.seen;
        let most = budget_bytes + budget_bytes / OVER;
        self.expect(peak_bytes <= most, || {
            format!("{} above idle are more than {}", megabytes(peak_bytes), megabytes(most))
        });
        self.seen
    }

    fn expect(&mut self, is_so: bool, otherwise: impl FnOnce() -> String) {
        if !is_so {
            self.seen.broken.push(otherwise());
        }
    }

    fn ledger(&self) -> PathBuf {
        self.folder.path().join("ledger")
    }

    async fn push(&mut self, job: &impl Job) -> Result<JobId> {
        let new = new_job(job, &Random::System)?;
        let id = new.id;
        self.store.push(vec![new]).await?;
        self.seen.jobs += 1;
        Ok(id)
    }

    /// Looks until it is so.
    async fn until(
        &mut self,
        what: &str,
        mut is_so: impl AsyncFnMut(&Store) -> Result<bool>,
    ) -> Result<()> {
        let deadline = Clock::System.now() + LIMIT;
        loop {
            self.seen.peak_bytes = self.seen.peak_bytes.max(self.budget.usage().rss_bytes);
            if is_so(&self.store).await? {
                return Ok(());
            }
            ensure!(Clock::System.now() < deadline, "{what} took longer than {LIMIT:?}");
            Clock::System.sleep(LOOK_AGAIN).await;
        }
    }

    async fn ended(&mut self, id: JobId) -> Result<JobDetails> {
        let mut ended = None;
        self.until("a job", async |store| {
            ended = store.show(id).await?.filter(|it| it.job.state.has_ended());
            Ok(ended.is_some())
        })
        .await?;
        ended.ok_or_else(|| anyhow::anyhow!("a job is gone"))
    }

    async fn all_ended(&mut self, ids: Vec<JobId>) -> Result<Vec<JobDetails>> {
        let mut ended = Vec::new();
        for id in ids {
            ended.push(self.ended(id).await?);
        }
        Ok(ended)
    }

    fn expect_done(&mut self, jobs: &[JobDetails]) {
        for job in jobs.iter().map(|it| &it.job).filter(|it| it.state != State::Done) {
            let (kind, reason) = (&job.kind, job.reason.as_deref().unwrap_or("nothing is said"));
            let broken = format!("{kind} is {:?} and not done: {reason}", job.state);
            self.seen.broken.push(broken);
        }
    }

    /// Each row of `0..rows` is in the ledger once.
    fn expect_rows(&mut self, rows: u64) -> Result<()> {
        let text = fs::read_to_string(self.ledger())?;
        let mut done = BTreeMap::new();
        for line in text.lines() {
            let (from, to) = line.split_once(' ').unwrap_or(("", ""));
            let (from, to): (u64, u64) = (from.parse()?, to.parse()?);
            let before = done.insert(from, to);
            self.expect(before.is_none(), || format!("rows from {from} on were done twice"));
        }
        let mut next = 0;
        for (from, to) in done {
            self.expect(from == next, || format!("{next} was to follow, and {from} did"));
            next = to;
        }
        self.expect(next == rows, || format!("{next} of {rows} rows were done"));
        self.seen.figures.push(format!("{rows} rows"));
        Ok(())
    }

    /// Jobs that want more than any rung of the ladder has, beside some that are well within their class.
    async fn limits(&mut self) -> Result<()> {
        let pile = Pile { from: 0, to: 400, splits: false, ledger: self.ledger() };
        let mut too_big = Vec::new();
        for _ in 0..3 {
            too_big.push(self.push(&pile).await?);
        }
        let mut modest = Vec::new();
        for _ in 0..20 {
            modest.push(self.push(&Modest { megabytes: 20 }).await?);
        }
        for job in self.all_ended(too_big).await? {
            let reason = job.job.reason.unwrap_or_default();
            let is_told =
                job.job.state == State::Failed && reason.contains("went over its limit of");
            self.expect(is_told, || {
                format!("a job over its limit is {:?}: {reason}", job.job.state)
            });
            let flight = job.history.last().map_or(0, |attempt| attempt.record.flight.len());
            self.expect(flight > 0, || "a job over its limit has no flight record".to_owned());
        }
        let modest = self.all_ended(modest).await?;
        self.expect_done(&modest);
        self.seen.figures.push(format!("3 stopped at their limit, {} beside them", modest.len()));
        Ok(())
    }

    /// 400 MB pass through a job that may hold 128, whose worker goes half-way.
    async fn chunks(&mut self) -> Result<()> {
        let pass = Pass { rows: 400_000, ledger: self.ledger() };
        let id = self.push(&pass).await?;
        let ledger = self.ledger();
        self.until("the first rows", async |_| {
            Ok(fs::read_to_string(&ledger).is_ok_and(|text| text.lines().count() >= 20))
        })
        .await?;
        if let Some(worker) = self.worker.take() {
            worker.drain_by(std::future::ready(Clock::System.now())).await;
        }
        let interrupted = self.store.show(id).await?;
        let is_interrupted = interrupted.is_some_and(|it| !it.job.state.has_ended());
        ensure!(is_interrupted, "the job had ended before its worker went");
        self.start()?;
        let job = self.ended(id).await?;
        self.expect_done(std::slice::from_ref(&job));
        self.expect_rows(pass.rows)?;
        let peak = job.result.as_deref().and_then(|it| serde_json::from_slice::<u64>(it).ok());
        self.expect(peak.is_some_and(|peak| peak <= CLASS_BYTES), || {
            format!("the job has held {peak:?} bytes, and may hold {CLASS_BYTES}")
        });
        self.seen.figures.push(format!("at most {} held", megabytes(peak.unwrap_or(0))));
        Ok(())
    }

    /// A job that holds more than its class in the end.
    async fn splits(&mut self) -> Result<()> {
        let pile = Pile { from: 0, to: 300, splits: true, ledger: self.ledger() };
        let id = self.push(&pile).await?;
        let job = self.ended(id).await?;
        self.expect_done(std::slice::from_ref(&job));
        self.until("the parts", async |store| {
            let figures = store.figures().await?;
            Ok(figures.iter().all(|it| it.scheduled + it.waiting + it.claimed + it.running == 0))
        })
        .await?;
        let failed: u64 = self.store.figures().await?.iter().map(|it| it.failed).sum();
        self.expect(failed == 0, || format!("{failed} parts failed"));
        let told = self.budget.alerts_since(&mut AlertMark::default());
        let parts: Vec<usize> = told.iter().filter_map(parts).collect();
        self.expect(!parts.is_empty(), || "no split was told".to_owned());
        self.seen.figures.push(format!("{} parts", parts.iter().sum::<usize>()));
        self.expect_rows(pile.to)
    }

    /// Jobs that leave something behind, and others that do not.
    async fn leaks(&mut self) -> Result<()> {
        for _ in 0..8 {
            for id in [
                self.push(&Keep { megabytes: 8 }).await?,
                self.push(&Modest { megabytes: 8 }).await?,
            ] {
                let job = self.ended(id).await?;
                self.expect_done(&[job]);
            }
        }
        let told = self.budget.alerts_since(&mut AlertMark::default());
        let leaks = told.iter().filter_map(|alert| match alert {
            Alert::Leak(leak) => Some((leak.kind.as_str(), leak.retained_bytes)),
            _ => None,
        });
        let leaks: BTreeMap<&str, u64> = leaks.collect();
        let kept = leaks.get(Keep::KIND).copied().unwrap_or(0);
        // The last runs are still on their way.
        self.expect(kept >= 3 * 8 * MB, || format!("{} of 64 MB are told", megabytes(kept)));
        let others = leaks.len() - usize::from(kept > 0);
        self.expect(others == 0, || format!("{others} kinds are told that keep nothing"));
        self.seen.figures.push(format!("{} told of", megabytes(kept)));
        Ok(())
    }

    /// One job after the other that takes most of the budget.
    async fn purges(&mut self) -> Result<()> {
        let idle = resident();
        let mut ids = Vec::new();
        for _ in 0..8 {
            ids.push(self.push(&Modest { megabytes: 100 }).await?);
        }
        let jobs = self.all_ended(ids).await?;
        self.expect_done(&jobs);
        purge();
        let left = resident().saturating_sub(idle);
        self.expect(left <= 32 * MB, || format!("{} are still resident", megabytes(left)));
        self.seen.figures.push(format!("{} resident afterwards", megabytes(left)));
        Ok(())
    }
}

fn parts(alert: &Alert) -> Option<usize> {
    match alert {
        Alert::Split { parts, .. } => Some(*parts),
        _ => None,
    }
}

fn resident() -> u64 {
    ProcessMemory::own().map_or(0, |memory| memory.rss_bytes)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / MB as f64)
}
