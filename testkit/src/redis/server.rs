//! One `redis-server` process.

use std::{
    ffi::OsString,
    fmt::Write as _,
    fs::{self, File},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};

use super::resp::{Connection, Reply};
use crate::{
    port::PortLease,
    process::{Process, ignoring_full_files},
    wait,
};

const START_ATTEMPTS: usize = 5;
const START_LIMIT: Duration = Duration::from_secs(30);
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(30);
const LOG_TAIL_LINES: usize = 30;

/// How to start a server: nothing is kept on disk unless `config` says so.
#[derive(Debug, Clone, Default)]
pub struct RedisBuilder {
    lines: Vec<String>,
    variables: Vec<(OsString, OsString)>,
    sentinel: bool,
    disk_to_fill: bool,
}

impl RedisBuilder {
    /// A server that is a sentinel: the configuration is all its own.
    pub(super) fn sentinel() -> Self {
        Self { sentinel: true, ..Self::default() }
    }

    /// Adds a line to the configuration file, for example `maxmemory 2mb`. The last one wins.
    #[must_use]
    pub fn config(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// Sets a variable of the environment of the process, now and whenever it starts again.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// For [`RedisServer::fill_disk`].
    #[must_use]
    pub fn with_a_disk_to_fill(mut self) -> Self {
        self.disk_to_fill = true;
        self
    }

    /// Adds several lines.
    #[must_use]
    pub fn configs(self, lines: &[String]) -> Self {
        lines.iter().fold(self, |builder, line| builder.config(line))
    }

    /// Starts the server on a free port and waits until it answers.
    ///
    /// # Errors
    /// When `redis-server` is not installed or does not start; the message ends with its log.
    pub fn start(self) -> Result<RedisServer> {
        let mut attempts = 1;
        loop {
            let server = self.clone().prepare(PortLease::take()?)?;
            match server.launch() {
                Ok(()) => return Ok(server),
                // Somebody outside of these tests was faster.
                Err(_) if server.lost_its_port() && attempts < START_ATTEMPTS => attempts += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Everything but the process: for those who must know the port before it starts.
    pub(super) fn prepare(self, lease: PortLease) -> Result<RedisServer> {
        let (port, dir) = (lease.port(), lease.dir());
        let data = dir.join("data");
        fs::create_dir_all(&data)?;
        let mut config = format!("port {port}\nbind 127.0.0.1\ndir {}\n", data.display());
        if self.sentinel {
            config.push_str("protected-mode no\n");
        } else {
            config.push_str(SERVER_DEFAULTS);
        }
        for line in &self.lines {
            writeln!(config, "{line}")?;
        }
        fs::write(dir.join("redis.conf"), config)?;
        let Self { sentinel, disk_to_fill, variables, .. } = self;
        Ok(RedisServer { sentinel, disk_to_fill, variables, process: Mutex::new(None), lease })
    }
}

/// No files unless asked for, replicas that are in step at once, and `DEBUG` for tests.
const SERVER_DEFAULTS: &str = "\
save \"\"
appendonly no
enable-debug-command yes
repl-diskless-sync-delay 0
repl-ping-replica-period 1
";

/// A running server with a port and a folder of its own, killed when dropped.
#[derive(Debug)]
pub struct RedisServer {
    sentinel: bool,
    disk_to_fill: bool,
    variables: Vec<(OsString, OsString)>,
    process: Mutex<Option<Process>>,
    lease: PortLease,
}

impl RedisServer {
    /// A server that keeps nothing on disk.
    ///
    /// # Errors
    /// When `redis-server` is not installed or does not start; the message ends with its log.
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    pub fn builder() -> RedisBuilder {
        RedisBuilder::default()
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    pub fn port(&self) -> u16 {
        self.lease.port()
    }

    pub fn address(&self) -> SocketAddr {
        self.lease.address()
    }

    /// Where the data files are.
    pub fn data_dir(&self) -> PathBuf {
        self.lease.dir().join("data")
    }

    /// One command on a connection of its own.
    ///
    /// # Errors
    /// When Redis cannot be reached or answers with an error.
    pub fn command(&self, arguments: &[impl AsRef<[u8]>]) -> Result<Reply> {
        self.connect()?.command(arguments)
    }

    /// A connection for many commands.
    ///
    /// # Errors
    /// When Redis cannot be reached.
    pub fn connect(&self) -> Result<Connection> {
        Connection::open(self.address())
    }

    /// A line of `INFO`, for example `info("used_memory")`.
    ///
    /// # Errors
    /// When Redis cannot be reached or has no such line.
    pub fn info(&self, name: &str) -> Result<String> {
        let info = self.command(&["INFO", "everything"])?.text();
        let prefix = format!("{name}:");
        let line = info.lines().find_map(|line| line.strip_prefix(&prefix));
        line.map(|value| value.trim().to_owned()).with_context(|| format!("INFO without {name}"))
    }

    pub fn is_running(&self) -> bool {
        self.process().as_ref().is_some_and(Process::is_running)
    }

    /// SIGKILL, as a crash would: returns when the process is gone.
    pub fn kill(&self) {
        // Dropping a process kills it and waits.
        *self.process() = None;
    }

    /// SIGTERM, as an administrator would: data is saved if the configuration says so.
    ///
    /// # Errors
    /// When it is not running or does not end.
    pub fn shut_down(&self) -> Result<()> {
        let mut slot = self.process();
        let process = slot.as_ref().context("the server is not running")?;
        process.terminate()?;
        process.wait(SHUTDOWN_LIMIT)?;
        *slot = None;
        Ok(())
    }

    /// Starts again on the same port, with the data that is on disk; kills first if need be.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&self) -> Result<()> {
        self.launch()
    }

    /// SIGSTOP: connections stay, nothing is answered.
    ///
    /// # Errors
    /// When it is not running.
    pub fn stop_process(&self) -> Result<()> {
        self.process().as_ref().context("the server is not running")?.stop()
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When it is not running.
    pub fn continue_process(&self) -> Result<()> {
        self.process().as_ref().context("the server is not running")?.resume()
    }

    /// No file of its data can grow, until [`RedisServer::free_disk`]. It has to be built
    /// [`RedisBuilder::with_a_disk_to_fill`].
    ///
    /// # Errors
    /// When it is not running.
    pub fn fill_disk(&self) -> Result<()> {
        self.process().as_ref().context("the server is not running")?.limit_files(Some(0))
    }

    /// There is room again.
    ///
    /// # Errors
    /// When it is not running.
    pub fn free_disk(&self) -> Result<()> {
        self.process().as_ref().context("the server is not running")?.limit_files(None)
    }

    /// Kills it and removes its data: the next [`RedisServer::restart`] starts empty.
    ///
    /// # Errors
    /// When the files cannot be removed.
    pub fn wipe(&self) -> Result<()> {
        self.kill();
        let data = self.data_dir();
        fs::remove_dir_all(&data)?;
        Ok(fs::create_dir(&data)?)
    }

    /// Saves, and copies what was saved (the append-only file included where there is one).
    ///
    /// # Errors
    /// When saving or copying fails.
    pub fn save_rdb(&self) -> Result<Snapshot> {
        self.command(&["SAVE"])?;
        let mut files = Vec::new();
        read_files(&self.data_dir(), Path::new(""), &mut files)?;
        Ok(Snapshot { files })
    }

    /// Kills it and puts the copy in the place of its data; [`RedisServer::restart`] loads it.
    ///
    /// # Errors
    /// When the files cannot be replaced.
    pub fn restore_rdb(&self, snapshot: &Snapshot) -> Result<()> {
        self.wipe()?;
        let data = self.data_dir();
        for (path, bytes) in &snapshot.files {
            let path = data.join(path);
            fs::create_dir_all(path.parent().context("a file has a folder")?)?;
            fs::write(path, bytes)?;
        }
        Ok(())
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    /// Starts the process on the prepared folder and waits until it answers.
    pub(super) fn launch(&self) -> Result<()> {
        self.kill();
        let log = File::options().create(true).append(true).open(self.log_path())?;
        let mut command = if self.disk_to_fill {
            ignoring_full_files("redis-server")
        } else {
            Command::new("redis-server")
        };
        command.arg(self.lease.dir().join("redis.conf"));
        if self.sentinel {
            command.arg("--sentinel");
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = Process::spawn(command).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => anyhow!(
                "redis-server is not installed: `cargo xtask test` does it, or \
                 `apt-get install redis-server`"
            ),
            _ => anyhow!(error).context("starting redis-server"),
        })?;
        let ready = wait::until(START_LIMIT, "redis-server to answer", || {
            if !process.is_running() {
                return Some(Err(anyhow!("redis-server ended")));
            }
            self.answers(&process).then_some(Ok(()))
        });
        ready.flatten().with_context(|| format!("the log ends with\n{}", self.log_tail()))?;
        *self.process() = Some(process);
        Ok(())
    }

    /// Whether a replica gets each write at once. "Online" alone does not say so: Redis holds the
    /// stream back until the replica's first acknowledgement, and a failover in that second
    /// would lose writes that no test meant to lose.
    pub(super) fn has_replica_in_step(&self) -> bool {
        let offset = |line: &str| {
            line.split(',').find_map(|it| it.strip_prefix("offset="))?.parse::<u64>().ok()
        };
        self.info("slave0").is_ok_and(|replica| {
            replica.contains("state=online") && offset(&replica).is_some_and(|offset| offset > 0)
        })
    }

    pub(super) fn lost_its_port(&self) -> bool {
        self.log_tail().contains("Address already in use")
    }

    /// Whether `process` has loaded its data and answers commands, or asks for a password.
    fn answers(&self, process: &Process) -> bool {
        match self.command(&["PING"]) {
            // Somebody else may sit on the port while ours is still finding out.
            Ok(_) => self.info("process_id").is_ok_and(|id| id == process.pid().to_string()),
            Err(error) => error.root_cause().to_string().starts_with("NOAUTH"),
        }
    }

    fn log_path(&self) -> PathBuf {
        self.lease.dir().join("redis.log")
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A copy of a server's data files.
#[derive(Debug, Clone)]
pub struct Snapshot {
    files: Vec<(PathBuf, Vec<u8>)>,
}

fn read_files(root: &Path, below: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) -> Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            read_files(root, &path, files)?;
        } else if kind.is_file() {
            files.push((path, fs::read(entry.path())?));
        } else {
            bail!("neither file nor folder: {}", entry.path().display());
        }
    }
    Ok(())
}
