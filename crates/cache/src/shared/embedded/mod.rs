//! The shared tier on embedded.

use std::{path::Path, sync::Arc, time::Duration};

use samovar_clock::{Clock, Random, Spawner};
use samovar_store::Trust;

use super::{
    BackOff, Begin, Begun, CleanedUp, Commit, Committed, Invalidate, LeaseState, Look, LookUp, Release,
    StoreError, StoreState,
};
use crate::{cache::OpenError, key::EntryKey, node::Node};

#[derive(Debug)]
pub(crate) struct EmbeddedTier;

impl EmbeddedTier {
    pub(crate) async fn open(_: &Path, _: u64, _: Clock, _: Random) -> Result<Self, OpenError> {
        unreachable!("not built yet")
    }
    pub(crate) fn start(
        _: &str,
        _: &Arc<Node>,
        _: Clock,
        _: Random,
        _: Spawner,
    ) -> Result<Self, OpenError> {
        unreachable!("not built yet")
    }
    pub(crate) async fn connected(&self) -> Result<(), OpenError> {
        unreachable!("not built yet")
    }
    pub(crate) fn trusts(&self, _: &EntryKey) -> Option<[Arc<Trust>; 2]> {
        unreachable!("not built yet")
    }
    pub(crate) async fn look(&self, _: &[LookUp]) -> Result<Vec<Look>, StoreError> {
        unreachable!("not built yet")
    }
    pub(crate) async fn begin(&self, _: Begin) -> Result<Begun, StoreError> {
        unreachable!("not built yet")
    }
    pub(crate) async fn renew(&self, _: &EntryKey, _: u64, _: Duration) -> Result<bool, StoreError> {
        unreachable!("not built yet")
    }
    pub(crate) async fn commit(&self, _: Commit) -> Result<Committed, StoreError> {
        unreachable!("not built yet")
    }
    pub(crate) async fn release(&self, _: Release) -> Result<(), StoreError> {
        unreachable!("not built yet")
    }
    pub(crate) async fn invalidate(&self, _: Invalidate) -> Result<(), StoreError> {
        unreachable!("not built yet")
    }
    pub(crate) async fn drop_entry(&self, _: &EntryKey) -> Result<(), StoreError> {
        unreachable!("not built yet")
    }
    pub(crate) async fn lease_state(
        &self,
        _: &EntryKey,
    ) -> Result<(Option<LeaseState>, Option<BackOff>), StoreError> {
        unreachable!("not built yet")
    }
    pub(crate) async fn clean_up(&self, _: bool, _: bool, _: bool) -> Result<CleanedUp, StoreError> {
        unreachable!("not built yet")
    }
    pub(crate) async fn state(&self) -> StoreState {
        unreachable!("not built yet")
    }
    pub(crate) async fn close(&self) {}
}
