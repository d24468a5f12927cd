//! `samovar-prove`: the harness, and, by a hidden first argument, the processes that it starts.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

use std::{env, process::ExitCode, thread, time::Duration};

use anyhow::{Result, anyhow};
use clap::{Parser, ValueEnum};
use samovar_clock::Random;
use samovar_memory::child::is_child;
use samovar_prove::{Finding, Level, Plan, json, run, table};

#[global_allocator]
static ALLOCATOR: samovar_memory::Metered = samovar_memory::Metered::new();

/// Kills, stops and starves what runs jobs, and checks that no promise was broken.
#[derive(Debug, Parser)]
struct Arguments {
    /// Faults in all, shared out among the stores
    #[arg(long, default_value_t = 2000)]
    faults: usize,
    /// Repeats a run, as far as real processes allow
    #[arg(long)]
    seed: Option<u64>,
    #[arg(long, value_enum, default_value_t = Stores::All)]
    store: Stores,
    /// No further fault after so many minutes
    #[arg(long, default_value_t = 20.0)]
    minutes: f64,
    /// Keeps all that was written down, also if nothing is broken
    #[arg(long)]
    keep: bool,
    /// For programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Stores {
    Embedded,
    Redis,
    All,
}

impl Stores {
    fn levels(self) -> Vec<Level> {
        let is_meant = |level: &Level| match self {
            Stores::Embedded => *level == Level::Embedded,
            Stores::Redis => *level != Level::Embedded,
            Stores::All => true,
        };
        Level::ALL.into_iter().filter(is_meant).collect()
    }
}

/// A promise was broken.
const BROKEN: u8 = 1;
/// The harness itself did not work.
const TROUBLE: u8 = 2;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().collect();
    match &words[..] {
        [_, _, role] if is_child() => samovar_prove::child(role),
        [_, word, role] if word == "node" => ended(samovar_prove::node(role).map(|()| false)),
        _ => ended(prove(&Arguments::parse())),
    }
}

fn ended(broken: Result<bool>) -> ExitCode {
    match broken {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => ExitCode::from(BROKEN),
        Err(error) => {
            eprintln!("samovar-prove: {error:#}");
            ExitCode::from(TROUBLE)
        }
    }
}

/// Whether a promise was broken. The stores are tried at the same time: most of it is waiting.
fn prove(arguments: &Arguments) -> Result<bool> {
    let levels = arguments.store.levels();
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
        let runs: Vec<_> = plans.iter().map(|plan| scope.spawn(|| alone(plan))).collect();
        let joined = |run: thread::ScopedJoinHandle<'_, _>| {
            run.join().unwrap_or_else(|_| Err(anyhow!("a run panicked")))
        };
        // All come to their end before any error is told.
        runs.into_iter().map(joined).collect::<Vec<_>>()
    });
    let findings = findings.into_iter().collect::<Result<Vec<_>>>()?;
    if arguments.json {
        println!("{}", json(&findings));
    } else {
        print!("{}", table(&findings));
    }
    Ok(findings.iter().any(|finding| finding.broken().next().is_some()))
}

fn alone(plan: &Plan) -> Result<Finding> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(plan, &|word| eprintln!("{word}")))
}
