//! MySql.

use samovar_clock::Clock;

use super::{Prepared, SourceError};
use crate::{Bound, Query, Rows, SourceDefinition};

#[derive(Clone, Debug)]
pub(crate) enum MySql {}

#[derive(Debug)]
pub(crate) enum View {}

impl MySql {
    pub(crate) fn open(definition: &SourceDefinition, _: Clock) -> Result<Self, SourceError> {
        let place = definition.url.value.to_string();
        Err(SourceError::Unreachable { place, reason: "not yet".to_owned() })
    }

    pub(crate) async fn prepare(
        &self,
        _: &Query,
        _: &[(String, Bound)],
    ) -> Result<Prepared, SourceError> {
        match *self {}
    }

    pub(crate) async fn view(&self) -> Result<View, SourceError> {
        match *self {}
    }
}

impl View {
    pub(crate) async fn read<R: Rows>(
        &mut self,
        _: &Query,
        _: &[(String, Bound)],
        _: R,
    ) -> Result<R, SourceError> {
        match *self {}
    }
}
