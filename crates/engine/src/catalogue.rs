//! Definitions in which nothing is wrong any more: checked against the cache's rules and against
//! the databases.

use std::{collections::BTreeMap, path::Path};

use jiff::tz::TimeZone;
use samovar_cache::{Bucket, Definition, Freshness, KeyTemplate, Tenant};
use samovar_clock::Clock;
use samovar_widgets::{
    Bound, BucketDefinition, Definitions, Names, ParamDefinition, Problem, Query, Range, Selection,
    Source, TenantDefinition, WidgetDefinition, check_prepared, check_text, is_cut, nearest,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::tags::TagTemplate;

/// What can be served: the tenants, and the widgets with their sources opened.
#[derive(Clone, Debug)]
pub struct Catalogue {
    pub(crate) tenants: BTreeMap<String, Member>,
    pub(crate) widgets: Vec<Entry>,
    pub(crate) clock: Clock,
}

/// A tenant whose readings are served.
#[derive(Clone, Debug)]
pub struct Member {
    pub(crate) tenant: Tenant,
    pub(crate) zone: TimeZone,
    pub name: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) definition: Definition,
    pub(crate) class: String,
    pub(crate) source: Source,
    pub(crate) selection: Selection,
    pub(crate) params: Vec<ParamDefinition>,
    pub(crate) ranges: Vec<Range>,
    pub(crate) tags: Vec<TagTemplate>,
}

impl Catalogue {
    /// Opens the sources, which are found from `folder`, and prepares every query.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the file.
    pub async fn check(
        definitions: &Definitions,
        folder: &Path,
        clock: &Clock,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut tenants = BTreeMap::new();
        for tenant in &definitions.tenants {
            match check_tenant(tenant) {
                Ok(member) => drop(tenants.insert(tenant.id.value.clone(), member)),
                Err(problem) => problems.push(problem),
            }
        }
        let mut sources = BTreeMap::new();
        for source in &definitions.sources {
            match Source::open(source, folder, clock.clone()) {
                Ok(opened) => {
                    sources.insert(source.name.as_str(), (opened, source.url.line));
                }
                Err(error) => problems.push(Problem::new(source.url.line, error)),
            }
        }
        let mut widgets = Vec::new();
        for widget in &definitions.widgets {
            // A source that is missing here is a problem already.
            let Some((source, line)) = sources.get(widget.source.as_str()) else { continue };
            widgets.extend(check_widget(widget, source, *line, &mut problems).await);
        }
        problems.sort_by_key(|problem| problem.line);
        let clock = clock.clone();
        if problems.is_empty() { Ok(Self { tenants, widgets, clock }) } else { Err(problems) }
    }
}

fn check_tenant(tenant: &TenantDefinition) -> Result<Member, Problem> {
    let id = Tenant::new(&tenant.id.value).map_err(|error| Problem::new(tenant.id.line, error))?;
    Ok(Member { tenant: id, zone: tenant.time_zone.clone(), name: tenant.name.clone() })
}

async fn check_widget(
    widget: &WidgetDefinition,
    source: &Source,
    source_line: usize,
    problems: &mut Vec<Problem>,
) -> Option<Entry> {
    let before = problems.len();
    let query = match check_query(widget, source, source_line).await {
        Ok(query) => Some(query),
        Err(found) => {
            // A source that is away is told once, not for each of its widgets.
            for problem in found {
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
            None
        }
    };
    let freshness = check_freshness(widget).map_err(|problem| problems.push(problem)).ok();
    let params: Vec<&str> = widget.params.iter().map(|param| param.name.value.as_str()).collect();
    let mut tags = Vec::new();
    let default = samovar_widgets::Located { value: widget.source.clone(), line: widget.name.line };
    for tag in widget.tags.as_deref().unwrap_or(&[default]) {
        match TagTemplate::parse(&tag.value, &params) {
            Ok(template) => tags.push(template),
            Err(reason) => problems.push(Problem::new(tag.line, reason)),
        }
    }
    if let Some(key) = &widget.key
        && let Err(error) = KeyTemplate::parse(&key.value)
    {
        problems.push(Problem::new(key.line, error));
    }
    let (freshness, query) = (freshness.filter(|_| problems.len() == before)?, query?);
    let selection = Selection { query, json: Vec::new(), one: false, related: Vec::new() };
    Some(Entry {
        name: widget.name.value.clone(),
        class: freshness.class().to_owned(),
        definition: define(widget, freshness, source),
        source: source.clone(),
        selection,
        params: widget.params.clone(),
        ranges: widget.ranges.clone(),
        tags,
    })
}

async fn check_query(
    widget: &WidgetDefinition,
    source: &Source,
    source_line: usize,
) -> Result<Query, Vec<Problem>> {
    let line = widget.query.line;
    let params: Vec<&str> = widget.params.iter().map(|param| param.name.value.as_str()).collect();
    let ranges = !widget.ranges.is_empty();
    let names = Names { params: &params, ranges, ..Names::default() };
    let query = check_text(source, &widget.query, names)?;
    let mut problems = Vec::new();
    for param in &widget.params {
        if query.params().all(|(name, _)| name != param.name.value) {
            let reason = format!("the query does not use the parameter `{}`", param.name.value);
            let problem = Problem::new(param.name.line, reason);
            problems.push(problem.hint("each of its values would be computed and kept apart"));
        }
    }
    if ranges && !is_cut(std::iter::once(&query)) {
        let reason = "the widget has ranges, and its query is not cut by them";
        let hint = "use at >= :from and at < :to, or day between :first_day and :last_day";
        problems.push(Problem::new(line, reason).hint(hint));
    }
    let sample: Vec<(String, Bound)> = Vec::new();
    match check_prepared(source, &query, line, &sample).await {
        Ok(Ok(_)) => {}
        Ok(Err(found)) => problems.extend(found),
        Err(error) => problems.push(Problem::new(source_line, error)),
    }
    if problems.is_empty() { Ok(query) } else { Err(problems) }
}

fn check_freshness(widget: &WidgetDefinition) -> Result<Freshness, Problem> {
    let Some(class) = &widget.freshness else { return Ok(Freshness::default()) };
    Freshness::built_in(&class.value).ok_or_else(|| {
        let reason = format!("there is no freshness class `{}`", class.value);
        let problem = Problem::new(class.line, reason);
        match nearest(&class.value, Freshness::built_in_classes()) {
            Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
            None => {
                let known: Vec<_> = Freshness::built_in_classes().collect();
                problem.hint(format!("there are: {}", known.join(", ")))
            }
        }
    })
}

fn define(widget: &WidgetDefinition, freshness: Freshness, source: &Source) -> Definition {
    let mut definition = Definition::new(&widget.name.value)
        .version(&version_of(widget, source))
        .freshness(freshness);
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

/// Changes with whatever gives a reading another value, so that a value of an earlier definition
/// is never found.
fn version_of(widget: &WidgetDefinition, source: &Source) -> String {
    let defines = format!("{}\n{}", source.identity(), widget.query.value);
    format!("{:x}", xxh3_64(defines.as_bytes()))
}
