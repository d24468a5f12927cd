//! The project's own tasks, run as `cargo xtask <task>`.
#![expect(clippy::print_stdout, reason = "a tool for the terminal")]

mod bench_http;
mod check;
mod packages;
mod prove;
mod run;
mod schemathesis;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use run::{cargo, run};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The project's own tasks")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what is missing, then run all tests
    Test {
        /// Passed on to the test runner, for example part of a test's name
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Everything but the tests: formatting, tidy, lints, documentation, cargo-deny if installed
    Check,
    /// What CI does: check, then test
    Ci,
    /// The rules that no other tool knows: dependencies, crate arrows, sources, links
    Tidy,
    /// Come over real processes and servers with 2,000 faults, and check what became of every job
    Prove {
        /// Passed on: --faults N, --seed S, --store embedded or redis, --json
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measure hits over HTTP beside nginx, and 20,000 connections
    BenchHttp {
        /// `hit`, `connections`; both unless named
        sections: Vec<String>,
    },
    /// Ask a running demo for everything that its OpenAPI document allows, and for much that it does not
    Schemathesis {
        /// Passed on, such as --max-examples 100
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run the benchmarks
    Bench {
        /// Names of sections, such as `shared_hit`; all of them unless named
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    match perform(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nxtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<()> {
    std::env::set_current_dir(run::workspace_root())?;
    match task {
        Task::Test { arguments } => test::test(&arguments),
        Task::Check => check::check(),
        Task::Ci => {
            check::check()?;
            test::test(&[])
        }
        Task::Tidy => tidy::tidy(),
        Task::Prove { arguments } => prove::prove(&arguments),
        Task::BenchHttp { sections } => bench_http::bench_http(&sections),
        Task::Schemathesis { arguments } => schemathesis::schemathesis(&arguments),
        Task::Bench { arguments } => {
            run(cargo().args(["bench", "--package", "samovar-bench", "--"]).args(arguments))
        }
    }
}
