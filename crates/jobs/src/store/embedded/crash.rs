//! Kill -9 at any moment: what was acknowledged is there, batches finish, callbacks come once.
//!
//! A child process pushes, runs and finishes jobs, and writes down what was acknowledged; it is
//! killed again and again, each time over the same file. At the end everything is run to its end
//! and compared with what was written down.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::Write,
    path::Path,
    time::Duration,
};

use rusqlite::Connection;
use samovar_clock::{Clock, Random};
use samovar_store::embedded::Folder;
use samovar_testkit::{
    Process,
    process::{role, say, this_test},
};

use super::EmbeddedStore;
use crate::{
    batch::{Callbacks, NewBatch},
    job::{Claimed, Finish, Finished, NewJob, Outcome},
    name::{BatchId, BatchName, JobId, Kind, QueueName, Tenant, WorkerName},
    state::State,
    store::{Claim, Suspects},
};

const TEST: &str = "store::embedded::crash::what_was_acknowledged_survives_kills";
const LOG: &str = "acknowledged";
/// Said between any two steps, so that a kill comes between them or in the next one.
const POINT: &str = "point";
const KILLS: u64 = 120;
const SLOTS: usize = 8;
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_was_acknowledged_survives_kills() {
    if let Some(home) = role() {
        return work_until_killed(Path::new(&home)).await;
    }
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().to_str().expect("plain");
    for _ in 0..KILLS {
        let child = Process::spawn(this_test(TEST, path).expect("a path")).expect("starts");
        for _ in 0..1 + Random::System.below(24) {
            child.hear(POINT, LIMIT).expect("it works");
        }
        child.kill();
    }
    let store = open(home.path()).await;
    while run_some(&store, || (), |_, _| ()).await > 0 {}
    compare(&store, &fs::read_to_string(home.path().join(LOG)).expect("readable")).await;
}

async fn open(home: &Path) -> EmbeddedStore {
    let folder = Folder::own_within(home.join("data"), LIMIT, &Clock::System).await;
    let folder = folder.expect("its owner is dead");
    EmbeddedStore::open(folder, Clock::System, Random::System).await.expect("opens")
}

async fn work_until_killed(home: &Path) {
    let store = open(home).await;
    let log = OpenOptions::new().create(true).append(true).open(home.join(LOG));
    let mut log = log.expect("opens");
    loop {
        let batch = new_batch();
        store.push_batch(batch.clone()).await.expect("acknowledged");
        let jobs = vec![new_job("plain"), new_job("plain"), new_job("plain")];
        store.push(jobs.clone()).await.expect("acknowledged");
        for job in batch.jobs.iter().chain(&jobs).chain(batch.callbacks.iter()) {
            note(&mut log, "pushed", job.id, 0);
        }
        say(POINT);
        let done = |claimed: &Claimed, finished: &Finished| {
            if *finished == Finished::Now(State::Done) {
                note(&mut log, "done", claimed.hold.id, claimed.hold.token.0);
            }
        };
        run_some(&store, || say(POINT), done).await;
        say(POINT);
    }
}

/// Claims, starts and finishes; each fourth attempt is followed by another one.
async fn run_some(
    store: &EmbeddedStore,
    point: impl Fn(),
    mut tell: impl FnMut(&Claimed, &Finished),
) -> usize {
    let claim = Claim {
        worker: WorkerName::new("w").expect("a name"),
        queues: vec![(queue(), SLOTS)],
        lease: Duration::from_secs(30),
        version: 0,
        except: Vec::new(),
        rules: std::sync::Arc::default(),
        suspects: Suspects::Also,
    };
    let claimed = store.claim(claim).await.expect("answers").jobs;
    point();
    store.start(claimed.iter().map(|it| it.hold).collect()).await.expect("answers");
    point();
    let finish = |claimed: &Claimed| {
        let outcome = match Random::System.below(4) {
            0 => Outcome::Retry {
                after: Duration::ZERO,
                reason: "once more".to_owned(),
                exception: false,
            },
            _ => Outcome::Done { result: None, follow_ups: Vec::new() },
        };
        Finish::new(claimed.hold, outcome)
    };
    let finished = store.finish(claimed.iter().map(finish).collect()).await.expect("answers");
    claimed.iter().zip(&finished).for_each(|(claimed, finished)| tell(claimed, finished));
    claimed.len()
}

