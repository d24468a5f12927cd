//! The process of a database server, and those that it starts itself.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, anyhow};

use super::{DATA, family};
use crate::{port::PortLease, process::Process, wait};

const START_ATTEMPTS: usize = 5;
const START_LIMIT: Duration = Duration::from_secs(60);
const LOG_TAIL_LINES: usize = 30;

/// Starts a server with `start`, on another port when somebody outside of these tests was faster.
pub(super) fn start_on_a_free_port<S>(start: impl Fn(PortLease) -> Result<S>) -> Result<S> {
    let mut attempts = 1;
    loop {
        match start(PortLease::take_in_memory()?) {
            Err(error)
                if attempts < START_ATTEMPTS
                    && format!("{error:#}").contains("Address already in use") =>
            {
                attempts += 1;
            }
            result => return result,
        }
    }
}

/// A server that logs to its standard error and works in its data folder.
#[derive(Debug)]
pub(super) struct Daemon {
    process: Mutex<Option<Process>>,
    lease: PortLease,
}

impl Daemon {
    /// With an empty data folder, not yet started.
    pub(super) fn new(lease: PortLease) -> Result<Self> {
        let daemon = Self { process: Mutex::new(None), lease };
        fs::create_dir(daemon.data_dir())?;
        Ok(daemon)
    }

    pub(super) fn dir(&self) -> PathBuf {
        self.lease.dir().to_owned()
    }

    pub(super) fn data_dir(&self) -> PathBuf {
        self.lease.dir().join(DATA)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.lease.address()
    }

    /// Starts `command` and waits until it logs the words `ready`; kills what ran before.
    pub(super) fn launch(&self, mut command: Command, ready: &str) -> Result<()> {
        self.kill();
        let log = File::options().create(true).append(true).open(self.log_path())?;
        let said_before = log.metadata()?.len() as usize;
        command.current_dir(self.data_dir());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = Process::spawn(command).context("starting the server")?;
        let started = wait::until(START_LIMIT, "the server to be ready", || {
            if self.log(said_before).contains(ready) {
                return Some(Ok(()));
            }
            (!process.is_running()).then(|| Err(anyhow!("the server ended")))
        });
        // Kept in any case, so that whatever it has started ends with it.
        *self.process() = Some(process);
        started.flatten().with_context(|| format!("the log ends with\n{}", self.log_tail()))
    }

    pub(super) fn is_running(&self) -> bool {
        self.process().as_ref().is_some_and(Process::is_running)
    }

    pub(super) fn kill(&self) {
        // The server itself first: it would replace the others.
        *self.process() = None;
        family::end(&self.data_dir());
    }

    pub(super) fn stop(&self) -> Result<()> {
        self.process().as_ref().context("the server is not running")?.stop()?;
        family::stop(&self.data_dir())
    }

    pub(super) fn resume(&self) -> Result<()> {
        self.process().as_ref().context("the server is not running")?.resume()?;
        family::resume(&self.data_dir())
    }

    pub(super) fn log_tail(&self) -> String {
        let log = self.log(0);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    fn log(&self, from: usize) -> String {
        let log = fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(log.get(from..).unwrap_or_default()).into_owned()
    }

    fn log_path(&self) -> PathBuf {
        self.lease.dir().join("server.log")
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Before the lease goes, and with it the folder by which they are known.
        self.kill();
    }
}
