//! Rollups: what is folded of the rows of a query, and into which partitions.

use std::sync::Arc;

use super::{check_field_name, check_name, check_source};
use crate::{
    Located, PartitionUnit, Problem, Rollup, Section, limits,
    rollup::{Expression, Refusal, Wanted, short},
    section::Entry,
};

#[derive(Clone, Debug)]
pub struct RollupDefinition {
    pub name: Located<String>,
    pub source: String,
    /// It is given `:tenant`, `:from` and `:to`.
    pub query: Located<String>,
    /// `None` means the name of the source.
    pub tag: Option<Located<String>>,
    /// What the tag ends with, where that is finer than a partition.
    pub finer: Option<PartitionUnit>,
    /// What is folded.
    pub rollup: Arc<Rollup>,
}

pub(super) const UNITS: [(&str, PartitionUnit); 3] =
    [("hour", PartitionUnit::Hour), ("day", PartitionUnit::Day), ("month", PartitionUnit::Month)];
const QUERY: &str = "query = \"select received_at, total from orders where tenant_id = :tenant and \
                     received_at >= :from and received_at < :to\"";
const PARTITION: &str = "partition = { by = \"day\", at = \"received_at\" }";
const MEASURES: &str = "measures = { orders = \"count\", revenue = { sum = \"total\" } }";
const MEASURE: &str = "{ sum = \"total\" }";
const UNNEST: &str = "unnest.items = { column = \"items\", fields = [\"sku\", \"qty\"] }";
const DEFAULT_KEPT: usize = 200;
/// What answers call something else.
const TAKEN: [&str; 9] =
    ["previous", "other", "error", "rows", "totals", "hour", "day", "month", "weekday"];

const KINDS: [(&str, Wanted); 8] = [
    ("count", Wanted::Count),
    ("sum", Wanted::Sum),
    ("min", Wanted::Min),
    ("max", Wanted::Max),
    ("average", Wanted::Average),
    ("distinct", Wanted::Distinct),
    ("quantiles", Wanted::Quantiles),
    ("top", Wanted::Top { keep: DEFAULT_KEPT }),
];

pub(super) fn read(
    name: Located<String>,
    mut section: Section<'_>,
    sources: &[String],
) -> Option<RollupDefinition> {
    check_name(&name, &section);
    let source = section.required_text("source", "source = \"shop\"");
    if let Some(source) = &source {
        check_source(source, sources, &section);
    }
    let query = section.required_text("query", QUERY);
    let partition = read_partition(&mut section);
    let tag = section.text("tag");
    let finer = match (&tag, &partition) {
        (Some(tag), Some((unit, _))) => check_tag(tag, *unit, &section),
        _ => None,
    };
    let (unit, at) = partition.clone().unwrap_or((PartitionUnit::Day, String::new()));
    let mut rollup = Rollup::new(unit, &at);
    read_lists(&mut section, &mut rollup);
    let dimensions = section.texts("dimensions", 0..=limits::DIMENSIONS_PER_ROLLUP);
    let dimensions = dimensions.unwrap_or_default();
    for dimension in &dimensions {
        if let Err(refusal) = check_dimension(dimension, &mut rollup) {
            section.note(told(dimension.line, "dimensions", &section, &refusal));
        }
    }
    let found = read_measures(&mut section, &mut rollup);
    if let (Some(idle), true) = (rollup.idle_dimension(), found) {
        let line = dimensions.iter().find(|it| it.value == idle).map_or(0, |it| it.line);
        let reason = format!("the dimension `{idle}` cuts nothing: no measure is of its list");
        let (list, _) = idle.split_once('.').unwrap_or((idle, ""));
        let hint = format!("add a measure like {{ count = \"{list}\" }}, or remove the dimension");
        section.note(Problem::new(line, reason).hint(hint));
    }
    section.finish();
    let (source, query) = (source?.value, query?);
    partition?;
    let rollup = Arc::new(rollup.finish(&[&source, &query.value]));
    Some(RollupDefinition { name, source, query, tag, finer, rollup })
}

