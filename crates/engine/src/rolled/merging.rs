//! Partials become the answers of many readings.

use std::collections::HashMap;

use jiff::Timestamp;
use samovar_cache::{Answer as Cached, Parts, Provenance, Value};
use samovar_widgets::{Answer as RollupAnswer, Dates, Partial, Rollup, Show, Slot, plan};

use crate::reading::{BoundReading, RANGE};

/// The answers of readings of one rollup and one tenant in the making.
pub(super) struct Merging<'r> {
    rollup: &'r Rollup,
    stretches: Vec<Stretch>,
    readings: Vec<One<'r>>,
    sums: Vec<Sum>,
}

struct One<'r> {
    reading: &'r BoundReading,
    /// An earlier one whose rows it shares, by its place: it shows the same of another range.
    twin: Option<usize>,
    /// The way to what is kept.
    parts: Option<&'r Parts>,
    now: Period<'r>,
    before: Option<Period<'r>>,
}

/// What a reading shows of one stretch of time.
struct Period<'r> {
    /// Its place among all of them.
    stretch: usize,
    answer: RollupAnswer<'r>,
    /// All of it is shown as one, so that what was merged for others will do.
    is_whole: bool,
}

/// Some dates that are shown, by however many readings.
struct Stretch {
    dates: Dates,
    /// In order.
    slots: Vec<Slot>,
    /// Merged once for all readings that show them as one.
    is_shared: bool,
    /// The slot that is being added is one of them.
    is_touched: bool,
}

/// The slots that lie in the same stretches, as one: of ranges that lie in one another each slot is
/// merged once.
struct Sum {
    /// Shared ones, by their places.
    of: Vec<usize>,
    merged: Partial,
}

/// For fewer readings it costs less to take from each partial only what they show.
const WORTH_A_WHOLE: usize = 3;

impl<'r> Merging<'r> {
    pub(super) fn new(
        rollup: &'r Rollup,
        readings: &[(&'r BoundReading, Option<&'r Parts>)],
    ) -> Result<Self, String> {
        let mut stretches = Vec::new();
        let readings = readings.iter().map(|(it, parts)| One::new(it, *parts, &mut stretches));
        let readings: Vec<One<'r>> = readings.collect::<Result<_, _>>()?;
        let mut merging = Self { rollup, stretches, readings, sums: Vec::new() };
        merging.find_twins();
        merging.share_wholes();
        Ok(merging)
    }

    fn find_twins(&mut self) {
        let mut first = HashMap::new();
        let readings = self.readings.iter_mut().enumerate();
        for (place, one) in readings.filter(|(_, one)| one.now.answer.has_rows_of_slots()) {
            let given = one.reading.params().iter().filter(|(name, _)| *name != RANGE);
            let same = (one.reading.widget(), given.collect::<Vec<_>>());
            one.twin = first.get(&same).copied();
            first.entry(same).or_insert(place);
        }
    }

    /// What many show as one is merged once.
    fn share_wholes(&mut self) {
        let mut counted = vec![0; self.stretches.len()];
        for period in self.readings.iter_mut().flat_map(One::periods).filter(|it| it.is_whole) {
            counted[period.stretch] += 1;
        }
        for (stretch, count) in self.stretches.iter_mut().zip(counted) {
            stretch.is_shared = count >= WORTH_A_WHOLE && !stretch.slots.is_empty();
        }
        for period in self.readings.iter_mut().flat_map(One::periods) {
            period.is_whole &= self.stretches[period.stretch].is_shared;
        }
    }

    /// All that are needed, in the order of time, and of two that begin together the shorter one first.
    pub(super) fn slots(&self) -> Vec<Slot> {
        let slots = self.stretches.iter().flat_map(|stretch| &stretch.slots);
        let mut slots: Vec<Slot> = slots.copied().collect();
        slots.sort_unstable_by_key(order);
        slots.dedup();
        slots
    }

