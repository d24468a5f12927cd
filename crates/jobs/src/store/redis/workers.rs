//! Workers, in a hash of their own: what they say counts for as long as they say it.

use std::time::Duration;

use samovar_store::redis::Call;

use super::{RedisStore, reply, scripts::WORKERS};
use crate::{
    limits,
    name::WorkerName,
    store::{Order, Presence, Refusal, StoreError, WorkerView},
};

impl RedisStore {
    pub(crate) async fn present(&self, presence: Presence) -> Result<Option<Order>, StoreError> {
        let said = serde_json::to_string(&presence)
            .map_err(|error| reply::damaged("what a worker says", error))?;
        let call = self.workers_call("present").arg(presence.worker.as_str());
        let call = call.arg(said).arg(limits::WORKERS).arg(format!("{:x}", presence.start));
        let mut answer = reply::list(self.execute(&call, true).await?)?;
        if answer.text()? == "full" {
            return Err(Refusal::TooManyWorkers { limit: limits::WORKERS }.into());
        }
        Ok(Order::parse(&answer.text()?))
    }

    pub(crate) async fn workers(&self) -> Result<Vec<WorkerView>, StoreError> {
        let call = self.workers_call("list");
        let mut answer = reply::list(self.execute(&call, true).await?)?;
        answer.text()?;
        let mut views = Vec::new();
        while let Some(_name) = answer.maybe()? {
            let silent = Duration::from_millis(answer.size()?);
            let order = Order::parse(&answer.text()?);
            let presence = serde_json::from_slice(&answer.bytes()?);
            // A release that says other things is not one that cannot be seen.
            match presence {
                Ok(presence) => views.push(WorkerView { presence, silent, order }),
                Err(error) => tracing::warn!(%error, "a worker says what cannot be read"),
            }
        }
        views.sort_by(|a, b| a.presence.worker.cmp(&b.presence.worker));
        Ok(views)
    }

    pub(crate) async fn order(&self, worker: WorkerName, order: Order) -> Result<bool, StoreError> {
        let call = self.workers_call("order").arg(worker.as_str()).arg(order.name());
        self.whether(&call).await
    }

    pub(crate) async fn leave(&self, worker: WorkerName) -> Result<bool, StoreError> {
        let call = self.workers_call("leave").arg(worker.as_str());
        self.whether(&call).await
    }

    fn workers_call(&self, verb: &str) -> Call<'static> {
        let forgotten_ms = limits::WORKER_FORGOTTEN.as_millis();
        let forgotten_ms = u64::try_from(forgotten_ms).unwrap_or(u64::MAX);
        WORKERS.call(&[self.names.workers()]).arg(forgotten_ms).arg(verb)
    }

    async fn whether(&self, call: &Call<'_>) -> Result<bool, StoreError> {
        let mut answer = reply::list(self.execute(call, true).await?)?;
        answer.text()?;
        Ok(answer.integer()? == 1)
    }
}
