//! How a running job reaches its store: as it is, or through the parent of its process.

use std::sync::Arc;

use super::{
    child::Parent,
    remote::{Remotes, Went},
    wire::{Answer, Question},
};
use crate::{Claimed, Held, Hold, Progress, RemoteName, Store, StoreError};

#[derive(Debug, Clone)]
pub(super) enum Reach {
    Store(Arc<Store>, Arc<Remotes>),
    Parent(Parent),
}

impl Reach {
    pub(super) async fn progress(
        &self,
        hold: Hold,
        progress: Progress,
    ) -> Result<Held, StoreError> {
        match self {
            Reach::Store(store, _) => store.progress(hold, progress).await,
            Reach::Parent(parent) => held(parent.ask(Question::Progress(progress)).await),
        }
    }

    pub(super) async fn checkpoint(&self, hold: Hold, value: Vec<u8>) -> Result<Held, StoreError> {
        match self {
            Reach::Store(store, _) => store.checkpoint(hold, value).await,
            Reach::Parent(parent) => held(parent.ask(Question::Checkpoint(value)).await),
        }
    }

    pub(super) async fn once(
        &self,
        hold: Hold,
        key: String,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            Reach::Store(store, _) => store.once(hold.id, key).await,
            Reach::Parent(parent) => match parent.ask(Question::Once(key)).await? {
                Answer::Recorded(value) => Ok(value),
                _ => Err(out_of_turn()),
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
            Reach::Store(store, _) => store.record_once(hold, key, value).await,
            Reach::Parent(parent) => held(parent.ask(Question::RecordOnce(key, value)).await),
        }
    }

    /// Before a call of this remote: whether its breaker is open.
    pub(super) async fn call(
        &self,
        job: &Claimed,
        remote: &RemoteName,
    ) -> Result<bool, StoreError> {
        match self {
            Reach::Store(_, remotes) => Ok(remotes.call(job, remote)),
            Reach::Parent(parent) => match parent.ask(Question::Call(remote.clone())).await? {
                Answer::IsOpen(is_open) => Ok(is_open),
                _ => Err(out_of_turn()),
            },
        }
    }

    /// After the call.
    pub(super) async fn called(
        &self,
        job: &Claimed,
        remote: &RemoteName,
        went: Went,
    ) -> Result<Held, StoreError> {
        match self {
            Reach::Store(_, remotes) => {
                remotes.called(job, remote, went).await;
                Ok(Held::Yes)
            }
            Reach::Parent(parent) => held(parent.ask(Question::Called(remote.clone(), went)).await),
        }
    }
}

fn held(answer: Result<Answer, StoreError>) -> Result<Held, StoreError> {
    match answer? {
        Answer::Held(held) => Ok(held),
        _ => Err(out_of_turn()),
    }
}

fn out_of_turn() -> StoreError {
    StoreError::Unavailable("the parent process answered something else".to_owned())
}
