//! Handing jobs to a worker.

use std::fmt::Display;

use rusqlite::{OptionalExtension, params};

use super::{
    row::Row,
    sql,
    tx::{Tx, Undone, damaged},
    upkeep,
};
use crate::{
    job::{Claimed, NOTHING},
    name::{Hold, Kind, QueueName, Tenant},
    policy::Policy,
    state::Step,
    store::Claim,
};

/// What is due is promoted a little with each claim, so that a second in which a hundred thousand
/// jobs fall due holds up none of them.
const PROMOTED_PER_CLAIM: usize = 128;

/// A lane from which the worker may be given jobs.
struct OpenLane {
    id: i64,
    kind: Kind,
    version: u32,
}

pub(super) fn claim(tx: &mut Tx<'_>, claim: &Claim) -> Result<Vec<Claimed>, Undone> {
    upkeep::promote(tx, PROMOTED_PER_CLAIM)?;
    let mut claimed = Vec::new();
    for (queue, most) in &claim.queues {
        let lanes = open_lanes(tx, claim, queue)?;
        for (row, lane) in next_of(tx, &lanes, *most)? {
            claimed.extend(hand_over(tx, claim, queue, (row, lane))?);
        }
    }
    Ok(claimed)
}

fn open_lanes(tx: &mut Tx<'_>, claim: &Claim, queue: &QueueName) -> Result<Vec<OpenLane>, Undone> {
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
        if !claim.except.contains(&kind) {
            lanes.push(OpenLane { id: row.get(0)?, kind, version: row.get(2)? });
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
        let rows = tx.rows(sql::NEXT_WAITING, params![lane.id, until_ms, most as i64])?;
        next.extend(rows.into_iter().map(|row| (row, lane)));
        next.sort_by_key(|(row, _)| (row.since_ms, row.seq));
        next.truncate(most);
    }
    Ok(next)
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
    tx.step(&mut row, |row| row.claim(claim.worker.as_str(), lease_end_ms))?;

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
