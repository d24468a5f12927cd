//! What the tests against Redis share.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use samovar_clock::{Clock, Random, Spawner};
use samovar_store::redis::{Link, OnMessage, Options, Pipeline, Redis, Value, pipe};

/// Longer than anything takes that goes well.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn options(url: &str) -> Options {
    Options::parse(url).expect("a valid address")
}

pub(crate) async fn connect(options: Options) -> Redis {
    connect_with(options, Arc::new(|_: &[u8]| {})).await
}

pub(crate) async fn connect_with(options: Options, on_message: OnMessage) -> Redis {
    Redis::connect(options, Clock::System, Random::System, Spawner::current(), on_message)
        .await
        .expect("a connection")
}

pub(crate) fn start(options: Options) -> Redis {
    let on_message = Arc::new(|_: &[u8]| {});
    Redis::start(options, Clock::System, Random::System, Spawner::current(), on_message)
}

/// Waits for a condition that a change of links, topology or trust can bring about.
pub(crate) async fn until<T>(redis: &Redis, what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let mut changed = redis.changed();
    let wait = async {
        loop {
            if let Some(found) = check() {
                return found;
            }
            changed.changed().await.expect("the connections live");
        }
    };
    match Clock::System.timeout(LIMIT, wait).await {
        Ok(found) => found,
        Err(_) => panic!("waited in vain for {what}: {:?}", redis),
    }
}

/// A link that is up and trusted, with whatever else is asked of it.
pub(crate) async fn trusted(redis: &Redis, also: impl Fn(&Link) -> bool) -> Arc<Link> {
    until(redis, "a trusted link", || {
        redis.links().into_iter().find(|link| holds(link) && also(link))
    })
    .await
}

pub(crate) fn holds(link: &Link) -> bool {
    link.trust().holds(Clock::System.now())
}

pub(crate) fn bulk(bytes: impl AsRef<[u8]>) -> Value {
    Value::BulkString(bytes.as_ref().to_vec())
}

pub(crate) fn get(key: &str) -> Pipeline {
    let mut pipeline = pipe();
    pipeline.cmd("GET").arg(key);
    pipeline
}

pub(crate) fn set(key: &str, value: &str) -> Pipeline {
    let mut pipeline = pipe();
    pipeline.cmd("SET").arg(key).arg(value);
    pipeline
}

/// Bus messages in the order they came.
#[derive(Clone, Default)]
pub(crate) struct Inbox(Arc<Mutex<Vec<Vec<u8>>>>);

impl Inbox {
    pub(crate) fn on_message(&self) -> OnMessage {
        let inbox = self.clone();
        Arc::new(move |payload: &[u8]| inbox.lock().push(payload.to_vec()))
    }

    pub(crate) fn messages(&self) -> Vec<Vec<u8>> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Holds messages up while it is closed.
pub(crate) struct Gate {
    open: Mutex<bool>,
    moved: Condvar,
}

impl Gate {
    pub(crate) fn opened() -> Arc<Self> {
        Arc::new(Self { open: Mutex::new(true), moved: Condvar::new() })
    }

    pub(crate) fn closed() -> Arc<Self> {
        Arc::new(Self { open: Mutex::new(false), moved: Condvar::new() })
    }

    /// Blocks the task, but no other one: for runtimes of several threads.
    pub(crate) fn pass(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if *open {
            return;
        }
        tokio::task::block_in_place(|| {
            drop(
                self.moved.wait_while(open, |open| !*open).unwrap_or_else(PoisonError::into_inner),
            );
        });
    }

    pub(crate) fn open(&self) {
        self.set(true);
    }

    pub(crate) fn close(&self) {
        self.set(false);
    }

    fn set(&self, open: bool) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = open;
        self.moved.notify_all();
    }
}

/// A test that fails must not leave a thread behind that waits for ever.
pub(crate) struct OpenOnDrop(pub(crate) Arc<Gate>);

impl Drop for OpenOnDrop {
    fn drop(&mut self) {
        self.0.open();
    }
}
