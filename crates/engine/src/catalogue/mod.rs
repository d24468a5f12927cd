//! Definitions in which nothing is wrong any more: checked against the cache's rules and against
//! the databases.

mod declared;
mod queries;
mod rollup;
mod widget;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use samovar_cache::{Definition, Tenant, TenantError};
use samovar_clock::Clock;
use samovar_widgets::{
    BoardDefinition, BucketDefinition, Definitions, ModeDefinition, ParamDefinition, Problem,
    Query, Range, RollupWidgetDefinition, ScheduleDefinition, Selection, Severity, Source,
    SourceDefinition, SourceKind, TenantDefinition, TenantsDefinition, WarmingDefinition,
};
use xxhash_rust::xxh3::xxh3_64;

use self::queries::Databases;
pub(crate) use self::{declared::Declared, rollup::Rolled};
use crate::{
    board::Board,
    capture::CapturedSource,
    classes::Classes,
    events::{self, EventRule},
    hooks::{self, Hooks},
    jobs::JobRules,
    tags::TagTemplate,
    tenants::{Member, Members, TenantsFrom},
    warm,
};

/// What can be served: the tenants, and the widgets with their sources opened.
#[derive(Clone, Debug)]
pub struct Catalogue {
    pub(crate) tenants: TenantsFrom,
    pub(crate) widgets: Vec<Entry>,
    pub(crate) rollups: Vec<Arc<Rolled>>,
    pub(crate) boards: Vec<Board>,
    pub(crate) classes: Classes,
    pub(crate) warming: WarmingDefinition,
    pub(crate) schedules: Vec<ScheduleDefinition>,
    pub(crate) events: BTreeMap<String, EventRule>,
    pub(crate) hooks: Hooks,
    pub(crate) captures: Vec<CapturedSource>,
    pub(crate) jobs: JobRules,
    pub(crate) clock: Clock,
    warnings: Vec<Problem>,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) definition: Definition,
    pub(crate) class: String,
    pub(crate) source_name: String,
    pub(crate) source: Source,
    pub(crate) made: Made,
    /// Rows of one of its queries.
    pub(crate) row_limit: usize,
    pub(crate) params: Vec<ParamDefinition>,
    /// Parameters whose values a query lists.
    pub(crate) listings: Vec<(String, Query)>,
    pub(crate) ranges: Vec<Range>,
    pub(crate) bucket: Option<BucketDefinition>,
    pub(crate) tags: Vec<TagTemplate>,
    pub(crate) mode: ModeDefinition,
    pub(crate) patience: Duration,
    pub(crate) compute_limit: Duration,
    /// Of its source.
    pub(crate) connections: usize,
}

/// What a widget's answers are made of.
#[derive(Clone, Debug)]
pub(crate) enum Made {
    Rows(Selection),
    Rollup(Arc<Rolled>, Arc<RollupWidgetDefinition>),
}

/// Whether the databases are asked about the queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// All of them, and one that cannot be asked is a mistake.
    All,
    /// All of them; a server that cannot be asked may come back.
    Reachable,
    /// For what needs no source.
    Nobody,
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
        ask: Ask,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let classes = Classes::check(definitions, &mut problems);
        let mut databases = Databases::open(definitions, folder, clock, ask, &mut problems);
        let tenants = check_tenants(&definitions.tenants, &mut databases, &mut problems).await;
        let mut widgets = Vec::new();
        for definition in &definitions.widgets {
            let entry = widget::check(definition, &classes, &mut databases, &mut problems);
            widgets.extend(entry.await);
        }
        let mut rules = BTreeMap::new();
        for event in &definitions.events {
            rules.insert(event.name.value.clone(), events::check(event, &mut problems));
        }
        let captures = CapturedSource::check(definitions, folder, clock, &mut problems);
        for capture in &definitions.captures {
            databases.check_capture(capture, &mut problems).await;
        }
        let mut rollups = Vec::new();
        for definition in &definitions.rollups {
            let rolled =
                rollup::check(definition, definitions, &classes, &mut databases, &mut problems);
            rollups.extend(rolled.await);
        }
        for definition in &definitions.rollup_widgets {
            let entry =
                rollup::check_widget(definition, &rollups, &classes, &mut databases, &mut problems);
            widgets.extend(entry.await);
        }
        problems.extend(definitions.boards.iter().filter_map(|it| check_board(it, definitions)));
        problems.extend(definitions.schedules.iter().filter_map(warm::check_schedule));
        problems.extend(databases.away());
        problems.sort_by_key(|problem| problem.line);
        let Some(tenants) = tenants.filter(|_| !problems.iter().any(Problem::is_error)) else {
            return Err(problems);
        };
        problems.extend(unused_sources(definitions).chain(classes.unused(definitions)));
        problems.sort_by_key(|problem| problem.line);
        let board = |it: &BoardDefinition| Board {
            name: it.name.value.clone(),
            title: it.title.clone(),
            widgets: it.widgets.iter().map(|widget| widget.value.clone()).collect(),
            agree: it.agree,
        };
        let boards = definitions.boards.iter().map(board).collect();
        let (clock, warnings) = (clock.clone(), problems);
        let (warming, schedules) = (definitions.warming.clone(), definitions.schedules.clone());
        let events = rules;
        let hooks = hooks::by_name(&definitions.hooks);
        Ok(Self {
            tenants,
            widgets,
            rollups,
            boards,
            classes,
            warming,
            schedules,
            events,
            hooks,
            captures,
            jobs: JobRules::default(),
            clock,
            warnings,
        })
    }

    /// With what is said of kinds of jobs.
    pub fn with_jobs(self, jobs: JobRules) -> Self {
        Self { jobs, ..self }
    }

    /// What is probably not meant so, although it can be served.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }
}