fn read_partition(rollup: &mut Section<'_>) -> Option<(PartitionUnit, String)> {
    rollup.require("partition", PARTITION);
    let mut section = rollup.section("partition")?;
    section.require("by", "by = \"day\"");
    let by = section.choice("by", &UNITS);
    let at = section.required_text("at", "at = \"received_at\"");
    section.finish();
    Some((by?.value, at?.value))
}

/// What it ends with, where that is finer than a partition. Tags themselves are checked where all of
/// them are.
fn check_tag(
    tag: &Located<String>,
    unit: PartitionUnit,
    section: &Section<'_>,
) -> Option<PartitionUnit> {
    let (mut rest, mut finer) = (tag.value.as_str(), None);
    while let Some((_, after)) = rest.split_once('{') {
        let before = &tag.value[..tag.value.len() - after.len() - 1];
        let Some((name, after)) = after.split_once('}') else {
            section.refuse("tag", tag.line, "has a { without a }", "close it: {day}");
            return None;
        };
        rest = after;
        match UNITS.iter().find(|(known, _)| *known == name) {
            Some((_, named)) if *named >= unit => {}
            // Above it lies what a whole partition depends on.
            Some((_, named)) if after.is_empty() && !before.contains('{') => finer = Some(*named),
            Some(_) => {
                let what = format!("names `{{{name}}}`, and its partitions are longer");
                let hint = "name what is as long as a partition, or end the tag with it";
                section.refuse("tag", tag.line, &what, hint);
            }
            None => {
                let reason = format!("`tag` in {} has no `{{{name}}}`", section.title());
                let known = UNITS.iter().map(|(known, _)| *known);
                let otherwise = || "{month}, {day} and {hour} are known here".to_owned();
                section.note(Problem::new(tag.line, reason).meant(name, known, otherwise));
            }
        }
    }
    finer
}

fn read_lists(section: &mut Section<'_>, rollup: &mut Rollup) {
    let lists = section.sections("unnest");
    if lists.len() > limits::LISTS_PER_ROLLUP {
        let reason = format!("{} unnests {} lists", section.title(), lists.len());
        let hint = format!("at most {} are allowed", limits::LISTS_PER_ROLLUP);
        section.note(Problem::new(section.line_of("unnest"), reason).hint(hint));
    }
    for (name, mut list) in lists {
        check_field_name(&name, &list);
        let column = list.text("column").map_or_else(|| name.value.clone(), |it| it.value);
        let fields = list.required_texts("fields", 1..=limits::FIELDS_PER_LIST, UNNEST);
        list.finish();
        let fields: Vec<String> =
            fields.unwrap_or_default().into_iter().map(|it| it.value).collect();
        if !fields.is_empty() {
            rollup.add_list(&name.value, &column, fields);
        }
    }
}

fn check_dimension(dimension: &Located<String>, rollup: &mut Rollup) -> Result<(), Refusal> {
    let name = &dimension.value;
    let taken = TAKEN.contains(&short(name));
    let is_same = |it: &&str| short(it) == short(name);
    let refuse = |reason: String, hint: &str| Err(Refusal { reason, hint: hint.to_owned() });
    let parsed = Expression::parse(name).ok();
    if parsed.as_ref().and_then(Expression::name) != Some(name) {
        let reason = format!("`{name}` is neither a column nor a field");
        return refuse(
            reason,
            "name a column, or a field like \"items.sku\"; compute in the query",
        );
    }
    if let Some(other) = rollup.dimensions().find(is_same) {
        let reason = format!("`{name}` and `{other}` have one name in answers");
        return refuse(reason, "rename one of them in the query");
    }
    if taken {
        let reason = format!("a dimension cannot be called `{}`", short(name));
        return refuse(reason, "answers call something else so: rename it in the query");
    }
    rollup.add_dimension(name)
}

