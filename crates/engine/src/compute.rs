//! A reading is computed: its rows are read through one snapshot of its source and become the bytes
//! that are stored and sent.

use std::{collections::BTreeMap, sync::Arc};

use samovar_cache::{Provenance, Value};
use samovar_widgets::{Limits, Snapshot, SourceError};
use serde::Serialize;

use crate::{engine::Inner, reading::BoundReading};

impl Inner {
    pub(crate) async fn compute(
        self: Arc<Self>,
        reading: BoundReading,
    ) -> Result<Value, SourceError> {
        let mut snapshot = reading.served.entry.source.snapshot().await?;
        let moment = self.random.id();
        self.compute_through(&reading, &mut snapshot, moment).await
    }

    /// Values that are computed through one snapshot are of one `moment`.
    pub(crate) async fn compute_through(
        &self,
        reading: &BoundReading,
        snapshot: &mut Snapshot,
        moment: u64,
    ) -> Result<Value, SourceError> {
        let (timed, before) = (self.slow.time(&self.clock, reading), snapshot.queries());
        let body = self.body(reading, snapshot).await;
        let queries = snapshot.queries() - before;
        timed.ended(queries, body.as_ref().map(drop));
        Ok(Value::Read(body?.into(), Provenance { moment, queries }))
    }

    /// `{"widget","tenant","params","data"}`, encoded once.
    async fn body(
        &self,
        reading: &BoundReading,
        snapshot: &mut Snapshot,
    ) -> Result<Vec<u8>, SourceError> {
        #[derive(Serialize)]
        struct Head<'a> {
            widget: &'a str,
            tenant: &'a str,
            params: &'a BTreeMap<String, String>,
        }
        let entry = &reading.served.entry;
        let head =
            Head { widget: reading.widget(), tenant: reading.tenant(), params: reading.params() };
        let mut body = serde_json::to_vec(&head).expect("texts always encode");
        body.pop();
        body.extend(b",\"data\":");
        let limits = Limits { rows: entry.row_limit, bytes: self.value_limit };
        let bindings = reading.bindings();
        let mut body = entry.selection.append(snapshot, &bindings, limits, body).await?;
        body.push(b'}');
        Ok(body)
    }
}
