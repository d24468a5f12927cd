//! What is read how much, and at which hour of the day: for what is warmed first, and what is warmed
//! before it is usually read.
//!
//! Each process counts, and adds what it counted every few minutes to what is kept in the shared tier,
//! under the lease of that entry, so that processes add to each other. Older days count less and less.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, RwLock, Weak},
    time::Duration,
};

use samovar_cache::{
    Cache, Definition, DefinitionError, Freshness, RefreshAhead, Tenant, Turn, Value, Widget,
};
use samovar_clock::Instant;
use serde::{Deserialize, Serialize};

use crate::{
    engine::{Engine, Inner},
    hot::Name,
};

/// Readings that this process counts at a time. Others are not remembered.
const MOST_COUNTED: usize = 1 << 14;
/// Readings that are kept, those that are read the most.
const MOST_KEPT: usize = 10_000;
/// Tenants whose reads are kept.
const TENANTS_KEPT: usize = 20_000;
/// Between two additions.
const ADD_EVERY: Duration = Duration::from_secs(600);
/// What is kept is looked at again after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(300);
/// What a read of yesterday counts beside one of today.
const A_DAY_LATER: f32 = 0.7;
/// What is read less at an hour is not warmed for it.
const USUAL: f64 = 2.0;
/// Readings that are warmed for an hour, at most.
const MOST_AN_HOUR: usize = 2000;
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
const HOUR_MS: i64 = 3_600_000;

/// The name under which it is kept.
const WIDGET: &str = "samovar.usual";

#[derive(Debug)]
pub(crate) struct Usual {
    widget: Widget,
    everybody: Tenant,
    counted: [Mutex<HashMap<u64, (Name, u32)>>; 16],
    known: RwLock<(Option<Instant>, Arc<Reads>)>,
}

/// How much is read: what is kept, and what this process has counted since.
#[derive(Debug)]
pub(crate) struct Popular {
    kept: Arc<Reads>,
    counted: Reads,
}

#[derive(Debug, Default)]
struct Reads {
    readings: HashMap<u64, u32>,
    tenants: HashMap<String, u32>,
}

impl Popular {
    pub(crate) fn of(&self, name: &Name) -> u32 {
        let hash = name.hash();
        let of = |reads: &Reads| reads.readings.get(&hash).copied().unwrap_or(0);
        of(&self.kept).saturating_add(of(&self.counted))
    }

    pub(crate) fn of_tenant(&self, id: &str) -> u32 {
        let of = |reads: &Reads| reads.tenants.get(id).copied().unwrap_or(0);
        of(&self.kept).saturating_add(of(&self.counted))
    }
}

/// A reading, and how much it is read at an hour; what was read on earlier days counts less.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UsualReading {
    pub widget: String,
    pub tenant: String,
    /// What readers give for its parameters; the range by its name.
    pub given: Vec<(String, String)>,
    pub reads: f64,
}

/// A widget and what is given for its parameters.
pub(super) type Given = (String, Vec<(String, String)>);

impl Engine {
    /// What is usually read at an hour of the day, in UTC, by what is kept of all processes.
    pub async fn usual(&self, hour: u8) -> Vec<UsualReading> {
        self.0.usual.at(&self.0, hour.into()).await
    }
}

/// As it is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Book {
    /// Days since the epoch: what counts less has been made less until then.
    day: i64,
    readings: Vec<Page>,
    tenants: BTreeMap<String, f32>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Page {
    widget: String,
    tenant: String,
    given: Vec<(String, String)>,
    /// By the hour of the day, in UTC.
    hours: [f32; 24],
}

impl Page {
    fn name(&self) -> Name {
        let (widget, tenant) = (self.widget.clone(), self.tenant.clone());
        Name::Widget { widget, tenant, given: self.given.clone() }
    }

    fn all(&self) -> f32 {
        self.hours.iter().sum()
    }
}

impl Usual {
    pub(crate) fn declare(cache: &Cache) -> Result<Self, DefinitionError> {
        let mut freshness = Freshness::new("usual", KEPT);
        freshness.jitter = 0.0;
        freshness.refresh = RefreshAhead::Never;
        let widget = cache.declare(Definition::new(WIDGET).freshness(freshness))?;
        let everybody = Tenant::new("everybody").expect("a name");
        let (counted, known) = Default::default();
        Ok(Self { widget, everybody, counted, known })
    }

