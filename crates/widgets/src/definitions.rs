//! What a team declares: tenants, sources and widgets, as checked as they can be without a
//! database.

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::{Located, Problem, Range, Section, SourceUrl, nearest};

/// The sections `[tenants]`, `[source.*]` and `[widget.*]` of a file.
#[derive(Clone, Debug)]
pub struct Definitions {
    pub tenants: Vec<TenantDefinition>,
    pub sources: Vec<SourceDefinition>,
    pub widgets: Vec<WidgetDefinition>,
}

#[derive(Clone, Debug)]
pub struct TenantDefinition {
    pub id: Located<String>,
    /// The id, where none is given.
    pub name: String,
    pub time_zone: TimeZone,
}

/// A database that widgets read from.
#[derive(Clone, Debug)]
pub struct SourceDefinition {
    pub name: String,
    /// A path in it is relative to the folder of the file.
    pub url: Located<SourceUrl>,
    /// Queries that run at the same time; more wait.
    pub connections: usize,
    /// How long a query may take, its wait for a connection included.
    pub timeout: Duration,
    /// Rows of one answer; a query that has more fails.
    pub row_limit: usize,
    pub times: TimeForm,
}

/// How a database without a type for times keeps them, always in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeForm {
    /// `2026-11-21 09:30:00`, as SQLite's own functions give it.
    #[default]
    Text,
    /// `2026-11-21T09:30:00Z`
    Iso,
    /// Since 1970.
    Seconds,
    Milliseconds,
}

#[derive(Clone, Debug)]
pub struct WidgetDefinition {
    pub name: Located<String>,
    pub source: String,
    pub query: Located<String>,
    /// By name.
    pub params: Vec<ParamDefinition>,
    /// Without any it is not cut by time. The first one is what a reader gets who names none.
    pub ranges: Vec<Range>,
    pub freshness: Option<Located<String>>,
    /// With placeholders; `None` means the name of the source.
    pub tags: Option<Vec<Located<String>>>,
    pub key: Option<Located<String>>,
    pub bucket: Option<BucketDefinition>,
    pub patience: Option<Duration>,
    pub deadline: Option<Duration>,
    pub strict: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamDefinition {
    pub name: Located<String>,
    /// Without one the reader has to give the value.
    pub default: Option<String>,
    /// All that there are, where they are known; else any is taken.
    pub values: Option<Vec<String>>,
}

/// Values of one parameter. More: refused.
const MOST_VALUES: usize = 1000;

/// A widget that rolls over on the wall clock of its tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketDefinition {
    Minute,
    Hour,
    Day,
}

impl Definitions {
    pub fn read(root: &mut Section<'_>) -> Self {
        let tenants = read_tenants(root);
        let sources: Vec<_> = root
            .sections("source")
            .into_iter()
            .filter_map(|(name, section)| read_source(&name, section))
            .collect();
        let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
        let widgets = root.sections("widget");
        if widgets.is_empty() {
            root.note(Problem::new(1, "no widget is declared").hint("begin with [widget.NAME]"));
        }
        let widgets = widgets
            .into_iter()
            .filter_map(|(name, section)| read_widget(name, section, &names))
            .collect();
        Self { tenants, sources, widgets }
    }
}

fn read_tenants(root: &mut Section<'_>) -> Vec<TenantDefinition> {
    const EXAMPLE: &str = "[tenants] list = [{ id = \"acme\", time_zone = \"Europe/Berlin\" }]";
    let Some(mut section) = root.section("tenants") else {
        root.note(Problem::new(1, "no tenant is declared").hint(EXAMPLE));
        return Vec::new();
    };
    let list = section.list("list").unwrap_or_default();
    if list.is_empty() {
        section.note(Problem::new(section.line(), "[tenants] lists nobody").hint(EXAMPLE));
    }
    section.finish();
    let mut tenants: Vec<TenantDefinition> = Vec::new();
    for tenant in list.into_iter().filter_map(read_tenant) {
        if tenants.iter().any(|other| other.id.value == tenant.id.value) {
            let reason = format!("tenant `{}` is listed twice", tenant.id.value);
            root.note(Problem::new(tenant.id.line, reason));
        }
        tenants.push(tenant);
    }
    tenants
}

fn read_tenant(mut section: Section<'_>) -> Option<TenantDefinition> {
    let id = section.required_text("id");
    let name = section.text("name");
    let zone = section.text("time_zone");
    let time_zone = zone.map_or(Some(TimeZone::UTC), |zone| match TimeZone::get(&zone.value) {
        Ok(known) => Some(known),
        Err(_) => {
            let reason = format!("`{}` is no time zone", zone.value);
            section.note(Problem::new(zone.line, reason).hint("name it like \"Europe/Berlin\""));
            None
        }
    });
    section.finish();
    let (id, time_zone) = (id?, time_zone?);
    let name = name.map_or_else(|| id.value.clone(), |name| name.value);
    Some(TenantDefinition { id, name, time_zone })
}

