//! Computes that took long, with what was asked: the last ones are kept.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use samovar_clock::WallTime;
use samovar_widgets::SourceError;
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

impl Slow {
    pub(crate) fn new(above: Duration) -> Self {
        Self { above, kept: Mutex::default() }
    }

    pub(crate) fn note(
        &self,
        at: WallTime,
        took: Duration,
        queries: u32,
        reading: &BoundReading,
        result: &Result<Vec<u8>, SourceError>,
    ) {
        if took < self.above {
            return;
        }
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
            query: reading.served.entry.selection.query.text().to_owned(),
            error: result.as_ref().err().map(ToString::to_string),
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
