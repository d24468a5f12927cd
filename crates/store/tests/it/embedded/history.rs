//! What a file knows of its own past: generation and time.

use super::*;

#[tokio::test]
async fn a_clean_restart_keeps_the_generation() {
    let home = Home::new();
    let database = home.open();
    let generation = database.generation();
    database.close().await.expect("clean");
    let database = home.open();
    assert_eq!(database.generation(), generation);
    database.close().await.expect("clean");
    assert_eq!(home.open().generation(), generation);
}

#[tokio::test]
async fn a_file_that_was_not_closed_gets_a_new_generation_each_time() {
    let home = Home::new();
    let database = home.open();
    let first = database.generation();
    let home = home.crash(database).await;
    let database = home.open();
    let second = database.generation();
    assert_ne!(first, second);
    let home = home.crash(database).await;
    let third = home.open().generation();
    assert!(third != first && third != second);
}

#[tokio::test]
async fn a_copy_that_takes_the_files_place_gets_a_new_generation() {
    let home = Home::new();
    let database = home.open();
    let generation = database.generation();
    database.close().await.expect("clean");
    let path = database.path();
    let original = home.path().join("original");
    std::fs::rename(path, &original).expect("moved away");
    std::fs::copy(&original, path).expect("restored");
    assert_ne!(home.open().generation(), generation);
}

#[tokio::test]
async fn a_migration_that_fails_leaves_a_file_that_was_not_closed() {
    let home = Home::new();
    let database = home.open();
    let generation = database.generation();
    database.close().await.expect("clean");
    let mut broken = options();
    broken.migrations = Migrations::new(vec![M::up(NOTES), M::up("CREATE TABLE note (x)")]);
    assert!(matches!(home.try_open(broken), Err(OpenError::Migration { .. })));
    let database = home.open();
    assert_ne!(database.generation(), generation);
}

#[tokio::test]
async fn time_does_not_step_back_with_the_wall_clock() {
    let home = Home::new();
    let database = home.open();
    assert_eq!(database.now_ms(), 1_000_000);
    home.clock.advance(Duration::from_secs(60));
    assert_eq!(database.now_ms(), 1_060_000);
    database.close().await.expect("clean");

    home.clock.step_wall(-3_600_000);
    let database = home.open();
    assert_eq!(database.now_ms(), 1_060_000);
    home.clock.advance(Duration::from_secs(1));
    assert_eq!(database.now_ms(), 1_061_000);
    database.close().await.expect("clean");

    home.clock.step_wall(7_200_000);
    assert_eq!(home.open().now_ms(), 4_661_000, "a wall clock that is ahead is followed");
}

#[tokio::test]
async fn no_time_in_the_file_is_later_than_the_time_after_a_crash() {
    let home = Home::new();
    let database = home.open();
    let mut written = 0;
    // Not a multiple of how often the time is recorded.
    for _ in 0..50 {
        home.clock.advance(Duration::from_millis(370));
        let clock = database.clone();
        written = database
            .write(move |connection| {
                let now_ms = clock.now_ms();
                add(connection, &now_ms.to_string())?;
                Ok::<_, rusqlite::Error>(now_ms)
            })
            .await
            .expect("committed");
    }
    assert_eq!(written, 1_018_500);
    home.clock.step_wall(-3_600_000);
    let home = home.crash(database).await;
    let database = home.open();
    assert!(database.now_ms() >= written);
    assert!(database.now_ms() <= written + 1_000, "and not far ahead of it");
}
