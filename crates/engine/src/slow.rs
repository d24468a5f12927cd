//! Computes that took long, with what was asked: the last ones are kept.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use samovar_clock::{Clock, Instant, WallTime};
use serde::Serialize;

use crate::reading::BoundReading;

/// Those before are forgotten.
const KEPT: usize = 100;

#[derive(Debug)]
pub(crate) struct Slow {
    above: Duration,
    kept: Mutex<VecDeque<SlowCompute>>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SlowCompute {
    /// When it ended, in milliseconds since the epoch.
    pub at_ms: i64,
    pub widget: String,
    pub tenant: String,
    pub params: BTreeMap<String, String>,
    pub took_ms: u64,
    pub queries: u32,
    /// The widget's own query; those of its includes are in its definition.
    pub query: String,
    /// Where it failed.
    pub error: Option<String>,
}

/// A compute that is under way. Noted when it ends, also when it is given up.
pub(crate) struct Timed<'c> {
    slow: &'c Slow,
    clock: &'c Clock,
    reading: &'c BoundReading,
    began: Instant,
    queries: u32,
    /// `None` while it is under way.
    result: Option<Result<(), String>>,
}

impl Timed<'_> {
    pub(crate) fn ended(mut self, queries: u32, result: Result<(), impl fmt::Display>) {
        self.queries = queries;
        self.result = Some(result.map_err(|error| error.to_string()));
    }
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        let took = self.clock.now().since(self.began);
        if took < self.slow.above {
            return;
        }
        let error = match self.result.take() {
            Some(result) => result.err(),
            None => Some("it was given up".to_owned()),
        };
        self.slow.note(self.clock.wall(), took, self.queries, self.reading, error);
    }
}

impl Slow {
    pub(crate) fn new(above: Duration) -> Self {
        Self { above, kept: Mutex::default() }
    }

    pub(crate) fn time<'c>(&'c self, clock: &'c Clock, reading: &'c BoundReading) -> Timed<'c> {
        Timed { slow: self, clock, reading, began: clock.now(), queries: 0, result: None }
    }

    fn note(
        &self,
        at: WallTime,
        took: Duration,
        queries: u32,
        reading: &BoundReading,
        error: Option<String>,
    ) {
        let took_ms = took.as_millis().try_into().unwrap_or(u64::MAX);
        let (widget, tenant) = (reading.widget(), reading.tenant());
        tracing::warn!(widget, tenant, took_ms, queries, "a compute was slow");
        let slow = SlowCompute {
            at_ms: at.as_millis(),
            widget: widget.to_owned(),
            tenant: tenant.to_owned(),
            params: reading.params().clone(),
            took_ms,
            queries,
            query: reading.served.entry.query().to_owned(),
            error,
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(slow);
    }

    /// The newest first.
    pub(crate) fn kept(&self) -> Vec<SlowCompute> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().rev().cloned().collect()
    }
}