fn read_source(name: &Located<String>, mut section: Section<'_>) -> Option<SourceDefinition> {
    const TIMES: [(&str, TimeForm); 4] = [
        ("text", TimeForm::Text),
        ("iso", TimeForm::Iso),
        ("seconds", TimeForm::Seconds),
        ("milliseconds", TimeForm::Milliseconds),
    ];
    check_name(name, &section);
    let url = section.required_text("url");
    let url = url.and_then(|url| match url.value.parse::<SourceUrl>() {
        Ok(value) => Some(Located { value, line: url.line }),
        Err(error) => {
            let hint = "write it like sqlite://shop.db, postgres://user@host/shop or \
                        mysql://user@host/shop";
            section.note(Problem::new(url.line, error).hint(hint));
            None
        }
    });
    let connections = section.count("connections", 1..65);
    let timeout = section.duration("timeout");
    let row_limit = section.count("row_limit", 1..1_000_001);
    let times = section.choice("times", &TIMES);
    section.finish();
    Some(SourceDefinition {
        name: name.value.clone(),
        url: url?,
        connections: connections.map_or(4, |it| it.value),
        timeout: timeout.map_or(Duration::from_secs(30), |it| it.value),
        row_limit: row_limit.map_or(10_000, |it| it.value),
        times: times.map_or(TimeForm::default(), |it| it.value),
    })
}

fn read_widget(
    name: Located<String>,
    mut section: Section<'_>,
    sources: &[&str],
) -> Option<WidgetDefinition> {
    const BUCKETS: [(&str, BucketDefinition); 3] = [
        ("minute", BucketDefinition::Minute),
        ("hour", BucketDefinition::Hour),
        ("day", BucketDefinition::Day),
    ];
    check_name(&name, &section);
    let source = section.required_text("source");
    if let Some(source) = source.as_ref().filter(|it| !sources.contains(&it.value.as_str())) {
        let problem = Problem::new(source.line, format!("there is no source `{}`", source.value));
        section.note(match nearest(&source.value, sources.iter().copied()) {
            Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
            None => problem.hint(format!("declare it: [source.{}]", source.value)),
        });
    }
    let query = section.required_text("query");
    let params = read_params(&mut section);
    let ranges = read_ranges(&mut section);
    let freshness = section.text("freshness");
    let tags = section.texts("tags");
    let key = section.text("key");
    let bucket = section.choice("bucket", &BUCKETS);
    let patience = section.duration("patience");
    let deadline = section.duration("deadline");
    if let Some(none) = deadline.as_ref().filter(|it| it.value.is_zero()) {
        section.note(Problem::new(none.line, "`deadline` must be longer than nothing"));
    }
    let strict = section.flag("strict");
    section.finish();
    Some(WidgetDefinition {
        name,
        source: source?.value,
        query: query?,
        params,
        ranges,
        freshness,
        tags,
        key,
        bucket: bucket.map(|it| it.value),
        patience: patience.map(|it| it.value),
        deadline: deadline.map(|it| it.value),
        strict: strict.is_some_and(|it| it.value),
    })
}

fn read_ranges(widget: &mut Section<'_>) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    for Located { value, line } in widget.texts("ranges").unwrap_or_default() {
        match value.parse() {
            Err(error) => widget.note(Problem::new(line, error)),
            Ok(range) if ranges.contains(&range) => {
                widget.note(Problem::new(line, format!("the range `{value}` is listed twice")));
            }
            Ok(range) => ranges.push(range),
        }
    }
    ranges
}

fn read_params(widget: &mut Section<'_>) -> Vec<ParamDefinition> {
    /// What a query or a key calls these things already.
    const TAKEN: [&str; 8] =
        ["tenant", "widget", "bucket", "range", "from", "to", "first_day", "last_day"];
    let mut params = Vec::new();
    for (name, mut section) in widget.sections("params") {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.value.is_empty() || name.value.len() > 64 || !name.value.chars().all(allowed) {
            let reason = format!("`{}` is no name of a parameter", name.value);
            section.note(Problem::new(name.line, reason).hint("letters, digits and _"));
        }
        if TAKEN.contains(&name.value.as_str()) {
            let reason = format!("a parameter cannot be called `{}`", name.value);
            section.note(Problem::new(name.line, reason).hint("it means something already"));
        }
        let (default, values) = (section.text("default"), read_values(&mut section, &name));
        if let (Some(default), Some(values)) = (&default, &values)
            && !values.contains(&default.value)
        {
            let reason = format!("the default `{}` is none of the values", default.value);
            section.note(Problem::new(default.line, reason).hint("list it, or choose another"));
        }
        section.finish();
        params.push(ParamDefinition { name, default: default.map(|it| it.value), values });
    }
    params
}

fn read_values(param: &mut Section<'_>, name: &Located<String>) -> Option<Vec<String>> {
    let listed = param.texts("values")?;
    if listed.is_empty() || listed.len() > MOST_VALUES {
        let reason = format!("`{}` has {} values", name.value, listed.len());
        let hint = format!("list 1 to {MOST_VALUES}, or leave `values` out: any is taken then");
        param.note(Problem::new(name.line, reason).hint(hint));
    }
    let mut values: Vec<String> = Vec::new();
    for Located { value, line } in listed {
        if values.contains(&value) {
            param.note(Problem::new(line, format!("the value `{value}` is listed twice")));
        } else {
            values.push(value);
        }
    }
    Some(values)
}

fn check_name(name: &Located<String>, section: &Section<'_>) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.value.is_empty() || name.value.len() > 64 || !name.value.chars().all(allowed) {
        let problem = Problem::new(name.line, format!("`{}` is no name", name.value));
        section.note(problem.hint("1 to 64 letters, digits, _ and -"));
    }
}
