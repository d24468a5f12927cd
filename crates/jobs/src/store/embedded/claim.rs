//! Handing jobs to a worker.

use rusqlite::params;

use super::{
    row::Row,
    sql,
    tx::{Tx, Undone, damaged},
    upkeep,
};
use crate::{
    job::Claimed,
    name::{Hold, Kind, QueueName, Tenant},
    store::Claim,
};

/// What is due is promoted a little with each claim, so that a second in which a hundred thousand
/// jobs fall due holds up none of them.
const PROMOTED_PER_CLAIM: usize = 128;

/// A lane from which the worker may be given jobs.
struct OpenLane {
    id: i64,
    kind: String,
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
    let lanes = open.query_map(params![queue.as_str(), claim.version, claim.suspects], |row| {
        Ok(OpenLane { id: row.get(0)?, kind: row.get(1)?, version: row.get(2)? })
    })?;
    let is_taken = |lane: &OpenLane| claim.except.iter().all(|kind| kind.as_str() != lane.kind);
    let lanes: rusqlite::Result<Vec<_>> = lanes.collect();
    Ok(lanes?.into_iter().filter(is_taken).collect())
}

/// The first `most` of all lanes together. A lane has to be asked for as many: all of them may
/// be its.
fn next_of<'l>(
    tx: &Tx<'_>,
    lanes: &'l [OpenLane],
    most: usize,
) -> Result<Vec<(Row, &'l OpenLane)>, Undone> {
    let mut next = Vec::new();
    for lane in lanes {
        let rows = tx.rows(sql::NEXT_WAITING, params![lane.id, most as i64])?;
        next.extend(rows.into_iter().map(|row| (row, lane)));
    }
    next.sort_by_key(|(row, _)| (row.since_ms, row.seq));
    next.truncate(most);
    Ok(next)
}

/// Nothing when it is to be cancelled: then it ends here.
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

    let mut body = tx.connection.prepare_cached(sql::BODY_GET)?;
    let (tenant, policy, payload, checkpoint) = body.query_row([row.seq], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?))
    })?;
    Ok(Some(Claimed {
        hold: Hold { id: row.id, token: row.token },
        queue: queue.clone(),
        kind: Kind::new(lane.kind.clone()).map_err(|error| damaged("a kind", error))?,
        version: lane.version,
        tenant: Tenant::new(tenant).map_err(|error| damaged("a tenant", error))?,
        payload,
        policy: serde_json::from_str(&policy).map_err(|error| damaged("a policy", error))?,
        attempt: row.spent(),
        exceptions: row.exceptions,
        suspect,
        batch: row.batch,
        checkpoint,
    }))
}
