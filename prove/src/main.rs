//! `samovar-prove`: the harness by itself, for who works on it. `samovar prove` is the same.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

use std::process::ExitCode;

use clap::Parser;
use samovar_prove::{Arguments, prove, started};

#[global_allocator]
static ALLOCATOR: samovar_memory::Metered = samovar_memory::Metered::new();

/// Kills, stops and starves what runs jobs, and checks that no promise was broken.
#[derive(Debug, Parser)]
struct CommandLine {
    #[command(flatten)]
    arguments: Arguments,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// A promise was broken.
const BROKEN: u8 = 1;
/// The harness itself did not work.
const TROUBLE: u8 = 2;

fn main() -> ExitCode {
    if let Some(ended) = started() {
        return ended;
    }
    let CommandLine { arguments, json: as_json } = CommandLine::parse();
    match prove(&arguments, &|word| eprintln!("{word}")) {
        Ok(report) => {
            let text = if as_json { format!("{}\n", report.json) } else { report.table };
            print!("{text}");
            if report.is_broken { ExitCode::from(BROKEN) } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            eprintln!("samovar-prove: {error:#}");
            ExitCode::from(TROUBLE)
        }
    }
}