async fn compare(store: &EmbeddedStore, log: &str) {
    let mut pushed = 0;
    let mut done = BTreeMap::new();
    // The last line may have been cut by a kill.
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    for line in whole.lines() {
        let mut words = line.split(' ');
        let (word, id) = (words.next(), words.next().and_then(JobId::parse));
        let id = id.expect("an id");
        match word {
            Some("pushed") => {
                pushed += 1;
                let shown = store.show(id).await.expect("answers");
                // A callback that does not come would be found here as well.
                let shown = shown.unwrap_or_else(|| panic!("{id} is lost")).job;
                assert_eq!(shown.state, State::Done, "{id}");
            }
            Some("done") => {
                let token: i64 = words.next().and_then(|it| it.parse().ok()).expect("a token");
                assert_eq!(done.insert(id, token), None, "{id} was done twice");
            }
            _ => panic!("{line:?}"),
        }
    }
    assert!(pushed > KILLS && !done.is_empty(), "{pushed} pushed, {} done", done.len());
    let count = |statement: &'static str| {
        store.read(move |connection: &Connection| {
            Ok(connection.query_row(statement, [], |row| row.get::<_, i64>(0))?)
        })
    };
    for (id, token) in &done {
        let id = id.as_u64() as i64;
        let last = store.read(move |connection| {
            let by_id = "SELECT token FROM job WHERE id = ?1";
            Ok(connection.query_row(by_id, [id], |row| row.get::<_, i64>(0))?)
        });
        assert_eq!(last.await, Ok(*token), "{id} ran again after it was acknowledged as done");
    }
    let open = "SELECT count(*) FROM batch WHERE finished_ms IS NULL OR pending > 0 OR failed > 0";
    assert_eq!(count(open).await, Ok(0), "batches that did not finish");
    let batches = count("SELECT count(*) FROM batch").await;
    for kind in ["then", "finally"] {
        let callbacks = store.read(move |connection| {
            let of_kind = "SELECT coalesce(sum(done), 0) FROM lane WHERE kind = ?1";
            Ok(connection.query_row(of_kind, [kind], |row| row.get::<_, i64>(0))?)
        });
        assert_eq!(callbacks.await, batches, "one {kind} per batch");
    }
    let repeated = count("SELECT count(*) FROM attempt WHERE step = 'lapse'").await;
    let in_flight = KILLS as i64 * SLOTS as i64;
    let repeated = repeated.expect("answers");
    assert!((1..=in_flight).contains(&repeated), "{repeated} of {in_flight} in flight");
    println!("{pushed} acknowledged jobs, {KILLS} kills, {repeated} attempts repeated, none lost");
}

fn queue() -> QueueName {
    QueueName::new("default").expect("a name")
}

fn new_job(kind: &str) -> NewJob {
    let kind = Kind::new(kind).expect("a name");
    NewJob::new(JobId::draw(&Random::System), queue(), kind, *b"{}")
}

fn new_batch() -> NewBatch {
    let id = BatchId::draw(&Random::System);
    let job = || NewJob { batch: Some(id), ..new_job("in-batch") };
    let callbacks =
        Callbacks { then: Some(new_job("then")), catch: None, finally: Some(new_job("finally")) };
    NewBatch {
        id,
        name: BatchName::new("batch").expect("a name"),
        queue: queue(),
        tenant: Tenant::system(),
        allow_failures: false,
        callbacks,
        jobs: vec![job(), job(), job()],
    }
}

fn note(log: &mut File, word: &str, id: JobId, token: u64) {
    log.write_all(format!("{word} {id} {token}\n").as_bytes()).expect("written");
}
