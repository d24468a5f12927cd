//! A reading is bound, and read through the cache.

use std::sync::Arc;

use jiff::Timestamp;
use samovar_cache::{Answer, ReadError};
use samovar_widgets::nearest;

use crate::{
    engine::{Engine, Inner, Served},
    reading::{BoundReading, InvalidReading},
    tenants::NoTenant,
};

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReadFailure {
    #[error("there is no widget `{name}`")]
    UnknownWidget { name: String, nearest: Option<String> },
    #[error("there is no board `{name}`")]
    UnknownBoard { name: String, nearest: Option<String> },
    #[error(transparent)]
    Tenant(#[from] NoTenant),
    #[error(transparent)]
    Invalid(#[from] InvalidReading),
    /// What asked takes the way it took before.
    #[error("the widget is not served")]
    Off,
    #[error("the widget is computed and compared, and not served yet")]
    Shadow,
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Engine {
    /// The answer of a widget for a tenant. Parameters that are not given take their defaults.
    pub async fn read(
        &self,
        widget: &str,
        tenant: &str,
        given: Vec<(String, String)>,
    ) -> Result<Answer, ReadFailure> {
        self.answer(&self.ask(widget, tenant, given).await?).await
    }

    /// When the data of an answer was read, by the clock of this machine.
    pub fn computed_at(&self, answer: &Answer) -> Timestamp {
        let age = i64::try_from(answer.age().as_millis()).unwrap_or(i64::MAX);
        let at = self.0.clock.wall().as_millis().saturating_sub(age);
        Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl Inner {
    pub(crate) fn served(&self, widget: &str) -> Result<&Arc<Served>, ReadFailure> {
        self.widgets.get(widget).ok_or_else(|| {
            let known = self.widgets.keys().map(String::as_str);
            let nearest = nearest(widget, known).map(str::to_owned);
            ReadFailure::UnknownWidget { name: widget.to_owned(), nearest }
        })
    }

    pub(crate) async fn bind(
        self: &Arc<Self>,
        widget: &str,
        tenant: &str,
        given: Vec<(String, String)>,
    ) -> Result<BoundReading, ReadFailure> {
        let served = self.served(widget)?.clone();
        let member = self.member(tenant).await?;
        Ok(BoundReading::bind(served, member, given, self.now())?)
    }

    pub(crate) async fn answer(
        self: &Arc<Self>,
        reading: &BoundReading,
    ) -> Result<Answer, ReadError> {
        let (pairs, tags) = (reading.pairs(), || reading.tags());
        let (inner, wanted) = (self.clone(), reading.clone());
        let compose = move |parts| inner.compose(wanted, parts);
        self.cache.get_or_compose(&reading.borrow(&pairs, &tags), compose).await
    }

    pub(crate) fn now(&self) -> Timestamp {
        let now = Timestamp::from_millisecond(self.clock.wall().as_millis());
        now.unwrap_or(Timestamp::UNIX_EPOCH)
    }
}
