//! One writer, groups that form by themselves, answers after the commit.

use futures_util::future::join_all;
use samovar_store::embedded::FaultKind;

use super::*;

type Outcome<T = ()> = Result<T, WriteError<rusqlite::Error>>;

#[tokio::test]
async fn writers_that_wait_while_one_commits_share_the_next_commit() {
    let home = Home::new();
    let database = home.open();
    let commits = count_commits(&database).await;
    let before = database.health();

    let held = hold(&database).await;
    let mut waiting = join_all((0..50).map(|number| note(&database, number.to_string())));
    queue_up(&mut waiting).await;
    assert_eq!(database.health().waiting_writes, 50);
    held.let_go().await;
    assert!(waiting.await.iter().all(Result::is_ok));

    assert_eq!(commits.load(Ordering::SeqCst), 2, "one for who held the writer, one for the rest");
    let after = database.health();
    assert_eq!(after.commits - before.commits, 2);
    assert_eq!(after.operations - before.operations, 51);
    let in_order: Vec<_> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!(notes(&database).await, in_order);
}

#[tokio::test]
async fn a_group_is_no_larger_than_allowed() {
    let home = Home::new();
    let database = home.open_with(|options| options.batch = 10);
    let commits = count_commits(&database).await;
    let held = hold(&database).await;
    let mut waiting = join_all((0..25).map(|number| note(&database, number.to_string())));
    queue_up(&mut waiting).await;
    held.let_go().await;
    assert!(waiting.await.iter().all(Result::is_ok));
    assert_eq!(commits.load(Ordering::SeqCst), 1 + 3);
}

#[tokio::test]
async fn a_transaction_that_is_open_for_long_takes_no_further_operation() {
    let home = Home::new();
    let database = home.open_with(|options| options.window = Duration::from_millis(50));
    let commits = count_commits(&database).await;
    let held = hold(&database).await;
    let clock = home.clock.clone();
    let mut slow = database
        .write(move |connection| {
            clock.advance(Duration::from_millis(50));
            add(connection, "slow")
        })
        .boxed_local();
    queue_up(&mut slow).await;
    let mut next = note(&database, "next");
    queue_up(&mut next).await;
    held.let_go().await;
    slow.await.expect("committed");
    next.await.expect("committed");
    assert_eq!(commits.load(Ordering::SeqCst), 1 + 2);
}

#[tokio::test]
async fn nobody_is_answered_before_the_commit() {
    let home = Home::new();
    let database = home.open();
    let (committing, is_committing) = oneshot::channel();
    let (release, released) = mpsc::channel::<()>();
    let mut committing = Some(committing);
    let mut write = database
        .write(move |connection| {
            connection.commit_hook(Some(move || {
                if let Some(committing) = committing.take() {
                    committing.send(()).expect("awaited");
                    let _ = released.recv();
                }
                false
            }))?;
            add(connection, "mine")
        })
        .boxed_local();
    queue_up(&mut write).await;
    is_committing.await.expect("the operation has run");
    assert!(poll!(&mut write).is_pending());
    assert!(notes(&database).await.is_empty());
    drop(release);
    write.await.expect("committed");
    assert_eq!(notes(&database).await, ["mine"]);
}

#[tokio::test]
async fn who_fails_or_panics_undoes_himself_and_nobody_else() {
    let home = Home::new();
    let database = home.open();
    let commits = count_commits(&database).await;
    let held = hold(&database).await;
    let mut first = note(&database, "first");
    queue_up(&mut first).await;
    let mut failing = database
        .write(|connection| {
            add(connection, "half of a failure")?;
            connection.execute("INSERT INTO nowhere VALUES (1)", [])
        })
        .boxed_local();
    queue_up(&mut failing).await;
    let mut second = note(&database, "second");
    queue_up(&mut second).await;
    let mut panicking = database
        .write(|connection| -> rusqlite::Result<()> {
            add(connection, "half of a panic")?;
            let number = 7;
            panic!("on purpose: {number}");
        })
        .boxed_local();
    queue_up(&mut panicking).await;
    let mut third = note(&database, "third");
    queue_up(&mut third).await;
    held.let_go().await;

    assert_eq!(first.await, Ok(()));
    assert!(matches!(failing.await, Err(WriteError::Operation(_))));
    assert_eq!(second.await, Ok(()));
    assert_eq!(panicking.await, Err(WriteError::Panicked("on purpose: 7".into())));
    assert_eq!(third.await, Ok(()));
    assert_eq!(notes(&database).await, ["first", "second", "third"]);
    assert_eq!(commits.load(Ordering::SeqCst), 1 + 1);
}

#[tokio::test]
async fn who_fails_or_panics_alone_leaves_nothing_behind() {
    let home = Home::new();
    let database = home.open();
    let failed: Outcome = database
        .write(|connection| {
            add(connection, "half")?;
            Err(rusqlite::Error::InvalidQuery)
        })
        .await;
    assert_eq!(failed, Err(WriteError::Operation(rusqlite::Error::InvalidQuery)));
    let panicked: Outcome = database
        .write(|connection| {
            add(connection, "half")?;
            panic!("on purpose");
        })
        .await;
    assert_eq!(panicked, Err(WriteError::Panicked("on purpose".into())));
    note(&database, "whole").await.expect("goes on");
    assert_eq!(notes(&database).await, ["whole"]);
}

