//! Tallies by minute, later by hour: counted in the transaction of the steps they count.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension, params};
use samovar_store::embedded::Shared;

use super::{
    sql,
    tx::{Tx, Undone, damaged},
};
use crate::{
    limits,
    name::Kind,
    state::State,
    store::{KindTallies, Period, Point, Tallies},
    tally::Tally,
};

pub(super) const MINUTE: i64 = 60_000;
const HOUR: i64 = 3_600_000;
/// Under this name all kinds are counted that are too many: no kind is called like this.
const OTHERS: &str = "*";

impl Tx<'_> {
    /// Of this lane, which this operation moves a job from or to.
    pub(super) fn tally(&mut self, lane: i64) -> &mut Tally {
        self.tallies.entry(lane).or_default()
    }

    /// Counts where a job came to.
    pub(super) fn tally_step(&mut self, lane: i64, from: State, to: State) {
        match (from, to) {
            (_, State::Done) => self.tally(lane).done += 1,
            (_, State::Failed) => self.tally(lane).failed += 1,
            (_, State::Cancelled) => self.tally(lane).cancelled += 1,
            (State::Running, State::Scheduled) => self.tally(lane).retried += 1,
            _ => {}
        }
    }

    /// Under what a kind is counted; made when it is new.
    pub(super) fn tallied(&self, queue: i64, kind: &str) -> Result<i64, Undone> {
        let get = |kind: &str| {
            let mut get = self.connection.prepare_cached(sql::TALLIED_GET)?;
            get.query_row((queue, kind), |row| row.get::<_, i64>(0)).optional()
        };
        if let Some(id) = get(kind)? {
            return Ok(id);
        }
        let count = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        let known = self.connection.query_row(sql::TALLIED_COUNT, [queue], count)?;
        let kind = if known < limits::TALLIED_KINDS { kind } else { OTHERS };
        if let Some(id) = get(kind)? {
            return Ok(id);
        }
        self.connection.execute(sql::TALLIED_PUT, (queue, kind, self.now_ms))?;
        Ok(self.connection.last_insert_rowid())
    }
}

/// Counted by operations whose transaction has not committed: written once for all of them.
#[derive(Debug, Default)]
pub(super) struct Pending(Mutex<BTreeMap<(i64, i64), Tally>>);

