//! What only a second process can show. This test binary starts itself again for it.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write, stdin, stdout},
    process::{Child, ChildStdout, Command, Stdio},
};

use samovar_store::embedded::Durability;

use super::*;

const FOLDER: &str = "SAMOVAR_TEST_CHILD_FOLDER";

/// Runs one of the roles below in a child, in `folder`, until its input ends or it is killed.
fn start(role: &str, folder: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(env::current_exe().expect("this binary"))
        .args(["--exact", &format!("embedded::children::{role}"), "--nocapture"])
        .env(FOLDER, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    (child, output)
}

/// The next line a role has said; the test harness says things of its own.
fn next(output: &mut BufReader<ChildStdout>, word: &str) -> u64 {
    let mut line = String::new();
    loop {
        line.clear();
        assert_ne!(output.read_line(&mut line).expect("readable"), 0, "the child ended");
        if let Some((_, number)) = line.trim().split_once(&format!("{word}=")) {
            return number.parse().expect("a number");
        }
    }
}

fn say(word: &str, number: u64) {
    // Not `println!`, which the test harness would keep for itself.
    let mut output = stdout().lock();
    writeln!(output, "\n{word}={number}").and_then(|()| output.flush()).expect("somebody reads");
}

/// A role: owns the folder until its input ends. Without the variable: nothing.
#[test]
fn owner() {
    let Ok(path) = env::var(FOLDER) else { return };
    let _folder = Folder::own(path).expect("free");
    say("owner", u64::from(std::process::id()));
    stdin().read_to_end(&mut Vec::new()).expect("ends");
}

/// A role: writes notes, says each one that was acknowledged, and never stops.
#[test]
fn writer() {
    let Ok(path) = env::var(FOLDER) else { return };
    let folder = Folder::own(path).expect("free");
    let options = Options { durability: Durability::Full, ..options() };
    let database = Database::open(&folder, options, Clock::System, Random::System).expect("opens");
    say("generation", database.generation());
    for number in 0.. {
        let text = number.to_string();
        database.write_blocking(move |connection| add(connection, &text)).expect("committed");
        say("note", number);
    }
}

#[tokio::test]
async fn a_folder_is_refused_to_a_second_process_and_free_when_the_first_is_gone() {
    let directory = tempfile::tempdir().expect("a folder");
    let (mut child, mut output) = start("owner", directory.path());
    let pid = next(&mut output, "owner");
    assert_eq!(pid, u64::from(child.id()));
    let refused = Folder::own(directory.path());
    assert!(
        matches!(refused, Err(OpenError::Owned { pid: Some(owner), .. }) if owner == child.id())
    );
    drop(child.stdin.take());
    let patience = Duration::from_secs(60);
    Folder::own_within(directory.path(), patience, &Clock::System).await.expect("free");
    assert!(child.wait().expect("ended").success());
}

#[tokio::test]
async fn after_a_kill_every_acknowledged_write_is_there_under_a_new_generation() {
    let directory = tempfile::tempdir().expect("a folder");
    let (mut child, mut output) = start("writer", directory.path());
    let generation = next(&mut output, "generation");
    let mut acknowledged = 0;
    while acknowledged < 25 {
        acknowledged = next(&mut output, "note");
    }
    child.kill().expect("killed");
    // What it had said before it died counts, too.
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("readable");
    let said = rest.lines().filter_map(|line| line.strip_prefix("note=")?.parse().ok());
    let acknowledged = said.max().unwrap_or(acknowledged);
    child.wait().expect("ended");

    let folder = Folder::own(directory.path()).expect("the lock died with its owner");
    let database =
        Database::open(&folder, options(), Clock::System, Random::System).expect("opens");
    assert_ne!(database.generation(), generation);
    let notes = notes(&database).await;
    let in_order: Vec<_> = (0..notes.len()).map(|number| number.to_string()).collect();
    assert_eq!(notes, in_order, "no gap");
    let count = notes.len() as u64;
    assert!(
        (acknowledged + 1..=acknowledged + 2).contains(&count),
        "{acknowledged} acknowledged, {count} there"
    );
}
