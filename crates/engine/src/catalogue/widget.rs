//! One widget: its queries, its freshness, its tags and its keys.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
use samovar_cache::{Bucket, Definition, Freshness, Tenant};
use samovar_widgets::{
    Bound, BucketDefinition, Located, ParamDefinition, Problem, Values, WidgetDefinition,
};

use super::{Databases, Entry, version_of};
use crate::{
    classes::Classes,
    keys,
    reading::{bound, cuts},
    tags::TagTemplate,
    tenants::Member,
};

/// What a reader waits for a recomputation where its widget does not say otherwise.
const PATIENCE: Duration = Duration::from_secs(2);
const COMPUTE_LIMIT: Duration = Duration::from_secs(120);

pub(super) async fn check(
    widget: &WidgetDefinition,
    classes: &Classes,
    databases: &mut Databases<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Entry> {
    let errors = |problems: &[Problem]| problems.iter().filter(|it| it.is_error()).count();
    let before = errors(problems);
    let sample = sample(widget, databases.now());
    let selection = databases.check_selection(widget, &sample, problems).await;
    let mut listings = Vec::new();
    for param in &widget.params {
        if let Some(Values::Query(text)) = &param.values {
            let query = databases.check_values(&widget.source, text, &sample, problems).await;
            listings.extend(query.map(|query| (param.name.value.clone(), query)));
        }
    }
    let freshness = classes.of(widget).map_err(|problem| problems.push(problem)).ok();
    let params: Vec<&str> = widget.params.iter().map(|param| param.name.value.as_str()).collect();
    let mut tags = Vec::new();
    let default = Located { value: widget.source.clone(), line: widget.name.line };
    for tag in widget.tags.as_deref().unwrap_or(&[default]) {
        match TagTemplate::parse(tag, &params) {
            Ok(template) => tags.push(template),
            Err(problem) => problems.push(problem),
        }
    }
    problems.extend(keys::check(widget));
    let freshness = freshness.filter(|_| errors(problems) == before)?;
    // A source that is missing here is a problem already.
    let (source, selection) = (databases.source(&widget.source)?.clone(), selection?);
    let kinds = widget.params.iter().map(|param| format!("{}: {}", param.name.value, param.kind));
    let name = kinds.fold(widget.name.value.clone(), |text, kind| text + "\n" + &kind);
    let version = version_of(&source, &selection, &name);
    Some(Entry {
        name: widget.name.value.clone(),
        title: widget.title.clone(),
        class: freshness.class().to_owned(),
        definition: define(widget, freshness, &version),
        row_limit: widget.row_limit.unwrap_or_else(|| source.row_limit()),
        source_name: widget.source.clone(),
        source,
        selection,
        params: widget.params.clone(),
        listings,
        ranges: widget.ranges.clone(),
        bucket: widget.bucket,
        tags,
        mode: widget.mode.clone(),
        patience: widget.patience.unwrap_or(PATIENCE),
        compute_limit: widget.compute_limit.unwrap_or(COMPUTE_LIMIT),
        connections: databases.connections(&widget.source),
    })
}

/// Values of the kind that its queries will be given, for whoever plans them.
fn sample(widget: &WidgetDefinition, now: Timestamp) -> Vec<(String, Bound)> {
    let mut sample = vec![("tenant".to_owned(), Bound::Text("1".to_owned()))];
    if let Some(range) = widget.ranges.first() {
        let tenant = Tenant::new("1").expect("a name");
        let member = Member { tenant, zone: TimeZone::UTC, name: String::new() };
        sample.extend(cuts(range.dates(now, &member.zone), &member));
    }
    let value = |param: &ParamDefinition| {
        let first = match &param.values {
            Some(Values::List(values)) => values.first().cloned(),
            _ => None,
        };
        let text = param.default.clone().or(first);
        text.map(|text| (param.name.value.clone(), bound(param.kind, &text)))
    };
    sample.extend(widget.params.iter().filter_map(value));
    sample
}

fn define(widget: &WidgetDefinition, freshness: Freshness, version: &str) -> Definition {
    let mut definition = Definition::new(&widget.name.value)
        .version(version)
        .freshness(freshness)
        .patience(PATIENCE)
        .compute_limit(widget.compute_limit.unwrap_or(COMPUTE_LIMIT));
    if let Some(key) = &widget.key {
        definition = definition.key(&key.value);
    }
    if let Some(bucket) = widget.bucket {
        definition = definition.bucket(match bucket {
            BucketDefinition::Minute => Bucket::Minute,
            BucketDefinition::Hour => Bucket::Hour,
            BucketDefinition::Day => Bucket::Day,
        });
    }
    if let Some(patience) = widget.patience {
        definition = definition.patience(patience);
    }
    if let Some(deadline) = widget.deadline {
        definition = definition.deadline(deadline);
    }
    if widget.strict { definition.strict() } else { definition }
}
