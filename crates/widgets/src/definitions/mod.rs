//! What a team declares: tenants, sources, freshness classes, rollups, widgets, boards, events and
//! captures, as checked as they can be without a database.

mod boards;
mod captures;
mod events;
mod freshness;
mod hooks;
mod includes;
mod params;
mod rollup_widgets;
mod rollups;
mod sources;
mod tenants;
mod warming;
mod widgets;

pub use boards::BoardDefinition;
pub use captures::CaptureDefinition;
pub use events::{EventDefinition, EventTag, TagPart, WARMED};
pub use freshness::{FreshnessDefinition, RefreshAheadDefinition};
pub use hooks::{HookDefinition, HookTenant, Pointer, SignedPart};
pub use includes::IncludeDefinition;
pub use params::{ParamDefinition, ParamType, Values};
pub use rollup_widgets::{ALL, RollupWidgetDefinition, SeriesBy, Show, Shown};
pub use rollups::RollupDefinition;
pub use sources::{CaptureSettings, SourceDefinition, TimeForm};
pub use tenants::{TenantDefinition, TenantsDefinition};
pub use warming::{CatchUpDefinition, ScheduleDefinition, WarmDefinition, WarmingDefinition};
pub use widgets::{BucketDefinition, Mode, ModeDefinition, WidgetDefinition};

use crate::{Located, Problem, Section, limits};

/// The sections `[tenants]`, `[source.*]`, `[freshness.*]`, `[rollup.*]`, `[widget.*]`, `[board.*]`,
/// `[warm]`, `[schedule.*]`, `[event.*]`, `[hook.*]` and `[capture.*]` of a file.
///
/// A widget in whose section something is wrong is left out, so that what follows from the mistake
/// is not told as another one.
#[derive(Clone, Debug)]
pub struct Definitions {
    pub tenants: TenantsDefinition,
    pub sources: Vec<SourceDefinition>,
    pub freshness: Vec<FreshnessDefinition>,
    pub rollups: Vec<RollupDefinition>,
    /// Those with a query of their own.
    pub widgets: Vec<WidgetDefinition>,
    /// Those over a rollup.
    pub rollup_widgets: Vec<RollupWidgetDefinition>,
    pub boards: Vec<BoardDefinition>,
    pub warming: WarmingDefinition,
    pub schedules: Vec<ScheduleDefinition>,
    pub events: Vec<EventDefinition>,
    pub hooks: Vec<HookDefinition>,
    pub captures: Vec<CaptureDefinition>,
    /// Of widgets that name none. It stands in `[cache]`, whose reader sets it.
    pub default_freshness: Option<Located<String>>,
}

/// What others may refer to, whether it is right or not.
#[derive(Clone, Copy, Debug)]
struct Declared<'a> {
    sources: &'a [String],
    /// Where they are listed.
    tenants: Option<&'a [TenantDefinition]>,
}

impl Definitions {
    /// Widgets of both kinds.
    pub fn count(&self) -> usize {
        self.widgets.len() + self.rollup_widgets.len()
    }

    pub fn read(root: &mut Section<'_>) -> Self {
        let source_sections = root.sections("source");
        check_count(root, &source_sections, limits::SOURCES, "sources");
        let source_names = names(&source_sections);
        let tenants = tenants::read(root, &source_names);
        let listed = match &tenants {
            TenantsDefinition::List(listed) if !listed.is_empty() => Some(&listed[..]),
            _ => None,
        };
        let declared = Declared { sources: &source_names, tenants: listed };

        let classes = root.sections("freshness");
        check_count(root, &classes, limits::FRESHNESS_CLASSES, "freshness classes");
        let rollup_sections = root.sections("rollup");
        check_count(root, &rollup_sections, limits::ROLLUPS, "rollups");
        let rollup_names = names(&rollup_sections);
        let widget_sections = root.sections("widget");
        check_count(root, &widget_sections, limits::WIDGETS, "widgets");
        if widget_sections.is_empty() {
            root.note(Problem::new(1, "no widget is declared").hint("begin with [widget.NAME]"));
        }
        let widget_names = names(&widget_sections);
        let board_sections = root.sections("board");
        check_count(root, &board_sections, limits::BOARDS, "boards");
        let schedule_sections = root.sections("schedule");
        check_count(root, &schedule_sections, limits::SCHEDULES, "schedules");
        let event_sections = root.sections("event");
        check_count(root, &event_sections, limits::EVENTS, "events");
        let event_names = names(&event_sections);
        let hook_sections = root.sections("hook");
        check_count(root, &hook_sections, limits::HOOKS, "hooks");
        let capture_sections = root.sections("capture");
        check_count(root, &capture_sections, limits::CAPTURES, "captures");
        let known = warming::Known { widgets: &widget_names, declared, no_tenants: None };
        let warming = warming::read(root, known);

        let source = |(name, section)| sources::read(&name, section);
        let sources = source_sections.into_iter().filter_map(source).collect();
        let freshness = classes.into_iter().map(|(name, class)| freshness::read(name, class));
        let freshness = freshness.collect();
        let mut rollups = Vec::new();
        for (name, section) in rollup_sections {
            let before = root.error_count();
            let rollup = rollups::read(name, section, &source_names);
            rollups.extend(rollup.filter(|_| root.error_count() == before));
        }
        let (mut widgets, mut rollup_widgets) = (Vec::new(), Vec::new());
        for (name, section) in widget_sections {
            let before = root.error_count();
            let is_sound = || root.error_count() == before;
            if section.has("rollup") {
                let widget = rollup_widgets::read(name, section, declared, &rollups, &rollup_names);
                rollup_widgets.extend(widget.filter(|_| is_sound()));
            } else {
                let widget = widgets::read(name, section, declared);
                widgets.extend(widget.filter(|_| is_sound()));
            }
        }
        let board = |(name, section)| boards::read(name, section, &widget_names);
        let boards = board_sections.into_iter().filter_map(board).collect();
        let schedule = |(name, section)| warming::read_schedule(name, section, known);
        let schedules = schedule_sections.into_iter().filter_map(schedule).collect();
        let event = |(name, section)| events::read(name, section, known);
        let events: Vec<_> = event_sections.into_iter().filter_map(event).collect();
        let of_hooks = hooks::Known { events: &events, event_names: &event_names, declared };
        let hook = |(name, section)| hooks::read(name, section, of_hooks);
        let hooks = hook_sections.into_iter().filter_map(hook).collect();
        let capture = |(name, section)| captures::read(name, section, &source_names);
        let captures = capture_sections.into_iter().filter_map(capture).collect();
        let default_freshness = None;
        Self {
            tenants,
            sources,
            freshness,
            rollups,
            widgets,
            rollup_widgets,
            boards,
            warming,
            schedules,
            events,
            hooks,
            captures,
            default_freshness,
        }
    }
}

