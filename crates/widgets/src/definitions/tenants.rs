//! Who readings are made for: listed, or found by a query.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::check_source;
use crate::{Located, Problem, Section, limits};

#[derive(Clone, Debug)]
pub enum TenantsDefinition {
    List(Vec<TenantDefinition>),
    /// The query has no parameters and gives `id`, and where it likes `name` and `time_zone`.
    Query {
        source: Located<String>,
        query: Located<String>,
        /// How often it runs again.
        refresh: Duration,
    },
}

#[derive(Clone, Debug)]
pub struct TenantDefinition {
    pub id: Located<String>,
    /// The id, where none is given.
    pub name: String,
    pub time_zone: TimeZone,
}

const LIST: &str = "list = [{ id = \"acme\", time_zone = \"Europe/Berlin\" }]";
const QUERY: &str = "query = \"select id, name, time_zone from tenants\"";
const LEAST_REFRESH: Duration = Duration::from_secs(1);
const DEFAULT_REFRESH: Duration = Duration::from_secs(60);

pub(super) fn read(root: &mut Section<'_>, sources: &[String]) -> TenantsDefinition {
    let nobody = TenantsDefinition::List(Vec::new());
    if !root.has("tenants") {
        let problem = Problem::new(1, "no tenant is declared");
        root.note(problem.hint(format!("begin with [tenants] and {LIST}")));
    }
    let Some(section) = root.section("tenants") else { return nobody };
    let asks = ["source", "query", "refresh"].into_iter().find(|key| section.has(key));
    match asks {
        Some(key) if section.has("list") => {
            let reason = format!("[tenants] has both a list and `{key}`");
            let problem = Problem::new(section.line_of(key), reason);
            section.note(problem.hint("keep the list, or source and query"));
            nobody
        }
        Some(_) => read_query(section, sources).unwrap_or(nobody),
        None => TenantsDefinition::List(read_list(section)),
    }
}

fn read_query(mut section: Section<'_>, sources: &[String]) -> Option<TenantsDefinition> {
    let before = section.error_count();
    let source = section.required_text("source", "source = \"shop\"");
    let query = section.required_text("query", QUERY);
    let refresh = section.duration("refresh", LEAST_REFRESH..=limits::LONGEST_WAIT);
    if let Some(source) = &source {
        check_source(source, sources, &section);
    }
    let is_sound = section.error_count() == before;
    section.finish();
    let (source, query) = (source?, query?);
    let refresh = refresh.map_or(DEFAULT_REFRESH, |it| it.value);
    is_sound.then_some(TenantsDefinition::Query { source, query, refresh })
}

fn read_list(mut section: Section<'_>) -> Vec<TenantDefinition> {
    if !section.has("list") {
        let problem = Problem::new(section.line(), "[tenants] names nobody");
        section.note(problem.hint(format!("write {LIST}, or source and {QUERY}")));
    }
    let list = section.list("list", 1..=limits::LISTED_TENANTS, LIST).unwrap_or_default();
    let mut tenants: Vec<TenantDefinition> = Vec::new();
    let mut ids = std::collections::HashSet::new();
    for tenant in list.into_iter().filter_map(read_tenant) {
        if !ids.insert(tenant.id.value.clone()) {
            let reason = format!("tenant `{}` is listed twice", tenant.id.value);
            let problem = Problem::new(tenant.id.line, reason);
            section.note(problem.hint("remove one of them, or give it an id of its own"));
        }
        tenants.push(tenant);
    }
    section.finish();
    tenants
}

fn read_tenant(mut section: Section<'_>) -> Option<TenantDefinition> {
    let id = section.required_text("id", "{ id = \"acme\" }");
    let name = section.text("name");
    let zone = section.text("time_zone");
    let time_zone = zone.map_or(Some(TimeZone::UTC), |zone| match TimeZone::get(&zone.value) {
        Ok(known) => Some(known),
        Err(_) => {
            section.note(unknown_zone(&zone));
            None
        }
    });
    section.finish();
    let (id, time_zone) = (id?, time_zone.unwrap_or(TimeZone::UTC));
    let name = name.map_or_else(|| id.value.clone(), |name| name.value);
    Some(TenantDefinition { id, name, time_zone })
}

pub(super) fn unknown_zone(zone: &Located<String>) -> Problem {
    let known: Vec<_> = jiff::tz::db().available().collect();
    // What has no region is an alias that nobody should begin to use.
    let known = || known.iter().map(jiff::tz::TimeZoneName::as_str).filter(|it| it.contains('/'));
    let city = |name: &&str| name.rsplit('/').next().is_some_and(|city| city == zone.value);
    let problem = Problem::new(zone.line, format!("`{}` is no time zone", zone.value));
    if let Some(meant) = known().find(city) {
        return problem.hint(format!("did you mean `{meant}`?"));
    }
    problem.meant(&zone.value, known(), || "name it like \"Europe/Berlin\"".to_owned())
}
