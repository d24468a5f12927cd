//! Which readings are warmed for one tenant.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use samovar_widgets::{Mode, Range, Values};

use super::{jobs::Warm, usual::Popular};
use crate::{
    Member,
    engine::{Inner, Served},
    reading::{BoundReading, RANGE},
};

/// Of one widget and tenant. The combinations of its parameters behind are left to their readers.
const READINGS_PER_WIDGET: usize = 10_000;

/// What one job makes for one tenant.
#[derive(Debug, Default)]
pub(super) struct Planned {
    /// Each is made together, the most read first. What is of one rollup is in one of them, with the
    /// longest ranges first, so that these bring the partials of all others.
    pub(super) groups: Vec<Vec<BoundReading>>,
    /// What could not be listed, and why.
    pub(super) failed: Vec<String>,
}

impl Planned {
    pub(super) fn count(&self) -> usize {
        self.groups.iter().map(Vec::len).sum()
    }
}

impl Inner {
    pub(super) async fn plan_readings(
        self: &Arc<Self>,
        warm: &Warm,
        member: &Arc<Member>,
        popular: &Popular,
    ) -> Planned {
        let mut planned = Planned::default();
        let mut readings = Vec::new();
        if warm.readings.is_empty() {
            let ranges: Vec<Range> = warm.ranges.iter().filter_map(|it| it.parse().ok()).collect();
            for served in self.widgets.values() {
                let is_named = warm.widgets.is_empty() || warm.widgets.contains(&served.entry.name);
                let is_ranged = ranges.is_empty() || !served.entry.ranges.is_empty();
                let mode = served.entry.mode.of(member.tenant.as_str());
                if !is_named || !is_ranged || mode != Mode::On {
                    continue;
                }
                match self.readings_of(served, member, &ranges).await {
                    Ok(all) => readings.extend(all),
                    Err(error) => planned.failed.push(format!("{}: {error}", served.entry.name)),
                }
            }
        } else {
            let bound = warm.readings.iter().filter_map(|(widget, given)| {
                let served = self.widgets.get(widget)?;
                let is_on = served.entry.mode.of(member.tenant.as_str()) == Mode::On;
                let (served, member) = (served.clone(), member.clone());
                // Definitions change: what cannot be bound any more is not read any more.
                let bound = BoundReading::bind(served, member, given.clone(), self.now());
                bound.ok().filter(|_| is_on)
            });
            readings.extend(bound);
        }
        let mut seen = HashSet::new();
        readings.retain(|it| seen.insert((it.widget().to_owned(), it.params().clone())));
        planned.groups = in_groups(readings, popular);
        planned
    }

    /// All that its ranges and the values of its parameters make.
    async fn readings_of(
        self: &Arc<Self>,
        served: &Arc<Served>,
        member: &Arc<Member>,
        ranges: &[Range],
    ) -> Result<Vec<BoundReading>, String> {
        let entry = &served.entry;
        let mut all: Vec<Vec<(String, String)>> = vec![Vec::new()];
        let ranges = if ranges.is_empty() { &entry.ranges } else { ranges };
        if !entry.ranges.is_empty() {
            let ranges = ranges.iter().map(|range| Some((RANGE.to_owned(), range.to_string())));
            combine(&mut all, &ranges.collect::<Vec<_>>());
        }
        for param in &entry.params {
            let name = &param.name.value;
            let values = match &param.values {
                None => Vec::new(),
                Some(Values::List(values)) => values.clone(),
                Some(Values::Query(_)) => {
                    self.list_of(&entry.name, name, member).await.map_err(|it| it.to_string())?
                }
            };
            let mut choices: Vec<_> = param.default.iter().map(|_| None).collect();
            let others = values.into_iter().filter(|it| Some(it) != param.default.as_ref());
            choices.extend(others.map(|value| Some((name.clone(), value))));
            combine(&mut all, &choices);
        }
        let bind = |given| {
            let bound = BoundReading::bind(served.clone(), member.clone(), given, self.now());
            bound.map_err(|error| error.to_string())
        };
        all.into_iter().map(bind).collect()
    }
}

/// Each of `all` with each of the choices; no choice is the default. What is too much is cut off.
fn combine(all: &mut Vec<Vec<(String, String)>>, choices: &[Option<(String, String)>]) {
    let with = |given: &Vec<(String, String)>, choice: &Option<(String, String)>| {
        given.iter().cloned().chain(choice.clone()).collect()
    };
    let combined = all.iter().flat_map(|given| choices.iter().map(move |it| with(given, it)));
    *all = combined.take(READINGS_PER_WIDGET).collect();
}

fn in_groups(readings: Vec<BoundReading>, popular: &Popular) -> Vec<Vec<BoundReading>> {
    let mut rolled: BTreeMap<String, Vec<BoundReading>> = BTreeMap::new();
    let mut groups = Vec::new();
    for reading in readings {
        match reading.rolled().map(|(rolled, _)| rolled.name.clone()) {
            Some(name) => rolled.entry(name).or_default().push(reading),
            None => groups.push(vec![reading]),
        }
    }
    for mut group in rolled.into_values() {
        group.sort_by_cached_key(|it| it.dates().map(|dates| dates.first()));
        groups.push(group);
    }
    let reads = |group: &Vec<BoundReading>| group.iter().map(|it| popular.of(&it.name())).max();
    groups.sort_by_cached_key(|group| std::cmp::Reverse(reads(group)));
    groups
}
