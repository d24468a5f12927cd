//! This executable as a second process of a benchmark.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use samovar_testkit::Process;

const ROLE: &str = "SAMOVAR_BENCH_ROLE";
const ARGUMENT: &str = "SAMOVAR_BENCH_ARGUMENT";

/// Starts this executable anew; [`role`] and [`argument`] say there what these are here.
pub fn start(role: &str, argument: &str) -> Result<Process> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .env(ROLE, role)
        .env(ARGUMENT, argument)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    Ok(Process::spawn(command)?)
}

/// What this process was started for by another; `None` in the one that was started by hand.
pub fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

pub fn argument() -> Result<String> {
    std::env::var(ARGUMENT).context("a child without an argument")
}
