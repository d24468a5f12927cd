//! A question that was answered, kept so that it can be asked again without being bound again.

use std::{ops::Range, sync::Arc};

use samovar_cache::Answer;
use samovar_widgets::Mode;
use tracing::Instrument;

use crate::{
    engine::{Engine, Inner},
    hot::Name,
    read::ReadFailure,
    reading::BoundReading,
    spans,
};

/// A reading that was bound once. It means what it meant then for as long as the tenants are the same
/// and the day of its tenant is.
#[derive(Debug)]
pub struct Asked {
    pub(crate) reading: BoundReading,
    pub(crate) name: Name,
    pub(crate) name_hash: u64,
    tenants: u64,
    /// Milliseconds of wall time in which its range is the same dates.
    valid_ms: Range<i64>,
}

impl Engine {
    /// Binds a reading without reading it. Parameters that are not given take their defaults.
    pub async fn ask(
        &self,
        widget: &str,
        tenant: &str,
        given: Vec<(String, String)>,
    ) -> Result<Asked, ReadFailure> {
        // Before the reading is bound: a list that is replaced meanwhile makes it look old.
        let tenants = self.0.tenants.generation();
        let reading = self.0.bind(widget, tenant, given).await?;
        Ok(Asked::of(&self.0, reading, tenants))
    }

    /// The answer to a question that was bound before.
    pub async fn answer(&self, asked: &Asked) -> Result<Answer, ReadFailure> {
        let reading = &asked.reading;
        match reading.served.entry.mode.of(reading.tenant()) {
            Mode::On => {}
            Mode::Off => return Err(ReadFailure::Off),
            Mode::Shadow => {
                self.0.compare(reading.clone());
                return Err(ReadFailure::Shadow);
            }
        }
        let span = spans::read(reading.widget());
        let answer = self.0.answer(reading).instrument(span.clone()).await;
        spans::was_read(&span, answer.as_ref().ok());
        let answer = answer?;
        self.0.note(asked);
        Ok(answer)
    }

    /// The fresh answer that this process holds, if the question still means the same and nothing is
    /// to be done about the answer: without waiting, and hardly with allocating.
    pub fn answer_again(&self, asked: &Asked) -> Option<Answer> {
        if !self.0.still_means_the_same(asked) {
            return None;
        }
        let pairs = asked.reading.pairs();
        let tags = || asked.reading.tags();
        let answer = self.0.cache.get_settled(&asked.reading.borrow(&pairs, &tags))?;
        self.0.note(asked);
        Some(answer)
    }
}

impl Asked {
    fn of(inner: &Inner, reading: BoundReading, tenants: u64) -> Self {
        let name = reading.name();
        let served = matches!(reading.served.entry.mode.of(reading.tenant()), Mode::On);
        let valid_ms = match (served, reading.is_ranged()) {
            // Whoever asks again is told again that it is not served.
            (false, _) => 0..0,
            (true, false) => i64::MIN..i64::MAX,
            (true, true) => day_of(inner, &reading),
        };
        Self { name_hash: name.hash(), name, reading, tenants, valid_ms }
    }
}

/// The day that it is for its tenant.
fn day_of(inner: &Inner, reading: &BoundReading) -> Range<i64> {
    let now = inner.now().to_zoned(reading.member.zone.clone());
    let begin = now.start_of_day();
    let end = now.tomorrow().and_then(|tomorrow| tomorrow.start_of_day());
    match (begin, end) {
        (Ok(begin), Ok(end)) => {
            begin.timestamp().as_millisecond()..end.timestamp().as_millisecond()
        }
        _ => 0..0,
    }
}

impl Inner {
    /// The same question today, of the tenants that are known now.
    pub(crate) fn ask_by_name(self: &Arc<Self>, asked: &Asked) -> Option<Asked> {
        let tenants = self.tenants.generation();
        let reading = self.bind_hot(&asked.name)?.pop()?;
        Some(Asked::of(self, reading, tenants))
    }

    pub(crate) fn still_means_the_same(&self, asked: &Asked) -> bool {
        asked.tenants == self.tenants.generation()
            && (asked.valid_ms.end == i64::MAX
                || asked.valid_ms.contains(&self.clock.wall().as_millis()))
    }

    /// Counts a read.
    fn note(&self, asked: &Asked) {
        self.usual.note(asked.name_hash, &asked.name);
        self.hot.note(asked.name_hash, || asked.name.clone(), self.clock.now());
    }
}
