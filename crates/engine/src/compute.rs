//! A reading is computed: its rows are read through one snapshot of its source and become the bytes
//! that are stored and sent.

use std::{collections::BTreeMap, sync::Arc};

use samovar_cache::{Parts, Provenance, Value};
use samovar_widgets::{Limits, Snapshot, SourceError};
use serde::Serialize;
use tracing::Instrument;

use crate::{catalogue::Made, engine::Inner, reading::BoundReading, spans};

impl Inner {
    /// As the source says now: nothing that is kept is used.
    pub(crate) async fn compute(self: Arc<Self>, reading: BoundReading) -> Result<Value, String> {
        if let Made::Rollup(..) = reading.served.entry.made {
            return self.roll_up(&reading, None).await;
        }
        self.compute_rows(reading).await.map_err(|error| error.to_string())
    }

    /// With the way to what its value is made of, where it is made of parts.
    pub(crate) async fn compose(
        self: Arc<Self>,
        reading: BoundReading,
        parts: Parts,
    ) -> Result<Value, String> {
        if let Made::Rollup(..) = reading.served.entry.made {
            return self.roll_up(&reading, Some(&parts)).await;
        }
        self.compute_rows(reading).await.map_err(|error| error.to_string())
    }

    async fn compute_rows(self: Arc<Self>, reading: BoundReading) -> Result<Value, SourceError> {
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
        let (timed, computing) = (self.slow.time(&self.clock, reading), spans::compute(reading, 1));
        let (queries_before, rows_before) = (snapshot.queries(), snapshot.rows());
        let body = self.body(reading, snapshot).instrument(computing.span()).await;
        let queries = snapshot.queries() - queries_before;
        computing.ended(queries, snapshot.rows() - rows_before, body.is_ok());
        timed.ended(queries, body.as_ref().map(drop));
        Ok(Value::Read(body?.into(), Provenance { moment, queries }))
    }

    async fn body(
        &self,
        reading: &BoundReading,
        snapshot: &mut Snapshot,
    ) -> Result<Vec<u8>, SourceError> {
        let entry = &reading.served.entry;
        let Made::Rows(selection) = &entry.made else {
            return Err(SourceError::Query {
                reason: "the widget has no query of its own".to_owned(),
            });
        };
        let limits = Limits { rows: entry.row_limit, bytes: self.value_limit };
        let bindings = reading.bindings();
        let mut body = selection.append(snapshot, &bindings, limits, reading.head()).await?;
        body.push(b'}');
        Ok(body)
    }
}

impl BoundReading {
    /// What stands before the data: `{"widget","tenant","params","data":`, encoded once.
    pub(crate) fn head(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Head<'a> {
            widget: &'a str,
            tenant: &'a str,
            params: &'a BTreeMap<String, String>,
        }
        let head = Head { widget: self.widget(), tenant: self.tenant(), params: self.params() };
        let mut body = serde_json::to_vec(&head).expect("texts always encode");
        body.pop();
        body.extend(b",\"data\":");
        body
    }
}
