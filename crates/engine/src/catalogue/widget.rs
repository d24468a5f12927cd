//! One widget: its queries, its freshness, its tags and its keys.

use jiff::{Timestamp, tz::TimeZone};
use samovar_cache::Tenant;
use samovar_widgets::{Bound, Located, ParamDefinition, Problem, Query, Values, WidgetDefinition};

use super::{
    Databases, Declared, Entry, Made,
    declared::{COMPUTE_LIMIT, PATIENCE},
    version_of,
};
use crate::{
    classes::Classes,
    keys,
    reading::{bound, cuts},
    tags::TagTemplate,
    tenants::Member,
};

pub(super) async fn check(
    widget: &WidgetDefinition,
    classes: &Classes,
    databases: &mut Databases<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Entry> {
    let errors = |problems: &[Problem]| problems.iter().filter(|it| it.is_error()).count();
    let before = errors(problems);
    let declared = Declared::from(widget);
    let sample = sample(&declared, databases.now());
    let selection = databases.check_selection(widget, &sample, problems).await;
    let listings = check_listings(&declared, &widget.source, &sample, databases, problems).await;
    let freshness =
        classes.of(widget.freshness.as_ref()).map_err(|problem| problems.push(problem)).ok();
    let params: Vec<&str> = widget.params.iter().map(|param| param.name.value.as_str()).collect();
    let mut tags = Vec::new();
    let default = Located { value: widget.source.clone(), line: widget.name.line };
    for tag in widget.tags.as_deref().unwrap_or(&[default]) {
        match TagTemplate::parse(tag, &params) {
            Ok(template) => tags.push(template),
            Err(problem) => problems.push(problem),
        }
    }
    problems.extend(keys::check(&declared));
    let freshness = freshness.filter(|_| errors(problems) == before)?;
    // A source that is missing here is a problem already.
    let (source, selection) = (databases.source(&widget.source)?.clone(), selection?);
    let version = version_of(&source, &selection, &declared.signature());
    Some(Entry {
        name: widget.name.value.clone(),
        title: widget.title.clone(),
        class: freshness.class().to_owned(),
        definition: declared.define(freshness, &version),
        row_limit: widget.row_limit.unwrap_or_else(|| source.row_limit()),
        source_name: widget.source.clone(),
        source,
        made: Made::Rows(selection),
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

pub(super) async fn check_listings(
    widget: &Declared<'_>,
    source: &str,
    sample: &[(String, Bound)],
    databases: &mut Databases<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<(String, Query)> {
    let mut listings = Vec::new();
    for param in widget.params {
        if let Some(Values::Query(text)) = &param.values {
            let query = databases.check_values(source, text, sample, problems).await;
            listings.extend(query.map(|query| (param.name.value.clone(), query)));
        }
    }
    listings
}

/// Values of the kind that its queries will be given, for whoever plans them.
pub(super) fn sample(widget: &Declared<'_>, now: Timestamp) -> Vec<(String, Bound)> {
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
