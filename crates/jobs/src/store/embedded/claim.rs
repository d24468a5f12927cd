//! Handing jobs to a worker.

use std::{collections::HashMap, fmt::Display, time::Duration};

use rusqlite::{OptionalExtension, params};

use super::{
    row::Row,
    rules::{Gate, Room},
    sql,
    tx::{Tx, Undone, damaged},
    upkeep,
};
use crate::{
    job::{Claimed, NOTHING},
    name::{Hold, Kind, QueueName, Tenant},
    policy::Policy,
    state::Step,
    store::{Claim, Given},
};

/// What is due is promoted a little with each claim, so that a second in which a hundred thousand
/// jobs fall due holds up none of them.
const PROMOTED_PER_CLAIM: usize = 128;

/// A lane from which the worker may be given jobs.
struct OpenLane {
    id: i64,
    queue: i64,
    kind: Kind,
    version: u32,
    room: Room,
}

pub(super) fn claim(tx: &mut Tx<'_>, claim: &Claim) -> Result<Given, Undone> {
    upkeep::promote(tx, PROMOTED_PER_CLAIM)?;
    let mut given = Given::default();
    let mut next_ms: Option<i64> = None;
    for (queue, most) in &claim.queues {
        let mut gate = Gate::new(tx, claim, queue)?;
        let lanes = open_lanes(tx, claim, queue, &mut gate)?;
        for (row, lane) in next_of(tx, &lanes, *most)? {
            let Some(mut job) = hand_over(tx, claim, queue, (row, lane))? else { continue };
            gate.took(tx, lane.queue, &mut job, &lane.room)?;
            given.jobs.push(job);
        }
        let (allowed_ms, open) = gate.end(queue);
        next_ms = next_ms.into_iter().chain(allowed_ms).min();
        given.open.extend(open);
    }
    let left_ms = |at_ms: i64| u64::try_from(at_ms.saturating_sub(tx.now_ms)).unwrap_or(0);
    given.next_allowed = next_ms.map(|at_ms| Duration::from_millis(left_ms(at_ms)));
    Ok(given)
}

fn open_lanes<'c>(
    tx: &mut Tx<'_>,
    claim: &'c Claim,
    queue: &QueueName,
    gate: &mut Gate<'c>,
) -> Result<Vec<OpenLane>, Undone> {
    // The lanes' counts decide, so what was promoted above has to be in them.
    tx.write_counts()?;
    let mut open = tx.connection.prepare_cached(sql::LANES_OPEN)?;
    let mut rows = open.query(params![
        queue.as_str(),
        claim.version,
        claim.suspects.admit(false),
        claim.suspects.admit(true)
    ])?;
    let mut lanes = Vec::new();
    while let Some(row) = rows.next()? {
        let kind = Kind::new(row.get::<_, String>(1)?).map_err(|error| damaged("a kind", error))?;
        if claim.except.contains(&kind) {
            continue;
        }
        let queue = row.get(3)?;
        if let Some(room) = gate.room(tx, queue, &kind)? {
            lanes.push(OpenLane { id: row.get(0)?, queue, kind, version: row.get(2)?, room });
        }
    }
    Ok(lanes)
}

/// The first `most` of all lanes together. Of each lane only what is not behind those found so far
/// is looked at, so that many kinds cost little more than one.
fn next_of<'l>(
    tx: &Tx<'_>,
    lanes: &'l [OpenLane],
    most: usize,
) -> Result<Vec<(Row, &'l OpenLane)>, Undone> {
    let mut next: Vec<(Row, &OpenLane)> = Vec::new();
    for lane in lanes {
        let last = next.last().filter(|_| next.len() == most);
        let until_ms = last.map_or(i64::MAX, |(row, _)| row.since_ms);
        let most_of_lane = lane.room.most.map_or(most, |room| room.min(most)) as i64;
        let rows = tx.rows(sql::NEXT_WAITING, params![lane.id, until_ms, most_of_lane])?;
        next.extend(rows.into_iter().map(|row| (row, lane)));
        next.sort_by_key(|(row, _)| (row.since_ms, row.seq));
        keep_to_rules(&mut next);
        next.truncate(most);
    }
    Ok(next)
}

