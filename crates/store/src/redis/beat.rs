//! The heartbeat of a link: what proves that it still hears everything its master publishes.
//!
//! A beat is a write, which says that the master still accepts some, and a publish to the link's
//! own channel, which comes back over the subscription after all that was published before. The
//! same exchange asks the master who it is and what it owns.

use std::time::Duration;

use ::redis::{Pipeline, ServerError, Value, pipe};
use samovar_clock::Instant;

use super::{
    cluster::Ownership,
    handshake::{Ear, Reason},
    info,
    link::Link,
    node::Node,
    reply::{self, Turn},
    shared::Shared,
    slot,
};

/// Why a link ended.
pub(super) struct End {
    pub(super) reason: Reason,
    /// Whether a heartbeat had ever come back.
    pub(super) proven: bool,
}

/// Beats until the link ends, and says why it did.
pub(super) async fn run(shared: &Shared, node: &Node, link: &Link, mut ear: Ear) -> End {
    let plan = Plan::new(&shared.options.prefix, link);
    let bound = shared.options.trust_bound;
    let mut proven = false;
    let mut missed = 0;
    loop {
        let sent_at = shared.clock.now();
        let beat = async {
            let limited = shared.clock.timeout(bound, plan.beat(shared, link, &mut ear)).await;
            limited.unwrap_or_else(|_| Err(Miss::Counted("no heartbeat came back".into())))
        };
        let outcome = tokio::select! {
            outcome = beat => outcome,
            reason = link.life().ended() => return End { reason, proven },
        };
        match outcome {
            Ok(()) => {
                missed = 0;
                let lapsed = !link.trust().holds(sent_at);
                if plan.proves {
                    link.trust().extend(sent_at, bound);
                }
                link.set_beat_round_trip(shared.clock.now().since(sent_at));
                if lapsed && plan.proves || !proven {
                    shared.announce();
                }
                proven = true;
            }
            Err(Miss::Fatal(reason)) => {
                link.life().end(&reason);
                return End { reason, proven };
            }
            Err(Miss::Counted(reason)) => {
                missed += 1;
                tracing::debug!(master = %link.address(), %reason, missed, "a heartbeat failed");
                if missed >= shared.options.beats_missed_max {
                    link.life().end(&reason);
                    return End { reason, proven };
                }
                node.set_error(reason);
                shared.announce();
            }
        }
        if link.life().is_ended() {
            // Whoever ends the trust, ends the link.
            link.life().end("its trust was ended");
        }
        tokio::select! {
            () = rest(shared, sent_at) => {}
            reason = link.life().ended() => return End { reason, proven },
        }
    }
}

async fn rest(shared: &Shared, sent_at: Instant) {
    let next = sent_at + shared.options.beat_every;
    shared.clock.sleep(next.since(shared.clock.now()).max(Duration::from_millis(1))).await;
}

enum Miss {
    /// Bad, but it may pass.
    Counted(Reason),
    /// The master is not what the link was made to.
    Fatal(Reason),
}

/// What the beats of one link are made from.
struct Plan {
    /// In a slot of this master; none while it owns none that stays.
    key: Option<String>,
    /// Whether a beat that comes back proves anything. Not while slots are on the move: what is
    /// published about their keys may come from another master by now.
    proves: bool,
    cluster: bool,
}

impl Plan {
    fn new(prefix: &str, link: &Link) -> Self {
        let (key, settled) = match link.ownership() {
            None => (Some(format!("{prefix}:beat")), true),
            Some(own) => {
                let tag = own.settled_slot().map(slot::tag_in);
                (tag.map(|tag| format!("{prefix}:beat:{{{tag}}}")), own.is_settled())
            }
        };
        let proves = settled && key.is_some();
        Self { key, proves, cluster: link.ownership().is_some() }
    }

    async fn beat(&self, shared: &Shared, link: &Link, ear: &mut Ear) -> Result<(), Miss> {
        let nonce = shared.random.id();
        let pipeline = self.pipeline(&ear.channel, nonce);
        let answers = link.send_beat(&pipeline).await.map_err(|error| match error {
            // Both have ended the link already.
            super::QueryError::Unanswered { .. } | super::QueryError::Protocol(_) => {
                Miss::Fatal("the connection broke".into())
            }
            other => Miss::Fatal(other.to_string().into()),
        })?;
        self.check(link, &answers)?;
        match ear.heard.wait_for(|heard| *heard == nonce).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Miss::Fatal("the subscription broke".into())),
        }
    }

    fn pipeline(&self, channel: &str, nonce: u64) -> Pipeline {
        let mut pipeline = pipe();
        if let Some(key) = &self.key {
            // A deletion of nothing is a write to every rule that forbids writes (replica, too few
            // replicas, failed snapshots, a slot that went), except that a server whose memory is
            // full accepts it (in a transaction it would not). And it leaves nothing behind.
            pipeline.cmd("DEL").arg(key);
        }
        pipeline.cmd("PUBLISH").arg(channel).arg(nonce);
        if self.cluster {
            pipeline.cmd("CLUSTER").arg("NODES");
        }
        pipeline.cmd("INFO").arg("replication");
        pipeline
    }

    /// Looks through the answers for anything that has changed.
    fn check(&self, link: &Link, answers: &[Value]) -> Result<(), Miss> {
        if let Some((_, error)) = reply::first_error(answers) {
            return Err(refusal(error, link));
        }
        let [.., info] = answers else {
            return Err(Miss::Fatal("an empty answer".into()));
        };
        let role = info::text(info).and_then(info::role);
        let role = role.ok_or_else(|| Miss::Fatal("it does not name its master_replid".into()))?;
        if !role.is_master {
            return Err(Miss::Fatal("it is no master any more".into()));
        }
        if role.incarnation != link.incarnation() {
            return Err(Miss::Fatal("the master has a new replication id".into()));
        }
        match (link.ownership(), answers) {
            (Some(before), [.., nodes, _]) => {
                let now = info::text(nodes).and_then(Ownership::read);
                let now = now.ok_or_else(|| Miss::Fatal("it does not tell its slots".into()))?;
                // While slots move there is no trust to lose: the link stays until they rest.
                let changed = if before.is_settled() { now != *before } else { now.is_settled() };
                if changed { Err(Miss::Fatal("its slots have changed".into())) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }
}

fn refusal(error: &ServerError, link: &Link) -> Miss {
    let reason: Reason = error.to_string().into();
    match reply::turn(error, link.address()) {
        Turn::Later { .. } | Turn::Refused | Turn::UnknownScript => Miss::Counted(reason),
        Turn::Moved { .. } | Turn::Ask { .. } | Turn::NotNow => Miss::Fatal(reason),
    }
}
