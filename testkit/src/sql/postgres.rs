//! One PostgreSQL server.

use std::{
    fs,
    net::SocketAddr,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{
    Row, USER,
    daemon::{Daemon, start_on_a_free_port},
    programs, template,
};

const DATABASE: &str = "postgres";
const PACKAGE: &str = "postgresql";
/// Each version has a folder here, with one for its programs.
const VERSIONS: &str = "/usr/lib/postgresql";
/// By which the connections of these functions are known, and not counted.
const OURSELVES: &str = "samovar-testkit";
/// What `psql` puts after a value, and after a row.
const END_OF_VALUE: char = '\u{1f}';
const END_OF_ROW: char = '\u{1e}';

/// Nothing is synced, and nothing is compiled for a statement that a test runs once. Shared memory
/// that a killed server leaves behind lies in its folder.
const DEFAULTS: &str = "\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
full_page_writes = off
jit = off
shared_buffers = 16MB
dynamic_shared_memory_type = mmap
shared_preload_libraries = 'pg_stat_statements'
";

/// Passwords are asked for, as in real life.
const ACCESS: &str = "host all all 127.0.0.1/32 scram-sha-256\n";

/// Small files, so that they are soon copied.
const SETUP: &[&str] = &[
    "--username",
    USER,
    "--encoding=UTF8",
    "--locale=C",
    "--auth=trust",
    "--wal-segsize=1",
    "--no-sync",
    "--no-instructions",
];

/// How to start a server.
#[derive(Debug, Clone, Default)]
pub struct PostgresBuilder {
    lines: Vec<String>,
    files: Vec<(&'static str, String)>,
}

impl PostgresBuilder {
    /// Adds a line to `postgresql.conf`, for example `max_connections = 5`. The last one wins.
    #[must_use]
    pub fn config(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// Lets clients encrypt their connections; those that do not are served as well. Both are PEM.
    #[must_use]
    pub fn tls(mut self, certificate: impl Into<String>, key: impl Into<String>) -> Self {
        self.files.push(("server.crt", certificate.into()));
        self.files.push(("server.key", key.into()));
        self.config("ssl = on")
    }

    /// Starts the server on a free port and waits until it answers.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start; the message ends with its log.
    pub fn start(self) -> Result<PostgresServer> {
        let install = Install::find()?;
        start_on_a_free_port(|lease| {
            let server = PostgresServer { install: install.clone(), daemon: Daemon::new(lease)? };
            server.prepare(&self.lines, &self.files)?;
            server.restart()?;
            Ok(server)
        })
    }
}

/// A running server with a port and a folder of its own, killed when dropped.
#[derive(Debug)]
pub struct PostgresServer {
    install: Install,
    daemon: Daemon,
}

impl PostgresServer {
    /// A server with an empty database.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start; the message ends with its log.
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    pub fn builder() -> PostgresBuilder {
        PostgresBuilder::default()
    }

    /// With a user who may do everything.
    pub fn url(&self) -> String {
        format!("postgres://{USER}:{USER}@{}/{DATABASE}", self.address())
    }

    pub fn address(&self) -> SocketAddr {
        self.daemon.address()
    }

    /// Runs statements, on a connection of their own and in one transaction.
    ///
    /// # Errors
    /// When the server does not answer, or with an error.
    pub fn execute(&self, sql: &str) -> Result<()> {
        self.query(sql).map(drop)
    }

    /// Runs a statement on a connection of its own and returns its rows.
    ///
    /// # Errors
    /// When the server does not answer, or with an error.
    pub fn query(&self, sql: &str) -> Result<Vec<Row>> {
        let mut psql = Command::new(self.install.program("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--pset=null=NULL"])
            .args([format!("--field-separator={END_OF_VALUE}")])
            .args([format!("--record-separator={END_OF_ROW}")])
            .args(["--command", sql, &self.url()])
            .env("PGAPPNAME", OURSELVES)
            .env("PGCONNECT_TIMEOUT", "10");
        let output = programs::run(psql, "")?;
        // A line feed ends the whole.
        let output = output.strip_suffix('\n').unwrap_or(&output);
        let rows = output.split(END_OF_ROW).filter(|_| !output.is_empty());
        Ok(rows.map(|row| row.split(END_OF_VALUE).map(str::to_owned).collect()).collect())
    }

    /// How many connections clients have, without those of this type.
    ///
    /// # Errors
    /// As [`PostgresServer::query`].
    pub fn connections(&self) -> Result<u64> {
        self.count(&format!("SELECT count(*) {CLIENTS}"))
    }

    /// How many statements with `part` in their text, case aside, run at this moment. Statements of
    /// this type do not count.
    ///
    /// # Errors
    /// As [`PostgresServer::query`].
    pub fn executing(&self, part: &str) -> Result<u64> {
        let contains = contains(part);
        self.count(&format!("SELECT count(*) {CLIENTS} AND state = 'active' AND {contains}"))
    }

    /// How many statements with `part` in their text, case aside, were run to their end since the
    /// server started. In the text `$1` and so on stand for the constants.
    ///
    /// # Errors
    /// As [`PostgresServer::query`].
    pub fn executed(&self, part: &str) -> Result<u64> {
        let contains = contains(part);
        self.count(&format!(
            "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE {contains}"
        ))
    }

    pub fn is_running(&self) -> bool {
        self.daemon.is_running()
    }

    /// SIGKILL for all of its processes, as a crash would: returns when they are gone.
    pub fn kill(&self) {
        self.daemon.kill();
    }

    /// Starts again on the same port, with its data; kills first if need be.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&self) -> Result<()> {
        let mut postgres = self.install.command("postgres");
        postgres.arg("-D").arg(self.daemon.data_dir());
        self.daemon.launch(postgres, "database system is ready to accept connections")
    }

    /// SIGSTOP for all of its processes: connections stay, nothing is answered.
    ///
    /// # Errors
    /// When it is not running.
    pub fn stop_process(&self) -> Result<()> {
        self.daemon.stop()
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When it is not running.
    pub fn continue_process(&self) -> Result<()> {
        self.daemon.resume()
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        self.daemon.log_tail()
    }

    fn prepare(&self, lines: &[String], files: &[(&str, String)]) -> Result<()> {
        let data = self.daemon.data_dir();
        // Lets the server pass whatever the creation mask is.
        self.install.give(&self.daemon.dir())?;
        self.install.unpack(&data)?;
        let port = self.address().port();
        let config = format!("port = {port}\n{DEFAULTS}{}\n", lines.join("\n"));
        for (name, text) in files {
            let path = data.join(name);
            fs::write(&path, text)?;
            // A key that others can read is refused.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            self.install.give(&path)?;
        }
        // Both exist already, and keep their owner.
        fs::write(data.join("postgresql.conf"), config)?;
        Ok(fs::write(data.join("pg_hba.conf"), ACCESS)?)
    }

    fn count(&self, sql: &str) -> Result<u64> {
        let rows = self.query(sql)?;
        let count = rows.first().and_then(|row| row.first()).context("a count is one row")?;
        Ok(count.parse()?)
    }
}

/// An own connection that is about to end does not count either.
const CLIENTS: &str = "FROM pg_stat_activity WHERE backend_type = 'client backend' \
                       AND application_name <> 'samovar-testkit'";

fn contains(part: &str) -> String {
    format!("strpos(lower(query), lower('{}')) > 0", part.replace('\'', "''"))
}

/// The newest version there is, and who may run it.
#[derive(Debug, Clone)]
struct Install {
    programs: PathBuf,
    user: Option<User>,
}

impl Install {
    fn find() -> Result<Self> {
        let versions = fs::read_dir(VERSIONS).into_iter().flatten().flatten();
        let numbers = versions.filter_map(|it| it.file_name().to_str()?.parse::<u32>().ok());
        let mut numbers: Vec<_> = numbers.collect();
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        let folder = |version: &u32| Path::new(VERSIONS).join(version.to_string()).join("bin");
        let folders: Vec<_> = numbers.iter().map(folder).collect();
        let programs = programs::folder_of("initdb", &folders, PACKAGE)?;
        Ok(Self { programs, user: User::in_place_of_root()? })
    }

    fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.program(name));
        if let Some(user) = &self.user {
            command.uid(user.id).gid(user.group);
        }
        command
    }

    /// Makes `path` the property of who runs the server.
    fn give(&self, path: &Path) -> Result<()> {
        let Some(user) = &self.user else { return Ok(()) };
        chown(path, Some(user.id), Some(user.group))
            .with_context(|| format!("giving away {}", path.display()))
    }

    fn unpack(&self, data: &Path) -> Result<()> {
        let sql =
            format!("ALTER USER {USER} PASSWORD '{USER}';\nCREATE EXTENSION pg_stat_statements;\n");
        template::unpack(&self.program("postgres"), (SETUP, &sql), data, |folder| {
            self.give(folder)?;
            let mut initdb = self.command("initdb");
            initdb.args(SETUP).arg("--pgdata").arg(folder).current_dir(folder);
            programs::run(initdb, "")?;
            let mut alone = self.command("postgres");
            alone.arg("--single").arg("-D").arg(folder).current_dir(folder);
            alone.args(["-c", "fsync=off", "-c", "exit_on_error=on", DATABASE]);
            programs::run(alone, &sql).map(drop)
        })
    }
}

#[derive(Debug, Clone)]
struct User {
    id: u32,
    group: u32,
}

impl User {
    /// PostgreSQL refuses to run as root. Its package brings a user.
    fn in_place_of_root() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd")?;
        let line = users.lines().find_map(|line| line.strip_prefix("postgres:"));
        let mut fields = line.unwrap_or_default().split(':').skip(1).map(str::parse);
        match (fields.next(), fields.next()) {
            (Some(Ok(id)), Some(Ok(group))) => Ok(Some(Self { id, group })),
            _ => anyhow::bail!("PostgreSQL does not run as root, and no user `postgres` is there"),
        }
    }
}