/// Lanes of one kind share its rate, and kinds that need the same remote its probe.
fn keep_to_rules(next: &mut Vec<(Row, &OpenLane)>) {
    let mut taken: HashMap<&Kind, usize> = HashMap::new();
    let mut probed: Vec<usize> = Vec::new();
    next.retain(|(_, lane)| {
        let Room { most, probes } = &lane.room;
        if probes.iter().any(|at| probed.contains(at)) {
            return false;
        }
        if let Some(most) = most {
            let taken = taken.entry(&lane.kind).or_default();
            if taken == most {
                return false;
            }
            *taken += 1;
        }
        probed.extend(probes);
        true
    });
}

/// Nothing when it is to be cancelled or cannot be read: then it ends here.
fn hand_over(
    tx: &mut Tx<'_>,
    claim: &Claim,
    queue: &QueueName,
    (mut row, lane): (Row, &OpenLane),
) -> Result<Option<Claimed>, Undone> {
    let now_ms = tx.now_ms;
    let in_cancelled = match row.batch {
        Some(batch) => tx.batch(batch)?.is_some_and(|batch| batch.is_cancelled),
        None => false,
    };
    if row.cancelling || in_cancelled {
        tx.step(&mut row, |row| row.cancel(now_ms))?;
        return Ok(None);
    }
    let suspect = row.is_suspect();
    let lease_ms = i64::try_from(claim.lease.as_millis()).unwrap_or(i64::MAX);
    let lease_end_ms = now_ms.saturating_add(lease_ms);
    let waited_ms = u64::try_from(now_ms.saturating_sub(row.since_ms)).unwrap_or(0);
    tx.step(&mut row, |row| row.claim(claim.worker.as_str(), lease_end_ms))?;
    tx.tally(row.lane).waited_ms.record(waited_ms);

    match body(tx, &row)? {
        Ok(body) => Ok(Some(Claimed {
            hold: Hold { id: row.id, token: row.token },
            queue: queue.clone(),
            kind: lane.kind.clone(),
            version: lane.version,
            tenant: body.tenant,
            payload: body.payload,
            policy: body.policy,
            attempt: row.spent(),
            exceptions: row.exceptions,
            suspect,
            batch: row.batch,
            checkpoint: body.checkpoint,
            probes: Vec::new(),
        })),
        Err(reason) => {
            tx.step(&mut row, |row| row.fail(now_ms))?;
            tx.record(&row, Some(claim.worker.as_str()), Step::Fail, &reason, &NOTHING)?;
            Ok(None)
        }
    }
}

struct Body {
    tenant: Tenant,
    policy: Policy,
    payload: Vec<u8>,
    checkpoint: Option<Vec<u8>>,
}

/// Or why it cannot be read: then that job fails, and holds up no other.
fn body(tx: &Tx<'_>, row: &Row) -> Result<Result<Body, String>, Undone> {
    let mut get = tx.connection.prepare_cached(sql::BODY_GET)?;
    let found = get.query_row([row.seq], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?))
    });
    let Some((tenant, policy, payload, checkpoint)) = found.optional()? else {
        return Ok(Err("its payload is missing in the store".to_owned()));
    };
    let unreadable = |what, error: &dyn Display| format!("its {what} cannot be read: {error}");
    let tenant = Tenant::new(tenant).map_err(|error| unreadable("tenant", &error));
    let policy = serde_json::from_str(&policy).map_err(|error| unreadable("policy", &error));
    Ok(tenant.and_then(|tenant| Ok(Body { tenant, policy: policy?, payload, checkpoint })))
}
