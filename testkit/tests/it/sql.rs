//! PostgreSQL and MariaDB: started, killed, restarted, stopped, and gone when dropped.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::Result;
use samovar_testkit::{MariaDbServer, PostgresServer, Process, process, wait};

const LIMIT: Duration = Duration::from_secs(30);

/// The same tests for each of the two.
macro_rules! tests_of {
    ($module:ident, $server:ident) => {
        mod $module {
            use super::*;

            #[test]
            fn rows_come_back_as_they_were_put_in() -> Result<()> {
                let server = $server::start()?;
                server.execute("CREATE TABLE t (a INT, b VARCHAR(20))")?;
                assert!(server.query("SELECT * FROM t")?.is_empty());
                server.execute("INSERT INTO t VALUES (1, 'a\tb\nc'), (2, ''), (3, NULL)")?;
                let rows = server.query("SELECT a, b FROM t ORDER BY a")?;
                assert_eq!(rows, [["1", "a\tb\nc"], ["2", ""], ["3", "NULL"]]);
                Ok(())
            }

            #[test]
            fn two_servers_have_ports_and_data_of_their_own() -> Result<()> {
                let (one, other) = ($server::start()?, $server::start()?);
                assert_ne!(one.address(), other.address());
                one.execute("CREATE TABLE t (a INT)")?;
                assert!(other.query("SELECT * FROM t").is_err());
                Ok(())
            }

            #[test]
            fn what_was_committed_survives_a_kill() -> Result<()> {
                let server = $server::start()?;
                server.execute("CREATE TABLE t (a INT)")?;
                server.execute("INSERT INTO t VALUES (7)")?;
                server.kill();
                assert!(!server.is_running());
                assert!(TcpStream::connect(server.address()).is_err());
                server.restart()?;
                assert_eq!(server.query("SELECT a FROM t")?, [["7"]]);
                Ok(())
            }

            #[test]
            fn a_stopped_server_answers_after_it_is_continued() -> Result<()> {
                let server = $server::start()?;
                server.stop_process()?;
                thread::scope(|scope| {
                    let (sender, answers) = mpsc::channel();
                    let server = &server;
                    scope.spawn(move || sender.send(server.query("SELECT 1")));
                    assert!(answers.recv_timeout(Duration::from_millis(50)).is_err());
                    server.continue_process()?;
                    assert_eq!(answers.recv_timeout(LIMIT)??, [["1"]]);
                    Ok(())
                })
            }

            #[test]
            fn a_dropped_server_is_gone_even_when_it_was_stopped() -> Result<()> {
                let server = $server::start()?;
                let address = server.address();
                server.stop_process()?;
                drop(server);
                assert!(TcpStream::connect(address).is_err());
                Ok(())
            }

            #[test]
            fn a_server_dies_with_its_process() -> Result<()> {
                let test =
                    concat!("sql::", stringify!($module), "::a_server_dies_with_its_process");
                if process::role().is_some() {
                    let server = $server::start()?;
                    process::say(format!("server {}", server.address()));
                    process::hear();
                    return Ok(());
                }
                let owner = Process::spawn(process::this_test(test, "owner")?)?;
                let address = owner.hear("server ", LIMIT)?;
                assert!(TcpStream::connect(&address).is_ok());
                owner.kill();
                wait::until(LIMIT, "the server to die", || TcpStream::connect(&address).err())?;
                Ok(())
            }

            #[test]
            fn a_server_that_does_not_start_shows_its_log() {
                let broken = $server::builder().config("no_such_setting = 1").start();
                let error = format!("{:#}", broken.expect_err("refused"));
                assert!(error.contains("no_such_setting"), "{error}");
            }

            #[test]
            fn an_error_shows_what_the_server_said() -> Result<()> {
                let server = $server::start()?;
                let error = format!("{:#}", server.query("SELECT nonsense").expect_err("refused"));
                assert!(error.contains("nonsense"), "{error}");
                Ok(())
            }
        }
    };
}

tests_of!(postgres, PostgresServer);
tests_of!(mariadb, MariaDbServer);

