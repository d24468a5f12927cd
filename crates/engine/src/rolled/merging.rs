//! Partials become the answers of many readings.

use jiff::Timestamp;
use samovar_cache::{Answer as Cached, Parts, Provenance, Value};
use samovar_widgets::{Answer as RollupAnswer, Dates, Partial, Rollup, Show, Slot, plan};

use crate::reading::BoundReading;

/// The answers of readings of one rollup and one tenant in the making.
pub(super) struct Merging<'r> {
    rollup: &'r Rollup,
    stretches: Vec<Stretch>,
    readings: Vec<One<'r>>,
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
    whole: Option<Partial>,
    /// The slot that is being added is one of them.
    is_touched: bool,
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
        let mut merging = Self { rollup, stretches, readings };
        merging.share_wholes();
        Ok(merging)
    }

    /// What many show as one is merged once.
    fn share_wholes(&mut self) {
        let mut counted = vec![0; self.stretches.len()];
        for period in self.readings.iter_mut().flat_map(One::periods).filter(|it| it.is_whole) {
            counted[period.stretch] += 1;
        }
        for (stretch, count) in self.stretches.iter_mut().zip(counted) {
            let is_worth = count >= WORTH_A_WHOLE && !stretch.slots.is_empty();
            stretch.whole = is_worth.then(|| Partial::empty(self.rollup));
        }
        for period in self.readings.iter_mut().flat_map(One::periods) {
            period.is_whole &= self.stretches[period.stretch].whole.is_some();
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
            if let (true, Some(whole)) = (stretch.is_touched, &mut stretch.whole) {
                whole.merge(self.rollup, partial);
            }
        }
        for one in &mut self.readings {
            one.add(&self.stretches, slot, partial, aging);
        }
    }

    /// In the order of the readings.
    pub(super) fn finish(mut self, queries: u32) -> Vec<Value> {
        for period in self.readings.iter_mut().flat_map(One::periods).filter(|it| it.is_whole) {
            let stretch = &self.stretches[period.stretch];
            if let Some(whole) = &stretch.whole {
                period.answer.add(&stretch.slots[0], whole);
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
                stretches.push(Stretch { dates, slots, whole: None, is_touched: false });
                stretches.len() - 1
            });
            let slots = &stretches[stretch].slots;
            let answer = RollupAnswer::new(&rolled.rollup, &widget.shown, &filters, slots);
            let is_cut = matches!(widget.shown.show, Show::Series(_) | Show::HeatMap);
            Period { stretch, answer, is_whole: !is_cut }
        };
        let before = previous(dates).filter(|_| widget.shown.compare).map(&mut of);
        Ok(Self { reading, parts, now: of(dates), before })
    }

    fn periods(&mut self) -> impl Iterator<Item = &mut Period<'r>> {
        self.before.iter_mut().chain([&mut self.now])
    }

    fn add(
        &mut self,
        stretches: &[Stretch],
        slot: &Slot,
        partial: &Partial,
        aging: Option<&Cached>,
    ) {
        let mut is_used = false;
        for period in self.periods().filter(|it| stretches[it.stretch].is_touched) {
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

/// The same number of days before.
pub(super) fn previous(dates: Dates) -> Option<Dates> {
    let days = (dates.last() - dates.first()).get_days() + 1;
    let back = jiff::Span::new().try_days(days).ok()?;
    let (first, last) =
        (dates.first().checked_sub(back).ok()?, dates.last().checked_sub(back).ok()?);
    Dates::new(first, last).ok()
}
