//! The databases that widgets read from.

use std::time::Duration;

use super::{check_name, events::LONGEST_SETTLE};
use crate::{Located, Section, SourceKind, SourceUrl, limits};

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
    pub capture: CaptureSettings,
}

/// How changes are captured from a source.
#[derive(Clone, Debug)]
pub struct CaptureSettings {
    /// Where rows of the outbox are deleted, and triggers installed: the primary, where widgets read
    /// from a standby, or the same server by another user.
    pub url: Option<Located<SourceUrl>>,
    /// The name of its table. Everything that is installed begins with it.
    pub outbox: String,
    /// PostgreSQL wakes this process up.
    pub notify: bool,
    /// Where nobody wakes it up it looks so often.
    pub poll: Duration,
    /// After this time the same is invalidated once more.
    pub settle: Option<Duration>,
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
/// Of everything that is installed.
const PREFIX: &str = "samovar_";
const OUTBOX: &str = "samovar_outbox";
const POLL: Duration = Duration::from_millis(25);
const CAPTURE_URL: &str = "capture_url = \"postgres://user@primary/shop\"";
const URL: &str = "url = \"sqlite://shop.db\", postgres://user@host/shop or mysql://user@host/shop";

pub(super) fn read(name: &Located<String>, mut section: Section<'_>) -> Option<SourceDefinition> {
    check_name(name, &section);
    let url = section.required_url("url", URL, parse_url);
    let connections = section.count("connections", 1..limits::CONNECTIONS + 1);
    let timeout = section.duration("timeout", Duration::from_millis(1)..=limits::LONGEST_WAIT);
    let row_limit = section.count("row_limit", 1..limits::ROWS + 1);
    let times = section.choice("times", &TIMES);
    let capture = read_capture(&mut section, url.as_ref());
    section.finish();
    Some(SourceDefinition {
        name: name.value.clone(),
        url: url?,
        connections: connections.map_or(4, |it| it.value),
        timeout: timeout.map_or(Duration::from_secs(30), |it| it.value),
        row_limit: row_limit.map_or(10_000, |it| it.value),
        times: times.map_or(TimeForm::default(), |it| it.value),
        capture,
    })
}

fn parse_url(text: &str) -> Result<SourceUrl, String> {
    let has_scheme = text.contains("://");
    let parsed = text.parse::<SourceUrl>().map_err(|error| error.to_string());
    parsed.map_err(|error| if has_scheme { error } else { "it has no scheme".to_owned() })
}

fn read_capture(section: &mut Section<'_>, source: Option<&Located<SourceUrl>>) -> CaptureSettings {
    let kind = source.map(|url| url.value.kind());
    let url = section.url("capture_url", CAPTURE_URL, parse_url);
    match (&url, kind) {
        (Some(url), Some(SourceKind::Sqlite)) => {
            let hint = "leave it out: a file is written where it is read";
            section.refuse("capture_url", url.line, "is of no use with SQLite", hint);
        }
        (Some(url), Some(kind)) if url.value.kind() != kind => {
            let hint = "name the primary of the database that `url` names";
            section.refuse("capture_url", url.line, "is of another kind than `url`", hint);
        }
        _ => {}
    }
    let notify = section.flag("capture_notify");
    if let (Some(notify), Some(SourceKind::Sqlite | SourceKind::MySql)) = (&notify, kind)
        && notify.value
    {
        let hint = "leave it out: this database is looked at every `capture_poll`";
        section.refuse("capture_notify", notify.line, "is for PostgreSQL only", hint);
    }
    let poll = section.duration("capture_poll", limits::CAPTURE_POLL);
    let outbox = section.text("outbox");
    if let Some(name) = &outbox {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let is_ours = name.value.strip_prefix(PREFIX).is_some_and(|rest| !rest.is_empty());
        if !is_ours || name.value.len() > limits::OUTBOX_BYTES || !name.value.chars().all(is_plain)
        {
            let what = format!("is `{}`", name.value);
            let hint = format!(
                "write it like {OUTBOX}_staging: {PREFIX}, then lower-case letters, digits and _, {} \
                 bytes at most",
                limits::OUTBOX_BYTES
            );
            section.refuse("outbox", name.line, &what, &hint);
        }
    }
    let settle = section.duration("settle", Duration::from_millis(1)..=LONGEST_SETTLE);
    CaptureSettings {
        url,
        outbox: outbox.map_or_else(|| OUTBOX.to_owned(), |it| it.value),
        notify: notify.is_none_or(|it| it.value),
        poll: poll.map_or(POLL, |it| it.value),
        settle: settle.map(|it| it.value),
    }
}
