//! A catalogue, served out of a cache.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use samovar_cache::{Cache, DefinitionError, HealthTargets, Settings, Widget};
use samovar_clock::{Clock, Random};
use samovar_jobs::Store;
use samovar_widgets::{ScheduleDefinition, Values, WarmingDefinition};
use serde::Serialize;

use crate::{
    Catalogue, alerts,
    board::{Board, Turns},
    capture::CapturedSource,
    catalogue::Entry,
    classes::Classes,
    events::EventRule,
    hooks::Hooks,
    hot::{self, Hot},
    jobs::JobRules,
    memory::Memory,
    rolled::{Bundling, Partials},
    shadow::Shadow,
    slow::Slow,
    tenants::{self, Members, NoTenant, Tenants},
    values::Listings,
    verify::Verified,
    warm::usual::{self, Usual},
    watch::{self, Watched},
};

/// Reads, invalidates and observes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) cache: Cache,
    pub(crate) tenants: Tenants,
    pub(crate) widgets: BTreeMap<String, Arc<Served>>,
    /// By rollup.
    pub(crate) partials: BTreeMap<String, Partials>,
    pub(crate) bundling: Bundling,
    pub(crate) boards: BTreeMap<String, Board>,
    pub(crate) classes: Classes,
    pub(crate) listings: Listings,
    pub(crate) hot: Hot,
    pub(crate) usual: Usual,
    pub(crate) watched: Arc<Watched>,
    pub(crate) turns: Turns,
    pub(crate) verified: Verified,
    pub(crate) slow: Slow,
    pub(crate) health: HealthTargets,
    pub(crate) warming: WarmingDefinition,
    pub(crate) schedules: Vec<ScheduleDefinition>,
    pub(crate) events: BTreeMap<String, EventRule>,
    pub(crate) hooks: Hooks,
    pub(crate) captures: Vec<Arc<CapturedSource>>,
    pub(crate) alerts: alerts::Board,
    pub(crate) memory: Memory,
    /// Where warm-ups are pushed.
    pub(crate) jobs: Option<Arc<Store>>,
    /// What is said of kinds of jobs.
    pub(crate) rules: JobRules,
    /// Bytes of one value, so that a compute ends before it has made more.
    pub(crate) value_limit: u64,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) entry: Entry,
    pub(crate) widget: Widget,
    pub(crate) shadow: Shadow,
}

/// What is worth telling.
#[derive(Clone, Copy, Debug)]
pub struct Observe {
    /// A compute that takes longer is kept with its query.
    pub slow: Duration,
    /// What the health score is measured against.
    pub health: HealthTargets,
}

impl Default for Observe {
    fn default() -> Self {
        Self { slow: Duration::from_secs(1), health: HealthTargets::default() }
    }
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
    /// Declares the widgets to the cache, which was opened with `settings`, and begins to refresh
    /// what is read often. Without `jobs` it only reads: nothing is warmed.
    ///
    /// # Errors
    /// When the cache refuses a widget.
    pub fn start(
        cache: Cache,
        settings: &Settings,
        catalogue: Catalogue,
        observe: Observe,
        jobs: Option<Arc<Store>>,
    ) -> Result<Self, StartError> {
        let Catalogue { tenants, widgets, rollups, boards, classes, clock, .. } = catalogue;
        let (warming, schedules, events) =
            (catalogue.warming, catalogue.schedules, catalogue.events);
        let hooks = catalogue.hooks;
        let captures = catalogue.captures.into_iter().map(Arc::new).collect();
        let declare = |definition| cache.declare(definition).map_err(|error| StartError { error });
        let mut served = BTreeMap::new();
        for entry in widgets {
            let widget = declare(entry.definition.clone())?;
            let shadow = Shadow::default();
            served.insert(entry.name.clone(), Arc::new(Served { entry, widget, shadow }));
        }
        let mut partials = BTreeMap::new();
        for rolled in rollups {
            let declared =
                Partials::declare(&rolled, &cache).map_err(|error| StartError { error })?;
            partials.insert(rolled.name.clone(), declared);
        }
        let hot = Hot::new(served.values().map(|served: &Arc<Served>| {
            (served.entry.source_name.clone(), served.entry.connections)
        }));
        let tenants = Tenants::open(tenants, &cache).map_err(|error| StartError { error })?;
        let listings = Listings::declare(&served, &cache).map_err(|error| StartError { error })?;
        let usual = Usual::declare(&cache).map_err(|error| StartError { error })?;
        let boards = boards.into_iter().map(|board| (board.name.clone(), board)).collect();
        let inner = Arc::new(Inner {
            cache,
            tenants,
            widgets: served,
            partials,
            bundling: Bundling::default(),
            boards,
            classes,
            listings,
            hot,
            usual,
            watched: Arc::default(),
            turns: Turns::default(),
            verified: Verified::default(),
            slow: Slow::new(observe.slow),
            health: observe.health,
            warming,
            schedules,
            events,
            hooks,
            captures,
            alerts: alerts::Board::default(),
            memory: Memory::default(),
            jobs,
            rules: catalogue.jobs,
            value_limit: settings.value_limit,
            clock,
            random: Random::default(),
        });
        tenants::keep_asking(&inner);
        hot::keep_refreshing(&inner);
        usual::keep_adding(&inner);
        watch::keep_watching(&inner);
        Ok(Self(inner))
    }

    /// By name.
    pub fn widgets(&self) -> Vec<WidgetShown> {
        self.0.widgets.values().map(|served| served.entry.shown()).collect()
    }

    /// Ids and members, by id.
    ///
    /// # Errors
    /// When they cannot be read, and never could.
    pub async fn tenants(&self) -> Result<Arc<Members>, NoTenant> {
        self.0.members().await
    }

    /// Where warm-ups are pushed.
    pub fn jobs(&self) -> Option<&Arc<Store>> {
        self.0.jobs.as_ref()
    }

    /// By which it tells time.
    pub fn clock(&self) -> Clock {
        self.0.clock.clone()
    }

    /// A number that nobody can guess.
    pub fn random_seed(&self) -> u64 {
        self.0.random.next_u64()
    }

    /// Whether the store can be reached.
    pub async fn is_ready(&self) -> bool {
        self.0.cache.store_state().await.connected
    }
}

impl Entry {
    fn shown(&self) -> WidgetShown {
        let listed = self.params.iter().filter_map(|param| match &param.values {
            Some(Values::List(values)) => Some((param.name.value.clone(), values.clone())),
            _ => None,
        });
        let defaults = self.params.iter().map(|it| (it.name.value.clone(), it.default.clone()));
        WidgetShown {
            name: self.name.clone(),
            title: self.title.clone(),
            freshness: self.class.clone(),
            params: defaults.collect(),
            values: listed.collect(),
            ranges: self.ranges.iter().map(ToString::to_string).collect(),
        }
    }
}

/// What the cache does not take.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StartError {
    error: DefinitionError,
}
