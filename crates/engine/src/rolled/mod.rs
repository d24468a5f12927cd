//! Widgets over rollups: the partials of their ranges are read through the cache, what is missing is
//! folded in one pass for each stretch of time without a gap, and all of them are merged.
//!
//! Readings of one tenant that are made together share all of that: each partial is looked for, folded
//! and decoded once, whatever the number of widgets, ranges and filters that need it.

mod partials;

use std::sync::Arc;

use jiff::Timestamp;
use samovar_cache::{
    Answer as Cached, Cache, DefinitionError, Parts, Provenance, Reading, Tag, Value, Widget,
};
use samovar_widgets::{Answer as RollupAnswer, Dates, Partial, RollupWidgetDefinition, Slot, plan};

use self::partials::Gathering;
use crate::{
    Member,
    catalogue::{Made, Rolled},
    engine::{Inner, Served},
    reading::BoundReading,
};

/// The partials of a rollup as the cache knows them.
#[derive(Debug)]
pub(crate) struct Partials {
    sealed: Widget,
    open: Widget,
}

impl Partials {
    pub(crate) fn declare(rolled: &Rolled, cache: &Cache) -> Result<Self, DefinitionError> {
        let sealed = cache.declare(rolled.sealed.clone())?;
        Ok(Self { sealed, open: cache.declare(rolled.open.clone())? })
    }
}

/// A slot whose partial can be kept, as a reading.
struct Kept<'r> {
    widget: &'r Widget,
    member: &'r Member,
    partition: String,
    tags: [Tag; 1],
}

impl Kept<'_> {
    /// What a partition holds depends on the zone in which it is cut.
    fn pairs(&self) -> [(&str, &str); 2] {
        let zone = self.member.zone.iana_name().unwrap_or("fixed");
        [("partition", &self.partition), ("zone", zone)]
    }

    fn borrow<'a>(&'a self, pairs: &'a [(&'a str, &'a str)]) -> Reading<'a> {
        self.widget.reading(&self.member.tenant).params(pairs).tags(&self.tags)
    }
}

/// The answer of one reading in the making.
struct Merging<'r> {
    reading: &'r BoundReading,
    /// The way to what is kept.
    parts: Option<&'r Parts>,
    now: (Vec<Slot>, RollupAnswer<'r>),
    before: Option<(Vec<Slot>, RollupAnswer<'r>)>,
}

impl<'r> Merging<'r> {
    fn new(reading: &'r BoundReading, parts: Option<&'r Parts>) -> Result<Self, String> {
        let (rolled, widget) = reading.rolled().ok_or("the widget shows no rollup")?;
        let dates = reading.dates().ok_or("the widget has no range")?;
        let given = reading.params().iter();
        let given: Vec<_> = given.map(|(name, value)| (name.clone(), value.clone())).collect();
        let filters = widget.filters(&given);
        let of = |dates: Dates| {
            let slots = plan(dates, rolled.rollup.unit(), &reading.member.zone);
            let answer = RollupAnswer::new(&rolled.rollup, &widget.shown, &filters, &slots);
            (slots, answer)
        };
        let before = previous(dates).filter(|_| widget.shown.compare).map(of);
        Ok(Self { reading, parts, now: of(dates), before })
    }

    fn slots(&self) -> impl Iterator<Item = Slot> {
        let before = self.before.iter().flat_map(|(slots, _)| slots);
        before.chain(&self.now.0).copied()
    }

    /// A slot that it has no use for is passed over. `kept` is where the partial comes from.
    fn add(&mut self, slot: &Slot, partial: &Partial, kept: Option<&Cached>) {
        let mut is_used = false;
        for (slots, answer) in self.before.iter_mut().chain([&mut self.now]) {
            if slots.binary_search_by_key(&order(slot), order).is_ok() {
                answer.add(slot, partial);
                is_used = true;
            }
        }
        if let (true, Some(parts), Some(kept)) = (is_used, self.parts, kept) {
            parts.include(kept);
        }
    }

    fn finish(self, queries: u32) -> Value {
        let mut body = self.reading.head();
        self.now.1.write(self.before.as_ref().map(|(_, answer)| answer), &mut body);
        body.push(b'}');
        Value::Read(body.into(), Provenance { moment: 0, queries })
    }
}

/// Of two slots that begin together, the shorter one comes first.
fn order(slot: &Slot) -> (Timestamp, Timestamp) {
    (slot.from(), slot.to())
}

impl BoundReading {
    pub(crate) fn rolled(&self) -> Option<(&Arc<Rolled>, &RollupWidgetDefinition)> {
        match &self.served.entry.made {
            Made::Rollup(rolled, widget) => Some((rolled, widget)),
            Made::Rows(_) => None,
        }
    }
}

impl Inner {
    /// What a widget is called in the cache, and the partials that it is made of: from what is kept of
    /// them it would be made as it was.
    pub(crate) fn names_of<'s>(&'s self, served: &'s Served) -> Vec<&'s str> {
        let mut names = vec![served.entry.name.as_str()];
        if let Made::Rollup(rolled, _) = &served.entry.made {
            let partials = &self.partials[&rolled.name];
            names.extend([partials.sealed.name(), partials.open.name()]);
        }
        names
    }

    /// The answer of a widget over a rollup. `parts` is the way to what is kept; without it everything
    /// is folded anew and nothing is kept.
    pub(crate) async fn roll_up(
        self: &Arc<Self>,
        reading: &BoundReading,
        parts: Option<&Parts>,
    ) -> Result<Value, String> {
        let made = self.roll_up_all(&[(reading, parts)]).await?;
        made.into_iter().next().ok_or_else(|| "nothing was made".to_owned())
    }

    /// The answers of readings of one rollup and one tenant, in their order.
    pub(crate) async fn roll_up_all(
        self: &Arc<Self>,
        readings: &[(&BoundReading, Option<&Parts>)],
    ) -> Result<Vec<Value>, String> {
        let Some((reading, parts)) = readings.first().copied() else { return Ok(Vec::new()) };
        let (rolled, _) = reading.rolled().ok_or("the widget shows no rollup")?;
        let merging = readings.iter().map(|(reading, parts)| Merging::new(reading, *parts));
        let mut merging: Vec<Merging<'_>> = merging.collect::<Result<_, _>>()?;
        let mut slots: Vec<Slot> = merging.iter().flat_map(Merging::slots).collect();
        slots.sort_unstable_by_key(order);
        slots.dedup();
        let timed = self.slow.time(&self.clock, reading);
        let mut gathering = Gathering::new(self, rolled, &reading.member, parts, &slots)?;
        let gathered = gathering
            .run(|slot, partial, kept| {
                merging.iter_mut().for_each(|it| it.add(slot, partial, kept));
            })
            .await;
        let queries = gathering.queries();
        timed.ended(queries, gathered.as_ref().map(drop).map_err(String::as_str));
        gathered?;
        Ok(merging.into_iter().map(|it| it.finish(queries)).collect())
    }
}

/// The same number of days before.
fn previous(dates: Dates) -> Option<Dates> {
    let days = (dates.last() - dates.first()).get_days() + 1;
    let back = jiff::Span::new().try_days(days).ok()?;
    let (first, last) =
        (dates.first().checked_sub(back).ok()?, dates.last().checked_sub(back).ok()?);
    Dates::new(first, last).ok()
}
