//! What is read next: of whom, which widget, which range, and which filters.

use jiff::{ToSpan, civil::Date};

use super::{
    calendar::Unit,
    drawn::Spec,
    orders::Filters,
    pick,
    walk::{Member, Walk},
};

/// One reading. Members and widgets are meant by their places.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Case {
    pub(super) member: usize,
    pub(super) spec: usize,
    /// As it is given.
    pub(super) range: String,
    pub(super) dates: (Date, Date),
    pub(super) filters: Filters,
}

const NAMED: [&str; 9] =
    ["today", "yesterday", "2d", "3d", "7d", "this_week", "this_month", "30d", "75d"];
/// So many are remembered.
pub(super) const MOST_RECENT: usize = 8;
/// Those that are not too many hours.
const SHORT: usize = 6;

impl Case {
    pub(super) fn range_is(&mut self, dates: (Date, Date)) {
        self.dates = dates;
        self.range = format!("{}..{}", dates.0, dates.1);
    }
}

impl Walk {
    pub(super) fn specs_of(&self, unit: Unit, is_wanted: impl Fn(&Spec) -> bool) -> Vec<usize> {
        let is_one = |it: &Spec| it.unit == unit && is_wanted(it);
        (0..self.specs.len()).filter(|place| is_one(&self.specs[*place])).collect()
    }

    pub(super) fn draw(&self) -> Case {
        let member = self.random.below(self.members.len() as u64) as usize;
        let spec = self.random.below(self.specs.len() as u64) as usize;
        if self.random.below(3) == 0 {
            let is_short = self.specs[spec].unit == Unit::Hour;
            let range = *pick(&self.random, if is_short { &NAMED[..SHORT] } else { &NAMED });
            let dates = named(range, self.today(member));
            let filters = self.draw_filters(spec);
            return Case { member, spec, range: range.to_owned(), dates, filters };
        }
        let Member { edges, .. } = &self.members[member];
        let day = match self.random.below(2) {
            0 => *pick(&self.random, edges),
            _ => self.today(member),
        };
        self.draw_around(member, &[day])
    }

    /// Of a range with one of these days.
    pub(super) fn draw_around(&self, member: usize, days: &[Date]) -> Case {
        let spec = self.random.below(self.specs.len() as u64) as usize;
        let longest = match self.specs[spec].unit {
            Unit::Hour => 4,
            Unit::Day => 30,
            Unit::Month => 100,
        };
        let day = *pick(&self.random, days);
        let first = day - (self.random.below(longest) as i64).days();
        let last = day.max(first + (self.random.below(longest) as i64).days());
        let filters = self.draw_filters(spec);
        let mut case = Case { member, spec, range: String::new(), dates: (first, last), filters };
        case.range_is((first, last));
        case
    }

    /// The range of one that was read before, mostly seen in another way, as by a page of widgets.
    pub(super) fn draw_again(&self) -> Option<Case> {
        let index = self.random.below(2 * MOST_RECENT as u64) as usize;
        let mut case = self.again(self.recent.get(index)?);
        if self.random.below(4) > 0 {
            let of_unit = self.specs_of(self.specs[case.spec].unit, |_| true);
            case.spec = *pick(&self.random, &of_unit);
            case.filters = self.draw_filters(case.spec);
        }
        Some(case)
    }

    /// The same, now: a range with a name moves on with the calendar.
    pub(super) fn again(&self, case: &Case) -> Case {
        let dates = match NAMED.contains(&case.range.as_str()) {
            true => named(&case.range, self.today(case.member)),
            false => case.dates,
        };
        Case { dates, ..case.clone() }
    }

    fn today(&self, member: usize) -> Date {
        self.members[member].calendar.shows(self.now()).date()
    }

    /// Values that are there, one that is not, and mostly none.
    fn draw_filters(&self, spec: usize) -> Filters {
        let mut filters: Filters = Vec::new();
        for param in &self.specs[spec].params {
            let values: &[&str] = match *param {
                "channel" => &["web", "Web", "till", "grün", "it's", "nowhere"],
                "branch" => &["0", "1", "3", "77"],
                _ => &["sku-1", "sku-2", "with \"quotes\" and é", "sku-none"],
            };
            match self.random.below(6) {
                0..2 => filters.push((param, (*pick(&self.random, values)).to_owned())),
                2 => filters.push((param, "all".to_owned())),
                _ => {}
            }
        }
        filters
    }
}

fn named(name: &str, today: Date) -> (Date, Date) {
    let back = |days: i64| today - days.days();
    match name {
        "today" => (today, today),
        "yesterday" => (back(1), back(1)),
        "this_week" => (back(today.weekday().to_monday_zero_offset().into()), today),
        "this_month" => (today.first_of_month(), today),
        days => {
            let days: i64 = days.trim_end_matches('d').parse().expect("a number of days");
            (back(days - 1), today)
        }
    }
}
