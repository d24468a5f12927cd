//! Spans wait in a queue with a limit, and are sent some at a time.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::{Message, bytes::Bytes};
use samovar_clock::Clock;
use tokio::sync::{mpsc, watch};

use crate::{
    limits,
    loss::Loss,
    messages::scope,
    post::{NotTaken, Post},
    settings::Batching,
    telemetry::stopped,
};

/// Where spans are put, without a wait.
pub(crate) struct Queue {
    spans: mpsc::Sender<Span>,
    dropped: Arc<AtomicU64>,
}

/// Its other end.
pub(crate) struct Waiting {
    spans: mpsc::Receiver<Span>,
    dropped: Arc<AtomicU64>,
}

pub(crate) fn queue(most: usize) -> (Queue, Waiting) {
    let (put, taken) = mpsc::channel(most);
    let dropped = Arc::<AtomicU64>::default();
    (Queue { spans: put, dropped: dropped.clone() }, Waiting { spans: taken, dropped })
}

impl Queue {
    pub(crate) fn put(&self, span: Span) {
        if self.spans.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

pub(crate) struct Sending {
    pub(crate) waiting: Waiting,
    pub(crate) batching: Batching,
    pub(crate) post: Post,
    pub(crate) resource: Resource,
    pub(crate) clock: Clock,
    pub(crate) loss: Loss,
}

impl Sending {
    /// Until it is told to stop, and what waits by then has been tried.
    pub(crate) async fn run(mut self, stop: watch::Receiver<bool>) {
        loop {
            let batch = self.gather(&stop).await;
            let is_over = batch.is_empty() && (*stop.borrow() || self.waiting.spans.is_closed());
            if !batch.is_empty() {
                self.send(batch, &stop).await;
            }
            match self.waiting.dropped.swap(0, Ordering::Relaxed) {
                0 => {}
                dropped => self.loss.add(dropped, "more wait than OTEL_BSP_MAX_QUEUE_SIZE"),
            }
            if is_over {
                return self.loss.end();
            }
        }
    }

    /// Until they are many, or the first of them has waited for long enough.
    async fn gather(&mut self, stop: &watch::Receiver<bool>) -> Vec<Span> {
        let (most, mut batch) = (self.batching.most, Vec::new());
        let mut due = pin!(self.clock.sleep(self.batching.delay));
        while batch.len() < most {
            let room = most - batch.len();
            tokio::select! {
                biased;
                () = stopped(stop.clone()) => {
                    while batch.len() < most && let Ok(span) = self.waiting.spans.try_recv() {
                        batch.push(span);
                    }
                    break;
                }
                taken = self.waiting.spans.recv_many(&mut batch, room) => {
                    if taken == 0 {
                        break;
                    }
                }
                () = &mut due => break,
            }
        }
        batch
    }

    async fn send(&mut self, batch: Vec<Span>, stop: &watch::Receiver<bool>) {
        let count = batch.len() as u64;
        let message = Bytes::from(request(batch, self.resource.clone()).encode_to_vec());
        let until = self.clock.now() + self.batching.tried;
        let [mut pause, longest] = limits::PAUSES;
        loop {
            let sent = self.post.send::<ExportTraceServiceResponse>(message.clone()).await;
            let error = match sent {
                Ok(answer) => return self.taken(&answer),
                Err(error) => error,
            };
            let wait = match &error {
                // One that wants it at once is not taken at its word.
                NotTaken::Later { after, .. } => after.unwrap_or(pause).max(pause).min(longest),
                NotTaken::Refused(_) => Duration::MAX,
            };
            if *stop.borrow() || self.clock.now() + wait >= until {
                return self.loss.add(count, error);
            }
            tokio::select! {
                () = stopped(stop.clone()) => {}
                () = self.clock.sleep(wait) => {}
            }
            pause = (pause * 2).min(longest);
        }
    }

    fn taken(&mut self, answer: &ExportTraceServiceResponse) {
        let refused = answer.partial_success.as_ref().map_or(0, |it| it.rejected_spans);
        match u64::try_from(refused) {
            Ok(refused @ 1..) => self.loss.add(refused, "the collector took only the others"),
            _ => self.loss.arrived(),
        }
    }
}

fn request(spans: Vec<Span>, resource: Resource) -> ExportTraceServiceRequest {
    let of_scope = ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() };
    let of_resource = ResourceSpans {
        resource: Some(resource),
        scope_spans: vec![of_scope],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![of_resource] }
}

#[cfg(test)]
mod tests {
    use samovar_clock::{ManualClock, Random, WallTime};
    use tracing::{field::Empty, info_span, subscriber::with_default};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::{
        layer::{Collecting, TARGET},
        sampler::Sampler,
    };

    fn collecting(most: usize, clock: Clock) -> (Collecting, Waiting) {
        let (queue, waiting) = queue(most);
        let sampler = Sampler::default();
        (Collecting { sampler, queue, clock, random: Random::seeded(1) }, waiting)
    }

    /// A read that is served stale is over, although the compute that it has begun is not.
    #[test]
    fn a_span_ends_when_it_says_so_and_not_with_what_it_has_begun() {
        let manual = Arc::new(ManualClock::new(WallTime::from_millis(7000)));
        let (collecting, mut waiting) = collecting(8, Clock::Manual(manual.clone()));
        with_default(tracing_subscriber::registry().with(collecting), || {
            let outer = info_span!(target: TARGET, "outer", ended = Empty);
            let inner = outer.in_scope(|| info_span!(target: TARGET, "inner"));
            manual.advance(Duration::from_secs(1));
            outer.record("ended", true);
            drop(outer);
            manual.advance(Duration::from_secs(1));
            drop(inner);
        });
        let mut next = || waiting.spans.try_recv().expect("a span");
        let (inner, outer) = (next(), next());
        assert_eq!((&*inner.name, &*outer.name), ("inner", "outer"));
        assert_eq!(inner.parent_span_id, outer.span_id);
        assert_eq!(outer.start_time_unix_nano, 7_000_000_000);
        assert_eq!(outer.end_time_unix_nano, 8_000_000_000);
        assert_eq!(inner.end_time_unix_nano, 9_000_000_000);
    }

    #[test]
    fn what_finds_the_queue_full_is_dropped_and_counted() {
        let (collecting, mut waiting) = collecting(2, Clock::System);
        with_default(tracing_subscriber::registry().with(collecting), || {
            for _ in 0..5 {
                drop(info_span!(target: TARGET, "one"));
            }
        });
        assert_eq!(waiting.dropped.load(Ordering::Relaxed), 3);
        assert!(waiting.spans.try_recv().is_ok() && waiting.spans.try_recv().is_ok());
        assert!(waiting.spans.try_recv().is_err());
    }
}
