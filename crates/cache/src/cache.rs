//! The cache: how it is opened, and the parts that every operation shares.

use std::{
    cell::RefCell,
    collections::HashMap,
    future::Future,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use samovar_clock::{Clock, Random, Spawner};
use samovar_store::embedded::{Folder, limits::OWNER_WAIT};
use tokio::sync::{Semaphore, oneshot};

use crate::{
    advice::{Advice, History, SAMPLE_EVERY, Sample, advise},
    answer::{Answer, State, Tier},
    keeper::Keeper,
    laws::Laws,
    limits,
    local::Usable,
    node::Node,
    shared::{EmbeddedTier, RedisTier, Shared, StoreState},
    stats::{Counters, Health, HealthTargets, Rows},
    widget::{Bound, Definition, DefinitionError, Reading, ReadingError, Widget},
};

/// A two-tier cache. Cheap to clone; all clones are one cache.
#[derive(Clone, Debug)]
pub struct Cache(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) node: Arc<Node>,
    pub(crate) shared: Shared,
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) spawner: Spawner,
    pub(crate) rows: Rows,
    history: History,
    pub(crate) laws: Laws,
    /// Computes that go straight to the source while the store is down.
    pub(crate) unstored: Semaphore,
    widgets: Mutex<HashMap<Arc<str>, Widget>>,
}

/// What can be set when a cache is opened. Everything has a default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of the local tier.
    pub memory: u64,
    /// Bytes of the embedded shared tier on disk.
    pub disk: u64,
    /// Values above this many bytes are compressed.
    pub compress_above: usize,
    /// Values above this many bytes are refused.
    pub value_limit: u64,
    /// How long a lease lasts without being renewed.
    pub lease: Duration,
    /// Versions the local tier listens to; beyond them the least used are dropped and their
    /// entries ask the shared tier.
    pub versions: usize,
    /// Computes at a time while the store is down.
    pub unstored_computes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            disk: 2 << 30,
            compress_above: 1 << 10,
            value_limit: 8 << 20,
            lease: Duration::from_secs(30),
            versions: 1 << 18,
            unstored_computes: 8,
        }
    }
}

/// Opens a [`Cache`].
#[derive(Clone, Debug, Default)]
pub struct Builder {
    settings: Settings,
    clock: Clock,
    random: Random,
    spawner: Option<Spawner>,
    keeper: Keeper,
    laws: Laws,
}

impl Builder {
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Bytes of the local tier.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.settings.memory = bytes;
        self
    }

    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    pub fn random(mut self, random: Random) -> Self {
        self.random = random;
        self
    }

    /// Where background work runs; the current Tokio runtime unless given.
    pub fn spawner(mut self, spawner: Spawner) -> Self {
        self.spawner = Some(spawner);
        self
    }

    /// Who allocates what the local tier keeps; whoever reads or computes, unless given.
    pub fn keeper(mut self, keeper: Keeper) -> Self {
        self.keeper = keeper;
        self
    }

    /// With the shared tier in a folder of this machine, owned by this process. An owner that is about
    /// to leave is waited for a little.
    pub async fn open(self, folder: &Path) -> Result<Cache, OpenError> {
        let folder = Folder::own_within(folder, OWNER_WAIT, &self.clock).await?;
        self.open_in(folder).await
    }

    /// With the shared tier in a folder that this process owns already, for other files beside it.
    pub async fn open_in(self, folder: Folder) -> Result<Cache, OpenError> {
        let (clock, random) = (self.clock.clone(), self.random.clone());
        let disk = self.settings.disk;
        let tier = EmbeddedTier::open(folder, disk, clock, random).await?;
        self.build(|_, _| Ok(Shared::Embedded(tier)))
    }

    /// With the shared tier on Redis: `redis://`, `rediss://`, `redis+sentinel://` or
    /// `redis+cluster://`. Returns once connected.
    pub async fn connect(self, url: &str) -> Result<Cache, OpenError> {
        let url = url.to_owned();
        let cache = self.build(|builder, node| {
            // Connections outlive whoever made them necessary.
            let (spawner, keeper) = (builder.runs_on(), builder.keeper.clone());
            let kept = move |task| keeper.keep(|| spawner.spawn(task));
            let spawner = Spawner::Manual(Arc::new(kept));
            let (clock, random) = (builder.clock.clone(), builder.random.clone());
            RedisTier::start(&url, node, clock, random, spawner).map(Shared::Redis)
        })?;
        match &cache.0.shared {
            Shared::Redis(tier) => tier.connected().await?,
            _ => unreachable!("just built"),
        }
        Ok(cache)
    }

    /// With a simulated shared tier.
    #[cfg(feature = "simulation")]
    pub fn simulate(
        self,
        laws: Laws,
        connect: impl FnOnce(crate::simulated::Listener) -> crate::simulated::Connection,
    ) -> Result<Cache, OpenError> {
        let builder = Self { laws, ..self };
        builder.build(|_, node| {
            let node = node.clone();
            Ok(Shared::Simulated(connect(Arc::new(move |payload: &[u8]| node.hear(payload)))))
        })
    }

    fn runs_on(&self) -> Spawner {
        self.spawner.clone().unwrap_or_else(Spawner::current)
    }

    fn build(
        self,
        shared: impl FnOnce(&Self, &Arc<Node>) -> Result<Shared, OpenError>,
    ) -> Result<Cache, OpenError> {
        let settings = &self.settings;
        if settings.memory < settings.value_limit {
            return Err(OpenError::TooSmall {
                memory: settings.memory,
                value_limit: settings.value_limit,
            });
        }
        if settings.lease < Duration::from_millis(100) {
            return Err(OpenError::LeaseTooShort { lease: settings.lease });
        }
        let node = Arc::new(Node::new(
            settings.memory,
            settings.value_limit,
            settings.versions.max(64),
            &self.random,
            self.keeper.clone(),
        ));
        let shared = shared(&self, &node)?;
        let spawner = self.runs_on();
        let inner = Arc::new(Inner {
            node,
            shared,
            unstored: Semaphore::new(settings.unstored_computes),
            settings: self.settings,
            clock: self.clock,
            random: self.random,
            spawner,
            rows: Rows::default(),
            history: History::default(),
            laws: self.laws,
            widgets: Mutex::default(),
        });
        keep_sweeping(&inner);
        keep_sampling(&inner);
        Ok(Cache(inner))
    }
}

