//! What travels over the bus.

use serde::{Deserialize, Serialize};

/// Sent by whoever changed something, heard by every node that listens, the sender included.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    /// Versions have new ids: key, change id, and the clear id if that changed too.
    Changed(Vec<(String, u64, Option<u64>)>),
    /// One entry was cleared by its key.
    Dropped(String),
    /// A lease that somebody waits for was given back.
    Released(String),
}

impl Message {
    pub(crate) fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("messages always encode")
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}
