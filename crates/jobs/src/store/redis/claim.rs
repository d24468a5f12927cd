//! Handing jobs to a worker.

use std::time::Duration;

use futures_util::future::join_all;

use super::{RedisStore, pack, reply, scripts::CLAIM};
use crate::{
    job::{Claimed, Finish, Outcome},
    name::{Hold, Kind, QueueName, Token},
    store::{Claim, Given, OpenBreaker, StoreError},
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
        let rules: Vec<_> = claim.rules.iter().map(|rule| (&rule.kind, pack::rule(rule))).collect();
        let asked = claim.queues.iter();
        let answers =
            join_all(asked.map(|(queue, most)| self.claim_on(&claim, &rules, (queue, *most))))
                .await;
        let mut all = Given::default();
        let mut failed = None;
        for answer in answers {
            match answer {
                Ok(given) => {
                    all.jobs.extend(given.jobs);
                    let next = all.next_allowed.into_iter().chain(given.next_allowed);
                    all.next_allowed = next.min();
                    all.open.extend(given.open);
                }
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if all.jobs.is_empty() => Err(error),
            Some(error) => {
                tracing::warn!(%error, "some of the queues gave no jobs");
                Ok(all)
            }
            None => Ok(all),
        }
    }

    /// Not repeated when the answer is lost: what was given meanwhile lapses with its lease, the
    /// attempt given back.
    async fn claim_on(
        &self,
        claim: &Claim,
        rules: &[(&Kind, Vec<u8>)],
        (queue, most): (&QueueName, usize),
    ) -> Result<Given, StoreError> {
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
            .arg(CLAIM_BYTES)
            .arg(u8::from(claim.rules.iter().any(|rule| !rule.needs.is_empty())))
            .arg(claim.except.len());
        for kind in &claim.except {
            call = call.arg(kind.as_str());
        }
        for (kind, rule) in rules {
            call = call.arg(kind.as_str()).arg(&rule[..]);
        }
        let mut answer = self.write(queue, &call, false).await?.ok_or_else(reply::unexpected)?;
        let next_ms = answer.maybe_integer()?.and_then(|ms| u64::try_from(ms).ok());
        let open = open(queue, answer.list()?)?;
        let handed: Result<Vec<Handed>, StoreError> =
            answer.map(|value| handed(queue, reply::list(value)?)).collect();
        let (mut claimed, mut unreadable) = (Vec::new(), Vec::new());
        for job in handed? {
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
        let next_allowed = next_ms.map(Duration::from_millis);
        Ok(Given { jobs: claimed, next_allowed, open })
    }
}

fn open(queue: &QueueName, mut told: reply::Answer) -> Result<Vec<OpenBreaker>, StoreError> {
    let mut open = Vec::new();
    while let Some(remote) = told.maybe()? {
        let left = Duration::from_millis(told.size()?);
        open.push(OpenBreaker { queue: queue.clone(), remote: reply::remote(remote)?, left });
    }
    Ok(open)
}

fn handed(queue: &QueueName, mut answer: reply::Answer) -> Result<Handed, StoreError> {
    let (id, head, stored) = (answer.id()?, answer.bytes()?, answer.bytes()?);
    let (checkpoint, lane, class) = (answer.bytes()?, answer.bytes()?, answer.bytes()?);
    let probes = answer.list()?.map(|remote| {
        let remote = reply::bytes(remote).ok_or_else(reply::unexpected)?;
        reply::remote(remote)
    });
    let probes = probes.collect::<Result<Vec<_>, _>>()?;
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
            probes,
            checkpoint: Some(checkpoint).filter(|value| !value.is_empty()),
        }),
    })
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