/// Expired weight is given back within this time.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

fn keep_sweeping(inner: &Arc<Inner>) {
    let weak = Arc::downgrade(inner);
    let clock = inner.clock.clone();
    inner.spawner.spawn(async move {
        loop {
            clock.sleep(SWEEP_EVERY).await;
            let Some(inner) = weak.upgrade() else { return };
            inner.node.local.sweep(clock.now());
        }
    });
}

fn keep_sampling(inner: &Arc<Inner>) {
    let weak = Arc::downgrade(inner);
    let clock = inner.clock.clone();
    inner.spawner.spawn(async move {
        loop {
            clock.sleep(SAMPLE_EVERY).await;
            let Some(inner) = weak.upgrade() else { return };
            inner.history.sample(clock.wall(), inner.totals());
        }
    });
}

/// What the local tier found.
pub(crate) enum Found {
    /// To be served, and counted then; `refresh` asks for a refresh in the background.
    Answer { answer: Answer, refresh: bool },
    /// Not here, or only the shared tier can tell.
    Nothing,
}

impl Cache {
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Makes a widget known. A later declaration of the same name replaces it.
    pub fn declare(&self, definition: Definition) -> Result<Widget, DefinitionError> {
        let widget = definition.check()?;
        let mut widgets = self.0.widgets.lock().unwrap_or_else(PoisonError::into_inner);
        if widgets.len() >= limits::WIDGETS {
            // Whoever has declared them has let them go.
            widgets.retain(|_, known| Arc::strong_count(&known.0) > 1);
        }
        if widgets.len() >= limits::WIDGETS && !widgets.contains_key(&widget.0.name) {
            return Err(DefinitionError::TooMany);
        }
        widgets.insert(widget.0.name.clone(), widget.clone());
        Ok(widget)
    }

    /// Declared widgets, by name.
    pub fn widgets(&self) -> Vec<Widget> {
        let widgets = self.0.widgets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut widgets: Vec<_> = widgets.values().cloned().collect();
        widgets.sort_by(|a, b| a.name().cmp(b.name()));
        widgets
    }

    /// The reading's fresh value, if the local tier has it: no waiting and no allocation.
    #[inline]
    pub fn get(&self, reading: &Reading<'_>) -> Option<Answer> {
        match self.0.find(reading) {
            Ok(Found::Answer { answer, .. }) if answer.is_fresh() => Some(answer.counted()),
            _ => None,
        }
    }

    /// [`Cache::get`], and nothing where the value's refresh is due: whoever then asks in full begins
    /// it.
    #[inline]
    pub fn get_settled(&self, reading: &Reading<'_>) -> Option<Answer> {
        match self.0.find(reading) {
            Ok(Found::Answer { answer, refresh: false }) if answer.is_fresh() => {
                Some(answer.counted())
            }
            _ => None,
        }
    }

    /// What the local tier would answer, fresh or stale, and whether a refresh of it is due. Counts
    /// nothing, and begins nothing.
    pub fn peek(&self, reading: &Reading<'_>) -> Option<(Answer, bool)> {
        let mut key = String::new();
        reading.write_key(&self.0.clock, &mut key).ok()?;
        match self.0.find_key(&key) {
            Found::Answer { answer, refresh } => Some((answer, refresh)),
            Found::Nothing => None,
        }
    }

