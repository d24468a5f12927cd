//! The command line, which `samovar prove` and `cargo xtask prove` share.

use std::{env, process::ExitCode, thread, time::Duration};

use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
use samovar_clock::Random;
use samovar_memory::child::is_child;
use samovar_testkit::wrong_clock::WrongClock;

use crate::{
    memory,
    node::{child, node},
    place::Level,
    report::{Report, report},
    scene::{Finding, Plan, run},
};

/// The first argument of a process that a run starts.
pub(crate) const NODE: &str = "prove-node";
/// The same of a child of such a process.
pub(crate) const CHILD: &str = "prove-child";

#[derive(Debug, Args)]
pub struct Arguments {
    /// Faults in all, shared out among the stores
    #[arg(long, default_value_t = 2000)]
    pub faults: usize,
    /// Repeats a run, as far as real processes allow
    #[arg(long)]
    pub seed: Option<u64>,
    /// Throw-away stores that are tried
    #[arg(long, value_enum, default_value_t = Stores::Available)]
    pub store: Stores,
    /// No further fault after so many minutes
    #[arg(long, default_value_t = 20.0)]
    pub minutes: f64,
    /// Keeps all that was written down, also if nothing is broken
    #[arg(long)]
    pub keep: bool,
    /// Tries what is promised about the memory of jobs instead: limits, chunks, splits, leaks, purges
    #[arg(long, conflicts_with_all = ["faults", "seed", "store", "minutes", "keep"])]
    pub memory: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Stores {
    /// A folder, and Redis as far as what it takes is installed: redis-server, libfaketime
    Available,
    /// A folder
    Embedded,
    /// Redis alone and behind Sentinel, at each level of durability
    Redis,
    All,
}

impl Stores {
    /// Those that are tried, and those that cannot be.
    fn levels(self) -> (Vec<Level>, Vec<Level>) {
        let is_tried = |level: &Level| match self {
            Stores::Available => missing(*level).is_none(),
            Stores::Embedded => *level == Level::Embedded,
            Stores::Redis => *level != Level::Embedded,
            Stores::All => true,
        };
        let (tried, others): (Vec<_>, Vec<_>) = Level::ALL.into_iter().partition(is_tried);
        let is_left_out = matches!(self, Stores::Available);
        (tried, others.into_iter().filter(|_| is_left_out).collect())
    }
}

/// A program or library that a level needs and that is not there.
fn missing(level: Level) -> Option<&'static str> {
    let on_path = |program: &str| {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path).any(|folder| folder.join(program).is_file())
    };
    match level {
        Level::Embedded => None,
        _ if !on_path("redis-server") => Some("redis-server"),
        Level::RedisLocal | Level::RedisNone if !WrongClock::is_installed() => Some("libfaketime"),
        _ => None,
    }
}

/// The whole life of this process, where a run has started it.
pub fn started() -> Option<ExitCode> {
    let words: Vec<String> = env::args().collect();
    match &words[..] {
        [_, word, role] if word == CHILD && is_child() => Some(child(role)),
        [_, word, role] if word == NODE => Some(match node(role) {
            Ok(()) => ExitCode::SUCCESS,
            // It has written down why.
            Err(_) => ExitCode::FAILURE,
        }),
        [_, rest @ ..] => memory::started(&rest.iter().map(String::as_str).collect::<Vec<_>>()),
        [] => None,
    }
}

/// `tell` hears how far it is.
pub fn prove(arguments: &Arguments, tell: &(dyn Fn(String) + Sync)) -> Result<Report> {
    if arguments.memory { memory::prove(tell) } else { Ok(report(&by_faults(arguments, tell)?)) }
}

/// The stores are tried at the same time: most of it is waiting.
fn by_faults(arguments: &Arguments, tell: &(dyn Fn(String) + Sync)) -> Result<Vec<Finding>> {
    let (levels, left_out) = arguments.store.levels();
    for level in left_out {
        tell(format!("{level}: not tried, {} is not installed", missing(level).unwrap_or("it")));
    }
    let seed = arguments.seed.unwrap_or_else(|| Random::System.below(1_000_000));
    let at_most = Duration::try_from_secs_f64(arguments.minutes * 60.0)?;
    let program = env::current_exe()?;
    let (share, rest) = (arguments.faults / levels.len(), arguments.faults % levels.len());
    let plan = |(at, level)| {
        let faults = share + usize::from(at < rest);
        Plan { program: program.clone(), level, faults, seed, at_most, keep: arguments.keep }
    };
    let plans: Vec<_> = levels.into_iter().enumerate().map(plan).collect();
    let findings = thread::scope(|scope| {
        let runs: Vec<_> = plans.iter().map(|plan| scope.spawn(|| alone(plan, tell))).collect();
        let joined = |run: thread::ScopedJoinHandle<'_, _>| {
            run.join().unwrap_or_else(|_| Err(anyhow!("a run panicked")))
        };
        // All come to their end before any error is told.
        runs.into_iter().map(joined).collect::<Vec<_>>()
    });
    findings.into_iter().collect()
}

fn alone(plan: &Plan, tell: &dyn Fn(String)) -> Result<Finding> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(plan, tell))
}
