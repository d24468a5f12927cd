//! The fault harness, in a release build.

use std::{os::unix::process::CommandExt, process::Stdio};

use anyhow::{Context, Result};

use crate::{packages, run::cargo};

/// Returns only if it cannot be started: its output and its exit code are those of this task.
pub(crate) fn prove(arguments: &[String]) -> Result<()> {
    packages::ensure()?;
    let mut command = cargo();
    command.args(["run", "--quiet", "--release", "--package", "samovar-prove", "--"]);
    let error = command.args(arguments).stdin(Stdio::null()).exec();
    Err(error).context("starting cargo")
}
