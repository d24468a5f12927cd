//! Partials become the answers of many readings.

use jiff::Timestamp;
use samovar_cache::{Answer as Cached, Parts, Provenance, Value};
use samovar_widgets::{Answer as RollupAnswer, Dates, Partial, Rollup, Show, Slot, plan};

use crate::reading::BoundReading;

/// The answers of readings of one rollup and one tenant in the making.
pub(super) struct Merging<'r> {
    rollup: &'r Rollup,
    readings: Vec<One<'r>>,
    wholes: Vec<Whole>,
}

struct One<'r> {
    reading: &'r BoundReading,
    /// The way to what is kept.
    parts: Option<&'r Parts>,
    now: Period<'r>,
    before: Option<Period<'r>>,
}

/// What a reading shows of one stretch of time.
struct Period<'r> {
    slots: Vec<Slot>,
    answer: RollupAnswer<'r>,
    /// All of it is shown as one, so that what was merged for others will do.
    is_whole: bool,
}

/// The partials of some slots, merged once for all readings that show them as one.
struct Whole {
    slots: Vec<Slot>,
    merged: Partial,
}

/// For fewer readings it costs less to take from each partial only what they show.
const WORTH_A_WHOLE: usize = 3;

impl<'r> Merging<'r> {
    pub(super) fn new(
        rollup: &'r Rollup,
        readings: &[(&'r BoundReading, Option<&'r Parts>)],
    ) -> Result<Self, String> {
        let readings = readings.iter().map(|(reading, parts)| One::new(reading, *parts));
        let mut readings: Vec<One<'r>> = readings.collect::<Result<_, _>>()?;
        let wholes = wholes(rollup, &mut readings);
        Ok(Self { rollup, readings, wholes })
    }

    /// All that are needed, in the order of time, and of two that begin together the shorter one first.
    pub(super) fn slots(&self) -> Vec<Slot> {
        let of = |one: &One<'_>| -> Vec<Slot> {
            let periods = one.before.iter().chain([&one.now]);
            periods.flat_map(|period| period.slots.iter().copied()).collect()
        };
        let mut slots: Vec<Slot> = self.readings.iter().flat_map(of).collect();
        slots.sort_unstable_by_key(order);
        slots.dedup();
        slots
    }

    /// Each slot once. What shows it becomes as old as `aging`.
    pub(super) fn add(&mut self, slot: &Slot, partial: &Partial, aging: Option<&Cached>) {
        for whole in self.wholes.iter_mut().filter(|it| holds(&it.slots, slot)) {
            whole.merged.merge(self.rollup, partial);
        }
        self.readings.iter_mut().for_each(|one| one.add(slot, partial, aging));
    }

    /// In the order of the readings.
    pub(super) fn finish(mut self, queries: u32) -> Vec<Value> {
        for period in self.readings.iter_mut().flat_map(One::periods).filter(|it| it.is_whole) {
            if let Some(whole) = self.wholes.iter().find(|it| it.slots == period.slots) {
                period.answer.add(&whole.slots[0], &whole.merged);
            }
        }
        self.readings.into_iter().map(|one| one.finish(queries)).collect()
    }
}

impl<'r> One<'r> {
    fn new(reading: &'r BoundReading, parts: Option<&'r Parts>) -> Result<Self, String> {
        let (rolled, widget) = reading.rolled().ok_or("the widget shows no rollup")?;
        let dates = reading.dates().ok_or("the widget has no range")?;
        let given = reading.params().iter();
        let given: Vec<_> = given.map(|(name, value)| (name.clone(), value.clone())).collect();
        let filters = widget.filters(&given);
        let of = |dates: Dates| {
            let slots = plan(dates, rolled.rollup.unit(), &reading.member.zone);
            let answer = RollupAnswer::new(&rolled.rollup, &widget.shown, &filters, &slots);
            let is_cut = matches!(widget.shown.show, Show::Series(_) | Show::HeatMap);
            Period { slots, answer, is_whole: !is_cut }
        };
        let before = previous(dates).filter(|_| widget.shown.compare).map(of);
        Ok(Self { reading, parts, now: of(dates), before })
    }

    fn periods(&mut self) -> impl Iterator<Item = &mut Period<'r>> {
        self.before.iter_mut().chain([&mut self.now])
    }

    fn add(&mut self, slot: &Slot, partial: &Partial, aging: Option<&Cached>) {
        let mut is_used = false;
        for period in self.periods().filter(|it| holds(&it.slots, slot)) {
            if !period.is_whole {
                period.answer.add(slot, partial);
            }
            is_used = true;
        }
        if let (true, Some(parts), Some(aging)) = (is_used, self.parts, aging) {
            parts.include(aging);
        }
    }

    fn finish(self, queries: u32) -> Value {
        let mut body = self.reading.head();
        self.now.answer.write(self.before.as_ref().map(|it| &it.answer), &mut body);
        body.push(b'}');
        Value::Read(body.into(), Provenance { moment: 0, queries })
    }
}

fn order(slot: &Slot) -> (Timestamp, Timestamp) {
    (slot.from(), slot.to())
}

/// `slots` are in order.
fn holds(slots: &[Slot], slot: &Slot) -> bool {
    slots.binary_search_by_key(&order(slot), order).is_ok()
}

/// What many show as one is merged once.
fn wholes(rollup: &Rollup, readings: &mut [One<'_>]) -> Vec<Whole> {
    let mut counted: Vec<(Vec<Slot>, usize)> = Vec::new();
    for period in readings.iter_mut().flat_map(One::periods).filter(|it| it.is_whole) {
        match counted.iter_mut().find(|(slots, _)| *slots == period.slots) {
            Some((_, count)) => *count += 1,
            None => counted.push((period.slots.clone(), 1)),
        }
    }
    counted.retain(|(slots, count)| *count >= WORTH_A_WHOLE && !slots.is_empty());
    for period in readings.iter_mut().flat_map(One::periods) {
        period.is_whole &= counted.iter().any(|(slots, _)| *slots == period.slots);
    }
    counted.into_iter().map(|(slots, _)| Whole { slots, merged: Partial::empty(rollup) }).collect()
}

/// The same number of days before.
pub(super) fn previous(dates: Dates) -> Option<Dates> {
    let days = (dates.last() - dates.first()).get_days() + 1;
    let back = jiff::Span::new().try_days(days).ok()?;
    let (first, last) =
        (dates.first().checked_sub(back).ok()?, dates.last().checked_sub(back).ok()?);
    Dates::new(first, last).ok()
}