/// A client as a tested program would be one.
fn psql(server: &PostgresServer, sql: &str) -> Result<Process> {
    let mut psql = Command::new("psql");
    psql.args(["--no-psqlrc", "--command", sql, &server.url()]);
    psql.stdin(Stdio::null()).stdout(Stdio::piped());
    Ok(Process::spawn(psql)?)
}

fn mariadb(server: &MariaDbServer, sql: &str) -> Result<Process> {
    let mut mariadb = Command::new("mariadb");
    mariadb
        .args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1"])
        .arg(format!("--port={}", server.address().port()))
        .args(["--user=samovar", "--password=samovar", "--execute", sql, "samovar"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    Ok(Process::spawn(mariadb)?)
}

#[test]
fn postgres_counts_connections_and_statements_of_clients() -> Result<()> {
    let server = PostgresServer::start()?;
    assert_eq!(server.connections()?, 0);
    let _client = psql(&server, "SELECT pg_sleep(600)")?;
    wait::until(LIMIT, "a client's statement", || {
        server.executing("SELECT PG_SLEEP").is_ok_and(|count| count == 1).then_some(())
    })?;
    assert_eq!(server.executing("something else")?, 0);
    assert_eq!(server.connections()?, 1);

    server.execute("CREATE TABLE users (id INT)")?;
    assert_eq!(server.executed("from users")?, 0);
    psql(&server, "SELECT * FROM users WHERE id = 1")?.wait_for_success(LIMIT)?;
    psql(&server, "SELECT * FROM users WHERE id = 2")?.wait_for_success(LIMIT)?;
    assert_eq!(server.executed("from users where id = $1")?, 2);
    Ok(())
}

#[test]
fn mariadb_counts_connections_and_statements_of_clients() -> Result<()> {
    let server = MariaDbServer::start()?;
    assert_eq!(server.connections()?, 0);
    let _client = mariadb(&server, "SELECT SLEEP(600)")?;
    wait::until(LIMIT, "a client's statement", || {
        server.executing("select sleep").is_ok_and(|count| count == 1).then_some(())
    })?;
    assert_eq!(server.executing("something else")?, 0);
    assert_eq!(server.connections()?, 1);

    server.execute("CREATE TABLE users (id INT)")?;
    let before = server.status("Com_select")?;
    mariadb(&server, "SELECT * FROM users")?.wait_for_success(LIMIT)?;
    mariadb(&server, "SELECT * FROM users")?.wait_for_success(LIMIT)?;
    assert_eq!(server.status("Com_select")?, before + 2);
    assert!(server.status("No_such").is_err());
    Ok(())
}

#[test]
fn settings_of_a_test_win() -> Result<()> {
    let server = PostgresServer::builder().config("max_connections = 7").start()?;
    assert_eq!(server.query("SHOW max_connections")?, [["7"]]);
    let server = MariaDbServer::builder().config("max_connections = 11").start()?;
    assert_eq!(server.query("SELECT @@max_connections")?, [["11"]]);
    Ok(())
}

/// The kernel ends the server with the test, but not those that it has started for its
/// connections: they notice by themselves, unless they stand still.
#[test]
fn what_a_killed_test_has_left_stopped_is_ended_by_the_next() -> Result<()> {
    const ASK_FOR_TLS: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
    let test = "sql::what_a_killed_test_has_left_stopped_is_ended_by_the_next";
    if let Some(role) = process::role() {
        let server = PostgresServer::start()?;
        if role == "owner" {
            process::say(format!("server {}", server.address()));
            process::hear();
            server.stop_process()?;
            process::say("stopped");
            process::hear();
        }
        return Ok(());
    }
    let owner = Process::spawn(process::this_test(test, "owner")?)?;
    let mut connection = TcpStream::connect(owner.hear("server ", LIMIT)?)?;
    connection.set_read_timeout(Some(LIMIT))?;
    connection.write_all(&ASK_FOR_TLS)?;
    // An answer: this connection has its process.
    connection.read_exact(&mut [0])?;
    owner.say("stop")?;
    owner.hear("stopped", LIMIT)?;
    owner.kill();
    Process::spawn(process::this_test(test, "next")?)?.wait_for_success(LIMIT)?;
    match connection.read(&mut [0]) {
        Ok(0) => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        other => panic!("the connection is still open: {other:?}"),
    }
    Ok(())
}
