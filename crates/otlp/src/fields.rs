//! The fields of a span, as they come: those that mean something to OpenTelemetry, and attributes.

use std::fmt::Debug;

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use tracing::field::{Field, Visit};

use crate::{context::TraceContext, messages::key_value};

#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(crate) name: Option<String>,
    pub(crate) kind: Kind,
    pub(crate) is_error: bool,
    /// Whose span somebody else says it is part of.
    pub(crate) remote: Option<TraceContext>,
    /// The work is done, whoever still holds the span.
    pub(crate) has_ended: bool,
    pub(crate) attributes: Vec<KeyValue>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Internal,
    Server,
    Client,
    Consumer,
}

impl Fields {
    fn attribute(&mut self, field: &Field, value: Value) {
        let attribute = key_value(field.name(), value);
        match self.attributes.iter_mut().find(|it| it.key == attribute.key) {
            Some(before) => *before = attribute,
            None => self.attributes.push(attribute),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "otel.name" => self.name = Some(value.to_owned()),
            "otel.kind" => {
                self.kind = match value {
                    "server" => Kind::Server,
                    "client" => Kind::Client,
                    "consumer" => Kind::Consumer,
                    _ => Kind::Internal,
                }
            }
            "otel.status_code" => self.is_error = value == "ERROR",
            "traceparent" => self.remote = TraceContext::parse(value),
            _ => self.attribute(field, Value::StringValue(value.to_owned())),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        match field.name() {
            "ended" => self.has_ended = value,
            _ => self.attribute(field, Value::BoolValue(value)),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.attribute(field, Value::IntValue(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.attribute(field, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.attribute(field, Value::DoubleValue(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