    /// Counts a read.
    pub(crate) fn note(&self, hash: u64, name: &Name) {
        let part = (hash >> 32) as usize % self.counted.len();
        let mut counted = self.counted[part].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, reads)) = counted.get_mut(&hash) {
            *reads = reads.saturating_add(1);
        } else if counted.len() < MOST_COUNTED / self.counted.len() {
            counted.insert(hash, (name.clone(), 1));
        }
    }

    fn take_counted(&self) -> Vec<(Name, u32)> {
        let take = |part: &Mutex<HashMap<_, _>>| {
            std::mem::take(&mut *part.lock().unwrap_or_else(PoisonError::into_inner))
        };
        self.counted.iter().flat_map(|part| take(part).into_values()).collect()
    }

    /// As it was a few minutes ago at most, with what this process has counted since.
    pub(crate) async fn popular(&self, inner: &Inner) -> Popular {
        let now = inner.clock.now();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        let is_recent = known.0.is_some_and(|at| now.since(at) < LOOK_AGAIN);
        if !is_recent && let Some(book) = self.look(inner).await {
            self.learn(&book, now);
        }
        let kept = self.known.read().unwrap_or_else(PoisonError::into_inner).1.clone();
        let mut counted = Reads::default();
        for part in &self.counted {
            for (hash, (name, reads)) in part.lock().unwrap_or_else(PoisonError::into_inner).iter()
            {
                counted.readings.insert(*hash, *reads);
                if let Name::Widget { tenant, .. } = name {
                    *counted.tenants.entry(tenant.clone()).or_default() += reads;
                }
            }
        }
        Popular { kept, counted }
    }

    fn learn(&self, book: &Book, now: Instant) {
        let readings = book.readings.iter().map(|it| (it.name().hash(), it.all() as u32));
        let tenants = book.tenants.iter().map(|(id, reads)| (id.clone(), *reads as u32));
        let reads = Reads { readings: readings.collect(), tenants: tenants.collect() };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = (Some(now), Arc::new(reads));
    }

    async fn look(&self, inner: &Inner) -> Option<Book> {
        let reading = self.widget.reading(&self.everybody);
        let found = inner.cache.get_many(&[reading]).await.ok()?.pop()?;
        Some(found.map_or_else(Book::default, |answer| Book::read(&answer)))
    }

    /// What is read at an hour, that which is read the most first.
    async fn at(&self, inner: &Inner, hour: usize) -> Vec<UsualReading> {
        let book = self.look(inner).await.unwrap_or_default();
        let usual = book.readings.into_iter().filter_map(|page| {
            let reads = f64::from(page.hours[hour % 24]);
            let Page { widget, tenant, given, .. } = page;
            (reads > 0.0).then_some(UsualReading { widget, tenant, given, reads })
        });
        let mut usual: Vec<_> = usual.collect();
        usual.sort_by(|a, b| b.reads.total_cmp(&a.reads));
        usual.truncate(MOST_AN_HOUR);
        usual
    }

    /// What was read lately, by whichever process.
    pub(crate) async fn names(&self, inner: &Inner) -> Vec<Name> {
        let book = self.look(inner).await.unwrap_or_default();
        let mut names: Vec<Name> = book.readings.iter().map(Page::name).collect();
        for part in &self.counted {
            let counted = part.lock().unwrap_or_else(PoisonError::into_inner);
            names.extend(counted.values().map(|(name, _)| name.clone()));
        }
        names
    }

    /// By tenant, the one that reads the most first: a widget and what is given for its parameters.
    pub(super) async fn next_hour(&self, inner: &Inner) -> Vec<(String, Vec<Given>)> {
        let hour = (inner.clock.wall().as_millis() / HOUR_MS + 1) % 24;
        let mut by_tenant: Vec<(String, Vec<_>)> = Vec::new();
        let usual = self.at(inner, hour as usize).await;
        for UsualReading { widget, tenant, given, .. } in
            usual.into_iter().filter(|it| it.reads >= USUAL)
        {
            match by_tenant.iter_mut().find(|(id, _)| *id == tenant) {
                Some((_, readings)) => readings.push((widget, given)),
                None => by_tenant.push((tenant, vec![(widget, given)])),
            }
        }
        by_tenant
    }

    /// Adds what was counted to what is kept. What cannot be added is counted on.
    pub(crate) async fn add(&self, inner: &Inner) {
        let counted = self.take_counted();
        if counted.is_empty() {
            return;
        }
        if let Err(reason) = self.add_to_book(inner, &counted).await {
            tracing::debug!(reason, "what is read usually cannot be kept yet");
            for (name, reads) in counted {
                let hash = name.hash();
                let part = (hash >> 32) as usize % self.counted.len();
                let mut part = self.counted[part].lock().unwrap_or_else(PoisonError::into_inner);
                part.entry(hash).or_insert((name, 0)).1 += reads;
            }
        }
    }

    async fn add_to_book(&self, inner: &Inner, counted: &[(Name, u32)]) -> Result<(), String> {
        let reading = self.widget.reading(&self.everybody);
        let found = inner.cache.get_many(std::slice::from_ref(&reading)).await;
        let found = found.map_err(|error| error.to_string())?.pop().flatten();
        let turn = inner.cache.begin_newer(&reading, found.as_ref()).await;
        let ticket = match turn.map_err(|error| error.to_string())? {
            Turn::Compute(ticket) if ticket.is_leased() => ticket,
            Turn::Compute(_) => return Err("the store is away".to_owned()),
            Turn::Answer(_) | Turn::Elsewhere => return Err("somebody else adds".to_owned()),
        };
        let mut book = found.map_or_else(Book::default, |answer| Book::read(&answer));
        // What was counted up to now belongs to the time before.
        let half = (ADD_EVERY / 2).as_millis() as i64;
        book.add(counted, inner.clock.wall().as_millis() - half);
        let bytes = serde_json::to_vec(&book).map_err(|error| error.to_string())?;
        let kept = ticket.commit(Value::from(bytes)).await.map_err(|error| error.to_string())?;
        self.learn(&book, inner.clock.now());
        if kept.is_stored() { Ok(()) } else { Err("the lease was lost".to_owned()) }
    }
}