#[tokio::test]
async fn an_error_may_be_of_the_callers_own_type() {
    #[derive(Debug, PartialEq)]
    struct NotMine;
    let home = Home::new();
    let database = home.open();
    let refused = database.write(|_| Err::<(), _>(NotMine)).await;
    assert_eq!(refused, Err(WriteError::Operation(NotMine)));
}

#[tokio::test]
async fn a_commit_that_fails_is_everybodys_and_applies_nothing() {
    let home = Home::new();
    let database = home.open();
    let held = hold(&database).await;
    let mut first = note(&database, "first");
    queue_up(&mut first).await;
    let mut refusing = database
        .write(|connection| {
            add(connection, "second")?;
            connection.commit_hook(Some(|| true))
        })
        .boxed_local();
    queue_up(&mut refusing).await;
    let mut failing = database.write(|_| Err::<(), _>("my own")).boxed_local();
    queue_up(&mut failing).await;
    held.let_go().await;

    assert!(matches!(first.await, Err(WriteError::NotCommitted(_))));
    assert!(matches!(refusing.await, Err(WriteError::NotCommitted(_))));
    assert_eq!(failing.await, Err(WriteError::Operation("my own")));
    assert!(notes(&database).await.is_empty());
    let health = database.health();
    assert!(health.failing);
    assert_eq!(health.last_error.map(|last| last.at_ms), Some(1_000_000));

    // The hook is still there; it goes with an operation of which nothing has to be committed.
    let remove = |connection: &Connection| -> rusqlite::Result<()> {
        connection.commit_hook(None::<fn() -> bool>)?;
        Err(rusqlite::Error::InvalidQuery)
    };
    assert!(database.write(remove).await.is_err());
    note(&database, "third").await.expect("goes on");
    assert_eq!(notes(&database).await, ["third"]);
    assert!(!database.health().failing);
}

#[tokio::test]
async fn who_ends_the_shared_transaction_is_found_out_and_the_rest_goes_on() {
    let home = Home::new();
    let database = home.open();
    let held = hold(&database).await;
    let mut before = note(&database, "before");
    queue_up(&mut before).await;
    let mut ending =
        database.write(|connection| connection.execute_batch("ROLLBACK")).boxed_local();
    queue_up(&mut ending).await;
    let mut after = note(&database, "after");
    queue_up(&mut after).await;
    held.let_go().await;

    let lost = |outcome: Outcome| match outcome {
        Err(WriteError::NotCommitted(fault)) => fault.kind == FaultKind::RolledBack,
        _ => false,
    };
    assert!(lost(before.await));
    assert!(lost(ending.await));
    after.await.expect("in a transaction of its own");
    assert_eq!(notes(&database).await, ["after"]);
}

#[tokio::test]
async fn a_full_queue_makes_callers_wait_and_then_tells_them_that_it_is_busy() {
    let home = Home::new();
    let database = home.open_with(|options| {
        options.queue = 2;
        options.patience = Duration::from_secs(5);
    });
    let held = hold(&database).await;
    let mut inside = join_all(["a", "b"].map(|text| note(&database, text)));
    queue_up(&mut inside).await;
    let mut impatient = note(&database, "impatient");
    queue_up(&mut impatient).await;
    assert_eq!(database.health().waiting_writes, 2);
    home.clock.advance(Duration::from_secs(4));
    let mut patient = note(&database, "patient");
    queue_up(&mut patient).await;
    queue_up(&mut impatient).await;
    home.clock.advance(Duration::from_secs(1));
    assert_eq!(impatient.await, Err(WriteError::Busy));
    queue_up(&mut patient).await;

    held.let_go().await;
    patient.await.expect("got a place");
    assert!(inside.await.iter().all(Result::is_ok));
    assert_eq!(notes(&database).await, ["a", "b", "patient"]);
}

#[tokio::test]
async fn an_operation_with_a_place_is_applied_though_nobody_waits_any_more() {
    let home = Home::new();
    let database = home.open();
    let held = hold(&database).await;
    let mut forgotten = note(&database, "forgotten");
    queue_up(&mut forgotten).await;
    drop(forgotten);
    held.let_go().await;
    note(&database, "next").await.expect("committed");
    assert_eq!(notes(&database).await, ["forgotten", "next"]);
}

#[tokio::test]
async fn values_that_panic_when_nobody_takes_them_do_not_stop_the_writer() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped unread");
        }
    }
    let home = Home::new();
    let database = home.open();
    let held = hold(&database).await;
    let mut forgotten = database.write(|_| Ok::<_, ()>(Bomb)).boxed_local();
    queue_up(&mut forgotten).await;
    drop(forgotten);
    held.let_go().await;
    note(&database, "next").await.expect("goes on");
}

#[test]
fn threads_without_a_runtime_write_and_read_too() {
    let home = Home::new();
    let database = home.open();
    database.write_blocking(|connection| add(connection, "mine")).expect("committed");
    assert_eq!(database.read_blocking(texts).expect("readable"), ["mine"]);
}
