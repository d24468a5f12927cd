//! Widgets as teams declare them, checked, and the databases they read from.
//!
//! A definition goes from TOML ([`Document`]) to [`Definitions`]; every mistake on the way is a
//! [`Problem`] with its line. A [`Source`] prepares the queries and runs them.

mod definitions;
mod document;
mod environment;
pub mod limits;
mod problem;
mod range;
mod section;
mod source;
mod units;
mod url;

pub use definitions::{
    BoardDefinition, BucketDefinition, Definitions, FreshnessDefinition, IncludeDefinition, Mode,
    ModeDefinition, ParamDefinition, ParamType, RefreshAheadDefinition, SourceDefinition,
    TenantDefinition, TenantsDefinition, TimeForm, Values, WidgetDefinition,
};
pub use document::Document;
pub use problem::{Located, Problem, Severity, nearest};
pub use range::{Dates, InvalidRange, Range};
pub use section::Section;
pub use source::{Bound, Source, SourceError};
pub use units::{parse_bytes, parse_duration};
pub use url::{InvalidUrl, SourceKind, SourceUrl};
