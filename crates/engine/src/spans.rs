//! Spans of readings, boards, computes and webhooks, for a layer that collects spans; where there is none,
//! making one is a look at a flag. They hold names of what is declared, and never parameters, keys, rows or
//! the words of an error.

use samovar_cache::{Answer, State, Tier};
use samovar_widgets::SourceKind;
use tracing::{Span, field::Empty, info_span};

use crate::{asked::Asked, engine::Engine, reading::BoundReading};

/// By which logs tell spans from what they write.
const TARGET: &str = "samovar::span";

impl Engine {
    /// Leaves the span of a read that [`Engine::answer_again`] has answered.
    pub fn trace_again(&self, asked: &Asked, answer: &Answer) {
        was_read(&read(asked.reading.widget()), Some(answer));
    }
}

pub(crate) fn read(widget: &str) -> Span {
    info_span!(
        target: TARGET,
        "read",
        samovar.widget = widget,
        samovar.tier = Empty,
        samovar.state = Empty,
        samovar.stale_because = Empty,
        otel.status_code = Empty,
        ended = Empty,
    )
}

/// `None` where there is no answer.
pub(crate) fn was_read(span: &Span, answer: Option<&Answer>) {
    if span.is_disabled() {
        return;
    }
    match answer {
        Some(answer) => {
            let tier = match answer.tier() {
                Tier::Local => "local",
                Tier::Shared => "shared",
                Tier::Computed => "computed",
            };
            span.record("samovar.tier", tier);
            match answer.state() {
                State::Fresh => span.record("samovar.state", "fresh"),
                State::Stale(because) => {
                    span.record("samovar.stale_because", because.name());
                    span.record("samovar.state", "stale")
                }
            };
        }
        None => {
            span.record("otel.status_code", "ERROR");
        }
    }
    span.record("ended", true);
}

pub(crate) fn board(name: &str) -> Span {
    info_span!(
        target: TARGET,
        "board",
        samovar.board = name,
        samovar.tiles = Empty,
        samovar.agree = Empty,
        ended = Empty,
    )
}

pub(crate) fn board_was_read(span: &Span, tiles: usize, agree: bool) {
    span.record("samovar.tiles", tiles as u64);
    span.record("samovar.agree", agree);
    span.record("ended", true);
}

/// A compute that is under way. Where it is given up, at its limit or by a panic, it has failed.
pub(crate) struct Computing {
    span: Span,
    is_over: bool,
}

impl Computing {
    /// In which the work is done.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    pub(crate) fn ended(mut self, queries: u32, rows: u64, is_done: bool) {
        self.span.record("samovar.queries", queries);
        self.span.record("samovar.rows", rows);
        outcome(&self.span, is_done);
        self.is_over = true;
    }
}

impl Drop for Computing {
    fn drop(&mut self) {
        if !self.is_over {
            outcome(&self.span, false);
        }
    }
}

/// Of one reading, or of `readings` over the same rollup that are made together.
pub(crate) fn compute(reading: &BoundReading, readings: usize) -> Computing {
    let entry = &reading.served.entry;
    let span = info_span!(
        target: TARGET,
        "compute",
        samovar.widget = (readings == 1).then(|| reading.widget()),
        samovar.rollup = reading.rolled().map(|(rolled, _)| &*rolled.name),
        samovar.readings = readings as u64,
        samovar.source = &*entry.source_name,
        db.system.name = system(entry.source.kind()),
        samovar.queries = Empty,
        samovar.rows = Empty,
        samovar.outcome = Empty,
        otel.status_code = Empty,
        ended = Empty,
    );
    Computing { span, is_over: false }
}

/// Of one webhook, all tries included.
pub(crate) fn webhook(name: &str, alert: &str) -> Span {
    info_span!(
        target: TARGET,
        parent: None,
        "webhook",
        otel.kind = "client",
        samovar.webhook = name,
        samovar.alert = alert,
        samovar.outcome = Empty,
        otel.status_code = Empty,
        ended = Empty,
    )
}

pub(crate) fn outcome(span: &Span, is_done: bool) {
    span.record("samovar.outcome", if is_done { "done" } else { "failed" });
    if !is_done {
        span.record("otel.status_code", "ERROR");
    }
    span.record("ended", true);
}

fn system(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Sqlite => "sqlite",
        SourceKind::Postgres => "postgresql",
        SourceKind::MySql => "mysql",
    }
}
