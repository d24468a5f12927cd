//! The store, and what the cases ask it with.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use samovar_clock::{Clock, ManualClock, Random, WallTime};
use samovar_store::embedded::Folder;
use samovar_testkit::{RedisCluster, RedisSentinel, RedisServer};
use tempfile::TempDir;

use crate::{
    batch::{BatchView, Callbacks, NewBatch},
    job::{Claimed, Finish, Finished, Held, JobDetails, NewJob, Outcome, Pushed},
    name::{BatchId, BatchName, Hold, JobId, Kind, QueueName, Tenant, WorkerName},
    state::State,
    store::{Claim, Durability, EmbeddedStore, QueueFigures, RedisStore, Renew, Store, Suspects},
};

/// Of every claim here; longer than any case takes where time is real.
pub(super) const LEASE: Duration = Duration::from_secs(30);

const WORKERS: &str = "samovar:{workers}";

pub(super) struct Harness {
    pub(super) store: Store,
    home: Home,
    random: Random,
    serial: AtomicU64,
}

/// What is behind the store, and moves its time.
enum Home {
    Embedded { clock: Arc<ManualClock>, _folder: TempDir },
    Single(RedisServer),
    Sentinel(RedisSentinel),
    Cluster(RedisCluster),
}

impl Harness {
    pub(super) async fn embedded() -> Self {
        let directory = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(ManualClock::new(WallTime::from_millis(1_754_000_000_000)));
        let folder = Folder::own(directory.path()).expect("owned");
        let manual = Clock::Manual(clock.clone());
        let store = EmbeddedStore::open(folder, manual, Random::System).await.expect("opens");
        Self::new(Store::Embedded(store), Home::Embedded { clock, _folder: directory })
    }

    pub(super) async fn redis() -> Self {
        let server = RedisServer::builder().config("appendonly yes").start().expect("starts");
        Self::on(&server.url(), Durability::Local, Home::Single(server)).await
    }

    /// With each write confirmed by the replica.
    pub(super) async fn sentinel() -> Self {
        let all = RedisSentinel::start_with(&["appendonly yes"]).expect("starts");
        let url = format!(
            "redis+sentinel://{}/{}",
            addresses(&all.sentinel_addresses()),
            all.service_name()
        );
        Self::on(&url, Durability::Replicated, Home::Sentinel(all)).await
    }

    pub(super) async fn cluster() -> Self {
        let all = RedisCluster::start().expect("starts");
        let url = format!("redis+cluster://{}", addresses(&all.addresses()));
        Self::on(&url, Durability::None, Home::Cluster(all)).await
    }

    async fn on(url: &str, durability: Durability, home: Home) -> Self {
        let store = RedisStore::connect(url, durability, Clock::System, Random::System).await;
        Self::new(Store::Redis(store.expect("connects")), home)
    }

    fn new(store: Store, home: Home) -> Self {
        Self { store, home, random: Random::System, serial: AtomicU64::new(0) }
    }

    /// Of this case alone.
    pub(super) fn queue(&self) -> QueueName {
        QueueName::new(format!("q{}", self.number())).expect("a name")
    }

    pub(super) fn worker(&self) -> WorkerName {
        WorkerName::new(format!("w{}", self.number())).expect("a name")
    }

