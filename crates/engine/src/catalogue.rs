//! Definitions in which nothing is wrong any more: checked against the cache's rules and against
//! the databases.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use jiff::tz::TimeZone;
use samovar_cache::{Bucket, Definition, Freshness, Tenant, TenantError};
use samovar_clock::Clock;
use samovar_widgets::{
    BucketDefinition, Definitions, ParamDefinition, Problem, Range, Source, SourceDefinition,
    SourceKind, TenantDefinition, TenantsDefinition, WidgetDefinition,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::{classes::Classes, keys, tags::TagTemplate};

/// What can be served: the tenants, and the widgets with their sources opened.
#[derive(Clone, Debug)]
pub struct Catalogue {
    pub(crate) tenants: BTreeMap<String, Member>,
    pub(crate) widgets: Vec<Entry>,
    pub(crate) classes: Classes,
    pub(crate) clock: Clock,
    warnings: Vec<Problem>,
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
    pub(crate) title: String,
    pub(crate) definition: Definition,
    pub(crate) class: String,
    pub(crate) source: Source,
    pub(crate) query: Arc<str>,
    pub(crate) params: Vec<ParamDefinition>,
    pub(crate) ranges: Vec<Range>,
    pub(crate) tags: Vec<TagTemplate>,
}

impl Catalogue {
    /// Opens the sources, which are found from `folder`, and prepares every query.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the file.
    pub fn check(
        definitions: &Definitions,
        folder: &Path,
        clock: &Clock,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let tenants = check_tenants(&definitions.tenants, &mut problems);
        let classes = Classes::check(definitions, &mut problems);
        let mut sources = BTreeMap::new();
        for source in &definitions.sources {
            match Source::open(source, folder, clock.clone()) {
                Ok(opened) => drop(sources.insert(source.name.as_str(), opened)),
                Err(error) => {
                    let problem = Problem::new(source.url.line, error);
                    problems.push(problem.hint(way_to(source)));
                }
            }
        }
        let mut widgets = Vec::new();
        for widget in &definitions.widgets {
            // A source that is missing here is a problem already.
            let Some(source) = sources.get(widget.source.as_str()) else { continue };
            widgets.extend(check_widget(widget, source, &classes, &mut problems));
        }
        problems.sort_by_key(|problem| problem.line);
        if problems.iter().any(Problem::is_error) {
            return Err(problems);
        }
        problems.extend(unused_sources(definitions).chain(classes.unused(definitions)));
        problems.sort_by_key(|problem| problem.line);
        Ok(Self { tenants, widgets, classes, clock: clock.clone(), warnings: problems })
    }

    /// What is probably not meant so, although it can be served.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }
}

fn check_tenants(
    definition: &TenantsDefinition,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Member> {
    let mut tenants = BTreeMap::new();
    match definition {
        TenantsDefinition::List(listed) => {
            for tenant in listed {
                match check_tenant(tenant) {
                    Ok(member) => drop(tenants.insert(tenant.id.value.clone(), member)),
                    Err(problem) => problems.push(problem),
                }
            }
        }
        TenantsDefinition::Query { query, .. } => {
            let problem = Problem::new(query.line, "tenants by a query cannot be read yet");
            problems.push(problem.hint("list them: list = [{ id = \"acme\" }]"));
        }
    }
    tenants
}

fn check_tenant(tenant: &TenantDefinition) -> Result<Member, Problem> {
    let id = Tenant::new(&tenant.id.value).map_err(|error| {
        let hint = match error {
            TenantError::TooLong { .. } => "take a shorter one, such as the key of its row",
            TenantError::Empty | TenantError::Control => "take letters and digits",
        };
        Problem::new(tenant.id.line, &error).hint(hint)
    })?;
    Ok(Member { tenant: id, zone: tenant.time_zone.clone(), name: tenant.name.clone() })
}

fn way_to(source: &SourceDefinition) -> String {
    match source.url.value.kind() {
        SourceKind::Sqlite => {
            "a path begins in the folder of this file, and the database has to be there".to_owned()
        }
        SourceKind::Postgres | SourceKind::MySql => {
            format!("see whether {} can be reached, and who may read there", source.url.value)
        }
    }
}

fn unused_sources(definitions: &Definitions) -> impl Iterator<Item = Problem> {
    let by_tenants = match &definitions.tenants {
        TenantsDefinition::Query { source, .. } => Some(source.value.as_str()),
        TenantsDefinition::List(_) => None,
    };
    let is_used = move |name: &str| {
        by_tenants == Some(name) || definitions.widgets.iter().any(|it| it.source == name)
    };
    let unused = definitions.sources.iter().filter(move |source| !is_used(&source.name));
    unused.map(|source| {
        let reason = format!("no widget reads from the source `{}`", source.name);
        let hint = format!("say source = \"{}\" in a widget, or remove it", source.name);
        Problem::warning(source.url.line, reason).hint(hint)
    })
}

fn check_widget(
    widget: &WidgetDefinition,
    source: &Source,
    classes: &Classes,
    problems: &mut Vec<Problem>,
) -> Option<Entry> {
    let errors = |problems: &[Problem]| problems.iter().filter(|it| it.is_error()).count();
    let before = errors(problems);
    let hint = || format!("correct the query, or what is in the source `{}`", widget.source);
    problems.extend(source.check(widget).into_iter().map(|problem| problem.or_hint(hint)));
    let freshness = classes.of(widget).map_err(|problem| problems.push(problem)).ok();
    let params: Vec<&str> = widget.params.iter().map(|param| param.name.value.as_str()).collect();
    let mut tags = Vec::new();
    let default = samovar_widgets::Located { value: widget.source.clone(), line: widget.name.line };
    for tag in widget.tags.as_deref().unwrap_or(&[default]) {
        match TagTemplate::parse(tag, &params) {
            Ok(template) => tags.push(template),
            Err(problem) => problems.push(problem),
        }
    }
    problems.extend(keys::check(widget));
    let freshness = freshness.filter(|_| errors(problems) == before)?;
    Some(Entry {
        name: widget.name.value.clone(),
        title: widget.title.clone(),
        class: freshness.class().to_owned(),
        definition: define(widget, freshness, source),
        source: source.clone(),
        query: Arc::from(widget.query.value.as_str()),
        params: widget.params.clone(),
        ranges: widget.ranges.clone(),
        tags,
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
    if let Some(limit) = widget.compute_limit {
        definition = definition.compute_limit(limit);
    }
    if widget.strict { definition.strict() } else { definition }
}

/// Changes with whatever gives a reading another value, so that a value of an earlier definition
/// is never found. The widget's name is part of an answer, and may be no part of its keys.
fn version_of(widget: &WidgetDefinition, source: &Source) -> String {
    let (name, query) = (&widget.name.value, &widget.query.value);
    let defines = format!("{name}\n{}\n{query}", source.identity());
    format!("{:x}", xxh3_64(defines.as_bytes()))
}
