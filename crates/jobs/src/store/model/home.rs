//! What is behind the store: its time stands still between two steps, and it can be killed.

use std::{sync::Arc, time::Duration};

use samovar_clock::{Clock, ManualClock, Random, WallTime};
use samovar_store::embedded::Folder;
use samovar_testkit::RedisServer;
use tempfile::TempDir;

use crate::{
    name::QueueName,
    store::{Durability, EmbeddedStore, RedisStore, Store},
};

pub(super) struct Home {
    clock: Arc<ManualClock>,
    place: Place,
}

enum Place {
    Folder(TempDir),
    Redis(RedisServer),
}

impl Home {
    pub(super) fn embedded() -> Self {
        Self::new(Place::Folder(tempfile::tempdir().expect("a folder")))
    }

    pub(super) fn redis() -> Self {
        let lines = ["appendonly yes".to_owned(), "appendfsync always".to_owned()];
        let server = RedisServer::builder().configs(&lines).start().expect("starts");
        Self::new(Place::Redis(server))
    }

    fn new(place: Place) -> Self {
        let clock = Arc::new(ManualClock::new(WallTime::from_millis(1_754_000_000_000)));
        Self { clock, place }
    }

    pub(super) async fn open(&self) -> Store {
        match &self.place {
            Place::Folder(directory) => {
                let folder = Folder::own(directory.path()).expect("owned");
                let clock = Clock::Manual(self.clock.clone());
                let store = EmbeddedStore::open(folder, clock, Random::System).await;
                Store::Embedded(store.expect("opens"))
            }
            Place::Redis(server) => {
                let (clock, random) = (Clock::System, Random::System);
                let url = server.url();
                let store = RedisStore::connect(&url, Durability::Local, clock, random);
                Store::Redis(store.await.expect("connects"))
            }
        }
    }

    pub(super) fn advance(&self, duration: Duration) {
        self.clock.advance(duration);
    }

    pub(super) fn now_ms(&self, store: &Store) -> u64 {
        match store {
            Store::Embedded(store) => store.now_ms(),
            Store::Redis(_) => self.clock.wall().as_millis() as u64,
        }
    }

    /// A queue was last looked at now, and the clock of its Redis is far behind: as its time does
    /// not run backwards, it is now.
    pub(super) fn hold_clock(&self, queues: &[QueueName]) {
        let Place::Redis(server) = &self.place else { return };
        let now_ms = self.clock.wall().as_millis().to_string();
        let mut connection = server.connect().expect("connects");
        for queue in queues {
            let key = format!("samovar:{{q:{queue}}}:queue");
            let clock = ["HSET", &key, "last_ms", &now_ms, "ahead_ms", "-10000000000000"];
            connection.command(&clock).expect("sets");
        }
    }

    /// Whether a new owner takes back what was held.
    pub(super) fn crash(&self) -> bool {
        match &self.place {
            Place::Folder(_) => true,
            Place::Redis(server) => {
                server.kill();
                server.restart().expect("starts again");
                false
            }
        }
    }
}