    fn number(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn id(&self) -> JobId {
        JobId::draw(&self.random)
    }

    pub(super) fn job(&self, queue: &QueueName) -> NewJob {
        NewJob::new(self.id(), queue.clone(), kind("mail"), *b"{}")
    }

    pub(super) fn jobs(&self, queue: &QueueName, count: usize) -> Vec<NewJob> {
        (0..count).map(|_| self.job(queue)).collect()
    }

    pub(super) async fn push(&self, job: &NewJob) -> Pushed {
        self.push_all(vec![job.clone()]).await[0]
    }

    pub(super) async fn push_all(&self, jobs: Vec<NewJob>) -> Vec<Pushed> {
        self.store.push(jobs).await.expect("pushed")
    }

    pub(super) fn ask(&self, queue: &QueueName, most: usize) -> Claim {
        Claim {
            worker: self.worker(),
            queues: vec![(queue.clone(), most)],
            lease: LEASE,
            version: 0,
            except: Vec::new(),
            rules: std::sync::Arc::default(),
            suspects: Suspects::Also,
        }
    }

    pub(super) async fn claim(&self, queue: &QueueName, most: usize) -> Vec<Claimed> {
        self.store.claim(self.ask(queue, most)).await.expect("answers").jobs
    }

    pub(super) async fn claim_one(&self, queue: &QueueName) -> Claimed {
        let mut claimed = self.claim(queue, 1).await;
        claimed.pop().expect("a job waits")
    }

    pub(super) async fn run_one(&self, queue: &QueueName) -> Claimed {
        let claimed = self.claim_one(queue).await;
        assert_eq!(self.start(claimed.hold).await, Held::Yes);
        claimed
    }

    pub(super) async fn run(&self, queue: &QueueName, count: usize) -> Vec<Claimed> {
        let claimed = self.claim(queue, count).await;
        assert_eq!(claimed.len(), count);
        let holds = claimed.iter().map(|claimed| claimed.hold).collect();
        let told = self.store.start(holds).await.expect("answers");
        assert!(told.iter().all(|told| *told == Held::Yes));
        claimed
    }

    pub(super) async fn start(&self, hold: Hold) -> Held {
        self.store.start(vec![hold]).await.expect("answers")[0]
    }

    pub(super) async fn renew(&self, hold: Hold) -> Held {
        let renew = Renew { queue: None, holds: vec![hold], lease: LEASE };
        self.store.renew(renew).await.expect("answers")[0]
    }

    pub(super) async fn finish(&self, hold: Hold, outcome: Outcome) -> Finished {
        self.store.finish(vec![Finish::new(hold, outcome)]).await.expect("answers")[0]
    }

    /// Runs the next one to this end.
    pub(super) async fn end_one(&self, queue: &QueueName, outcome: Outcome) -> JobId {
        let hold = self.run_one(queue).await.hold;
        assert_ne!(self.finish(hold, outcome).await, Finished::Zombie);
        hold.id
    }

    pub(super) async fn details(&self, id: JobId) -> JobDetails {
        self.store.show(id).await.expect("answers").expect("is there")
    }

    pub(super) async fn state(&self, id: JobId) -> State {
        self.details(id).await.job.state
    }

    pub(super) async fn figures(&self, queue: &QueueName) -> QueueFigures {
        let figures = self.store.figures().await.expect("answers");
        figures.into_iter().find(|it| it.queue == *queue).expect("is known")
    }

    /// With all three callbacks, of the kinds `then`, `catch` and `finally`.
    pub(super) fn batch(&self, queue: &QueueName, jobs: usize) -> NewBatch {
        let id = BatchId::draw(&self.random);
        let callback = |name| Some(NewJob { kind: kind(name), ..self.job(queue) });
        let callbacks = Callbacks {
            then: callback("then"),
            catch: callback("catch"),
            finally: callback("finally"),
        };
        let in_batch = |job| NewJob { batch: Some(id), ..job };
        NewBatch {
            id,
            name: BatchName::new("warm").expect("a name"),
            queue: queue.clone(),
            tenant: Tenant::system(),
            allow_failures: false,
            callbacks,
            jobs: self.jobs(queue, jobs).into_iter().map(in_batch).collect(),
        }
    }

    pub(super) async fn show_batch(&self, id: BatchId) -> BatchView {
        self.store.show_batch(id).await.expect("answers").expect("is there")
    }

    /// The kinds of what waits, each claimed and done.
    pub(super) async fn drain(&self, queue: &QueueName) -> Vec<String> {
        let mut kinds = Vec::new();
        for claimed in self.claim(queue, 100).await {
            assert_eq!(self.start(claimed.hold).await, Held::Yes);
            self.finish(claimed.hold, done()).await;
            kinds.push(claimed.kind.to_string());
        }
        kinds
    }

    /// Until nothing is due any more.
    pub(super) async fn tend(&self) {
        while self.store.tend().await.expect("answers").more {}
    }

    /// Lets so much of the store's time pass.
    pub(super) fn pass(&self, duration: Duration) {
        let Home::Embedded { clock, .. } = &self.home else {
            return self.pass_on_redis(duration);
        };
        clock.advance(duration);
    }

    /// Moves the clock of each queue, and when it was last looked at, so that it does not seem to
    /// have been away; and when workers were seen, the other way.
    fn pass_on_redis(&self, duration: Duration) {
        let by_ms = duration.as_millis().to_string();
        for server in self.home.masters() {
            let mut connection = server.connect().expect("connects");
            let queues = connection.command(&["KEYS", "samovar:{q:*}:queue"]).expect("lists");
            for queue in queues.items() {
                for clock in ["ahead_ms", "last_ms"] {
                    let moved = connection.command(&["HINCRBY", &queue.text(), clock, &by_ms]);
                    moved.expect("counts");
                }
            }
            // On one of the masters.
            if connection.command(&["KEYS", WORKERS]).expect("lists").items().is_empty() {
                continue;
            }
            let workers = connection.command(&["HGETALL", WORKERS]).expect("lists");
            for worker in workers.items().chunks(2) {
                let row = worker[1].text();
                let (seen_ms, said) = row.split_once(' ').expect("when it was seen");
                let seen_ms: u128 = seen_ms.parse().expect("a number");
                let row = format!("{} {said}", seen_ms - duration.as_millis());
                connection.command(&["HSET", WORKERS, &worker[0].text(), &row]).expect("moved");
            }
        }
    }

    /// What has to be left of a time for it not to be over before the next question.
    pub(super) fn margin(&self) -> Duration {
        match &self.home {
            Home::Embedded { .. } => Duration::from_millis(1),
            // Their time goes on by itself.
            _ => Duration::from_secs(3),
        }
    }

    /// Of a time that began to run with the last question but few: where it goes on by itself, a
    /// little of it may be over.
    #[track_caller]
    pub(super) fn assert_left(&self, left: impl Into<Option<Duration>>, of: Duration) {
        let left = left.into();
        let is_left = left.is_some_and(|left| left <= of && of < left + self.margin());
        assert!(is_left, "{left:?} of {of:?}");
    }

    /// To where a minute of the store's time begins.
    pub(super) async fn pass_to_next_minute(&self) {
        let probe = self.job(&self.queue());
        self.push(&probe).await;
        let into_ms = self.details(probe.id).await.job.pushed_ms % 60_000;
        self.pass(Duration::from_millis(60_000 - into_ms));
    }

    /// After all cases: no durable key ends by itself, and all of a queue is in its slot (laws 11
    /// and 14).
    pub(super) fn check_what_is_left(&self) {
        for server in self.home.masters() {
            let mut connection = server.connect().expect("connects");
            for key in connection.command(&["KEYS", "*"]).expect("lists").items() {
                // Of the connections.
                if key.text().starts_with("samovar:beat") {
                    continue;
                }
                let of_queue = key.bytes().starts_with(b"samovar:{q:");
                let of_all = ["samovar:{queues}", WORKERS].contains(&&*key.text());
                assert!(of_queue || of_all, "{key:?} is out of place");
                let left = connection.command(&[&b"PTTL"[..], key.bytes()]).expect("tells");
                assert_eq!(left.integer(), Some(-1), "{key:?} has a TTL");
            }
        }
    }
}

impl Home {
    fn masters(&self) -> Vec<&RedisServer> {
        match self {
            Home::Embedded { .. } => Vec::new(),
            Home::Single(server) => vec![server],
            Home::Sentinel(all) => vec![all.master().expect("a master")],
            Home::Cluster(all) => all.nodes()[..3].iter().map(|node| node.server()).collect(),
        }
    }
}

fn addresses(addresses: &[std::net::SocketAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(",")
}

pub(super) fn kind(name: &str) -> Kind {
    Kind::new(name).expect("a name")
}

pub(super) fn done() -> Outcome {
    Outcome::Done { result: None, follow_ups: Vec::new() }
}

pub(super) fn failed(reason: &str) -> Outcome {
    Outcome::Failed { reason: reason.to_owned() }
}

pub(super) fn killed() -> Outcome {
    Outcome::Killed { reason: "signal 9".to_owned() }
}

pub(super) fn retry(after: Duration) -> Outcome {
    Outcome::Retry { after, reason: "no connection".to_owned(), exception: true }
}