    /// Resolves when this process has heard of a change, or has taken a value into its local tier,
    /// since this resolved last. For one who listens: of several, one is told.
    pub async fn changed(&self) {
        self.0.node.news.notified().await;
    }

    /// Counters per widget and tenant of this process.
    pub fn counters(&self) -> Vec<(String, String, Counters)> {
        self.0.rows.snapshot()
    }

    /// The health of this process's reads, over all widgets; `None` before anything was read.
    pub fn health(&self, targets: HealthTargets) -> Option<Health> {
        let mut total = Counters::default();
        for counters in self.0.totals().values() {
            total.add(counters);
        }
        Health::of(&total, targets)
    }

    /// What could be better about a widget, judged by this process's counters.
    pub fn advice(&self, widget: &str) -> Vec<Advice> {
        self.0.totals().get(widget).map(advise).unwrap_or_default()
    }

    /// A widget's samples of the last day, one for every five minutes, oldest first.
    pub fn history(&self, widget: &str) -> Vec<Sample> {
        self.0.history.of(widget)
    }

    /// What the local tier holds.
    pub fn local_state(&self) -> LocalState {
        let node = &self.0.node;
        LocalState {
            entries: node.local.len(),
            bytes: node.local.bytes(),
            capacity_bytes: node.local.capacity(),
            versions: node.cells.len(),
            in_flight: node.flights.len(),
        }
    }

    pub async fn store_state(&self) -> StoreState {
        self.0.shared.state().await
    }

    /// Ends the shared tier in good order: an embedded store that was closed vouches for its
    /// entries when it is opened again.
    pub async fn close(&self) {
        self.0.shared.close().await;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalState {
    pub entries: usize,
    pub bytes: u64,
    pub capacity_bytes: u64,
    pub versions: usize,
    pub in_flight: usize,
}

thread_local! {
    /// Where keys are written for a look-up, so that a hit allocates nothing.
    static KEY: RefCell<String> = RefCell::new(String::with_capacity(limits::KEY_BYTES));
}

impl Inner {
    /// Counters per widget, over all tenants.
    fn totals(&self) -> HashMap<String, Counters> {
        let mut totals: HashMap<String, Counters> = HashMap::new();
        for (widget, _, counters) in self.rows.snapshot() {
            totals.entry(widget).or_default().add(&counters);
        }
        totals
    }

    #[inline]
    pub(crate) fn find(&self, reading: &Reading<'_>) -> Result<Found, ReadingError> {
        if reading.widget.0.strict {
            return Ok(Found::Nothing);
        }
        KEY.with_borrow_mut(|key| {
            key.clear();
            reading.write_key(&self.clock, key)?;
            Ok(self.find_key(key))
        })
    }

    #[inline]
    pub(crate) fn find_key(&self, key: &str) -> Found {
        let Some(entry) = self.node.local.get(key) else { return Found::Nothing };
        let now = self.clock.now();
        let (state, refresh) = match entry.judge(now, &self.node.cells, self.laws) {
            Usable::Fresh => (State::Fresh, false),
            Usable::Refresh => (State::Fresh, true),
            Usable::Stale => (State::Stale(crate::StaleBecause::Age), true),
            Usable::Spread => (State::Stale(crate::StaleBecause::Spread), false),
            Usable::Ask => return Found::Nothing,
        };
        let answer = Answer { entry, state, tier: Tier::Local, stored: true, read_at: now };
        Found::Answer { answer, refresh }
    }

    /// Whether this process would answer by itself; counts nothing.
    pub(crate) fn holds_locally(&self, key: &str) -> bool {
        let now = self.clock.now();
        self.node
            .local
            .get(key)
            .is_some_and(|entry| entry.judge(now, &self.node.cells, self.laws) != Usable::Ask)
    }

    /// Does all of `work`, also when the caller goes away. `None` where nothing is run any more.
    pub(crate) async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (done, result) = oneshot::channel();
        // Nobody to be told: what was made is dropped.
        self.spawner.spawn(async move { drop(done.send(work.await)) });
        result.await.ok()
    }

    pub(crate) fn bind(&self, reading: &Reading<'_>) -> Result<Arc<Bound>, ReadingError> {
        let bind = || reading.bind(&self.clock, &self.rows, &self.node.cells).map(Arc::new);
        self.node.local.keeper.keep(bind)
    }
}

/// Why a cache cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "the local tier has {memory} bytes, less than one value of {value_limit}: raise memory"
    )]
    TooSmall { memory: u64, value_limit: u64 },
    #[error("a lease of {lease:?} is too short to be renewed: 100 ms at least")]
    LeaseTooShort { lease: Duration },
    #[error(transparent)]
    Embedded(#[from] samovar_store::embedded::OpenError),
    #[error("{0}")]
    Redis(String),
}
