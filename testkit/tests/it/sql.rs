//! PostgreSQL and MariaDB: started, killed, restarted, stopped, and gone when dropped.

use std::{net::TcpStream, sync::mpsc, thread, time::Duration};

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
