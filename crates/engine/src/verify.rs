//! A sample of what is served is computed from the source once more, and compared.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use samovar_cache::{Answer, Health, Value};
use samovar_clock::Instant;
use samovar_widgets::Mode;
use serde::Serialize;

use crate::{
    engine::{Engine, Inner},
    hot::Name,
    reading::BoundReading,
};

/// Readings of one verification. More are refused.
pub const MOST_VERIFIED: usize = 10_000;
/// Readings that are looked for, for each that is wanted: most of what could be read is not kept.
const LOOKS_FOR_EACH: usize = 20;
/// What differed is shown, so much of it.
const SHOWN: usize = 100;
/// How long what was found counts in the health of this process.
const COUNTS_FOR: Duration = Duration::from_secs(3600);

/// What became of a sample.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// What was served as fresh is what the source says.
    pub equal: u64,
    pub different: u64,
    /// They changed while they were compared.
    pub moved: u64,
    /// They could not be computed.
    pub failed: u64,
    /// The first of what differed.
    pub differences: Vec<Wrong>,
    pub first_error: Option<String>,
}

/// A reading that is served as fresh and is not what its source says: its data changed, and nobody
/// told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wrong {
    pub widget: String,
    pub tenant: String,
    pub params: Vec<(String, String)>,
    pub key: String,
    pub age_ms: u64,
    pub fresh_for_ms: u64,
}

/// What the last verification found.
#[derive(Debug, Default)]
pub(crate) struct Verified(Mutex<Option<(Instant, f64)>>);

enum Compared {
    Equal,
    Different(Answer),
    Moved,
    NotKept,
    Failed(String),
}

impl Engine {
    /// Compares so many readings at random that are served as fresh: first those that are read, then
    /// any. For the next hour, what was wrong counts as errors in the health of this process.
    pub async fn verify(&self, sample: usize) -> Verification {
        self.0.verify(sample.min(MOST_VERIFIED)).await
    }
}

impl Inner {
    async fn verify(self: &Arc<Self>, sample: usize) -> Verification {
        let mut verification = Verification::default();
        let (mut seen, mut looks) = (HashSet::new(), sample.saturating_mul(LOOKS_FOR_EACH));
        let mut names = self.usual.names(self).await;
        while verification.compared() < sample as u64 && looks > 0 {
            looks -= 1;
            let reading = match names.len() as u64 {
                0 => self.any_reading().await,
                count => {
                    let name = names.swap_remove(self.random.below(count) as usize);
                    self.named_reading(name).await
                }
            };
            let Some(reading) = reading else { continue };
            if seen.insert((
                reading.widget().to_owned(),
                reading.tenant().to_owned(),
                reading.given(),
            )) {
                let compared = self.compare_with_source(&reading).await;
                verification.add(&reading, compared);
            }
        }
        self.verified.learn(self.clock.now(), &verification);
        let Verification { equal, different, moved, failed, .. } = verification;
        tracing::info!(equal, different, moved, failed, "a sample was verified");
        verification
    }

    async fn named_reading(self: &Arc<Self>, name: Name) -> Option<BoundReading> {
        let Name::Widget { widget, tenant, given } = name else { return None };
        let reading = self.bind(&widget, &tenant, given).await.ok()?;
        (reading.served.entry.mode.of(&tenant) == Mode::On).then_some(reading)
    }

    async fn any_reading(self: &Arc<Self>) -> Option<BoundReading> {
        let pick = |count: usize| self.random.below(count.max(1) as u64) as usize;
        let members = self.members().await.ok()?;
        let tenant = members.keys().nth(pick(members.len()))?.clone();
        let served = self.widgets.values().nth(pick(self.widgets.len()))?;
        let ranges = &served.entry.ranges;
        let range = ranges.get(pick(ranges.len())).map(ToString::to_string);
        let given = range.map(|range| (crate::reading::RANGE.to_owned(), range));
        let (widget, given) = (served.entry.name.clone(), given.into_iter().collect());
        self.named_reading(Name::Widget { widget, tenant, given }).await
    }

    async fn compare_with_source(self: &Arc<Self>, reading: &BoundReading) -> Compared {
        let Some(served) = self.look_for_one(reading).await else { return Compared::NotKept };
        let place = self.hot.places_of(&reading.served.entry.source_name);
        // It is never closed.
        let _place = match place {
            Some(place) => place.acquire_owned().await.ok(),
            None => None,
        };
        let limit = reading.served.entry.compute_limit;
        let compute = Box::pin(self.clone().compute(reading.clone()));
        let now = match self.clock.timeout(limit, compute).await {
            Ok(Ok(Value::Read(bytes, _) | Value::Bytes(bytes))) => bytes,
            Ok(Ok(Value::Absent)) => Vec::new().into(),
            Ok(Err(error)) => return Compared::Failed(error),
            Err(_) => return Compared::Failed(format!("it took longer than {limit:?}")),
        };
        match served.bytes() {
            Ok(bytes) if bytes == now => return Compared::Equal,
            Ok(_) => {}
            Err(error) => return Compared::Failed(error.to_string()),
        }
        // What is not served any more was not wrong: its change was announced meanwhile.
        match self.look_for_one(reading).await {
            Some(still) if still.content_hash() == served.content_hash() => {
                Compared::Different(still)
            }
            _ => Compared::Moved,
        }
    }

    async fn look_for_one(&self, reading: &BoundReading) -> Option<Answer> {
        self.look_for(std::slice::from_ref(reading)).await.pop().flatten()
    }
}

impl Verification {
    fn compared(&self) -> u64 {
        self.equal + self.different + self.moved + self.failed
    }

    fn add(&mut self, reading: &BoundReading, compared: Compared) {
        match compared {
            Compared::NotKept => {}
            Compared::Equal => self.equal += 1,
            Compared::Moved => self.moved += 1,
            Compared::Failed(error) => {
                self.failed += 1;
                self.first_error.get_or_insert(error);
            }
            Compared::Different(answer) => {
                self.different += 1;
                let (widget, tenant) = (reading.widget().to_owned(), reading.tenant().to_owned());
                let key = answer.key().to_owned();
                tracing::warn!(widget, tenant, key, "what is served is not what the source says");
                if self.differences.len() < SHOWN {
                    let ms = |it: Duration| it.as_millis().try_into().unwrap_or(u64::MAX);
                    let (age_ms, fresh_for_ms) = (ms(answer.age()), ms(answer.fresh_for()));
                    let params = reading.given();
                    let wrong = Wrong { widget, tenant, params, key, age_ms, fresh_for_ms };
                    self.differences.push(wrong);
                }
            }
        }
    }
}

impl Verified {
    fn learn(&self, now: Instant, found: &Verification) {
        let compared = found.equal + found.different;
        if compared > 0 {
            let wrong = found.different as f64 / compared as f64;
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, wrong));
        }
    }

    /// The health with what is known to be wrong.
    pub(crate) fn counted_in(&self, health: Health, now: Instant) -> Health {
        let found = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Some((at, wrong)) if now.since(at) < COUNTS_FOR => health.with_errors(wrong),
            _ => health,
        }
    }
}
