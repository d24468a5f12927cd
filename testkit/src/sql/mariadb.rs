//! One MariaDB server.

use std::{fmt::Write as _, fs, net::SocketAddr, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use super::{
    Row, USER,
    daemon::{Daemon, start_on_a_free_port},
    programs, template,
};

const DATABASE: &str = "samovar";
const PACKAGE: &str = "mariadb-server-core mariadb-client-core";
/// Not on the path of everybody.
const FOLDERS: &[&str] = &["/usr/sbin", "/usr/local/sbin", "/usr/libexec"];
/// Who this type connects as. Not counted.
const OURSELVES: &str = "root";

/// Nothing is synced, and files are small, so that they are soon copied. What a commit has written
/// outlives the process.
const DEFAULTS: &str = "\
debug-no-sync
innodb-flush-method=nosync
innodb-flush-log-at-trx-commit=2
innodb-data-file-path=ibdata1:5M:autoextend
innodb-autoextend-increment=1
innodb-temp-data-file-path=ibtmp1:2M:autoextend
innodb-log-file-size=4M
innodb-buffer-pool-size=16M
innodb-buffer-pool-load-at-startup=off
innodb-buffer-pool-dump-at-shutdown=off
performance-schema=off
skip-log-bin
skip-name-resolve
bind-address=127.0.0.1
socket=server.sock
";

/// How to start a server.
#[derive(Debug, Clone, Default)]
pub struct MariaDbBuilder {
    lines: Vec<String>,
}

impl MariaDbBuilder {
    /// Adds a line to the configuration file, for example `max_connections = 5`. The last one wins.
    #[must_use]
    pub fn config(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// Starts the server on a free port and waits until it answers.
    ///
    /// # Errors
    /// When MariaDB is not installed or does not start; the message ends with its log.
    pub fn start(self) -> Result<MariaDbServer> {
        let folders: Vec<_> = FOLDERS.iter().map(PathBuf::from).collect();
        let program = programs::folder_of("mariadbd", &folders, PACKAGE)?.join("mariadbd");
        start_on_a_free_port(|lease| {
            let server = MariaDbServer { program: program.clone(), daemon: Daemon::new(lease)? };
            server.prepare(&self.lines)?;
            server.restart()?;
            Ok(server)
        })
    }
}

/// A running server with a port and a folder of its own, killed when dropped.
#[derive(Debug)]
pub struct MariaDbServer {
    program: PathBuf,
    daemon: Daemon,
}

impl MariaDbServer {
    /// A server with an empty database.
    ///
    /// # Errors
    /// When MariaDB is not installed or does not start; the message ends with its log.
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    pub fn builder() -> MariaDbBuilder {
        MariaDbBuilder::default()
    }

    /// With a user who may do everything.
    pub fn url(&self) -> String {
        format!("mysql://{USER}:{USER}@{}/{DATABASE}", self.address())
    }

    pub fn address(&self) -> SocketAddr {
        self.daemon.address()
    }

    /// Runs statements, on a connection of their own.
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
        programs::folder_of("mariadb", &[], PACKAGE)?;
        let mut client = Command::new("mariadb");
        client
            .args(["--no-defaults", "--batch", "--skip-column-names", "--connect-timeout=10"])
            .args(["--protocol=tcp", "--host=127.0.0.1", "--default-character-set=utf8mb4"])
            .arg(format!("--port={}", self.address().port()))
            .arg(format!("--user={OURSELVES}"))
            .args(["--execute", sql, DATABASE]);
        let output = programs::run(client, "")?;
        Ok(output.lines().map(|row| row.split('\t').map(unescaped).collect()).collect())
    }

    /// How many connections clients have, without those of this type.
    ///
    /// # Errors
    /// As [`MariaDbServer::query`].
    pub fn connections(&self) -> Result<u64> {
        Ok(self.clients()?.len() as u64)
    }

    /// How many statements with `part` in their text, case aside, run at this moment. Statements of
    /// this type do not count.
    ///
    /// # Errors
    /// As [`MariaDbServer::query`].
    pub fn executing(&self, part: &str) -> Result<u64> {
        let part = part.to_lowercase();
        let runs = |client: &&Client| {
            ["Query", "Execute"].contains(&client.command.as_str())
                && client.statement.to_lowercase().contains(&part)
        };
        Ok(self.clients()?.iter().filter(runs).count() as u64)
    }

    /// A count that the server keeps since its start: `Com_select` for the queries, `Questions` for
    /// all statements (those of [`MariaDbServer::query`] and of this function are among them).
    ///
    /// # Errors
    /// As [`MariaDbServer::query`]; when there is no such count.
    pub fn status(&self, name: &str) -> Result<u64> {
        let rows = self.query(&format!("SHOW GLOBAL STATUS LIKE '{name}'"))?;
        let value = rows.first().and_then(|row| row.get(1));
        Ok(value.with_context(|| format!("no status {name}"))?.parse()?)
    }

    pub fn is_running(&self) -> bool {
        self.daemon.is_running()
    }

    /// SIGKILL, as a crash would: returns when the process is gone.
    pub fn kill(&self) {
        self.daemon.kill();
    }

    /// Starts again on the same port, with its data; kills first if need be.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&self) -> Result<()> {
        let mut mariadbd = Command::new(&self.program);
        mariadbd.arg(format!("--defaults-file={}", self.config_path().display()));
        self.daemon.launch(mariadbd, "ready for connections")
    }

    /// SIGSTOP: connections stay, nothing is answered.
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

    fn prepare(&self, lines: &[String]) -> Result<()> {
        let data = self.daemon.data_dir();
        self.unpack()?;
        let mut config = common_config();
        writeln!(config, "port={}\ndatadir={}", self.address().port(), data.display())?;
        for line in lines {
            writeln!(config, "{line}")?;
        }
        Ok(fs::write(self.config_path(), config)?)
    }

    fn unpack(&self) -> Result<()> {
        let config = common_config();
        // The tables of users are only read when they are asked for.
        let sql = format!(
            "FLUSH PRIVILEGES;\n\
             CREATE USER {USER} IDENTIFIED BY '{USER}';\n\
             GRANT ALL ON *.* TO {USER} WITH GRANT OPTION;\n\
             CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4;\n"
        );
        template::unpack(&self.program, (&config, &sql), &self.daemon.data_dir(), |folder| {
            let (config_path, sql_path) =
                (folder.with_extension("cnf"), folder.with_extension("sql"));
            fs::write(&config_path, config.as_str())?;
            fs::write(&sql_path, sql.as_str())?;
            let mut setup = Command::new("mariadb-install-db");
            setup
                .arg(format!("--defaults-file={}", config_path.display()))
                .arg(format!("--datadir={}", folder.display()))
                .arg(format!("--extra-file={}", sql_path.display()))
                .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
                // Leaves a system-wide server's programs alone.
                .arg("--rpm");
            programs::run(setup, "")?;
            fs::remove_file(config_path)?;
            Ok(fs::remove_file(sql_path)?)
        })
    }

    /// Everybody but ourselves and the server's own threads.
    fn clients(&self) -> Result<Vec<Client>> {
        // Not a query for the table of the same name, which would be one more in `Com_select`.
        let rows = self.query("SHOW FULL PROCESSLIST")?;
        let clients = rows.into_iter().filter_map(|row| {
            let [_, user, _, _, command, _, _, statement, ..] = row.as_slice() else { return None };
            let is_client = ![OURSELVES, "system user", "event_scheduler"].contains(&user.as_str());
            is_client.then(|| Client { command: command.clone(), statement: statement.clone() })
        });
        Ok(clients.collect())
    }

    fn config_path(&self) -> PathBuf {
        self.daemon.dir().join("mariadb.cnf")
    }
}

struct Client {
    command: String,
    statement: String,
}

/// For the server, and for the making of its files.
fn common_config() -> String {
    // It runs as root only when told to.
    let user = if rustix::process::geteuid().is_root() { "user=root\n" } else { "" };
    format!("[mariadbd]\n{user}{DEFAULTS}")
}

/// A value as the client's batch mode writes it.
fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('0') => '\0',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    text
}
