//! What this store alone promises: what it refuses, what it survives, its time.

mod faults;
mod promises;
mod refusals;

use std::{sync::Arc, time::Duration};

use samovar_clock::{Clock, Random};
use samovar_testkit::{RedisServer, wait};

use super::{Durability, RedisOpenError, RedisStore};
use crate::{
    job::{Finish, Finished, Held, JobDetails, NewJob, Outcome, Pushed},
    name::{Hold, JobId, Kind, QueueName, WorkerName},
    store::{Claim, Given, Store, StoreError, Suspects},
};

const LEASE: Duration = Duration::from_secs(30);
/// For what has to be waited for.
const LIMIT: Duration = Duration::from_secs(20);

async fn connect(url: &str, durability: Durability) -> Result<Store, RedisOpenError> {
    let store = RedisStore::connect(url, durability, Clock::System, Random::System).await?;
    Ok(Store::Redis(store))
}

/// One that keeps what it was told. With `everysec` Redis answers before it has written while its
/// disk is busy, and a kill in that moment loses what it answered.
fn server() -> RedisServer {
    let lines = ["appendonly yes".to_owned(), "appendfsync always".to_owned()];
    RedisServer::builder().configs(&lines).start().expect("starts")
}

async fn open(server: &RedisServer) -> Store {
    connect(&server.url(), Durability::Local).await.expect("connects")
}

fn queue(name: &str) -> QueueName {
    QueueName::new(name).expect("a name")
}

fn job(on: &str) -> NewJob {
    NewJob::new(JobId::draw(&Random::System), queue(on), Kind::new("mail").expect("a name"), *b"{}")
}

fn ask(on: &str, most: usize) -> Claim {
    Claim {
        worker: WorkerName::new("w").expect("a name"),
        queues: vec![(queue(on), most)],
        lease: LEASE,
        version: 0,
        except: Vec::new(),
        rules: Arc::default(),
        suspects: Suspects::Also,
    }
}

async fn run_one(store: &Store, on: &str) -> Hold {
    let claimed = store.claim(ask(on, 1)).await.expect("answers").jobs;
    let hold = claimed.first().expect("a job waits").hold;
    assert_eq!(store.start(vec![hold]).await, Ok(vec![Held::Yes]));
    hold
}

async fn finish(store: &Store, hold: Hold, follow_ups: Vec<NewJob>) -> Finished {
    let outcome = Outcome::Done { result: None, follow_ups };
    store.finish(vec![Finish::new(hold, outcome)]).await.expect("answers")[0]
}

async fn details(store: &Store, id: JobId) -> JobDetails {
    store.show(id).await.expect("answers").expect("is there")
}

/// Repeats a push until it is acknowledged, as its caller would.
async fn push_in_the_end(store: &Store, job: &NewJob) -> Pushed {
    let pushed = || async { store.push(vec![job.clone()]).await.ok()?.pop() };
    wait::until_async(LIMIT, "an acknowledged push", pushed).await.expect("comes back")
}

/// A field of the clock of a queue.
fn clock_ms(server: &RedisServer, on: &str, field: &str) -> i64 {
    let found = server.command(&["HGET", &format!("samovar:{{q:{on}}}:queue"), field]);
    found.expect("answers").text().parse().expect("a time")
}

fn move_clock(server: &RedisServer, on: &str, field: &str, by_ms: i64) {
    let key = format!("samovar:{{q:{on}}}:queue");
    server.command(&["HINCRBY", &key, field, &by_ms.to_string()]).expect("counts");
}

fn unavailable<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> String {
    match answer {
        Err(StoreError::Unavailable(reason)) => reason,
        other => panic!("{other:?}"),
    }
}