    /// Each slot once. What shows it becomes as old as `aging`.
    pub(super) fn add(&mut self, slot: &Slot, partial: &Partial, aging: Option<&Cached>) {
        for stretch in &mut self.stretches {
            stretch.is_touched = stretch.slots.binary_search_by_key(&order(slot), order).is_ok();
        }
        let stretches = self.stretches.iter().enumerate();
        let of = stretches.filter(|(_, it)| it.is_touched && it.is_shared).map(|(place, _)| place);
        let of: Vec<usize> = of.collect();
        if !of.is_empty() {
            let known = self.sums.iter().position(|sum| sum.of == of);
            let place = known.unwrap_or_else(|| {
                self.sums.push(Sum { of, merged: Partial::empty(self.rollup) });
                self.sums.len() - 1
            });
            self.sums[place].merged.merge(self.rollup, partial);
        }
        for place in 0..self.readings.len() {
            let (earlier, rest) = self.readings.split_at_mut(place);
            let twin = rest[0].twin.map(|twin| &earlier[twin].now);
            let twin = twin.filter(|it| self.stretches[it.stretch].is_touched);
            rest[0].add(&self.stretches, slot, (partial, aging), twin);
        }
    }

    /// In the order of the readings.
    pub(super) fn finish(mut self, queries: u32) -> Vec<Value> {
        for (place, stretch) in self.stretches.iter().enumerate().filter(|(_, it)| it.is_shared) {
            let mut whole = Partial::empty(self.rollup);
            for sum in self.sums.iter().filter(|sum| sum.of.contains(&place)) {
                whole.merge(self.rollup, &sum.merged);
            }
            let periods = self.readings.iter_mut().flat_map(One::periods);
            for period in periods.filter(|it| it.is_whole && it.stretch == place) {
                period.answer.add(&stretch.slots[0], &whole);
            }
        }
        self.readings.into_iter().map(|one| one.finish(queries)).collect()
    }
}

impl<'r> One<'r> {
    fn new(
        reading: &'r BoundReading,
        parts: Option<&'r Parts>,
        stretches: &mut Vec<Stretch>,
    ) -> Result<Self, String> {
        let (rolled, widget) = reading.rolled().ok_or("the widget shows no rollup")?;
        let dates = reading.dates().ok_or("the widget has no range")?;
        let given = reading.params().iter();
        let given: Vec<_> = given.map(|(name, value)| (name.clone(), value.clone())).collect();
        let filters = widget.filters(&given);
        let mut of = |dates: Dates| {
            let known = stretches.iter().position(|stretch| stretch.dates == dates);
            let stretch = known.unwrap_or_else(|| {
                let slots = plan(dates, rolled.rollup.unit(), &reading.member.zone);
                stretches.push(Stretch { dates, slots, is_shared: false, is_touched: false });
                stretches.len() - 1
            });
            let slots = &stretches[stretch].slots;
            let answer = RollupAnswer::new(&rolled.rollup, &widget.shown, &filters, slots);
            let is_cut = matches!(widget.shown.show, Show::Series(_) | Show::HeatMap);
            Period { stretch, answer, is_whole: !is_cut }
        };
        let before = previous(dates).filter(|_| widget.shown.compare).map(&mut of);
        Ok(Self { reading, twin: None, parts, now: of(dates), before })
    }

    fn periods(&mut self) -> impl Iterator<Item = &mut Period<'r>> {
        self.before.iter_mut().chain([&mut self.now])
    }

    fn add(
        &mut self,
        stretches: &[Stretch],
        slot: &Slot,
        (partial, aging): (&Partial, Option<&Cached>),
        twin: Option<&Period<'r>>,
    ) {
        let mut is_used = false;
        if let Some(period) = self.before.as_mut().filter(|it| stretches[it.stretch].is_touched) {
            period.add(slot, partial);
            is_used = true;
        }
        if stretches[self.now.stretch].is_touched {
            match twin {
                Some(twin) => self.now.answer.share(slot, &twin.answer),
                None => self.now.add(slot, partial),
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

impl Period<'_> {
    fn add(&mut self, slot: &Slot, partial: &Partial) {
        if !self.is_whole {
            self.answer.add(slot, partial);
        }
    }
}

fn order(slot: &Slot) -> (Timestamp, Timestamp) {
    (slot.from(), slot.to())
}

/// The same number of days before.
pub(super) fn previous(dates: Dates) -> Option<Dates> {
    let days = (dates.last() - dates.first()).get_days() + 1;
    let back = jiff::Span::new().try_days(days).ok()?;
    let (first, last) =
        (dates.first().checked_sub(back).ok()?, dates.last().checked_sub(back).ok()?);
    Dates::new(first, last).ok()
}
