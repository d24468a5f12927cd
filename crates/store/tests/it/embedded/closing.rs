//! The end of a database: orderly, repeated, or just dropped.

use futures_util::future::join_all;
use samovar_store::embedded::{CheckpointError, ReadError};

use super::*;

#[tokio::test]
async fn closing_finishes_what_waits_and_refuses_what_comes_later() {
    let home = Home::new();
    let database = home.open();
    let held = hold(&database).await;
    let mut waiting = join_all((0..10).map(|number| note(&database, number.to_string())));
    queue_up(&mut waiting).await;
    let mut closing = database.close().boxed_local();
    queue_up(&mut closing).await;
    assert_eq!(note(&database, "too late").await, Err(WriteError::Closed));
    assert_eq!(database.read(texts).await, Err(ReadError::Closed));
    assert_eq!(database.checkpoint().await, Err(CheckpointError::Closed));
    held.let_go().await;
    closing.await.expect("clean");
    assert!(waiting.await.iter().all(Result::is_ok));
    assert_eq!(database.close().await, Ok(()), "closing again gives the same answer");

    let again = home.open();
    assert_eq!(notes(&again).await.len(), 10);
}

#[tokio::test]
async fn a_closed_file_holds_everything_without_a_log() {
    let home = Home::new();
    let database = home.open();
    note(&database, "mine").await.expect("committed");
    database.close().await.expect("clean");
    let path = database.path();
    assert!(!path.with_file_name("notes.db-wal").exists());
    let copy = home.path().join("copy.db");
    std::fs::copy(path, &copy).expect("copied");
    let copy = Connection::open(copy).expect("opens");
    assert_eq!(texts(&copy).expect("readable"), ["mine"]);
}

#[tokio::test]
async fn a_dropped_database_finishes_what_has_a_place_and_frees_the_folder() {
    let home = Home::new();
    let database = home.open();
    let held = hold(&database).await;
    let mut forgotten = note(&database, "forgotten");
    queue_up(&mut forgotten).await;
    drop(forgotten);
    held.let_go().await;
    let home = home.crash(database).await;
    let again = home.open();
    assert_eq!(notes(&again).await, ["forgotten"]);
}

#[tokio::test]
async fn an_operation_may_hold_the_last_handle() {
    let home = Home::new();
    let database = home.open();
    let held = hold(&database).await;
    let own = database.clone();
    let mut write = database
        .write(move |connection| {
            let _own = own;
            add(connection, "mine")
        })
        .boxed_local();
    queue_up(&mut write).await;
    drop(write);
    held.let_go().await;
    let home = home.crash(database).await;
    assert_eq!(notes(&home.open()).await, ["mine"]);
}