impl Book {
    /// One that cannot be read is begun anew: it is worth less than an error.
    fn read(answer: &samovar_cache::Answer) -> Self {
        let bytes = answer.bytes().ok();
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    fn add(&mut self, counted: &[(Name, u32)], now_ms: i64) {
        let (day, hour) = (now_ms / (24 * HOUR_MS), (now_ms / HOUR_MS % 24) as usize);
        let later = A_DAY_LATER.powi((day - self.day).clamp(0, 100) as i32);
        self.day = self.day.max(day);
        for page in &mut self.readings {
            page.hours.iter_mut().for_each(|reads| *reads *= later);
        }
        self.tenants.values_mut().for_each(|reads| *reads *= later);
        let places = self.readings.iter().enumerate();
        let mut places: HashMap<u64, usize> =
            places.map(|(index, page)| (page.name().hash(), index)).collect();
        for (name, reads) in counted {
            let Name::Widget { widget, tenant, given } = name else { continue };
            let index = *places.entry(name.hash()).or_insert_with(|| {
                let (widget, tenant, given) = (widget.clone(), tenant.clone(), given.clone());
                self.readings.push(Page { widget, tenant, given, hours: [0.0; 24] });
                self.readings.len() - 1
            });
            self.readings[index].hours[hour] += *reads as f32;
            *self.tenants.entry(tenant.clone()).or_default() += *reads as f32;
        }
        self.readings.sort_by(|a, b| b.all().total_cmp(&a.all()));
        self.readings.truncate(MOST_KEPT);
        if self.tenants.len() > TENANTS_KEPT {
            let mut least: Vec<_> = self.tenants.iter().map(|(id, it)| (*it, id.clone())).collect();
            least.sort_by(|a, b| a.0.total_cmp(&b.0));
            for (_, id) in &least[..self.tenants.len() - TENANTS_KEPT] {
                self.tenants.remove(id);
            }
        }
    }
}

/// Adds what was counted, for as long as there is an engine.
pub(crate) fn keep_adding(inner: &Arc<Inner>) {
    let (weak, clock): (Weak<Inner>, _) = (Arc::downgrade(inner), inner.clock.clone());
    tokio::spawn(async move {
        loop {
            // At the end of each hour, and in between.
            let every = ADD_EVERY.as_millis() as u64;
            let passed = clock.wall().as_millis().unsigned_abs() % every;
            clock.sleep(Duration::from_millis(every - passed)).await;
            let Some(inner) = weak.upgrade() else { return };
            inner.usual.add(&inner).await;
        }
    });
}
