//! How a running job reaches its store: as it is, or through the parent of its process.

use std::sync::Arc;

use super::{
    child::Parent,
    wire::{Answer, Question},
};
use crate::{Held, Hold, Progress, Store, StoreError};

#[derive(Debug, Clone)]
pub(super) enum Reach {
    Store(Arc<Store>),
    Parent(Parent),
}

impl Reach {
    pub(super) async fn progress(
        &self,
        hold: Hold,
        progress: Progress,
    ) -> Result<Held, StoreError> {
        match self {
            Reach::Store(store) => store.progress(hold, progress).await,
            Reach::Parent(parent) => held(parent.ask(Question::Progress(progress)).await),
        }
    }

    pub(super) async fn checkpoint(&self, hold: Hold, value: Vec<u8>) -> Result<Held, StoreError> {
        match self {
            Reach::Store(store) => store.checkpoint(hold, value).await,
            Reach::Parent(parent) => held(parent.ask(Question::Checkpoint(value)).await),
        }
    }

    pub(super) async fn once(
        &self,
        hold: Hold,
        key: String,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            Reach::Store(store) => store.once(hold.id, key).await,
            Reach::Parent(parent) => match parent.ask(Question::Once(key)).await? {
                Answer::Recorded(value) => Ok(value),
                Answer::Held(_) => Err(out_of_turn()),
            },
        }
    }

    pub(super) async fn record_once(
        &self,
        hold: Hold,
        key: String,
        value: Vec<u8>,
    ) -> Result<Held, StoreError> {
        match self {
            Reach::Store(store) => store.record_once(hold, key, value).await,
            Reach::Parent(parent) => held(parent.ask(Question::RecordOnce(key, value)).await),
        }
    }
}

fn held(answer: Result<Answer, StoreError>) -> Result<Held, StoreError> {
    match answer? {
        Answer::Held(held) => Ok(held),
        Answer::Recorded(_) => Err(out_of_turn()),
    }
}

fn out_of_turn() -> StoreError {
    StoreError::Unavailable("the parent process answered something else".to_owned())
}
