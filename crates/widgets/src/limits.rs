//! How much one file may declare. More is a problem that names the limit; nothing is dropped in
//! silence.

use std::{ops::RangeInclusive, time::Duration};

/// As many as one cache knows.
pub const WIDGETS: usize = 4096;
pub const BOARDS: usize = 256;
pub const SOURCES: usize = 64;
pub const FRESHNESS_CLASSES: usize = 64;
/// In a list; a query may find more.
pub const LISTED_TENANTS: usize = 10_000;
/// Bytes of the name of a widget, a board, a source, a class, a parameter or an include.
pub const NAME_BYTES: usize = 64;
/// Bytes of a text for people.
pub const TITLE_BYTES: usize = 200;
pub const PARAMS_PER_WIDGET: usize = 16;
/// Values listed for one parameter.
pub const VALUES_PER_PARAM: usize = 1000;
/// Bytes of one listed or default value: it has to fit into a key beside the others.
pub const VALUE_BYTES: usize = 256;
pub const RANGES_PER_WIDGET: usize = 64;
/// As many as one reading may have.
pub const TAGS_PER_WIDGET: usize = 16;
/// Columns that hold JSON, of one query.
pub const JSON_COLUMNS: usize = 64;
/// In one widget, at all depths together.
pub const INCLUDES_PER_WIDGET: usize = 16;
pub const INCLUDE_DEPTH: usize = 4;
/// Rows kept for one parent.
pub const INCLUDED_ROWS: usize = 10_000;
pub const ROLLUPS: usize = 64;
pub const MEASURES_PER_ROLLUP: usize = 32;
pub const DIMENSIONS_PER_ROLLUP: usize = 8;
/// Lists that are unnested, of one rollup, and fields that are read of each.
pub const LISTS_PER_ROLLUP: usize = 8;
pub const FIELDS_PER_LIST: usize = 32;
/// Combinations of the values of dimensions in one partition.
pub const GROUPS_PER_PARTIAL: usize = 10_000;
/// Bytes of one value of a dimension.
pub const KEY_BYTES: usize = 1024;
/// The most that a top keeps.
pub const KEPT: usize = 10_000;
/// Rows that a widget over a rollup shows at most.
pub const SHOWN_ROWS: usize = 1000;
/// Shares of which a widget shows quantiles.
pub const QUANTILE_POINTS: usize = 16;
/// Widgets, ranges or tenants that one warm-up names, and the jobs it makes side by side.
pub const WARMED: usize = 1000;
pub const SCHEDULES: usize = 256;
pub const EVENTS: usize = 256;
pub const HOOKS: usize = 256;
/// Bytes of what two systems sign with: fewer can be guessed.
pub const SECRET_BYTES: RangeInclusive<usize> = 8..=512;
/// Bytes of the name of a header.
pub const HEADER_BYTES: usize = 64;
/// Bytes of a JSON pointer, and of what is signed beside a body.
pub const POINTER_BYTES: usize = 256;
/// Fields that a hook takes out of a body.
pub const FIELDS_PER_HOOK: usize = 32;
/// How old a signed hook may be.
pub const HOOK_TOLERANCE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
/// Tags that one event invalidates.
pub const TAGS_PER_EVENT: usize = 16;
pub const WIDGETS_PER_BOARD: usize = 64;
/// Rows of one answer.
pub const ROWS: usize = 1_000_000;
/// Queries of one source that run at the same time.
pub const CONNECTIONS: usize = 64;
/// How long "there is nothing" may serve as fresh.
pub const LONGEST_NEGATIVE_TTL: Duration = Duration::from_secs(24 * 3600);
/// The longest that anybody may be made to wait for anything.
pub const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);
pub const CAPTURES: usize = 256;
/// With the name of an outbox before it and what happened behind it, it is the name of a trigger, which
/// may have 63 bytes.
pub const CAPTURE_NAME_BYTES: usize = 28;
pub const OUTBOX_BYTES: usize = 24;
/// Of a table, with its schema.
pub const TABLE_BYTES: usize = 200;
/// Columns that are captured of one table.
pub const COLUMNS_PER_CAPTURE: usize = 16;
/// Characters of a text that are captured: one that is cut is longer than a tag may be.
pub const CAPTURED_CHARS: usize = 257;
/// How often an outbox may be looked at.
pub const CAPTURE_POLL: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(60);
/// Rows of an outbox that are taken at a time, and those that are too many to be looked at one by one.
pub const OUTBOX_ROWS: usize = 1000;
pub const OUTBOX_BACKLOG: usize = 10_000;
/// Rows that are taken at a time when only their captures are looked at.
pub const OUTBOX_ROWS_AT_ONCE: usize = 20_000;
/// Rows that were applied and are yet to vanish from a standby. With more of them, all that a standby
/// shows counts as changed, again and again, until it has caught up.
pub const OUTBOX_APPLIED: usize = 100_000;
