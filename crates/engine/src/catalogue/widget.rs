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

pub(super) async fn check(
    widget: &WidgetDefinition,
    classes: &Classes,
    databases: &mut Databases<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Entry> {
    let errors = |problems: &[Problem]| problems.iter().filter(|it| it.is_error()).count();
    let before = errors(problems);
    let sample = sample(widget);
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
    let version = version_of(&source, &selection, &widget.name.value);
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
    })
}

/// Values of the kind that its queries will be given, for whoever plans them.
fn sample(widget: &WidgetDefinition) -> Vec<(String, Bound)> {
    let mut sample = vec![("tenant".to_owned(), Bound::Text("1".to_owned()))];
    if let Some(range) = widget.ranges.first() {
        let tenant = Tenant::new("1").expect("a name");
        let member = Member { tenant, zone: TimeZone::UTC, name: String::new() };
        sample.extend(cuts(range.dates(Timestamp::UNIX_EPOCH, &member.zone), &member));
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
        .patience(PATIENCE);
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
    if let Some(limit) = widget.compute_limit {
        definition = definition.compute_limit(limit);
    }
    if widget.strict { definition.strict() } else { definition }
}
