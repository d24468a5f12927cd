//! The span of an attempt, for a layer that collects spans; where there is none, making one is a look at a
//! flag. It holds names and numbers, and nothing that the job was given or said.

use tracing::{Span, field::Empty, info_span};

use crate::{Claimed, Outcome};

/// By which logs tell spans from what they write.
const TARGET: &str = "samovar::span";

/// Whoever pushed the job may be long gone: it is part of nobody else's span.
pub(super) fn job(job: &Claimed) -> Span {
    info_span!(
        target: TARGET,
        parent: None,
        "job",
        otel.kind = "consumer",
        otel.name = display(format_args!("job {}", job.kind)),
        otel.status_code = Empty,
        samovar.job.kind = job.kind.as_str(),
        samovar.job.queue = job.queue.as_str(),
        samovar.job.attempt = job.attempt,
        samovar.job.id = display(job.hold.id),
        samovar.job.outcome = Empty,
        ended = Empty,
    )
}

/// `None` where somebody else has the job by now.
pub(super) fn ended(span: &Span, outcome: Option<&Outcome>) {
    let (name, is_error) = match outcome {
        Some(Outcome::Done { .. }) => ("done", false),
        Some(Outcome::Missing) => ("missing", false),
        Some(Outcome::Retry { exception, .. }) => ("retry", *exception),
        Some(Outcome::Failed { .. }) => ("failed", true),
        Some(Outcome::Released) => ("released", false),
        Some(Outcome::Isolated { .. }) => ("isolated", true),
        Some(Outcome::Killed { .. }) => ("killed", true),
        Some(Outcome::Cancelled) => ("cancelled", false),
        None => ("lost", false),
    };
    span.record("samovar.job.outcome", name);
    if is_error {
        span.record("otel.status_code", "ERROR");
    }
    span.record("ended", true);
}
