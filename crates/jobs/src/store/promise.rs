//! What each store promises of a job that it has acknowledged, in words for people.

use super::{Durability, Store};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    pub kind: &'static str,
    /// Of a Redis, as it was asked for.
    pub durability: Option<&'static str>,
    /// What an acknowledged job survives.
    pub survives: &'static str,
}

impl Store {
    pub fn promise(&self) -> Promise {
        match self {
            Store::Embedded(_) => Promise {
                kind: "embedded",
                durability: None,
                survives: "kill -9 of this process, the loss of power",
            },
            Store::Redis(store) => {
                let durability = store.durability();
                let (name, survives) = (durability.name(), durability.survives());
                Promise { kind: "redis", durability: Some(name), survives }
            }
        }
    }
}

impl Durability {
    pub fn name(self) -> &'static str {
        match self {
            Durability::Replicated => "replicated",
            Durability::Local => "local",
            Durability::None => "none",
        }
    }

    fn survives(self) -> &'static str {
        match self {
            Durability::Replicated => {
                "a failover to the replica that has confirmed it, kill -9 of Redis"
            }
            Durability::Local => {
                "kill -9 of Redis; the loss of power with `appendfsync always`, else all but its \
                 last seconds"
            }
            Durability::None => "what the set-up of Redis promises",
        }
    }
}
