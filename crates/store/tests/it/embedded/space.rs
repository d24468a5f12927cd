//! Disk: what a file takes, what happens when there is no more.

use samovar_store::embedded::FaultKind;

use super::*;

#[tokio::test]
async fn a_file_at_its_limit_refuses_what_does_not_fit_and_goes_on() {
    let home = Home::new();
    let database = home.open_with(|options| options.max_bytes = Some(256 * 1024));
    note(&database, "small").await.expect("fits");

    let held = hold(&database).await;
    let mut neighbour = note(&database, "neighbour");
    queue_up(&mut neighbour).await;
    let mut large = note(&database, "x".repeat(1024 * 1024));
    queue_up(&mut large).await;
    let mut later = note(&database, "later");
    queue_up(&mut later).await;
    held.let_go().await;

    let Err(WriteError::Operation(full)) = large.await else { panic!("it cannot fit") };
    assert_eq!(full.sqlite_error_code(), Some(rusqlite::ErrorCode::DiskFull));
    // Without disk SQLite gives up the whole transaction. Who was not in it is not concerned.
    let Err(WriteError::NotCommitted(fault)) = neighbour.await else { panic!("was not kept") };
    assert_eq!(fault.kind, FaultKind::RolledBack);
    later.await.expect("in a transaction of its own");
    assert_eq!(notes(&database).await, ["small", "later"]);

    let generation = database.generation();
    database.close().await.expect("a full disk does not hurt the file");
    assert_eq!(home.open().generation(), generation);
}

#[tokio::test]
async fn size_tells_live_pages_from_free_ones_and_from_the_log() {
    let home = Home::new();
    let database = home.open();
    for _ in 0..20 {
        note(&database, "x".repeat(20_000)).await.expect("committed");
    }
    let full = database.size().await.expect("readable");
    assert!(full.used_bytes > 400_000, "{full:?}");
    assert!(full.wal_bytes > 400_000, "{full:?}");
    database.write(|connection| connection.execute("DELETE FROM note", [])).await.expect("deleted");
    let checkpoint = database.checkpoint().await.expect("copied");
    assert!(checkpoint.complete);
    assert_eq!(checkpoint.wal_bytes, 0);
    let empty = database.size().await.expect("readable");
    assert!(empty.used_bytes < 50_000, "{empty:?}");
    assert!(empty.file_bytes > 400_000, "free pages stay in the file: {empty:?}");
    assert_eq!(empty.wal_bytes, 0);
}

#[tokio::test]
async fn a_reader_that_holds_on_to_the_log_keeps_a_checkpoint_from_completing() {
    let home = Home::new();
    let database = home.open();
    let (looked, has_looked) = oneshot::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let mut read = database
        .read(move |connection| {
            let texts = texts(connection)?;
            looked.send(()).expect("awaited");
            let _ = may_go_on.recv();
            Ok::<_, rusqlite::Error>(texts)
        })
        .boxed_local();
    queue_up(&mut read).await;
    has_looked.await.expect("the read runs");
    note(&database, "late").await.expect("committed");
    assert!(!database.checkpoint().await.expect("as far as it goes").complete);
    note(&database, "later").await.expect("the writer goes on");
    drop(go_on);
    read.await.expect("readable");
    assert!(database.checkpoint().await.expect("copied").complete);
}

#[tokio::test]
async fn the_log_is_copied_by_itself_and_starts_over() {
    let home = Home::new();
    let database = home.open();
    let megabyte = "x".repeat(1 << 20);
    for _ in 0..40 {
        note(&database, megabyte.clone()).await.expect("committed");
    }
    let size = database.size().await.expect("readable");
    assert!(size.wal_bytes < 12 << 20, "{size:?}");
    assert!(size.file_bytes > 24 << 20, "{size:?}");
}
