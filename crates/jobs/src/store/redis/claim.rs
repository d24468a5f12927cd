//! Handing jobs to a worker.

use std::time::Duration;

use futures_util::future::join_all;

use super::{RedisStore, pack, reply, scripts::CLAIM};
use crate::{
    job::{Claimed, Finish, Outcome},
    name::{Hold, QueueName, Token},
    store::{Claim, Given, StoreError},
};

/// What is due is promoted a little with each claim, so that a second in which a hundred thousand
/// jobs fall due holds up none of them.
const PROMOTED_PER_CLAIM: usize = 128;
/// Bytes of jobs after which a claim gives no more.
const CLAIM_BYTES: usize = 8 << 20;

/// A job, or one that nobody can read: then it ends here.
type Handed = Result<Claimed, (Hold, String)>;

impl RedisStore {
    /// A queue that does not answer keeps nothing from those that do.
    pub(crate) async fn claim(&self, claim: Claim) -> Result<Given, StoreError> {
        self.outage.leased(claim.lease);
        let asked = claim.queues.iter();
        let answers =
            join_all(asked.map(|(queue, most)| self.claim_on(&claim, queue, *most))).await;
        let mut claimed = Vec::new();
        let mut failed = None;
        for answer in answers {
            match answer {
                Ok(jobs) => claimed.extend(jobs),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if claimed.is_empty() => Err(error),
            Some(error) => {
                tracing::warn!(%error, "some of the queues gave no jobs");
                Ok(Given { jobs: claimed, ..Given::default() })
            }
            None => Ok(Given { jobs: claimed, ..Given::default() }),
        }
    }

    /// Not repeated when the answer is lost: what was given meanwhile lapses with its lease, the
    /// attempt given back.
    async fn claim_on(
        &self,
        claim: &Claim,
        queue: &QueueName,
        most: usize,
    ) -> Result<Vec<Claimed>, StoreError> {
        self.know(queue).await?;
        let mut call = self
            .call(&CLAIM, queue)
            .arg(claim.worker.as_str())
            .arg(most)
            .arg(millis(claim.lease))
            .arg(claim.version)
            .arg(u8::from(claim.suspects.admit(false)))
            .arg(u8::from(claim.suspects.admit(true)))
            .arg(PROMOTED_PER_CLAIM)
            .arg(CLAIM_BYTES);
        for kind in &claim.except {
            call = call.arg(kind.as_str());
        }
        let answer = self.write(queue, &call, false).await?.ok_or_else(reply::unexpected)?;
        let given: Result<Vec<Handed>, StoreError> =
            answer.map(|value| given(queue, reply::list(value)?)).collect();
        let (mut claimed, mut unreadable) = (Vec::new(), Vec::new());
        for job in given? {
            match job {
                Ok(job) => claimed.push(job),
                Err((hold, reason)) => {
                    let outcome = Outcome::Failed { reason };
                    unreadable.push(Finish::new(hold, outcome));
                }
            }
        }
        self.queues.claimed(queue, claimed.iter().map(|job| job.hold.id));
        if !unreadable.is_empty() {
            self.finish_on(queue, &unreadable).await?;
        }
        Ok(claimed)
    }
}

fn given(queue: &QueueName, mut answer: reply::Answer) -> Result<Handed, StoreError> {
    let (id, head, stored) = (answer.id()?, answer.bytes()?, answer.bytes()?);
    let (checkpoint, lane, class) = (answer.bytes()?, answer.bytes()?, answer.bytes()?);
    let head = pack::Head::read(&head).map_err(|error| reply::damaged("a job", error))?;
    let hold = Hold { id: crate::name::JobId::from_u64(id), token: Token(head.token) };
    let body = stored.get(pack::HEAD_BYTES..).unwrap_or_default();
    let read = pack::read_body(body).and_then(|mut body| {
        pack::isolate(&mut body.policy, &class)?;
        Ok((body, pack::read_lane(&lane)?))
    });
    Ok(match read {
        Err(reason) => Err((hold, reason)),
        Ok((body, (version, kind))) => Ok(Claimed {
            hold,
            queue: queue.clone(),
            kind,
            version,
            tenant: body.tenant,
            payload: body.payload,
            policy: body.policy,
            attempt: head.attempt.saturating_sub(head.lapses),
            exceptions: head.exceptions,
            suspect: head.is_suspect(),
            batch: head.batch,
            probes: Vec::new(),
            checkpoint: Some(checkpoint).filter(|value| !value.is_empty()),
        }),
    })
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
