//! What a collector takes, understood by the messages that the protocol defines.

use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::Metric,
    resource::v1::Resource,
    trace::v1::Span,
};
use prost::Message;
use samovar_testkit::{
    Receiver,
    receiver::{Answer, Post},
};

use crate::shop::LIMIT;

pub(super) struct Collector(Receiver);

/// One request of somebody who exports.
pub(super) struct Exported {
    pub(super) api_key: String,
    pub(super) raw: Vec<u8>,
    pub(super) resource: Resource,
    /// One of them is empty.
    pub(super) spans: Vec<Span>,
    pub(super) metrics: Vec<Metric>,
}

impl Collector {
    /// It answers the first requests like this, and takes what comes after them.
    pub(super) fn start(answers: Vec<Answer>) -> Self {
        Self(Receiver::start(answers).expect("it listens"))
    }

    pub(super) fn url(&self) -> &str {
        self.0.url()
    }

    pub(super) fn next(&self) -> Exported {
        Exported::of(self.0.next(LIMIT).expect("something is exported"))
    }

    /// All that has come by now.
    pub(super) fn rest(&self) -> Vec<Exported> {
        std::iter::from_fn(|| self.0.try_next()).map(Exported::of).collect()
    }
}

impl Exported {
    fn of(post: Post) -> Self {
        let header = |name: &str| post.headers.get(name).cloned().unwrap_or_default();
        assert_eq!(header("content-type"), "application/x-protobuf");
        let (mut resource, mut spans, mut metrics) = (None, Vec::new(), Vec::new());
        match &*post.path {
            "/v1/traces" => {
                let request = ExportTraceServiceRequest::decode(&*post.body).expect("a message");
                for of_resource in request.resource_spans {
                    resource = of_resource.resource.or(resource);
                    spans.extend(of_resource.scope_spans.into_iter().flat_map(|it| it.spans));
                }
            }
            "/v1/metrics" => {
                let request = ExportMetricsServiceRequest::decode(&*post.body).expect("a message");
                for of_resource in request.resource_metrics {
                    resource = of_resource.resource.or(resource);
                    metrics.extend(of_resource.scope_metrics.into_iter().flat_map(|it| it.metrics));
                }
            }
            path => panic!("posted to {path}"),
        }
        let resource = resource.expect("it says whose they are");
        Self { api_key: header("x-api-key"), raw: post.body, resource, spans, metrics }
    }
}

/// Of attributes with text in them.
pub(super) fn text<'a>(attributes: &'a [KeyValue], key: &str) -> &'a str {
    match value(attributes, key) {
        Some(Value::StringValue(text)) => text,
        None => "",
        Some(other) => panic!("{key} is {other:?}"),
    }
}

pub(super) fn number(attributes: &[KeyValue], key: &str) -> i64 {
    match value(attributes, key) {
        Some(Value::IntValue(number)) => *number,
        other => panic!("{key} is {other:?}"),
    }
}

fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    attributes.iter().find(|it| it.key == key)?.value.as_ref()?.value.as_ref()
}
