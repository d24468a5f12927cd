//! Rows are taken, applied, and only then deleted: whatever fails in between, they are applied again.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures_util::future::join_all;
use samovar_clock::Instant;
use samovar_widgets::{Outbox, Recorded, SourceError, Waited, limits};
use tokio::{sync::watch, task::JoinHandle};
use xxhash_rust::xxh3::xxh3_64;

use super::{source::CapturedSource, touched::Touched};
use crate::{
    NoTenant, WarmFailure,
    engine::{Engine, Inner},
    events::{Settle, SettleError},
};

/// Reads the outboxes of all sources until it is stopped.
#[derive(Debug)]
pub struct Capturing {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// Rounds that find something begin so far apart: under many changes each takes more of them.
const ROUND: Duration = Duration::from_millis(10);
/// A process that does not lead looks this often, and takes what lies there for so long: whoever leads
/// has stopped.
const WATCH: Duration = Duration::from_secs(1);
/// After a failure one waits, longer each time.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Between two looks at the triggers.
const CHECK: Duration = Duration::from_secs(60);
/// Changes that are made at the same time.
const TOGETHER: usize = 64;
/// What is to be invalidated once more is gathered for so long.
const GATHER: Duration = Duration::from_secs(1);

/// Why rows stay where they are for now.
#[derive(Debug, thiserror::Error)]
enum CaptureFailure {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Tenants(#[from] NoTenant),
    #[error(transparent)]
    Change(#[from] SettleError),
    #[error(transparent)]
    Jobs(#[from] WarmFailure),
    #[error("another file has taken the place of the source's")]
    Replaced,
}

impl Engine {
    /// For the process that serves. Several may run on the same store: one of them applies what comes,
    /// the others watch.
    pub fn start_capturing(&self) -> Capturing {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = Vec::new();
        for source in &self.0.captures {
            let (inner, source) = (self.0.clone(), source.clone());
            let mut stopped = stopped.clone();
            tasks.push(tokio::spawn(async move {
                source.progress.figures().running = true;
                tokio::select! {
                    _ = stopped.wait_for(|stopped| *stopped) => {}
                    never = keep_applying(&inner, &source) => match never {},
                    never = keep_checking(&inner, &source) => match never {},
                }
                let mut figures = source.progress.figures();
                (figures.running, figures.connected, figures.leads) = (false, false, false);
            }));
        }
        Capturing { stop, tasks }
    }
}

impl Capturing {
    /// What is under way is given up: its rows are still there.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a capture ended badly");
            }
        }
    }
}

async fn keep_applying(inner: &Arc<Inner>, source: &CapturedSource) -> Infallible {
    let mut back_off = BACK_OFF.0;
    let mut again = false;
    loop {
        let began = inner.clock.now();
        let Err(failure) = Applying::session(inner, source, again).await;
        again = true;
        let mut is_news = false;
        {
            let mut figures = source.progress.figures();
            (figures.connected, figures.leads) = (false, false);
            let reason = failure.to_string();
            if figures.error.as_ref() != Some(&reason) {
                is_news = true;
                figures.error = Some(reason);
            }
        }
        if is_news {
            tracing::warn!(source = source.name, %failure, "changes are not captured now");
        }
        // It went well for a while.
        if inner.clock.now().since(began) > BACK_OFF.1 {
            back_off = BACK_OFF.0;
        }
        let spread = 1.0 - inner.random.fraction() / 2.0;
        inner.clock.sleep(back_off.mul_f64(spread)).await;
        back_off = (back_off * 2).min(BACK_OFF.1);
    }
}

/// Whoever serves is told that triggers are missing, and when they are there.
async fn keep_checking(inner: &Arc<Inner>, source: &CapturedSource) -> Infallible {
    loop {
        let installed = async { source.captured.installer(None).await?.status().await };
        match installed.await {
            Ok(installed) => {
                let is_news = source.progress.figures().see(&installed);
                if is_news {
                    let parts = source.progress.figures().not_installed.join(", ");
                    let hint = format!("samovar capture install --source {}", source.name);
                    tracing::error!(source = source.name, parts, hint, "changes are not seen");
                }
            }
            // That it cannot be reached is told by who applies.
            Err(error) => {
                tracing::debug!(source = source.name, %error, "triggers were not checked");
            }
        }
        inner.clock.sleep(CHECK).await;
    }
}

/// One connection, from its opening to its failure.
struct Applying<'s> {
    inner: &'s Arc<Inner>,
    source: &'s CapturedSource,
    outbox: Outbox,
    /// So that jobs of this process are gathered, and of no other.
    instance: u64,
}