impl Pending {
    /// The last act of an operation that succeeds.
    pub(super) fn add(&self, now_ms: i64, tallies: Vec<(i64, Tally)>) {
        let minute_ms = floor(now_ms, MINUTE);
        let mut all = self.all();
        for (tallied, tally) in tallies {
            all.entry((minute_ms, tallied)).or_default().merge(&tally);
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<(i64, i64), Tally>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared for Pending {
    fn begun(&self) {
        self.all().clear();
    }

    fn commits(&self, connection: &Connection) -> rusqlite::Result<()> {
        for ((minute_ms, tallied), tally) in std::mem::take(&mut *self.all()) {
            add(connection, (MINUTE, minute_ms, tallied), tally)?;
        }
        Ok(())
    }
}

fn floor(at_ms: i64, step_ms: i64) -> i64 {
    at_ms - at_ms.rem_euclid(step_ms)
}

/// One that cannot be read begins anew: no job must wait for it.
fn add(connection: &Connection, key: (i64, i64, i64), mut tally: Tally) -> rusqlite::Result<()> {
    let mut get = connection.prepare_cached(sql::TALLY_GET)?;
    let kept: Option<Vec<u8>> = get.query_row(key, |row| row.get(0)).optional()?;
    if let Some(kept) = kept {
        tally.merge(&decoded(&kept));
    }
    let (span, at_ms, tallied) = key;
    let mut put = connection.prepare_cached(sql::TALLY_PUT)?;
    put.execute(params![span, at_ms, tallied, tally.encode()])?;
    Ok(())
}

fn decoded(bytes: &[u8]) -> Tally {
    Tally::decode(bytes).unwrap_or_else(|| {
        tracing::error!("a tally is damaged: what it counted is lost");
        Tally::default()
    })
}

/// Folds old minutes into hours and drops old hours, a chunk at a time. Whether there may be more.
pub(super) fn tend(tx: &Tx<'_>) -> Result<bool, Undone> {
    let kept_ms = |kept: Duration| i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
    // The hour of the oldest minutes must be over, so that it is folded as a whole.
    let fold_ms = floor(tx.now_ms - kept_ms(limits::MINUTES_KEPT), HOUR);
    let drop_ms = tx.now_ms - kept_ms(limits::HOURS_KEPT);
    let most = limits::TALLIES_PER_CALL;
    let old = minutes_before(tx.connection, fold_ms, most)?;
    let folded = old.len();
    let mut hours: BTreeMap<(i64, i64), Tally> = BTreeMap::new();
    for (at_ms, tallied, tally) in old {
        hours.entry((floor(at_ms, HOUR), tallied)).or_default().merge(&tally);
        let mut delete = tx.connection.prepare_cached(sql::TALLY_DELETE)?;
        delete.execute((MINUTE, at_ms, tallied))?;
    }
    for ((at_ms, tallied), tally) in hours {
        add(tx.connection, (HOUR, at_ms, tallied), tally)?;
        tx.connection.prepare_cached(sql::TALLIED_SEEN)?.execute((tallied, tx.now_ms))?;
    }
    let mut drop_old = tx.connection.prepare_cached(sql::TALLIES_DROP)?;
    let dropped = drop_old.execute((HOUR, drop_ms, most as i64))?;
    Ok(folded == most || dropped == most)
}

/// Kinds that have no lane and of which nothing is kept any more.
pub(super) fn sweep(tx: &Tx<'_>) -> Result<(), Undone> {
    let kept_ms = i64::try_from(limits::HOURS_KEPT.as_millis()).unwrap_or(i64::MAX);
    // As long again as minutes are kept, until the last of them are hours.
    let before_ms = tx.now_ms.saturating_sub(kept_ms.saturating_mul(2));
    tx.connection.execute(sql::TALLIED_SWEEP, [before_ms])?;
    Ok(())
}

fn minutes_before(
    connection: &Connection,
    before_ms: i64,
    most: usize,
) -> Result<Vec<(i64, i64, Tally)>, Undone> {
    let mut list = connection.prepare_cached(sql::TALLIES_BEFORE)?;
    let rows = list.query_and_then((MINUTE, before_ms, most as i64), |row| {
        let data: Vec<u8> = row.get(2)?;
        Ok((row.get(0)?, row.get(1)?, decoded(&data)))
    })?;
    rows.collect()
}

pub(super) fn read(
    connection: &Connection,
    period: &Period,
    now_ms: u64,
) -> Result<Tallies, Undone> {
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
    let step_ms = millis(period.step).max(MINUTE);
    let from_ms = floor(now_ms.saturating_sub(millis(period.back)), step_ms);
    let mut kinds: BTreeMap<String, BTreeMap<i64, Tally>> = BTreeMap::new();
    let mut list = connection.prepare_cached(sql::TALLIES_READ)?;
    for span in [HOUR, MINUTE] {
        let mut rows = list.query(params![period.queue.as_str(), span, from_ms])?;
        while let Some(row) = rows.next()? {
            let (kind, at_ms, data): (String, i64, Vec<u8>) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            let steps = kinds.entry(kind).or_default();
            steps.entry(floor(at_ms, step_ms)).or_default().merge(&decoded(&data));
        }
    }
    let others = kinds.remove(OTHERS).map(|steps| of_kind(None, steps));
    let mut tallies = Vec::new();
    for (kind, steps) in kinds {
        let kind = Kind::new(kind).map_err(|error| damaged("a kind", error))?;
        tallies.push(of_kind(Some(kind), steps));
    }
    tallies.extend(others);
    let oldest = super::show::figures(connection, u64::try_from(now_ms).unwrap_or(0))?;
    let oldest = oldest.into_iter().find(|it| it.queue == period.queue);
    let oldest_waiting = oldest.and_then(|it| it.oldest_waiting);
    Ok(Tallies { kinds: tallies, oldest_waiting })
}

fn of_kind(kind: Option<Kind>, steps: BTreeMap<i64, Tally>) -> KindTallies {
    let mut total = Tally::default();
    steps.values().for_each(|tally| total.merge(tally));
    let point = |(from_ms, tally): (i64, Tally)| Point { from_ms: from_ms as u64, tally };
    KindTallies { kind, total, points: steps.into_iter().map(point).collect::<Vec<_>>() }
}
