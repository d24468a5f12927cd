//! Reads apart from writes: one snapshot each, several at once, never a change.

use std::sync::Barrier;

use rusqlite::StatementStatus;
use samovar_store::embedded::ReadError;

use super::*;

#[tokio::test]
async fn a_read_sees_one_snapshot_whatever_is_written_meanwhile() {
    let home = Home::new();
    let database = home.open();
    note(&database, "early").await.expect("committed");
    let (looked, has_looked) = oneshot::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let mut read = database
        .read(move |connection| {
            let first = texts(connection)?;
            looked.send(()).expect("awaited");
            let _ = may_go_on.recv();
            Ok::<_, rusqlite::Error>((first, texts(connection)?))
        })
        .boxed_local();
    queue_up(&mut read).await;
    has_looked.await.expect("the read runs");
    note(&database, "late").await.expect("no reader stops the writer");
    drop(go_on);
    let (first, second) = read.await.expect("readable");
    assert_eq!(first, ["early"]);
    assert_eq!(second, ["early"]);
    assert_eq!(notes(&database).await, ["early", "late"]);
}

#[tokio::test]
async fn a_read_cannot_write() {
    let home = Home::new();
    let database = home.open();
    let refused = database.read(|connection| add(connection, "sneaked in")).await;
    assert!(matches!(refused, Err(ReadError::Operation(_))));
    let switched = database
        .read(|connection| {
            connection.pragma_update(None, "query_only", false)?;
            add(connection, "sneaked in")
        })
        .await;
    assert!(matches!(switched, Err(ReadError::Operation(_))));
    assert!(notes(&database).await.is_empty());
}

#[tokio::test]
async fn reads_run_beside_each_other() {
    let home = Home::new();
    let database = home.open_with(|options| options.readers = 2);
    let both = Arc::new(Barrier::new(2));
    let meet = || {
        let both = both.clone();
        // Ends only when the other one is inside, too.
        database.read(move |_| Ok::<_, ()>(both.wait()))
    };
    let (one, other) = tokio::join!(meet(), meet());
    assert!(one.is_ok() && other.is_ok());
}

#[tokio::test]
async fn a_read_that_panics_leaves_its_reader_usable() {
    let home = Home::new();
    let database = home.open_with(|options| options.readers = 1);
    note(&database, "mine").await.expect("committed");
    let panicked = database
        .read(|connection| -> rusqlite::Result<()> {
            let mut statement = connection.prepare("SELECT text FROM note")?;
            let _unfinished = statement.query([])?.next()?;
            panic!("on purpose");
        })
        .await;
    assert_eq!(panicked, Err(ReadError::Panicked("on purpose".into())));
    assert_eq!(notes(&database).await, ["mine"]);
    assert_eq!(database.health().reads, 2);
}

#[tokio::test]
async fn a_full_queue_of_reads_is_busy_in_the_end() {
    let home = Home::new();
    let database = home.open_with(|options| {
        options.readers = 1;
        options.queue = 1;
        options.patience = Duration::from_secs(5);
    });
    let (running, is_running) = oneshot::channel();
    let (release, released) = mpsc::channel::<()>();
    let mut first = database
        .read(move |_| {
            running.send(()).expect("awaited");
            let _ = released.recv();
            Ok::<_, ()>(())
        })
        .boxed_local();
    queue_up(&mut first).await;
    is_running.await.expect("the reader runs it");
    let mut second = database.read(texts).boxed_local();
    queue_up(&mut second).await;
    let mut third = database.read(texts).boxed_local();
    queue_up(&mut third).await;
    assert_eq!(database.health().waiting_reads, 1);
    home.clock.advance(Duration::from_secs(5));
    assert!(matches!(third.await, Err(ReadError::Busy)));
    drop(release);
    first.await.expect("readable");
    second.await.expect("had a place");
}

/// A plan that looked at a value would be thrown away with it, and made again for the next one.
#[tokio::test]
async fn a_statement_is_planned_once_whatever_it_is_given() {
    let home = Home::new();
    let database = home.open();
    let plans = |connection: &Connection| {
        let mut older =
            connection.prepare_cached("SELECT text FROM note WHERE id < ?1 LIMIT ?1")?;
        for id in [3_i64, 5, 7] {
            older.exists([id])?;
        }
        Ok::<_, rusqlite::Error>(older.get_status(StatementStatus::RePrepare))
    };
    assert_eq!(database.read(plans).await.expect("read"), 0);
    assert_eq!(database.write(plans).await.expect("written"), 0);
}
