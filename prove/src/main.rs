//! `samovar-prove`: the harness, and, by a hidden first argument, the processes that it starts.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

use std::{env, process::ExitCode, time::Duration};

use anyhow::Result;
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
    faults: u32,
    /// Repeats a run, as far as real processes allow
    #[arg(long)]
    seed: Option<u64>,
    #[arg(long, value_enum, default_value_t = Stores::All)]
    store: Stores,
    /// No further fault after so many minutes
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
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

/// Whether a promise was broken.
fn prove(arguments: &Arguments) -> Result<bool> {
    let levels = arguments.store.levels();
    let seed = arguments.seed.unwrap_or_else(|| Random::System.below(1_000_000));
    let share = levels.len() as u32;
    let at_most = Duration::try_from_secs_f64(arguments.minutes * 60.0)? / share;
    let program = env::current_exe()?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build()?;
    let mut findings: Vec<Finding> = Vec::new();
    for (at, level) in (0..share).zip(levels) {
        let faults = arguments.faults / share + u32::from(at < arguments.faults % share);
        let plan = Plan { program: program.clone(), level, faults, seed, at_most };
        findings.push(runtime.block_on(run(&plan, &mut |word| eprintln!("{word}")))?);
    }
    if arguments.json {
        println!("{}", json(&findings));
    } else {
        print!("{}", table(&findings));
    }
    Ok(findings.iter().any(Finding::is_broken))
}
