//! Widgets as teams declare them, checked, and the databases they read from.
//!
//! A definition goes from TOML ([`Document`]) to [`Definitions`]; every mistake on the way is a
//! [`Problem`] with its line. A [`Source`] prepares the queries and runs them.

mod capture;
mod check;
mod definitions;
mod document;
mod environment;
pub mod limits;
mod overrides;
mod problem;
mod query;
mod range;
mod rollup;
mod rows;
mod secret;
mod section;
mod selection;
mod source;
mod units;
mod url;
mod value;

pub use capture::{
    Captured, InstallError, Installed, Installer, Outbox, OutboxFigures, Part, Recorded, Standing,
    Taken, Waited,
};
pub use check::{CUTS, Names, Whose, check_prepared, check_text, is_cut};
pub use definitions::{
    ALL, BoardDefinition, BucketDefinition, CaptureDefinition, CaptureSettings, CatchUpDefinition,
    Definitions, EventDefinition, EventTag, FreshnessDefinition, HookDefinition, HookTenant,
    IncludeDefinition, Mode, ModeDefinition, ParamDefinition, ParamType, Pointer,
    RefreshAheadDefinition, RollupDefinition, RollupWidgetDefinition, ScheduleDefinition, SeriesBy,
    Show, Shown, SignedPart, SourceDefinition, TagPart, TenantDefinition, TenantsDefinition,
    TimeForm, Values, WARMED, WarmDefinition, WarmingDefinition, WidgetDefinition,
};
pub use document::Document;
pub use overrides::Overrides;
pub use problem::{Located, Problem, Severity, nearest};
pub use query::{Mistake, Query};
pub use range::{Dates, InvalidRange, Range};
pub use rollup::{
    Answer, Bundled, Fold, Folded, Malformed, Partial, Partition, PartitionUnit, Rollup, Slot,
    decode_bundle, encode_bundle, instant, plan,
};
pub use rows::{Row, Rows};
pub use secret::{InvalidSecret, SigningSecret};
pub use section::Section;
pub use selection::{Limits, MOST_KEYS, Related, Selection};
pub use source::{Column, Prepared, Scan, Snapshot, Source, SourceError, SourceFigures};
pub use units::{parse_bytes, parse_duration};
pub use url::{InvalidUrl, SourceKind, SourceUrl};
pub use value::{Bound, Value};
