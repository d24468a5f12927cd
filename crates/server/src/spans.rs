//! The span of a request, for a layer that collects spans; where there is none, making one is a look at a
//! flag. Names and attributes hold what is declared, never what was asked for.

use axum::http::{Method, Request, Response};
use tracing::{
    Span,
    field::{Empty, display},
    info_span,
};

use crate::trail::Code;

/// By which logs tell spans from what they write.
const TARGET: &str = "samovar::span";

/// `traceparent` (W3C) says which span of somebody else's it is part of.
pub(crate) fn request<B>(request: &Request<B>) -> Span {
    info_span!(
        target: TARGET,
        parent: None,
        "request",
        otel.kind = "server",
        otel.name = method(request.method()),
        otel.status_code = Empty,
        http.request.method = method(request.method()),
        http.route = Empty,
        http.response.status_code = Empty,
        "error.type" = Empty,
        traceparent = request.headers().get("traceparent").and_then(|it| it.to_str().ok()),
        ended = Empty,
    )
}

/// The request has found its route.
pub(crate) fn routed(span: &Span, asked: &Method, route: &'static str) {
    if !span.is_disabled() {
        span.record("otel.name", display(format_args!("{} {route}", method(asked))));
        span.record("http.route", route);
    }
}

/// Its answer begins to go out.
pub(crate) fn answered<B>(span: &Span, response: &Response<B>) {
    if span.is_disabled() {
        return;
    }
    span.record("http.response.status_code", response.status().as_u16());
    if let Some(Code(code)) = response.extensions().get() {
        span.record("error.type", code);
    }
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    span.record("ended", true);
}

/// Whoever asks may make up methods: there are only so many names.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}
