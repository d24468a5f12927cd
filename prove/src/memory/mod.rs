//! What is promised about the memory of jobs, tried on jobs that take too much of it.

mod jobs;
mod trials;

use std::{
    env,
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use samovar_clock::Clock;
use serde_json::{Value, json};

use self::trials::{Seen, Trial, child};
use crate::report::Report;

/// The first argument of a process that tries one promise.
const TRIAL: &str = "prove-memory";
/// The first argument of a child of such a process.
const CHILD: &str = "prove-memory-child";

/// What came of a trial.
struct Finding {
    trial: Trial,
    seen: Seen,
    took: Duration,
}

/// The whole life of this process, where a trial is what it was started for.
pub(crate) fn started(words: &[&str]) -> Option<ExitCode> {
    match words {
        [word] if *word == CHILD => Some(child()),
        [word, name] if *word == TRIAL => Some(match Trial::named(name).map(alone) {
            Some(Ok(())) => ExitCode::SUCCESS,
            Some(Err(_)) | None => ExitCode::FAILURE,
        }),
        _ => None,
    }
}

/// Says what it has seen on standard output.
fn alone(trial: Trial) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let seen = runtime.block_on(trial.run()).unwrap_or_else(|error| {
        let broken = vec![format!("it could not go on: {error:#}")];
        Seen { broken, ..Seen::default() }
    });
    serde_json::to_writer(std::io::stdout(), &seen)?;
    Ok(())
}

/// One trial after the other, so that none takes what another one measures.
pub(crate) fn prove(tell: &dyn Fn(String)) -> Result<Report> {
    let program = env::current_exe()?;
    let mut findings = Vec::new();
    for trial in Trial::ALL {
        tell(format!("{}: {}", trial.name(), trial.promise()));
        let began = Clock::System.now();
        let mut process = Command::new(&program);
        process.args([TRIAL, trial.name()]).stdin(Stdio::null()).stderr(Stdio::inherit());
        let ended = process.output().context("a trial cannot be started")?;
        let seen = serde_json::from_slice(&ended.stdout).unwrap_or_else(|_| {
            let broken = vec![format!("the process died: {}", ended.status)];
            Seen { broken, ..Seen::default() }
        });
        findings.push(Finding { trial, seen, took: Clock::System.now().since(began) });
    }
    Ok(Report {
        is_broken: findings.iter().any(|it| !it.seen.broken.is_empty()),
        table: table(&findings),
        json: findings.iter().map(Finding::json).collect(),
    })
}

fn table(findings: &[Finding]) -> String {
    let mut text = String::from(
        "| trial | promise | jobs | budget | most above idle | seen | took | |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let megabytes = |bytes: u64| bytes >> 20;
    for Finding { trial, seen, took } in findings {
        let word = if seen.broken.is_empty() { "kept" } else { "BROKEN" };
        text += &format!(
            "| {} | {} | {} | {} MB | {} MB | {} | {:.1} s | {word} |\n",
            trial.name(),
            trial.promise(),
            seen.jobs,
            megabytes(seen.budget_bytes),
            megabytes(seen.peak_bytes),
            seen.figures.join(", "),
            took.as_secs_f64(),
        );
    }
    for Finding { trial, seen, .. } in findings {
        for broken in &seen.broken {
            text += &format!("\n{}: {broken}", trial.name());
        }
    }
    text
}

impl Finding {
    fn json(&self) -> Value {
        let Self { trial, seen, took } = self;
        json!({
            "trial": trial.name(), "promise": trial.promise(), "jobs": seen.jobs,
            "budget_bytes": seen.budget_bytes, "peak_bytes": seen.peak_bytes,
            "figures": seen.figures, "broken": seen.broken, "took_ms": took.as_millis() as u64,
        })
    }
}
