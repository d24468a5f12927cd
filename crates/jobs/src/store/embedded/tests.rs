//! What this store alone promises: its indices, its file, its end.

use std::{sync::Arc, time::Duration};

use rusqlite::{Connection, config::DbConfig};
use samovar_clock::{Clock, ManualClock, Random, WallTime};
use samovar_store::embedded::Folder;
use tempfile::TempDir;

use super::{EmbeddedStore, sql};
use crate::{
    job::{Finish, Finished, Held, NewJob, Outcome},
    name::{JobId, Kind, QueueName, WorkerName},
    state::State,
    store::{Claim, Count, Filter, List, Reap, Renew, Suspects},
};

struct Home {
    clock: Arc<ManualClock>,
    directory: TempDir,
}

impl Home {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(ManualClock::new(WallTime::from_millis(1_754_000_000_000)));
        Self { clock, directory }
    }

    async fn open(&self) -> EmbeddedStore {
        let folder = Folder::own(self.directory.path()).expect("owned");
        let clock = Clock::Manual(self.clock.clone());
        EmbeddedStore::open(folder, clock, Random::System).await.expect("opens")
    }
}

fn job(id: u64) -> NewJob {
    let queue = QueueName::new("default").expect("a name");
    NewJob::new(JobId::from_u64(id), queue, Kind::new("mail").expect("a name"), *b"{}")
}

fn ask(most: usize) -> Claim {
    Claim {
        worker: WorkerName::new("w").expect("a name"),
        queues: vec![(QueueName::new("default").expect("a name"), most)],
        lease: Duration::from_secs(30),
        version: 0,
        except: Vec::new(),
        rules: std::sync::Arc::default(),
        suspects: Suspects::Also,
    }
}

/// A statement that scans or sorts is flat only as long as nothing waits.
#[test]
fn every_statement_that_is_asked_often_walks_one_index() {
    let connection = Connection::open_in_memory().expect("opens");
    // As files are opened.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).expect("known");
    for version in [sql::SCHEMA, sql::BATCH_TENANT, sql::BATCH_OPEN] {
        connection.execute_batch(version).expect("sound");
    }
    let plan = |statement: &str| {
        let mut explain =
            connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).expect("sound");
        let parameters = vec![1_i64; explain.parameter_count()];
        let steps = explain
            .query_map(rusqlite::params_from_iter(parameters), |row| row.get::<_, String>(3))
            .expect("explained");
        steps.collect::<Result<Vec<_>, _>>().expect("readable").join("; ")
    };
    for (statement, index) in [
        (sql::NEXT_WAITING, "job_waiting"),
        (sql::NEXT_DUE, "job_scheduled"),
        (sql::FIRST_DUE, "job_scheduled"),
        (sql::NEXT_LAPSED, "job_held"),
        (sql::NEXT_OF_WORKER, "job_held"),
        (sql::HELD_IN_BATCH, "job_held"),
        (sql::NEXT_IN_BATCH, "job_batch"),
        (sql::NEXT_ENDED, "job_ended"),
        (sql::LIST_HELD, "job_held"),
        (sql::LIST_WAITING, "job_waiting"),
        (sql::LIST_SCHEDULED, "job_scheduled"),
        (sql::LIST_FAILED, "job_failed"),
        (sql::LIST_ENDED, "job_ended"),
        (sql::BATCHES_OPEN, "batch_open"),
        (sql::BATCHES_FINISHED, "batch_finished"),
        (sql::JOB_BY_KEY, "job_unique"),
        (sql::JOB_BY_ID, "sqlite_autoindex_job_1"),
        (sql::JOB_RENEW, "sqlite_autoindex_job_1"),
        (sql::JOB_SAVE, "INTEGER PRIMARY KEY"),
        (sql::BATCHES_CANCELLED, "batch_cancelled"),
        (sql::BATCHES_PRUNE, "batch_finished"),
        (sql::RATE_GET, "PRIMARY KEY (queue=? AND kind=?)"),
        (sql::BREAKERS_OF, "SEARCH breaker USING PRIMARY KEY (queue=?)"),
        (sql::BREAKER_GET, "PRIMARY KEY (queue=? AND remote=?)"),
        (sql::SCHEDULE_GET, "PRIMARY KEY (queue=? AND name=?)"),
        (sql::SCHEDULES_OF, "SEARCH schedule USING PRIMARY KEY (queue=?)"),
        (sql::TALLY_GET, "PRIMARY KEY (span=? AND at_ms=? AND tallied=?)"),
        (sql::TALLIES_BEFORE, "PRIMARY KEY (span=? AND at_ms<?)"),
        (sql::TALLIES_DROP, "PRIMARY KEY (span=? AND at_ms<?)"),
        (sql::TALLIED_GET, "sqlite_autoindex_tallied_1"),
    ] {
        let plan = plan(statement);
        assert!(plan.contains(index), "{statement}\n{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{statement}\n{plan}");
    }
}

