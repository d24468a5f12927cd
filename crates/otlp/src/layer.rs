//! Spans of `tracing` become spans of OpenTelemetry, and go into the queue when they are over.

use opentelemetry_proto::tonic::trace::v1::{Span, Status, span::SpanKind, status::StatusCode};
use samovar_clock::{Clock, Instant, Random};
use samovar_memory::process_scope;
use tracing::{
    Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    layer::Context,
    registry::{LookupSpan, SpanRef},
};

use crate::{
    context::TraceContext,
    fields::{Fields, Kind},
    sampler::Sampler,
    spans::Queue,
};

/// By which others say that a span is for us.
pub(crate) const TARGET: &str = "samovar::span";

pub(crate) struct Collecting {
    pub(crate) sampler: Sampler,
    pub(crate) queue: Queue,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

/// A span that is not over.
pub(crate) struct Open {
    pub(crate) context: TraceContext,
    parent: Option<Parent>,
    began_at_ns: u64,
    began: Instant,
    /// What it has begun may go on for longer, and hold it.
    ended: Option<Instant>,
    fields: Fields,
}

#[derive(Clone, Copy)]
struct Parent {
    span: u64,
    is_remote: bool,
}

impl Collecting {
    /// Its place in the trace of its parent, or of whoever called, or in a new one.
    fn place(
        &self,
        parent: Option<TraceContext>,
        remote: Option<TraceContext>,
    ) -> (TraceContext, Option<Parent>) {
        let span = self.random.id();
        if let Some(above) = parent {
            let parent = Parent { span: above.span, is_remote: false };
            return (TraceContext { span, ..above }, Some(parent));
        }
        let new = || u128::from(self.random.id()) << 64 | u128::from(self.random.id());
        let trace = remote.map_or_else(new, |remote| remote.trace);
        let is_sampled = self.sampler.samples(trace, remote.map(|remote| remote.is_sampled));
        let parent = remote.map(|remote| Parent { span: remote.span, is_remote: true });
        (TraceContext { trace, span, is_sampled }, parent)
    }
}

/// A span may outlive the job in which it was made: none of it is on the account of a job.
impl<S: Subscriber + for<'l> LookupSpan<'l>> Layer<S> for Collecting {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let Some(span) = cx.span(id) else { return };
        process_scope(|| {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            let above = |it: SpanRef<'_, S>| it.extensions().get::<Open>().map(|it| it.context);
            let (context, parent) = self.place(span.parent().and_then(above), fields.remote);
            let (began_at_ns, began) = (self.clock.wall_nanos(), self.clock.now());
            let open = Open { context, parent, began_at_ns, began, ended: None, fields };
            span.extensions_mut().insert(open);
        });
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, cx: Context<'_, S>) {
        let Some(span) = cx.span(id) else { return };
        let mut extensions = span.extensions_mut();
        if let Some(open) = extensions.get_mut::<Open>().filter(|it| it.context.is_sampled) {
            process_scope(|| record.record(&mut open.fields));
            if open.fields.has_ended && open.ended.is_none() {
                open.ended = Some(self.clock.now());
            }
        }
    }

    fn on_close(&self, id: Id, cx: Context<'_, S>) {
        let Some(span) = cx.span(&id) else { return };
        let open = span.extensions_mut().remove::<Open>();
        if let Some(open) = open.filter(|it| it.context.is_sampled) {
            let ended = open.ended.unwrap_or_else(|| self.clock.now());
            process_scope(|| self.queue.put(open.over(span.name(), ended)));
        }
    }
}

impl Open {
    fn over(self, name: &str, ended: Instant) -> Span {
        /// Bits of the flags: the trace is sampled; it is known where the parent is; elsewhere.
        const SAMPLED: u32 = 1;
        const KNOWN: u32 = 1 << 8;
        const REMOTE: u32 = 1 << 9;
        let Self { context, parent, began_at_ns, began, fields, .. } = self;
        let took_ns = u64::try_from(ended.since(began).as_nanos()).unwrap_or(u64::MAX);
        let is_remote = parent.is_some_and(|parent| parent.is_remote);
        let kind = match fields.kind {
            Kind::Internal => SpanKind::Internal,
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Consumer => SpanKind::Consumer,
        };
        let error = Status { code: StatusCode::Error.into(), message: String::new() };
        Span {
            trace_id: context.trace.to_be_bytes().to_vec(),
            span_id: context.span.to_be_bytes().to_vec(),
            parent_span_id: parent.map_or(Vec::new(), |it| it.span.to_be_bytes().to_vec()),
            flags: SAMPLED | KNOWN | if is_remote { REMOTE } else { 0 },
            name: fields.name.unwrap_or_else(|| name.to_owned()),
            kind: kind.into(),
            start_time_unix_nano: began_at_ns,
            end_time_unix_nano: began_at_ns.saturating_add(took_ns),
            attributes: fields.attributes,
            status: fields.is_error.then_some(error),
            ..Span::default()
        }
    }
}
