//! One run: faults over one store, then calm, then the comparison.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use samovar_clock::{Clock, Instant, Random};
use samovar_jobs::Store;

use crate::{
    check::{Verdict, check},
    entry::{Entry, Line},
    fault::Kind,
    fleet::Fleet,
    history::{BatchFact, Facts, History},
    place::{Level, Place},
    recorder::Recorder,
};

/// How long jobs may take to end once nothing is done to anybody any more.
const QUIET_LIMIT: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Between two faults, at most.
const GAP_MS: u64 = 240;
/// Between two words on how far it is.
const TELL_EVERY: u32 = 25;
/// Lines shown for each of those who broke a promise.
const EVIDENCE: usize = 30;

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// This executable.
    pub program: PathBuf,
    pub level: Level,
    pub faults: u32,
    pub seed: u64,
    /// No further fault after this.
    pub at_most: Duration,
}

/// What came of it.
#[derive(Debug)]
pub struct Finding {
    pub level: Level,
    pub seed: u64,
    pub faults: BTreeMap<&'static str, usize>,
    pub verdict: Verdict,
    /// From a fault to the next job that is acknowledged as done.
    pub longest_recovery: Duration,
    pub took: Duration,
    /// What was written down of those who broke a promise.
    pub evidence: Vec<String>,
}

impl Finding {
    /// Whether a promise that was given was broken.
    pub fn is_broken(&self) -> bool {
        self.level.promises() && !self.verdict.broken.is_empty()
    }

    pub fn fault_count(&self) -> usize {
        self.faults.values().sum()
    }
}

/// Runs it; `tell` hears how far it is.
pub async fn run(plan: &Plan, tell: &mut dyn FnMut(String)) -> Result<Finding> {
    let clock = Clock::System;
    let began = clock.now();
    let home = tempfile::Builder::new().prefix("samovar-prove-").tempdir()?;
    let random = Random::seeded(plan.seed);
    let place = Place::prepare(plan.level, home.path())?;
    let recorder = Recorder::start(home.path())?;
    let journal = recorder.journal(clock.clone())?;
    let ways = (recorder.path().to_owned(), place.address());
    let mut fleet = Fleet::new(plan.program.clone(), plan.level, ways, &journal, random.clone());
    fleet.revive()?;
    hurt_all(plan, &place, &mut fleet, &random, began, tell).await?;
    tell(format!("{}: calm", plan.level));
    fleet.revive()?;
    fleet.calm()?;
    let is_quiet = until_quiet(&mut fleet, &clock).await?;
    if is_quiet {
        fleet.end()?;
    }
    drop(fleet);
    drop(journal);
    let lines = recorder.end()?;
    let history = History::of(&lines);
    let store = place.address().open(&random).await?;
    let facts = facts(&store, &history).await?;
    store.close().await;
    let verdict = check(&history, &facts);
    Ok(Finding {
        level: plan.level,
        seed: plan.seed,
        faults: history.by_kind().into_iter().map(|(kind, count)| (kind.name(), count)).collect(),
        evidence: evidence(&verdict, &lines),
        verdict,
        longest_recovery: longest_recovery(&lines),
        took: clock.now().since(began),
    })
}

/// One fault after the other, as many as were asked for or as there is time for.
async fn hurt_all(
    plan: &Plan,
    place: &Place,
    fleet: &mut Fleet<'_>,
    random: &Random,
    began: Instant,
    tell: &mut dyn FnMut(String),
) -> Result<()> {
    let clock = Clock::System;
    for count in 1..=plan.faults {
        if clock.now().since(began) > plan.at_most {
            tell(format!("{}: no time for more than {} faults", plan.level, count - 1));
            break;
        }
        fleet.revive()?;
        clock.sleep(Duration::from_millis(random.below(GAP_MS))).await;
        let kind = Kind::draw(plan.level, random);
        if kind.is_for_a_node() { fleet.hurt(kind).await } else { fleet.endure(kind, place).await }
            .with_context(|| format!("fault {count}, {kind}"))?;
        if count % TELL_EVERY == 0 || count == plan.faults {
            tell(format!("{}: {count} of {} faults", plan.level, plan.faults));
        }
    }
    Ok(())
}

/// Whether all jobs have ended in time.
async fn until_quiet(fleet: &mut Fleet<'_>, clock: &Clock) -> Result<bool> {
    let deadline = clock.now() + QUIET_LIMIT;
    while clock.now() < deadline {
        if fleet.open_jobs()? == 0 {
            return Ok(true);
        }
        clock.sleep(LOOK_AGAIN).await;
    }
    Ok(false)
}

async fn facts(store: &Store, history: &History) -> Result<Facts> {
    let mut facts = Facts::default();
    for job in history.offered.keys() {
        if let Some(shown) = store.show(*job).await? {
            facts.jobs.insert(*job, shown.job.state);
        }
    }
    for batch in history.batches.keys() {
        if let Some(view) = store.show_batch(*batch).await? {
            let fact = BatchFact {
                is_finished: view.finished_ms.is_some(),
                is_cancelled: view.is_cancelled,
                total: view.total,
                pending: view.pending,
                failed: view.failed,
                cancelled: view.cancelled,
            };
            facts.batches.insert(*batch, fact);
        }
    }
    for it in store.figures().await? {
        let open = it.scheduled + it.waiting + it.claimed + it.running;
        facts.open_jobs += open;
        facts.total_jobs += open + it.done + it.failed + it.cancelled;
    }
    Ok(facts)
}

/// The longest wait, from the beginning of a fault, for a job that was done.
fn longest_recovery(lines: &[Line]) -> Duration {
    let mut done_us: Vec<u64> =
        lines.iter().filter(|line| is_done(line)).map(|it| it.at_us).collect();
    done_us.sort_unstable();
    let mut longest_us = 0;
    for line in lines {
        let Entry::Fault { from_us, .. } = line.entry else { continue };
        let next = done_us.partition_point(|at_us| *at_us <= from_us);
        if let Some(at_us) = done_us.get(next) {
            longest_us = longest_us.max(at_us - from_us);
        }
    }
    Duration::from_micros(longest_us)
}

fn is_done(line: &Line) -> bool {
    matches!(&line.entry, Entry::Step { became: Some(became), .. } if became == "done")
}

/// The lines about each of those who broke a promise, and a few more of the first.
fn evidence(verdict: &Verdict, lines: &[Line]) -> Vec<String> {
    let text = |line: &Line| serde_json::to_string(line).unwrap_or_default();
    let mut shown = Vec::new();
    for broken in verdict.broken.iter().take(EVIDENCE) {
        shown.push(format!("{}: {}", broken.what, broken.why));
        let Some(id) = broken.id else { continue };
        let id = id.to_string();
        let about = lines.iter().map(text).filter(|line| line.contains(&id));
        shown.extend(about.take(EVIDENCE));
    }
    shown
}
