//! What is warmed without being asked for: by the calendar, at start, and what is usually read.

use super::{Declared, check_name, check_tenant, check_widget, tenants::unknown_zone};
use crate::{Located, Problem, Range, Section, limits};

/// What is to be warmed. Nothing named: everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WarmDefinition {
    pub widgets: Vec<String>,
    pub ranges: Vec<Range>,
    pub tenants: Vec<String>,
    pub force: bool,
    /// Jobs side by side, each of which takes its tenants one after the other.
    pub parallel: Option<usize>,
    pub queue: Option<String>,
    /// What its batch is called. Otherwise it is called by what has begun it.
    pub name: Option<String>,
}

/// A warm-up by the calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleDefinition {
    pub name: Located<String>,
    pub cron: Located<String>,
    /// By its IANA name.
    pub time_zone: String,
    pub catch_up: CatchUpDefinition,
    pub warm: WarmDefinition,
}

/// What becomes of times that passed while nothing ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CatchUpDefinition {
    #[default]
    Skip,
    Once,
    All,
}

/// `[warm]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmingDefinition {
    pub at_start: Option<WarmDefinition>,
    /// What is usually read at an hour is warmed before it begins.
    pub usual: bool,
}

impl Default for WarmingDefinition {
    fn default() -> Self {
        Self { at_start: None, usual: true }
    }
}

/// What a warm-up may name.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) widgets: &'a [String],
    pub(super) declared: Declared<'a>,
    /// Why it may name no tenants.
    pub(super) no_tenants: Option<&'static str>,
}

const CRON: &str = "cron = \"0 3 * * *\"";
const WARM: &str = "warm = \"all\", or warm = { widgets = [\"sales\"], ranges = [\"7d\"] }";
const CATCH_UPS: [(&str, CatchUpDefinition); 3] = [
    ("skip", CatchUpDefinition::Skip),
    ("once", CatchUpDefinition::Once),
    ("all", CatchUpDefinition::All),
];

pub(super) fn read(root: &mut Section<'_>, known: Known<'_>) -> WarmingDefinition {
    let mut warming = WarmingDefinition::default();
    let Some(mut section) = root.section("warm") else { return warming };
    warming.at_start = read_warm(&mut section, "at_start", known);
    warming.usual = section.flag("usual").is_none_or(|it| it.value);
    section.finish();
    warming
}

pub(super) fn read_schedule(
    name: Located<String>,
    mut section: Section<'_>,
    known: Known<'_>,
) -> Option<ScheduleDefinition> {
    check_name(&name, &section);
    let cron = section.required_text("cron", CRON);
    let time_zone = match section.text("time_zone") {
        None => Some("UTC".to_owned()),
        Some(zone) if jiff::tz::TimeZone::get(&zone.value).is_ok() => Some(zone.value),
        Some(zone) => {
            section.note(unknown_zone(&zone));
            None
        }
    };
    let catch_up = section.choice("catch_up", &CATCH_UPS).map(|it| it.value).unwrap_or_default();
    section.require("warm", WARM);
    let warm = read_warm(&mut section, "warm", known);
    section.finish();
    Some(ScheduleDefinition { name, cron: cron?, time_zone: time_zone?, catch_up, warm: warm? })
}

/// `"all"`, or a table that names some.
pub(super) fn read_warm(
    section: &mut Section<'_>,
    key: &'static str,
    known: Known<'_>,
) -> Option<WarmDefinition> {
    const MOST: std::ops::RangeInclusive<usize> = 1..=limits::WARMED;
    if !section.is_table(key) {
        section.choice(key, &[("all", ())])?;
        return Some(WarmDefinition::default());
    }
    let mut table = section.section(key)?;
    let before = table.error_count();
    let widgets = table.texts("widgets", MOST).unwrap_or_default();
    widgets.iter().for_each(|widget| check_widget(widget, known.widgets, &table));
    let named = table.texts("ranges", MOST).unwrap_or_default();
    let mut ranges = Vec::new();
    for Located { value, line } in named {
        match value.parse::<Range>() {
            Ok(range) => ranges.push(range),
            Err(error) => table.note(Problem::new(line, &error).hint(error.hint())),
        }
    }
    let tenants = read_tenants(&mut table, known, MOST);
    let force = table.flag("force").is_some_and(|it| it.value);
    let parallel = table.count("parallel", 1..limits::WARMED + 1).map(|it| it.value);
    let queue = table.text("queue");
    let name = table.text("name");
    queue.iter().chain(&name).for_each(|it| check_name(it, &table));
    let is_sound = table.error_count() == before;
    table.finish();
    let values = |located: Vec<Located<String>>| located.into_iter().map(|it| it.value).collect();
    is_sound.then(|| WarmDefinition {
        widgets: values(widgets),
        ranges,
        tenants: values(tenants),
        force,
        parallel,
        queue: queue.map(|it| it.value),
        name: name.map(|it| it.value),
    })
}

fn read_tenants(
    table: &mut Section<'_>,
    known: Known<'_>,
    most: std::ops::RangeInclusive<usize>,
) -> Vec<Located<String>> {
    if let Some(why) = known.no_tenants {
        if table.has("tenants") {
            table.know("tenants");
            table.refuse("tenants", table.line_of("tenants"), "is for each event to say", why);
        }
        return Vec::new();
    }
    let tenants = table.texts("tenants", most).unwrap_or_default();
    tenants.iter().for_each(|tenant| check_tenant(tenant, known.declared, table));
    tenants
}
