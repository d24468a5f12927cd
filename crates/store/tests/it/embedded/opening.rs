//! Who may open a folder and a file, and what is said to those who may not.

use std::{fs, os::unix::fs::PermissionsExt};

use samovar_store::embedded::Durability;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("exists").permissions().mode() & 0o777
}

#[tokio::test]
async fn what_is_made_is_for_this_user_only() {
    let parent = tempfile::tempdir().expect("a folder");
    let path = parent.path().join("deep/data");
    let folder = Folder::own(&path).expect("made and owned");
    let database = Database::open(&folder, options(), Clock::System, Random::System).expect("made");
    note(&database, "mine").await.expect("committed");
    assert_eq!(mode(&path), 0o700);
    for file in ["owner.lock", "notes.db", "notes.db-wal", "notes.db-shm"] {
        assert_eq!(mode(&path.join(file)), 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_second_owner_is_refused_with_the_number_of_the_first_and_a_way_out() {
    let home = Home::new();
    let refused = Folder::own(home.path()).expect_err("owned");
    let text = refused.to_string();
    let OpenError::Owned { pid, .. } = refused else { panic!("{text}") };
    assert_eq!(pid, Some(std::process::id()));
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    assert!(text.contains("redis"), "{text}");
}

#[tokio::test]
async fn an_owner_that_is_about_to_leave_is_waited_for() {
    let home = Home::new();
    let clock = home.clock();
    let mut waiting =
        Folder::own_within(home.path().to_owned(), Duration::from_secs(1), &clock).boxed_local();
    queue_up(&mut waiting).await;
    let Home { folder, clock, directory: _directory } = home;
    drop(folder);
    let next_look = clock.next_deadline().expect("it waits for the clock");
    clock.advance_to(next_look);
    waiting.await.expect("free");
}

#[tokio::test]
async fn an_owner_that_stays_is_not_waited_for_for_ever() {
    let home = Home::new();
    let clock = home.clock();
    let patience = Duration::from_millis(50);
    let mut waiting = Folder::own_within(home.path(), patience, &clock).boxed_local();
    let start = home.clock.now();
    queue_up(&mut waiting).await;
    let refused = loop {
        home.clock.advance_to(home.clock.next_deadline().expect("it waits for the clock"));
        if let std::task::Poll::Ready(outcome) = poll!(&mut waiting) {
            break outcome;
        }
    };
    assert!(matches!(refused, Err(OpenError::Owned { .. })));
    assert_eq!(home.clock.now().since(start), patience);
}

#[tokio::test]
async fn one_file_is_opened_once_and_two_files_beside_each_other() {
    let home = Home::new();
    let cache = home.open_with(|options| options.file = "cache.db");
    let jobs = home.open_with(|options| options.file = "jobs.db");
    assert_ne!(cache.generation(), jobs.generation());
    assert!(matches!(home.try_open(cache_options()), Err(OpenError::AlreadyOpen { .. })));
    cache.close().await.expect("clean");
    home.try_open(cache_options()).expect("free again");
}

fn cache_options() -> Options {
    Options { file: "cache.db", ..options() }
}

#[tokio::test]
async fn an_older_file_is_brought_up_to_date_and_keeps_its_rows() {
    let home = Home::new();
    let database = home.open();
    let generation = database.generation();
    note(&database, "mine").await.expect("committed");
    database.close().await.expect("clean");

    let database = home.open_with(|options| {
        let step = M::up("ALTER TABLE note ADD COLUMN read INTEGER NOT NULL DEFAULT 7");
        options.migrations = Migrations::new(vec![M::up(NOTES), step]);
    });
    let read: i64 = database
        .read(|connection| connection.query_row("SELECT read FROM note", [], |row| row.get(0)))
        .await
        .expect("migrated");
    assert_eq!(read, 7);
    assert_eq!(database.generation(), generation, "the history is the same");
}

#[tokio::test]
async fn a_newer_file_is_refused_and_left_alone() {
    let home = Home::new();
    home.open().close().await.expect("clean");
    let path = home.path().join("notes.db");
    Connection::open(&path)
        .and_then(|connection| connection.pragma_update(None, "user_version", 5))
        .expect("changed");
    let before = fs::read(&path).expect("readable");
    let refused = home.try_open(options()).expect_err("too new");
    assert!(matches!(refused, OpenError::Newer { found: 5, known: 1, .. }));
    assert!(refused.to_string().contains("newer Samovar (version 5, this one knows 1)"));
    assert_eq!(fs::read(&path).expect("readable"), before);
}

#[tokio::test]
async fn a_newer_record_of_the_file_itself_is_refused() {
    let home = Home::new();
    home.open().close().await.expect("clean");
    Connection::open(home.path().join("notes.db"))
        .and_then(|connection| connection.execute("UPDATE samovar_file SET format = 2", []))
        .expect("changed");
    let refused = home.try_open(options()).expect_err("too new");
    assert!(matches!(refused, OpenError::Newer { found: 2, known: 1, .. }));
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_left_alone() {
    let home = Home::new();
    let path = home.path().join("notes.db");
    Connection::open(&path)
        .and_then(|connection| connection.execute_batch("CREATE TABLE theirs (x)"))
        .expect("made");
    let before = fs::read(&path).expect("readable");
    assert!(matches!(home.try_open(options()), Err(OpenError::Foreign { .. })));
    assert_eq!(fs::read(&path).expect("readable"), before);
}

#[tokio::test]
async fn a_damaged_file_is_refused_with_what_to_do() {
    let home = Home::new();
    home.open().close().await.expect("clean");
    let path = home.path().join("notes.db");
    let whole = fs::read(&path).expect("readable");

    let mut no_header = whole.clone();
    no_header[..100].fill(b'?');
    let mut no_schema = whole.clone();
    no_schema[100..4096].fill(0xFF);
    for damaged in [no_header, no_schema] {
        fs::write(&path, damaged).expect("written");
        let refused = home.try_open(options()).expect_err("damaged");
        assert!(matches!(refused, OpenError::Corrupt { .. }), "{refused}");
        assert!(refused.to_string().contains("restore a backup"), "{refused}");
    }

    fs::write(&path, whole).expect("written");
    home.try_open(options()).expect("whole again");
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let parent = tempfile::tempdir().expect("a folder");
    let path = parent.path().join("file");
    fs::write(&path, "in the way").expect("written");
    let refused = Folder::own(&path).expect_err("not a folder");
    assert!(matches!(refused, OpenError::Folder { .. }));
    assert!(refused.to_string().contains("file"), "{refused}");
}

#[tokio::test]
async fn a_file_without_migrations_opens() {
    let home = Home::new();
    let database = home.open_with(|options| options.migrations = Migrations::new(Vec::new()));
    database.close().await.expect("clean");
}

#[tokio::test]
async fn durability_decides_whether_a_commit_waits_for_the_disk() {
    let home = Home::new();
    for (durability, synchronous) in [(Durability::Normal, 1), (Durability::Full, 2)] {
        let database = home.open_with(|options| options.durability = durability);
        let level = |connection: &Connection| -> rusqlite::Result<i64> {
            connection.pragma_query_value(None, "synchronous", |row| row.get(0))
        };
        assert_eq!(database.write(level).await, Ok(synchronous));
        database.close().await.expect("clean");
    }
}
