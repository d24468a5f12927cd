//! What is missing is made: readings of one source from one snapshot, those of one rollup from the same
//! partials.

use std::{
    collections::BTreeMap, future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration,
};

use futures_util::{FutureExt, future::join_all};
use samovar_cache::{Answer, Ticket, Turn, Value};
use samovar_widgets::Snapshot;

use crate::{catalogue::Made, engine::Inner, reading::BoundReading};

/// A reading, and which value of it is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) reading: BoundReading,
    pub(crate) want: Want,
}

#[derive(Clone, Debug)]
pub(crate) enum Want {
    /// A fresh one, by somebody who waits for it.
    Fresh,
    /// Another one than this.
    Other(Answer),
    /// A fresh one whose lead is not reached, before anybody waits for it.
    Ahead,
}

impl Want {
    pub(crate) fn other_than(answer: Option<Answer>) -> Self {
        answer.map_or(Want::Fresh, Want::Other)
    }
}

/// What became of a wish.
#[derive(Clone, Debug)]
pub(crate) enum Fulfilled {
    Made(Answer),
    /// Somebody else had made it.
    Found(Answer),
    /// Somebody else is at it.
    Elsewhere,
    Failed(String),
}

impl Fulfilled {
    pub(crate) fn answer(self) -> Option<Answer> {
        match self {
            Fulfilled::Made(answer) | Fulfilled::Found(answer) => Some(answer),
            Fulfilled::Elsewhere | Fulfilled::Failed(_) => None,
        }
    }
}

/// Leases that are taken, or values that are committed, at the same time.
const TOGETHER: usize = 256;

/// A ticket, and whose wish it fulfils.
type Begun<'w> = (usize, &'w BoundReading, Ticket);
type Ended = (usize, Fulfilled);

impl Inner {
    /// What is of one source and read by queries is of one moment.
    pub(crate) async fn make(self: &Arc<Self>, wishes: Vec<Wish>) -> Vec<Fulfilled> {
        let mut made = vec![Fulfilled::Elsewhere; wishes.len()];
        let mut by_source: BTreeMap<String, Vec<(usize, Wish)>> = BTreeMap::new();
        for (index, wish) in wishes.into_iter().enumerate() {
            let source = wish.reading.served.entry.source_name.clone();
            by_source.entry(source).or_default().push((index, wish));
        }
        let sources = by_source.into_values().map(|wishes| self.make_of_source(wishes));
        for (index, fulfilled) in join_all(sources).await.into_iter().flatten() {
            made[index] = fulfilled;
        }
        made
    }

    /// All stamps are captured before the snapshot is opened from which all values are read. No lease
    /// is waited for while others are held.
    async fn make_of_source(self: &Arc<Self>, wishes: Vec<(usize, Wish)>) -> Vec<Ended> {
        let (mut made, mut tickets) = (Vec::new(), Vec::new());
        for some in wishes.chunks(TOGETHER) {
            let turns = join_all(some.iter().map(|(_, wish)| self.turn_of(wish))).await;
            for ((index, wish), turn) in some.iter().zip(turns) {
                made.push((
                    *index,
                    match turn {
                        Ok(Turn::Compute(ticket)) => {
                            tickets.push((*index, &wish.reading, ticket));
                            continue;
                        }
                        Ok(Turn::Answer(answer)) if answer.is_fresh() => Fulfilled::Found(answer),
                        Ok(Turn::Answer(_) | Turn::Elsewhere) => Fulfilled::Elsewhere,
                        Err(error) => Fulfilled::Failed(error.to_string()),
                    },
                ));
            }
        }
        let mut rolled: BTreeMap<(String, String), Vec<Begun<'_>>> = BTreeMap::new();
        let mut rows = Vec::new();
        for (index, reading, ticket) in tickets {
            match &reading.served.entry.made {
                Made::Rows(_) => rows.push((index, reading, ticket)),
                Made::Rollup(of, _) => {
                    let group = (of.name.clone(), reading.tenant().to_owned());
                    rolled.entry(group).or_default().push((index, reading, ticket));
                }
            }
        }
        made.extend(self.compute_together(rows).await);
        for group in rolled.into_values() {
            made.extend(self.roll_up_together(group).await);
        }
        made
    }