/// What a crash leaves: the file was not closed, and jobs are held.
#[tokio::test]
async fn a_new_owner_takes_back_what_the_last_one_held() {
    let home = Home::new();
    let store = home.open().await;
    store.push((1..=3).map(job).collect()).await.expect("pushed");
    let claimed = store.claim(ask(2)).await.expect("answers").jobs;
    store.start(vec![claimed[0].hold]).await.expect("answers");
    store.close().await;
    drop(store);

    let store = home.open().await;
    assert_eq!(store.start(vec![claimed[1].hold]).await, Ok(vec![Held::Lost]));
    let again = store.claim(ask(5)).await.expect("answers").jobs;
    let seen: Vec<_> =
        again.iter().map(|it| (it.hold.id.as_u64(), it.attempt, it.suspect)).collect();
    assert_eq!(seen, [(1, 1, true), (2, 1, false), (3, 1, false)]);
    let stale = Finish::new(claimed[0].hold, Outcome::Released);
    assert_eq!(store.finish(vec![stale]).await, Ok(vec![Finished::Zombie]));
}

/// Otherwise everything that ran through an outage would be taken for dead at its end.
#[tokio::test]
async fn after_an_outage_nothing_is_taken_back_for_one_lease() {
    let home = Home::new();
    let store = home.open().await;
    store.push(vec![job(1)]).await.expect("pushed");
    let hold = store.claim(ask(1)).await.expect("answers").jobs[0].hold;
    store.start(vec![hold]).await.expect("answers");
    store.outage.began();
    home.clock.advance(Duration::from_secs(60));
    assert!(store.reap(Reap::Lapsed).await.expect("answers").held_back);
    store.push(vec![job(2)]).await.expect("it is back");
    assert!(store.reap(Reap::Lapsed).await.expect("answers").held_back);
    let renew = Renew { queue: None, holds: vec![hold], lease: Duration::from_secs(30) };
    assert_eq!(store.renew(renew).await, Ok(vec![Held::Yes]));
    home.clock.advance(Duration::from_secs(29));
    assert!(store.reap(Reap::Lapsed).await.expect("answers").held_back);
    home.clock.advance(Duration::from_secs(1));
    let reaped = store.reap(Reap::Lapsed).await.expect("answers");
    assert_eq!((reaped.held_back, reaped.suspects), (false, 1), "it did not renew");
    let shown = store.show(hold.id).await.expect("answers").expect("is there");
    assert_eq!(shown.job.state, State::Waiting);
}

/// As a newer version may leave it, or a damaged disk.
#[tokio::test]
async fn a_job_that_cannot_be_read_fails_and_holds_up_no_other() {
    let home = Home::new();
    let store = home.open().await;
    store.push((1..=3).map(job).collect()).await.expect("pushed");
    let spoil = |connection: &Connection| {
        connection.execute("UPDATE body SET policy = '{\"class\":\"moon\"}' WHERE seq = 1", [])?;
        connection.execute("DELETE FROM body WHERE seq = 2", [])
    };
    store.database.write(spoil).await.expect("spoiled");
    let claimed = store.claim(ask(5)).await.expect("answers").jobs;
    assert_eq!(claimed.iter().map(|it| it.hold.id.as_u64()).collect::<Vec<_>>(), [3]);
    let failed = store.list(List::Failed, Filter::default(), None, 5).await.expect("answers").jobs;
    assert_eq!(failed.len(), 1, "what has no body cannot be shown, and is counted");
    let reason = failed[0].reason.as_deref().expect("a reason");
    assert!(reason.contains("policy cannot be read") && reason.contains("moon"), "{reason}");
    assert_eq!(store.count_failed(Filter::default()).await, Ok(Count::Exactly(2)));
}