fn names(sections: &[(Located<String>, Section<'_>)]) -> Vec<String> {
    sections.iter().map(|(name, _)| name.value.clone()).collect()
}

fn check_count(
    root: &Section<'_>,
    sections: &[(Located<String>, Section<'_>)],
    limit: usize,
    what: &str,
) {
    if sections.len() > limit {
        let mut lines: Vec<usize> = sections.iter().map(|(name, _)| name.line).collect();
        lines.sort_unstable();
        let reason = format!("{} {what} are declared", sections.len());
        let hint = format!("at most {limit} are allowed: from here on they are too many");
        root.note(Problem::new(lines[limit], reason).hint(hint));
    }
}

/// The name of something that is declared: it becomes part of keys and of paths.
fn check_name(name: &Located<String>, section: &Section<'_>) {
    check_letters(name, section, &['_', '-'], "letters, digits, _ and -");
}

/// The name of a parameter or of a field.
fn check_field_name(name: &Located<String>, section: &Section<'_>) {
    check_letters(name, section, &['_'], "letters, digits and _");
}

fn check_letters(name: &Located<String>, section: &Section<'_>, others: &[char], allowed: &str) {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || others.contains(&c);
    let text = &name.value;
    if text.is_empty() || text.len() > limits::NAME_BYTES || !text.chars().all(is_allowed) {
        let shown: String = text.chars().take(limits::NAME_BYTES).collect();
        let problem = Problem::new(name.line, format!("`{shown}` is no name"));
        section.note(problem.hint(format!("take 1 to {} {allowed}", limits::NAME_BYTES)));
    }
}

/// The name, where no other text for people is given.
fn read_title(section: &mut Section<'_>, name: &str) -> String {
    let Some(title) = section.text("title") else { return name.to_owned() };
    if title.value.len() > limits::TITLE_BYTES {
        let what = format!("has {} bytes", title.value.len());
        let hint = format!("at most {} are allowed", limits::TITLE_BYTES);
        section.refuse("title", title.line, &what, &hint);
    }
    title.value
}

/// A widget that is declared.
fn check_widget(widget: &Located<String>, declared: &[String], section: &Section<'_>) {
    let (name, known) = (&widget.value, declared.iter().map(String::as_str));
    if !declared.contains(name) {
        let problem = Problem::new(widget.line, format!("there is no widget `{name}`"));
        section.note(problem.meant(name, known, || format!("declare it: [widget.{name}]")));
    }
}

/// A tenant that is listed, where they are.
fn check_tenant(tenant: &Located<String>, declared: Declared<'_>, section: &Section<'_>) {
    let Some(listed) = declared.tenants else { return };
    let (name, known) = (&tenant.value, || listed.iter().map(|it| it.id.value.as_str()));
    if known().all(|id| id != name) {
        let problem = Problem::new(tenant.line, format!("there is no tenant `{name}`"));
        section.note(problem.meant(name, known(), || "list it in [tenants]".to_owned()));
    }
}

/// A source that is declared.
fn check_source(source: &Located<String>, declared: &[String], section: &Section<'_>) {
    let (name, known) = (&source.value, declared.iter().map(String::as_str));
    if !declared.contains(name) {
        let problem = Problem::new(source.line, format!("there is no source `{name}`"));
        section.note(problem.meant(name, known, || format!("declare it: [source.{name}]")));
    }
}
