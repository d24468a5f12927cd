//! One Redis server: started, killed, restarted, put back to an older state.

use anyhow::Result;
use samovar_testkit::RedisServer;

#[test]
fn two_servers_have_ports_of_their_own() -> Result<()> {
    let (one, other) = (RedisServer::start()?, RedisServer::start()?);
    assert_ne!(one.port(), other.port());
    one.command(&["SET", "who", "one"])?;
    other.command(&["SET", "who", "other"])?;
    assert_eq!(one.command(&["GET", "who"])?.text(), "one");
    Ok(())
}

#[test]
fn a_killed_server_comes_back_empty_on_the_same_port() -> Result<()> {
    let server = RedisServer::start()?;
    server.command(&["SET", "k", "v"])?;
    server.kill();
    assert!(!server.is_running());
    assert!(server.command(&["PING"]).is_err());
    server.restart()?;
    assert!(server.command(&["GET", "k"])?.is_nil());
    Ok(())
}

#[test]
fn an_append_only_file_survives_a_kill() -> Result<()> {
    let server =
        RedisServer::builder().config("appendonly yes").config("appendfsync always").start()?;
    server.command(&["SET", "k", "v"])?;
    server.kill();
    server.restart()?;
    assert_eq!(server.command(&["GET", "k"])?.text(), "v");
    server.wipe()?;
    server.restart()?;
    assert!(server.command(&["GET", "k"])?.is_nil());
    Ok(())
}

#[test]
fn an_older_snapshot_is_put_back() -> Result<()> {
    for config in ["appendonly no", "appendonly yes"] {
        let server = RedisServer::builder().config(config).start()?;
        server.command(&["SET", "k", "old"])?;
        let snapshot = server.save_rdb()?;
        server.command(&["SET", "k", "new"])?;
        server.restore_rdb(&snapshot)?;
        server.restart()?;
        assert_eq!(server.command(&["GET", "k"])?.text(), "old", "{config}");
    }
    Ok(())
}

#[test]
fn a_clean_shutdown_saves_what_is_configured_to_be_saved() -> Result<()> {
    let server = RedisServer::builder().config("save 3600 1").start()?;
    server.command(&["SET", "k", "v"])?;
    server.shut_down()?;
    assert!(!server.is_running());
    server.restart()?;
    assert_eq!(server.command(&["GET", "k"])?.text(), "v");
    Ok(())
}

#[test]
fn a_stopped_server_answers_after_it_is_continued() -> Result<()> {
    let server = RedisServer::start()?;
    let mut connection = server.connect()?;
    server.stop_process()?;
    let answer = std::thread::scope(|scope| {
        let answer = scope.spawn(move || connection.command(&["PING"]));
        assert!(server.is_running());
        server.continue_process()?;
        answer.join().expect("no panic")
    })?;
    assert_eq!(answer.text(), "PONG");
    Ok(())
}

#[test]
fn a_server_that_does_not_start_shows_its_log() {
    let error = RedisServer::builder().config("no-such-directive 1").start().expect_err("refused");
    assert!(format!("{error:#}").contains("no-such-directive"), "{error:#}");
}

#[test]
fn an_error_reply_is_an_error_and_names_the_command() {
    let server = RedisServer::start().expect("it starts");
    server.command(&["SET", "k", "v"]).expect("it is set");
    let error = server.command(&["INCR", "k"]).expect_err("not a number");
    assert!(format!("{error:#}").contains("INCR k: ERR value is not an integer"), "{error:#}");
}
