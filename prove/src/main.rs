//! `samovar-prove`: the harness by itself, for who works on it. `samovar prove` is the same.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

use std::process::ExitCode;

use clap::Parser;
use samovar_prove::{Arguments, is_broken, json, prove, started, table};

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
        Ok(findings) => {
            let report = if as_json { format!("{}\n", json(&findings)) } else { table(&findings) };
            print!("{report}");
            if is_broken(&findings) { ExitCode::from(BROKEN) } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            eprintln!("samovar-prove: {error:#}");
            ExitCode::from(TROUBLE)
        }
    }
}
