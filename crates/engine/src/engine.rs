//! A catalogue, served out of a cache.

use std::{collections::BTreeMap, sync::Arc};

use samovar_cache::{Cache, DefinitionError, Settings, Widget};
use samovar_clock::Clock;
use samovar_widgets::{ParamDefinition, Values};
use serde::Serialize;

use crate::{
    Catalogue, Member,
    catalogue::Entry,
    classes::Classes,
    statistics::{Statistics, statistics},
};

/// Reads, invalidates and observes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) cache: Cache,
    pub(crate) tenants: BTreeMap<String, Member>,
    pub(crate) widgets: BTreeMap<String, Arc<Served>>,
    pub(crate) classes: Classes,
    /// Bytes of one value, so that a compute ends before it has made more.
    pub(crate) value_limit: u64,
    pub(crate) clock: Clock,
}

#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) entry: Entry,
    pub(crate) widget: Widget,
}

/// A widget as a list of widgets shows it.
#[derive(Clone, Debug, Serialize)]
pub struct WidgetShown {
    pub name: String,
    /// For people.
    pub title: String,
    pub freshness: String,
    /// Parameters and their defaults; null where the reader has to give the value.
    pub params: BTreeMap<String, Option<String>>,
    /// Of the parameters that take no others.
    pub values: BTreeMap<String, Vec<String>>,
    /// The first is the default; a reader may name others. None: it is not cut by time.
    pub ranges: Vec<String>,
}

impl Engine {
    /// Declares the widgets to the cache, which was opened with `settings`.
    ///
    /// # Errors
    /// When the cache refuses a widget.
    pub fn start(
        cache: Cache,
        settings: &Settings,
        catalogue: Catalogue,
    ) -> Result<Self, StartError> {
        let mut widgets = BTreeMap::new();
        for entry in catalogue.widgets {
            let refused = |error| StartError { widget: entry.name.clone(), error };
            let widget = cache.declare(entry.definition.clone()).map_err(refused)?;
            widgets.insert(entry.name.clone(), Arc::new(Served { entry, widget }));
        }
        let Catalogue { tenants, classes, clock, .. } = catalogue;
        let value_limit = settings.value_limit;
        Ok(Self(Arc::new(Inner { cache, tenants, widgets, classes, value_limit, clock })))
    }

    /// By name.
    pub fn widgets(&self) -> Vec<WidgetShown> {
        let shown = |served: &Arc<Served>| {
            let entry = &served.entry;
            let params = entry.params.iter();
            let values = |it: &ParamDefinition| match &it.values {
                Some(Values::List(values)) => Some((it.name.value.clone(), values.clone())),
                _ => None,
            };
            WidgetShown {
                name: entry.name.clone(),
                title: entry.title.clone(),
                freshness: entry.class.clone(),
                params: params.map(|it| (it.name.value.clone(), it.default.clone())).collect(),
                values: entry.params.iter().filter_map(values).collect(),
                ranges: entry.ranges.iter().map(ToString::to_string).collect(),
            }
        };
        self.0.widgets.values().map(shown).collect()
    }

    /// Ids and members, by id.
    pub fn tenants(&self) -> &BTreeMap<String, Member> {
        &self.0.tenants
    }

    /// Whether the store can be reached.
    pub async fn is_ready(&self) -> bool {
        self.0.cache.store_state().await.connected
    }

    pub async fn statistics(&self) -> Statistics {
        statistics(&self.0.cache).await
    }
}

/// A widget that the cache does not take.
#[derive(Debug, thiserror::Error)]
#[error("widget `{widget}`: {error}")]
pub struct StartError {
    widget: String,
    error: DefinitionError,
}