impl<'s> Applying<'s> {
    async fn session(
        inner: &'s Arc<Inner>,
        source: &'s CapturedSource,
        again: bool,
    ) -> Result<Infallible, CaptureFailure> {
        let outbox = source.captured.open().await?;
        let instance = inner.random.id();
        let applying = Self { inner, source, outbox, instance };
        // Meanwhile another file may have taken its place.
        if again && applying.outbox.is_file() {
            applying.apply(&applying.all()).await?;
        }
        applying.go().await
    }

    async fn go(mut self) -> Result<Infallible, CaptureFailure> {
        let clock = &self.inner.clock;
        let mut leads = false;
        loop {
            let began = clock.now();
            if !leads {
                leads = self.outbox.leads().await?;
            }
            let lying = if leads { Duration::ZERO } else { WATCH };
            let (found, more) = self.round(lying).await?;
            {
                let mut figures = self.source.progress.figures();
                (figures.connected, figures.leads, figures.error) = (true, leads, None);
            }
            if more {
                continue;
            }
            if !leads {
                clock.sleep(WATCH).await;
                continue;
            }
            if found {
                clock.sleep_until(began + ROUND).await;
            }
            if self.outbox.wait().await? == Waited::Replaced {
                self.apply(&self.all()).await?;
                return Err(CaptureFailure::Replaced);
            }
        }
    }

    /// Whether anything was found, and whether there is more.
    async fn round(&mut self, lying: Duration) -> Result<(bool, bool), CaptureFailure> {
        let mut taken = self.outbox.take(lying).await?;
        if self.outbox.is_behind() {
            // Rows that are new cannot be told from those that are yet to vanish.
            self.apply(&self.all()).await?;
            self.source.progress.figures().collapsed += 1;
            self.inner.clock.sleep(WATCH).await;
            return Ok((true, true));
        }
        if taken.recorded.is_empty() {
            return Ok((false, taken.more));
        }
        let is_much = taken.more && self.outbox.count().await?.0 >= limits::OUTBOX_BACKLOG;
        if is_much {
            taken = self.outbox.take_many(lying).await?;
            let captures = taken.recorded.iter().map(|row| row.capture.as_str());
            let touched = Touched::whatever(self.source, captures);
            self.apply(&touched).await?;
        } else {
            let touched = Touched::by(self.inner, self.source, &taken.recorded).await?;
            self.apply(&touched).await?;
            let mut figures = self.source.progress.figures();
            figures.broader += touched.broader;
            figures.of_nobody += touched.of_nobody;
        }
        let ids: Vec<i64> = taken.recorded.iter().map(|row| row.id).collect();
        self.outbox.remove(&ids).await?;
        self.note(&taken.recorded, is_much);
        Ok((true, taken.more))
    }

    /// All that its captures may have changed.
    fn all(&self) -> Touched<'s> {
        Touched::whatever(self.source, self.source.rules.keys().map(String::as_str))
    }

    /// When it returns, nothing that was computed from data of before is served as fresh, and what is to
    /// be invalidated once more will be.
    async fn apply(&self, touched: &Touched<'_>) -> Result<(), CaptureFailure> {
        let changes = touched.changes(self.inner, self.source);
        for some in changes.chunks(TOGETHER) {
            let made = some.iter().map(|change| change.apply(self.inner, change.cause.clone()));
            join_all(made).await.into_iter().collect::<Result<(), _>>()?;
        }
        let mut jobs = Vec::new();
        for (after, touched) in &touched.later {
            for change in touched.changes(self.inner, self.source) {
                let unique = Some(self.key_of(&change, *after));
                let settle = Settle { unique, ..change };
                jobs.push(self.inner.settling(&settle, *after + GATHER));
            }
        }
        if !jobs.is_empty() {
            self.inner.jobs()?.push(jobs).await.map_err(WarmFailure::from)?;
        }
        Ok(())
    }

    /// The same for the same change for a while: the job that waits by then comes late enough for all
    /// that found it.
    fn key_of(&self, change: &Settle, after: Duration) -> String {
        let since = self.inner.clock.now().since(Instant::default());
        let gathered = since.as_millis() / GATHER.as_millis();
        let text = serde_json::to_vec(change).expect("plain data always becomes JSON");
        let (instance, after) = (self.instance, after.as_millis());
        format!("capture/{instance:x}/{gathered}/{after}/{:x}", xxh3_64(&text))
    }

    fn note(&self, recorded: &[Recorded], is_much: bool) {
        let mut figures = self.source.progress.figures();
        let oldest = recorded.iter().map(|row| row.age).max();
        figures.rows += recorded.len() as u64;
        figures.applied_at = Some(self.inner.clock.now());
        figures.oldest_ms = oldest.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        if is_much {
            figures.collapsed += 1;
            drop(figures);
            let rows = recorded.len();
            tracing::info!(source = self.source.name, rows, "many changes were taken as one");
        }
    }
}