/// Whether all of them are right.
fn read_measures(section: &mut Section<'_>, rollup: &mut Rollup) -> bool {
    section.require("measures", MEASURES);
    if !section.has("measures") {
        return false;
    }
    let line = section.line_of("measures");
    let before = section.error_count();
    let measures = section.entries("measures", MEASURE);
    if measures.is_empty() && section.error_count() == before {
        section.refuse("measures", line, "lists nothing", &format!("write {MEASURES}"));
    }
    if measures.len() > limits::MEASURES_PER_ROLLUP {
        let what = format!("lists {}", measures.len());
        let hint = format!("at most {} are allowed", limits::MEASURES_PER_ROLLUP);
        section.refuse("measures", line, &what, &hint);
    }
    for (name, entry) in measures {
        check_field_name(&name, section);
        if TAKEN.contains(&name.value.as_str()) {
            let reason = format!("a measure cannot be called `{}`", name.value);
            let hint = "answers call something else so: rename it";
            section.note(Problem::new(name.line, reason).hint(hint));
        }
        if let Some(dimension) = rollup.dimensions().find(|it| short(it) == name.value) {
            let reason = format!("the measure `{}` is called like `{dimension}`", name.value);
            section.note(Problem::new(name.line, reason).hint("rename it: answers name both"));
        }
        match entry {
            Entry::Word(word) if word == "count" => {
                let counted = rollup.add_measure(&name.value, Wanted::Count, None, None);
                counted.expect("rows are always counted");
            }
            Entry::Word(word) => {
                let reason = format!("the measure `{}` is `{word}`", name.value);
                let problem = Problem::new(name.line, reason);
                let otherwise = || format!("write \"count\", or something like {MEASURE}");
                section.note(problem.meant(&word, ["count"], otherwise));
            }
            Entry::Table(measure) => read_measure(&name, measure, rollup),
        }
    }
    section.error_count() == before
}

fn read_measure(name: &Located<String>, mut section: Section<'_>, rollup: &mut Rollup) {
    let before = section.error_count();
    let given: Vec<&(&str, Wanted)> = KINDS.iter().filter(|(key, _)| section.has(key)).collect();
    let (key, wanted) = match given[..] {
        [one] => *one,
        [] => {
            let known = KINDS.map(|(known, _)| known).join(", ");
            let reason = format!("the measure `{}` does not say what it is", name.value);
            let hint = format!("write it like {MEASURE}, with one of {known}");
            return section.note(Problem::new(name.line, reason).hint(hint));
        }
        [(first, _), (second, _), ..] => {
            let reason = format!("the measure `{}` is both `{first}` and `{second}`", name.value);
            return section.note(Problem::new(name.line, reason).hint("make two measures of it"));
        }
    };
    let of = section.text(key);
    let (by, wanted) = match wanted {
        Wanted::Top { .. } => {
            let by = section.required_text("by", "by = \"items.qty * items.price\"");
            let keep = section.count("keep", 1..limits::KEPT + 1);
            (by, Wanted::Top { keep: keep.map_or(DEFAULT_KEPT, |it| it.value) })
        }
        other => (None, other),
    };
    let parse = |key: &str, text: &Located<String>| match Expression::parse(&text.value) {
        Ok(expression) => Some(expression),
        Err(error) => {
            let hint =
                "write columns, fields like items.qty and numbers, with + - * / between them";
            section.refuse(key, text.line, &error.to_string(), hint);
            None
        }
    };
    let parsed = of.as_ref().and_then(|of| parse(key, of));
    let weight = by.as_ref().and_then(|by| parse("by", by));
    let is_sound = section.error_count() == before;
    if let (Some(of), Some(parsed), true) = (&of, &parsed, is_sound)
        && let Err(refusal) = rollup.add_measure(&name.value, wanted, Some(parsed), weight.as_ref())
    {
        section.note(told(of.line, key, &section, &refusal));
    }
    section.finish();
}

fn told(line: usize, key: &str, section: &Section<'_>, refusal: &Refusal) -> Problem {
    let reason = format!("`{key}` in {}: {}", section.title(), refusal.reason);
    Problem::new(line, reason).hint(&refusal.hint)
}
