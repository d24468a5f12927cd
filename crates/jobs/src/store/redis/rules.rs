use super::RedisStore;
use crate::{
    name::{QueueName, RemoteName, ScheduleName},
    store::{BreakerView, Fire, Fired, Mark, Period, Report, StoreError, Tallies},
};

fn not_yet() -> StoreError {
    StoreError::Unavailable("not on Redis".to_owned())
}

impl RedisStore {
    pub(crate) async fn fire(&self, _: Fire) -> Result<Fired, StoreError> {
        Err(not_yet())
    }

    pub(crate) async fn marks(&self, _: QueueName) -> Result<Vec<Mark>, StoreError> {
        Err(not_yet())
    }

    pub(crate) async fn forget_schedule(
        &self,
        _: QueueName,
        _: ScheduleName,
    ) -> Result<bool, StoreError> {
        Err(not_yet())
    }

    pub(crate) async fn report(
        &self,
        _: Report,
    ) -> Result<Option<std::time::Duration>, StoreError> {
        Err(not_yet())
    }

    pub(crate) async fn tallies(&self, _: Period) -> Result<Tallies, StoreError> {
        Err(not_yet())
    }

    pub(crate) async fn breakers(&self) -> Result<Vec<BreakerView>, StoreError> {
        Err(not_yet())
    }

    pub(crate) async fn close_breaker(
        &self,
        _: QueueName,
        _: RemoteName,
    ) -> Result<bool, StoreError> {
        Err(not_yet())
    }
}
