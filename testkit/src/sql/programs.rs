//! The programs that the databases' packages bring: found, and run to their end.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::process::Process;

const RUN_LIMIT: Duration = Duration::from_secs(60);

/// The folder that holds `program`: one of `preferred`, or else one on the path.
pub(super) fn folder_of(program: &str, preferred: &[PathBuf], package: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = preferred.iter().cloned().chain(env::split_paths(&path));
    folders.find(|folder| folder.join(program).is_file()).with_context(|| {
        format!(
            "{program} is not installed: `cargo xtask test` does it, or `apt-get install {package}`"
        )
    })
}

/// Runs a program with `input`, insists on its success, and returns what it wrote.
pub(super) fn run(mut command: Command, input: &str) -> Result<String> {
    let name = Path::new(command.get_program()).display().to_string();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = || {
        let process = Process::spawn(command)?;
        if !input.is_empty() {
            process.say(input)?;
        }
        process.hang_up();
        process.wait_for_success(RUN_LIMIT)?;
        Ok(process.stdout())
    };
    let result: Result<String> = ended();
    result.with_context(|| format!("running {name}"))
}
