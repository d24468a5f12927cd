//! Widgets over rollups: they have no query of their own and say what to show instead.

use std::{sync::Arc, time::Duration};

use super::{
    BucketDefinition, Declared, ModeDefinition, ParamDefinition, RollupDefinition, check_name,
    params, read_title, widgets,
};
use crate::{
    Located, PartitionUnit, Problem, Range, Rollup, Section, limits,
    rollup::{Kind, short},
};

#[derive(Clone, Debug)]
pub struct RollupWidgetDefinition {
    pub name: Located<String>,
    /// For people; the name, where none is given.
    pub title: String,
    pub rollup: Located<String>,
    pub shown: Shown,
    /// By name. Each is called as a dimension is in answers, and filters by it.
    pub params: Vec<ParamDefinition>,
    /// There is one at least. The first one is what a reader gets who names none.
    pub ranges: Vec<Range>,
    pub freshness: Option<Located<String>>,
    pub key: Option<Located<String>>,
    pub bucket: Option<BucketDefinition>,
    pub patience: Option<Duration>,
    pub deadline: Option<Duration>,
    /// How long one compute may take.
    pub compute_limit: Option<Duration>,
    pub strict: bool,
    pub mode: ModeDefinition,
}

/// What is shown of a rollup.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    pub show: Show,
    pub measures: Vec<String>,
    /// Beside the same number of days before.
    pub compare: bool,
    /// The shares of which measures of quantiles are shown.
    pub quantiles: Vec<f64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Show {
    /// One value of each measure.
    Totals,
    /// A row for each hour, day, month or day of the week.
    Series(SeriesBy),
    /// A row for each value of a dimension, the greatest first.
    Breakdown {
        by: String,
        /// So many rows, and one of all others.
        top: Option<usize>,
    },
    /// The heaviest of a top.
    Top { count: usize },
    /// A row for each hour of each day of the week.
    HeatMap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesBy {
    Hour,
    Day,
    Month,
    Weekday,
}

/// The value of a parameter that means: do not filter.
pub const ALL: &str = "all";

impl RollupWidgetDefinition {
    /// Dimensions, by their names in answers, and the value that each must have, for the values of its
    /// parameters.
    pub fn filters(&self, values: &[(String, String)]) -> Vec<(String, String)> {
        let is_filter = |(name, value): &&(String, String)| {
            value != ALL && self.params.iter().any(|param| param.name.value == *name)
        };
        values.iter().filter(is_filter).cloned().collect()
    }
}

#[derive(Clone, Copy)]
enum Word {
    Totals,
    Series,
    Breakdown,
    Top,
    HeatMap,
}

const SHOWS: [(&str, Word); 5] = [
    ("totals", Word::Totals),
    ("series", Word::Series),
    ("breakdown", Word::Breakdown),
    ("top", Word::Top),
    ("heatmap", Word::HeatMap),
];
const SERIES: [(&str, SeriesBy); 4] = [
    ("hour", SeriesBy::Hour),
    ("day", SeriesBy::Day),
    ("month", SeriesBy::Month),
    ("weekday", SeriesBy::Weekday),
];
const COMPARE: [(&str, ()); 1] = [("previous", ())];
const MEASURES: &str = "measures = [\"revenue\", \"orders\"]";
const DEFAULT_POINTS: [f64; 3] = [0.5, 0.95, 0.99];
const DEFAULT_TOP: usize = 10;
/// Keys of other widgets, and why they have no place here.
const REFUSED: [(&str, &str); 7] = [
    ("source", "remove it: the rollup has one"),
    ("query", "remove it: the rollup has one"),
    ("include", "remove it: rows of a rollup have nothing related"),
    ("json", "remove it: unnest the column in the rollup"),
    ("one", "remove it: show = \"totals\" is a single object"),
    ("row_limit", "remove it: top = 10 limits rows"),
    ("tags", "remove it: the rollup has a tag"),
];

pub(super) fn read(
    name: Located<String>,
    mut section: Section<'_>,
    declared: Declared<'_>,
    rollups: &[RollupDefinition],
    rollup_names: &[String],
) -> Option<RollupWidgetDefinition> {
    const MOMENT: Duration = Duration::from_millis(1);
    check_name(&name, &section);
    for (key, hint) in REFUSED {
        if !section.has(key) {
            continue;
        }
        section.refuse(key, section.line_of(key), "has no use beside `rollup`", hint);
        section.know(key);
    }
    let rollup = section.required_text("rollup", "rollup = \"order_days\"")?;
    check_rollup(&rollup, rollup_names, &section);
    let folded = rollups.iter().find(|it| it.name.value == rollup.value);
    let folded = folded.map(|it| it.rollup.clone());
    let title = read_title(&mut section, &name.value);
    let params = params::read(&mut section);
    let shown = read_shown(&mut section, folded.as_ref());
    if let (Some(folded), Some(shown)) = (&folded, &shown) {
        check_params(&params, folded, shown, &section);
    }
    section.require("ranges", "ranges = [\"7d\", \"30d\"]");
    let line = if section.has("ranges") { section.line_of("ranges") } else { 0 };
    let before = section.error_count();
    let ranges = widgets::read_ranges(&mut section);
    if ranges.is_empty() && line > 0 && section.error_count() == before {
        section.refuse("ranges", line, "lists nothing", "list one: a rollup is cut by time");
    }
    let freshness = section.text("freshness");
    let key = section.text("key");
    let bucket = section.choice("bucket", &widgets::BUCKETS);
    let patience = section.duration("patience", Duration::ZERO..=limits::LONGEST_WAIT);
    let deadline = section.duration("deadline", MOMENT..=limits::LONGEST_WAIT);
    let compute_limit = section.duration("compute_limit", MOMENT..=limits::LONGEST_WAIT);
    let strict = section.flag("strict");
    let mode = widgets::read_mode(&mut section, declared);
    section.finish();
    Some(RollupWidgetDefinition {
        name,
        title,
        rollup,
        shown: shown?,
        params,
        ranges,
        freshness,
        key,
        bucket: bucket.map(|it| it.value),
        patience: patience.map(|it| it.value),
        deadline: deadline.map(|it| it.value),
        compute_limit: compute_limit.map(|it| it.value),
        strict: strict.is_some_and(|it| it.value),
        mode,
    })
}

fn check_rollup(rollup: &Located<String>, known: &[String], section: &Section<'_>) {
    if !known.contains(&rollup.value) {
        let problem = Problem::new(rollup.line, format!("there is no rollup `{}`", rollup.value));
        let declare = || format!("declare it: [rollup.{}]", rollup.value);
        let known = known.iter().map(String::as_str);
        section.note(problem.meant(&rollup.value, known, declare));
    }
}

fn read_shown(section: &mut Section<'_>, rollup: Option<&Arc<Rollup>>) -> Option<Shown> {
    section.require("show", "show = \"series\"");
    let word = section.choice("show", &SHOWS);
    let measures = section.required_texts("measures", 1..=limits::MEASURES_PER_ROLLUP, MEASURES);
    let by = section.text("by");
    let top = section.count("top", 1..limits::SHOWN_ROWS + 1);
    let compare = section.choice("compare", &COMPARE);
    let points = read_points(section);
    let (word, measures) = (word?, measures?);
    if let (Word::HeatMap, Some(compare)) = (word.value, &compare) {
        let hint = "show totals, a series or a breakdown to compare";
        section.refuse("compare", compare.line, "has no use in a heat map", hint);
    }
    if let (Word::Totals | Word::Series | Word::HeatMap, Some(top)) = (word.value, &top) {
        let hint = "it limits a breakdown or a top: remove it";
        section.refuse("top", top.line, "has no use here", hint);
    }
    if let (Word::Totals | Word::Top | Word::HeatMap, Some(by)) = (word.value, &by) {
        let hint = "it belongs to a series or a breakdown: remove it";
        section.refuse("by", by.line, "has no use here", hint);
    }
    let rollup = rollup?;
    let places = check_measures(word.value, &measures, rollup, section);
    let quantiled = places.iter().any(|place| rollup.kind(*place) == Kind::Quantiles);
    if let (Some(points), false) = (&points, quantiled) {
        let hint = "show a measure of quantiles, or remove it";
        section.refuse("quantiles", points.line, "has no use here", hint);
    }
    let top = top.map(|it| it.value);
    let show = match word.value {
        Word::Totals => Show::Totals,
        Word::Series => Show::Series(read_series(by.as_ref(), rollup, section)?),
        Word::Breakdown => {
            let Some(by) = by else {
                let reason = format!("{} needs `by`", section.title());
                let hint = "name a dimension of the rollup: by = \"channel\"";
                section.note(Problem::new(word.line, reason).hint(hint));
                return None;
            };
            check_breakdown(&by, &measures, rollup, section);
            Show::Breakdown { by: by.value, top }
        }
        Word::Top => Show::Top { count: top.unwrap_or(DEFAULT_TOP) },
        Word::HeatMap => {
            if rollup.unit() != PartitionUnit::Hour {
                let hint = "partition the rollup by hour";
                section.refuse("show", word.line, "is `heatmap`, of a rollup without hours", hint);
            }
            Show::HeatMap
        }
    };
    Some(Shown {
        show,
        measures: measures.into_iter().map(|it| it.value).collect(),
        compare: compare.is_some(),
        quantiles: points.map_or_else(|| DEFAULT_POINTS.to_vec(), |it| it.value),
    })
}

/// The places of those that there are.
fn check_measures(
    show: Word,
    measures: &[Located<String>],
    rollup: &Rollup,
    section: &Section<'_>,
) -> Vec<(usize, usize)> {
    let mut places = Vec::new();
    for measure in measures {
        let Some(place) = rollup.measure(&measure.value) else {
            let reason = format!("the rollup has no measure `{}`", measure.value);
            let known = || rollup.measures().collect::<Vec<_>>().join(", ");
            let problem = Problem::new(measure.line, reason);
            let otherwise = || format!("it has {}", known());
            section.note(problem.meant(&measure.value, rollup.measures(), otherwise));
            continue;
        };
        places.push(place);
        let is_top = matches!(rollup.kind(place), Kind::Top { .. });
        match (show, is_top) {
            (Word::Top, false) => {
                let what = format!("lists `{}`, which is no top", measure.value);
                section.refuse(
                    "measures",
                    measure.line,
                    &what,
                    "list a measure like { top = ... }",
                );
            }
            (Word::Totals | Word::Series | Word::Breakdown | Word::HeatMap, true) => {
                let what = format!("lists the top `{}`", measure.value);
                let hint = "give it a widget of its own with show = \"top\"";
                section.refuse("measures", measure.line, &what, hint);
            }
            _ => {}
        }
    }
    if let (Word::Top, [_, second, ..]) = (show, measures) {
        let hint = "show one top in each widget";
        section.refuse("measures", second.line, "lists more than one", hint);
    }
    places
}

fn read_series(
    by: Option<&Located<String>>,
    rollup: &Rollup,
    section: &Section<'_>,
) -> Option<SeriesBy> {
    let Some(by) = by else {
        return Some(match rollup.unit() {
            PartitionUnit::Hour | PartitionUnit::Day => SeriesBy::Day,
            PartitionUnit::Month => SeriesBy::Month,
        });
    };
    let Some((_, series)) = SERIES.iter().find(|(word, _)| *word == by.value) else {
        let reason = format!("`by` in {} is `{}`", section.title(), by.value);
        let otherwise = || "a series is by hour, day, month or weekday".to_owned();
        let known = SERIES.iter().map(|(word, _)| *word);
        section.note(Problem::new(by.line, reason).meant(&by.value, known, otherwise));
        return None;
    };
    let needed = match series {
        SeriesBy::Hour => PartitionUnit::Hour,
        SeriesBy::Day | SeriesBy::Weekday => PartitionUnit::Day,
        SeriesBy::Month => PartitionUnit::Month,
    };
    if rollup.unit() > needed {
        let what = format!("is `{}`, finer than the partitions of the rollup", by.value);
        section.refuse("by", by.line, &what, "choose something coarser, or partition it finer");
    }
    Some(*series)
}

fn check_breakdown(
    by: &Located<String>,
    measures: &[Located<String>],
    rollup: &Rollup,
    section: &Section<'_>,
) {
    if !rollup.dimensions().any(|it| it == by.value) {
        let reason = format!("the rollup has no dimension `{}`", by.value);
        let otherwise = || "add it to the dimensions of the rollup".to_owned();
        let problem = Problem::new(by.line, reason);
        return section.note(problem.meant(&by.value, rollup.dimensions(), otherwise));
    }
    for measure in measures {
        let Some((table, _)) = rollup.measure(&measure.value) else { continue };
        if rollup.dimension(table, &by.value).is_none() {
            let what = format!("is `{}`, by which `{}` is not cut", by.value, measure.value);
            section.refuse("by", by.line, &what, OF_ELEMENTS);
        }
    }
}

const OF_ELEMENTS: &str =
    "a dimension of a list cuts only measures of its elements: choose another one of the two";

fn check_params(params: &[ParamDefinition], rollup: &Rollup, shown: &Shown, section: &Section<'_>) {
    for param in params {
        let Located { value: name, line } = &param.name;
        if !rollup.dimensions().any(|it| short(it) == name) {
            let problem = Problem::new(*line, format!("the parameter `{name}` is no dimension"));
            let otherwise = || "add it to the dimensions of the rollup, or remove it".to_owned();
            section.note(problem.meant(name, rollup.dimensions().map(short), otherwise));
            continue;
        }
        let uncut = shown.measures.iter().find(|measure| {
            let place = rollup.measure(measure);
            place.is_some_and(|(table, _)| rollup.filtered(table, name).is_none())
        });
        if let Some(uncut) = uncut {
            let reason = format!("the parameter `{name}` does not filter `{uncut}`");
            section.note(Problem::new(*line, reason).hint(OF_ELEMENTS));
        }
    }
}

fn read_points(section: &mut Section<'_>) -> Option<Located<Vec<f64>>> {
    const KEY: &str = "quantiles";
    let has = section.has(KEY);
    let listed = section.scalars(KEY, 1..=limits::QUANTILE_POINTS)?;
    let line = if has { section.line_of(KEY) } else { section.line() };
    let mut points: Vec<f64> = Vec::new();
    for scalar in listed {
        match scalar.value.text.parse::<f64>() {
            Ok(point) if (0.0..=1.0).contains(&point) && !points.contains(&point) => {
                points.push(point);
            }
            _ => {
                let what = format!("lists `{}`", scalar.value.text);
                let hint = "list different shares between 0 and 1: quantiles = [0.5, 0.95]";
                section.refuse(KEY, scalar.line, &what, hint);
            }
        }
    }
    Some(Located { value: points, line })
}
