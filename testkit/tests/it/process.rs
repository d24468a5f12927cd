//! Processes: this test executable as another process, and no orphan of it.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use samovar_testkit::{Process, RedisServer, process, wait};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn another_process_is_talked_to() -> Result<()> {
    if let Some(role) = process::role() {
        process::say(format!("ready {role}"));
        while let Some(line) = process::hear() {
            process::say(format!("heard {line}"));
        }
        return Ok(());
    }
    let command = process::this_test("process::another_process_is_talked_to", "echo")?;
    let other = Process::spawn(command)?;
    assert_eq!(other.hear("ready ", LIMIT)?, "echo");
    other.say("one")?;
    other.say("two")?;
    assert_eq!(other.hear("heard t", LIMIT)?, "wo");
    assert!(other.is_running());
    other.hang_up();
    other.wait_for_success(LIMIT)?;
    assert!(other.stdout().contains("heard one"));
    Ok(())
}

#[test]
fn a_stopped_process_says_nothing_until_it_is_continued() -> Result<()> {
    if process::role().is_some() {
        while let Some(line) = process::hear() {
            process::say(line);
        }
        return Ok(());
    }
    let test = "process::a_stopped_process_says_nothing_until_it_is_continued";
    let other = Process::spawn(process::this_test(test, "echo")?)?;
    other.say("before")?;
    other.hear("before", LIMIT)?;
    other.stop()?;
    other.say("after")?;
    assert!(other.hear("after", Duration::from_millis(50)).is_err());
    other.resume()?;
    other.hear("after", LIMIT)?;
    other.kill();
    assert!(!other.is_running());
    assert!(other.terminate().is_err());
    Ok(())
}

#[test]
fn a_failing_process_shows_what_it_said() -> Result<()> {
    if process::role().is_some() {
        panic!("said before the end");
    }
    let test = "process::a_failing_process_shows_what_it_said";
    let other = Process::spawn(process::this_test(test, "fail")?)?;
    let error = other.wait_for_success(LIMIT).expect_err("it fails");
    assert!(error.to_string().contains("said before the end"), "{error}");
    Ok(())
}

/// The spawning thread's end must not end its servers, the process's end must.
#[test]
fn servers_outlive_threads_and_die_with_the_process() -> Result<()> {
    if process::role().is_some() {
        let start = || RedisServer::start().expect("it starts");
        let server = std::thread::spawn(start).join().expect("no panic");
        let id = server.info("process_id")?;
        process::say(format!("server {id}"));
        process::hear();
        std::process::abort();
    }
    let test = "process::servers_outlive_threads_and_die_with_the_process";
    for end in ["abort", "kill"] {
        let other = Process::spawn(process::this_test(test, "owner")?)?;
        let server = other.hear("server ", LIMIT)?;
        let alive = || Path::new("/proc").join(&server).join("cwd").exists();
        assert!(alive(), "the server outlives the thread that started it");
        if end == "abort" {
            other.say("go")?;
            other.wait(LIMIT)?;
        } else {
            other.kill();
        }
        wait::until(LIMIT, "the server to die", || (!alive()).then_some(()))
            .with_context(|| format!("after {end}"))?;
    }
    Ok(())
}
