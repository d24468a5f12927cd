//! Widgets: one query each, and how its answers are kept.

use std::time::Duration;

use super::{
    Declared, IncludeDefinition, ParamDefinition, check_name, check_source, check_tenant, includes,
    params, read_title,
};
use crate::{Located, Problem, Range, Section, limits};

#[derive(Clone, Debug)]
pub struct WidgetDefinition {
    pub name: Located<String>,
    /// For people; the name, where none is given.
    pub title: String,
    pub source: String,
    pub query: Located<String>,
    /// By name.
    pub params: Vec<ParamDefinition>,
    /// Without any it is not cut by time. The first one is what a reader gets who names none.
    pub ranges: Vec<Range>,
    /// Columns whose text is JSON, embedded as JSON in the answer.
    pub json: Vec<Located<String>>,
    /// The first row, or null, instead of a list.
    pub one: bool,
    /// Every tenant gets the same: the query does not ask for one.
    pub shared: bool,
    /// Of this widget instead of its source.
    pub row_limit: Option<usize>,
    pub includes: Vec<IncludeDefinition>,
    pub freshness: Option<Located<String>>,
    /// With placeholders; `None` means the name of the source.
    pub tags: Option<Vec<Located<String>>>,
    pub key: Option<Located<String>>,
    pub bucket: Option<BucketDefinition>,
    pub patience: Option<Duration>,
    pub deadline: Option<Duration>,
    /// How long one compute may take.
    pub compute_limit: Option<Duration>,
    pub strict: bool,
    pub mode: ModeDefinition,
}

/// A widget that rolls over on the wall clock of its tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketDefinition {
    Minute,
    Hour,
    Day,
}

/// Whether a widget is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    On,
    /// It answers with a stable code, on which an application takes its old path.
    Off,
    /// It is computed and compared, and not served.
    Shadow,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModeDefinition {
    /// Of all who are not named.
    pub everybody: Mode,
    pub tenants: Vec<(Located<String>, Mode)>,
}

impl ModeDefinition {
    pub fn of(&self, tenant: &str) -> Mode {
        let named = self.tenants.iter().find(|(id, _)| id.value == tenant);
        named.map_or(self.everybody, |(_, mode)| *mode)
    }
}

pub(super) const BUCKETS: [(&str, BucketDefinition); 3] = [
    ("minute", BucketDefinition::Minute),
    ("hour", BucketDefinition::Hour),
    ("day", BucketDefinition::Day),
];
const MODES: [(&str, Mode); 3] = [("on", Mode::On), ("off", Mode::Off), ("shadow", Mode::Shadow)];
/// How everybody who is not named is named in a table of modes.
const EVERYBODY: &str = "*";

pub(super) fn read(
    name: Located<String>,
    mut section: Section<'_>,
    declared: Declared<'_>,
) -> Option<WidgetDefinition> {
    const MOMENT: Duration = Duration::from_millis(1);
    check_name(&name, &section);
    let source = section.required_text("source", "source = \"shop\"");
    if let Some(source) = &source {
        check_source(source, declared.sources, &section);
    }
    let query = section.required_text("query", "query = \"select ...\"");
    let title = read_title(&mut section, &name.value);
    let params = params::read(&mut section);
    let ranges = read_ranges(&mut section);
    let json = section.texts("json", 0..=limits::JSON_COLUMNS).unwrap_or_default();
    let one = section.flag("one").is_some_and(|it| it.value);
    let shared = section.flag("shared").is_some_and(|it| it.value);
    let row_limit = section.count("row_limit", 1..limits::ROWS + 1);
    let includes = includes::read(&mut section);
    let freshness = section.text("freshness");
    let tags = section.texts("tags", 0..=limits::TAGS_PER_WIDGET);
    let key = section.text("key");
    let bucket = section.choice("bucket", &BUCKETS);
    let patience = section.duration("patience", Duration::ZERO..=limits::LONGEST_WAIT);
    let deadline = section.duration("deadline", MOMENT..=limits::LONGEST_WAIT);
    let compute_limit = section.duration("compute_limit", MOMENT..=limits::LONGEST_WAIT);
    let strict = section.flag("strict");
    let mode = read_mode(&mut section, declared);
    section.finish();
    Some(WidgetDefinition {
        name,
        title,
        source: source?.value,
        query: query?,
        params,
        ranges,
        json,
        one,
        shared,
        row_limit: row_limit.map(|it| it.value),
        includes,
        freshness,
        tags,
        key,
        bucket: bucket.map(|it| it.value),
        patience: patience.map(|it| it.value),
        deadline: deadline.map(|it| it.value),
        compute_limit: compute_limit.map(|it| it.value),
        strict: strict.is_some_and(|it| it.value),
        mode,
    })
}

pub(super) fn read_ranges(widget: &mut Section<'_>) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    let listed = widget.texts("ranges", 0..=limits::RANGES_PER_WIDGET).unwrap_or_default();
    for Located { value, line } in listed {
        match value.parse() {
            Err(error) => {
                let error: crate::InvalidRange = error;
                widget.note(Problem::new(line, &error).hint(error.hint()));
            }
            Ok(range) if ranges.contains(&range) => {
                let reason = format!("the range `{value}` is listed under another name as well");
                widget.note(Problem::new(line, reason).hint("remove one of them"));
            }
            Ok(range) => ranges.push(range),
        }
    }
    ranges
}

pub(super) fn read_mode(widget: &mut Section<'_>, declared: Declared<'_>) -> ModeDefinition {
    if !widget.is_table("mode") {
        let everybody = widget.choice("mode", &MODES).map_or(Mode::default(), |mode| mode.value);
        return ModeDefinition { everybody, tenants: Vec::new() };
    }
    let mut mode = ModeDefinition::default();
    for (tenant, chosen) in widget.choices("mode", &MODES) {
        if tenant.value == EVERYBODY {
            mode.everybody = chosen;
            continue;
        }
        check_tenant(&tenant, declared, widget);
        mode.tenants.push((tenant, chosen));
    }
    mode
}
