//! The databases that widgets read from.

use std::time::Duration;

use super::check_name;
use crate::{Located, Section, SourceUrl, limits};

/// A database that widgets read from.
#[derive(Clone, Debug)]
pub struct SourceDefinition {
    pub name: String,
    /// A path in it is relative to the folder of the file.
    pub url: Located<SourceUrl>,
    /// Queries that run at the same time; more wait.
    pub connections: usize,
    /// How long a query may take, and how long one waits for a connection.
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

const TIMES: [(&str, TimeForm); 4] = [
    ("text", TimeForm::Text),
    ("iso", TimeForm::Iso),
    ("seconds", TimeForm::Seconds),
    ("milliseconds", TimeForm::Milliseconds),
];
const URL: &str = "url = \"sqlite://shop.db\", postgres://user@host/shop or mysql://user@host/shop";

pub(super) fn read(name: &Located<String>, mut section: Section<'_>) -> Option<SourceDefinition> {
    check_name(name, &section);
    let url = section.required_url("url", URL, |text| {
        let has_scheme = text.contains("://");
        let parsed = text.parse::<SourceUrl>().map_err(|error| error.to_string());
        parsed.map_err(|error| if has_scheme { error } else { "it has no scheme".to_owned() })
    });
    let connections = section.count("connections", 1..limits::CONNECTIONS + 1);
    let timeout = section.duration("timeout", Duration::from_millis(1)..=limits::LONGEST_WAIT);
    let row_limit = section.count("row_limit", 1..limits::ROWS + 1);
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