async fn check_tenants(
    definition: &TenantsDefinition,
    databases: &mut Databases<'_>,
    problems: &mut Vec<Problem>,
) -> Option<TenantsFrom> {
    match definition {
        TenantsDefinition::List(listed) => {
            let mut members = Members::new();
            for tenant in listed {
                match check_tenant(tenant) {
                    Ok(member) => drop(members.insert(tenant.id.value.clone(), Arc::new(member))),
                    Err(problem) => problems.push(problem),
                }
            }
            Some(TenantsFrom::List(members))
        }
        TenantsDefinition::Query { source, query, refresh } => {
            let checked = databases.check_tenants(&source.value, query).await;
            let query = checked.map_err(|found| problems.extend(found)).ok()?;
            let source = databases.source(&source.value)?.clone();
            let selection = Selection { query, json: Vec::new(), one: false, related: Vec::new() };
            Some(TenantsFrom::Query { source, selection, refresh: *refresh })
        }
    }
}

/// A board that has to agree is read through one snapshot.
fn check_board(board: &BoardDefinition, definitions: &Definitions) -> Option<Problem> {
    let source = |name: &str| {
        let widget = definitions.widgets.iter().find(|it| it.name.value == name);
        widget.map(|widget| widget.source.as_str())
    };
    let is_rolled = |name: &str| definitions.rollup_widgets.iter().any(|it| it.name.value == name);
    if let Some(tile) = board.widgets.iter().find(|it| board.agree && is_rolled(&it.value)) {
        let reason = format!("`{}` shows a rollup, whose parts are of many moments", tile.value);
        let hint = "leave it out, or `agree`";
        return Some(Problem::new(tile.line, reason).hint(hint));
    }
    let mut sources = board.widgets.iter().filter_map(|it| Some((source(&it.value)?, it)));
    let (first, _) = sources.next().filter(|_| board.agree)?;
    let (other, tile) = sources.find(|(source, _)| *source != first)?;
    let name = &tile.value;
    let reason = format!("`{name}` reads from `{other}`, and what stands before it from `{first}`");
    let hint = "widgets of one source can agree: leave it out, or `agree`";
    Some(Problem::new(tile.line, reason).hint(hint))
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
        by_tenants == Some(name)
            || definitions.widgets.iter().any(|it| it.source == name)
            || definitions.rollups.iter().any(|it| it.source == name)
    };
    let unused = definitions.sources.iter().filter(move |source| !is_used(&source.name));
    unused.map(|source| {
        let reason = format!("no widget reads from the source `{}`", source.name);
        let hint = format!("say source = \"{}\" in a widget, or remove it", source.name);
        Problem::warning(source.url.line, reason).hint(hint)
    })
}

/// Changes with whatever gives a reading another value, so that a value of an earlier definition
/// is never found. The widget's name is part of an answer, and may be no part of its keys.
pub(crate) fn version_of(source: &Source, selection: &Selection, name: &str) -> String {
    let mut defines = vec![name.to_owned(), source.identity().to_owned()];
    describe(selection, &mut defines);
    hashed(&defines.iter().map(String::as_str).collect::<Vec<_>>())
}

fn describe(selection: &Selection, into: &mut Vec<String>) {
    into.push(selection.query.text().to_owned());
    into.push(format!("{} {:?}", selection.one, selection.json));
    for related in &selection.related {
        let (name, key, on) = (&related.name, &related.key, &related.on);
        into.push(format!("{name:?} {key:?} {on:?} {:?}", related.limit));
        describe(&related.selection, into);
        into.push("end".to_owned());
    }
}

pub(crate) fn hashed(texts: &[&str]) -> String {
    format!("{:x}", xxh3_64(texts.join("\n").as_bytes()))
}

impl Entry {
    /// Its own query, or that of its rollup.
    pub(crate) fn query(&self) -> &str {
        match &self.made {
            Made::Rows(selection) => selection.query.text(),
            Made::Rollup(rolled, _) => rolled.query.text(),
        }
    }

    /// Whether a reader can give it a parameter of this name.
    pub(crate) fn takes(&self, name: &str) -> bool {
        let is_range = name == crate::reading::RANGE && !self.ranges.is_empty();
        is_range || self.params.iter().any(|param| param.name.value == name)
    }
}

/// By source: what it is, and why it could not be asked.
pub(crate) type Opened<'d> = BTreeMap<&'d str, (Source, &'d SourceDefinition)>;

fn severity(ask: Ask, kind: SourceKind) -> Severity {
    match (ask, kind) {
        // A file does not come back by itself.
        (Ask::All, _) | (_, SourceKind::Sqlite) => Severity::Error,
        _ => Severity::Warning,
    }
}