    async fn turn_of(&self, wish: &Wish) -> Result<Turn, samovar_cache::ReadError> {
        let (pairs, tags) = (wish.reading.pairs(), || wish.reading.tags());
        let reading = wish.reading.borrow(&pairs, &tags);
        match &wish.want {
            Want::Fresh => self.cache.begin_newer(&reading, None).await,
            Want::Other(than) => self.cache.begin_newer(&reading, Some(than)).await,
            Want::Ahead => self.cache.begin_refresh(&reading).await,
        }
    }

    async fn compute_together(self: &Arc<Self>, tickets: Vec<Begun<'_>>) -> Vec<Ended> {
        let mut made = Vec::new();
        let mut open = None;
        let mut away = None::<String>;
        for (index, reading, ticket) in tickets {
            if let Some(error) = &away {
                made.push((index, fail(ticket, error).await));
                continue;
            }
            let (snapshot, moment) = match &mut open {
                Some(open) => open,
                None => match reading.served.entry.source.snapshot().await {
                    Ok(snapshot) => open.insert((snapshot, self.random.id())),
                    Err(error) => {
                        // What one cannot reach, the others will not either.
                        let error = away.insert(error.to_string());
                        made.push((index, fail(ticket, error).await));
                        continue;
                    }
                },
            };
            match self.compute_in_time(reading, snapshot, *moment).await {
                Ok(value) => made.push((index, commit(ticket, value).await)),
                Err(error) => {
                    // Nothing more is read through it.
                    open = None;
                    made.push((index, fail(ticket, &error).await));
                }
            }
        }
        made
    }

    async fn compute_in_time(
        &self,
        reading: &BoundReading,
        snapshot: &mut Snapshot,
        moment: u64,
    ) -> Result<Value, String> {
        let limit = reading.served.entry.compute_limit;
        self.in_time(limit, Box::pin(self.compute_through(reading, snapshot, moment))).await
    }

    /// Of one rollup and one tenant.
    async fn roll_up_together(self: &Arc<Self>, group: Vec<Begun<'_>>) -> Vec<Ended> {
        let limits = group.iter().map(|(_, reading, _)| reading.served.entry.compute_limit);
        let limit = limits.max().unwrap_or_default();
        let parts: Vec<_> = group.iter().map(|(_, _, ticket)| ticket.parts()).collect();
        let readings = group.iter().zip(&parts).map(|((_, reading, _), it)| (*reading, Some(it)));
        let readings: Vec<_> = readings.collect();
        let values = self.in_time(limit, Box::pin(self.roll_up_all(&readings))).await;
        let values: Vec<Result<Value, String>> = match values {
            Ok(values) => values.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error); group.len()],
        };
        let mut made = Vec::new();
        let mut ends = group.into_iter().zip(values).peekable();
        while ends.peek().is_some() {
            let some = ends.by_ref().take(TOGETHER).map(async |((index, _, ticket), value)| {
                let fulfilled = match value {
                    Ok(value) => commit(ticket, value).await,
                    Err(error) => fail(ticket, &error).await,
                };
                (index, fulfilled)
            });
            made.extend(join_all(some).await);
        }
        made
    }

    /// Ends at the limit, and when the work panics, as it does for single readings.
    async fn in_time<T, E: std::fmt::Display>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, String> {
        match self.clock.timeout(limit, AssertUnwindSafe(work).catch_unwind()).await {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(error))) => Err(error.to_string()),
            Ok(Err(_)) => Err("it panicked".to_owned()),
            Err(_) => Err(format!("it took longer than {limit:?}")),
        }
    }
}

async fn commit(ticket: Ticket, value: Value) -> Fulfilled {
    match ticket.commit(value).await {
        Ok(answer) => Fulfilled::Made(answer),
        Err(error) => Fulfilled::Failed(error.to_string()),
    }
}

async fn fail(ticket: Ticket, error: &str) -> Fulfilled {
    ticket.fail(error).await;
    Fulfilled::Failed(error.to_owned())
}
