//! One run: faults over one store, then calm, then the comparison.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use samovar_clock::{Clock, Random};
use samovar_jobs::Store;

use crate::{
    check::{Broken, Verdict, check},
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
const TELL_EVERY: usize = 25;
/// Of so many breaks all lines are gathered; the journal has those of the others.
const TOLD_IN_FULL: usize = 20;

/// What is to be done.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// This executable.
    pub(crate) program: PathBuf,
    pub(crate) level: Level,
    pub(crate) faults: usize,
    pub(crate) seed: u64,
    /// No further fault after this.
    pub(crate) at_most: Duration,
    /// What was written down is kept, also if nothing is broken.
    pub(crate) keep: bool,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Finding {
    pub level: Level,
    pub seed: u64,
    pub faults: BTreeMap<&'static str, usize>,
    /// Of the faults at a point, those where the node did come to it.
    pub died_at_points: usize,
    pub verdict: Verdict,
    /// From a fault to the next job that is acknowledged as done, and after which fault.
    pub longest_recovery: (Duration, &'static str),
    pub took: Duration,
    /// The folder with all that was written down, if it is kept.
    pub kept: Option<PathBuf>,
}

impl Finding {
    /// What was broken that the level promises.
    pub(crate) fn broken(&self) -> impl Iterator<Item = &Broken> {
        self.verdict.broken.iter().filter(|it| self.level.promises(it.rule))
    }

    pub(crate) fn fault_count(&self) -> usize {
        self.faults.values().sum()
    }
}

/// Whether a promise was broken anywhere.
pub(crate) fn is_broken(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.broken().next().is_some())
}

/// Runs it; `tell` hears how far it is. What was written down stays if the run cannot go on.
pub(crate) async fn run(plan: &Plan, tell: &dyn Fn(String)) -> Result<Finding> {
    let mut home = tempfile::Builder::new().prefix("samovar-prove-").tempdir()?;
    let found = play(plan, home.path(), tell).await;
    let is_sound = found.as_ref().is_ok_and(|finding| finding.broken().next().is_none());
    let keeps = plan.keep || !is_sound;
    home.disable_cleanup(keeps);
    let place = || format!("{}, seed {}: see {}", plan.level, plan.seed, home.path().display());
    let finding = found.with_context(place)?;
    let kept = keeps.then(|| home.path().to_owned());
    Ok(Finding { kept, ..finding })
}

async fn play(plan: &Plan, home: &Path, tell: &dyn Fn(String)) -> Result<Finding> {
    let clock = Clock::System;
    let began = clock.now();
    let random = Random::seeded(plan.seed);
    let place = Place::prepare(plan.level, home)?;
    let recorder = Recorder::start(home)?;
    let journal = recorder.journal(clock.clone())?;
    let ways = (recorder.path().to_owned(), place.address());
    let mut fleet = Fleet::new(plan.program.clone(), plan.level, ways, &journal, random.clone());
    fleet.revive()?;
    hurt_all(plan, &place, &mut fleet, &random, tell).await?;
    tell(format!("{}: all faults are done, the last jobs run", plan.level));
    fleet.revive()?;
    fleet.calm()?;
    if until_quiet(&mut fleet, &clock).await? {
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
    write_down(home, plan, &verdict, &lines)?;
    Ok(Finding {
        level: plan.level,
        seed: plan.seed,
        faults: history.by_kind().into_iter().map(|(kind, count)| (kind.name(), count)).collect(),
        died_at_points: history.died_at_points,
        verdict,
        longest_recovery: longest_recovery(&lines),
        took: clock.now().since(began),
        kept: None,
    })
}

/// One fault after the other, as many as were asked for or as there is time for.
async fn hurt_all(
    plan: &Plan,
    place: &Place,
    fleet: &mut Fleet<'_>,
    random: &Random,
    tell: &dyn Fn(String),
) -> Result<()> {
    let clock = Clock::System;
    let began = clock.now();
    for (kind, count) in Kind::series(plan.level, plan.faults, random).into_iter().zip(1..) {
        if clock.now().since(began) > plan.at_most {
            tell(format!("{}: no time for more than {} faults", plan.level, count - 1));
            break;
        }
        fleet.revive()?;
        clock.sleep(Duration::from_millis(random.below(GAP_MS))).await;
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
fn longest_recovery(lines: &[Line]) -> (Duration, &'static str) {
    let mut done_us: Vec<u64> =
        lines.iter().filter(|line| is_done(line)).map(|it| it.at_us).collect();
    done_us.sort_unstable();
    let recovery = |line: &Line| {
        let Entry::Fault { kind, from_us, .. } = line.entry else { return None };
        let next = done_us.partition_point(|at_us| *at_us <= from_us);
        Some((done_us.get(next)? - from_us, kind.name()))
    };
    let (longest_us, kind) = lines.iter().filter_map(recovery).max().unwrap_or((0, "no fault"));
    (Duration::from_micros(longest_us), kind)
}

fn is_done(line: &Line) -> bool {
    matches!(&line.entry, Entry::Step { became: Some(became), .. } if became == "done")
}

/// Beside the journal: what was broken that must not be, with the lines about the first of it.
fn write_down(home: &Path, plan: &Plan, verdict: &Verdict, lines: &[Line]) -> Result<()> {
    let mut file = BufWriter::new(File::create(home.join("broken"))?);
    writeln!(file, "{}, seed {}", plan.level, plan.seed)?;
    let promised = verdict.broken.iter().filter(|it| plan.level.promises(it.rule));
    for (Broken { rule, id, why }, at) in promised.zip(0..) {
        let name = id.map(|id| id.to_string()).unwrap_or_default();
        writeln!(file, "\n{rule}: {name} {why}")?;
        for line in lines.iter().filter(|_| id.is_some() && at < TOLD_IN_FULL) {
            let text = serde_json::to_string(line)?;
            if text.contains(&name) {
                writeln!(file, "  {text}")?;
            }
        }
    }
    Ok(file.flush()?)
}
