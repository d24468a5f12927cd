//! Whose readings are served: a list, or what a query of a source says.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::tz::TimeZone;
use samovar_cache::{
    Answer, Cache, Definition, DefinitionError, Freshness, RefreshAhead, Tenant, Widget,
};
use samovar_clock::Instant;
use samovar_widgets::{Limits, Selection, Source};
use serde::Deserialize;

use crate::engine::Inner;

/// A tenant whose readings are served.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    pub(crate) tenant: Tenant,
    pub(crate) zone: TimeZone,
    pub name: String,
}

/// By id.
pub type Members = BTreeMap<String, Arc<Member>>;

/// Why nothing is read for a tenant.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NoTenant {
    #[error("there is no tenant `{id}`")]
    Unknown { id: String },
    #[error("the tenants cannot be read: {reason}")]
    Unread { reason: String },
}

/// Where tenants come from.
#[derive(Clone, Debug)]
pub(crate) enum TenantsFrom {
    List(Members),
    Query { source: Source, selection: Selection, refresh: Duration },
}

#[derive(Debug)]
pub(crate) struct Tenants {
    known: RwLock<Arc<Members>>,
    /// Another one after each change of what is known.
    generation: AtomicU64,
    query: Option<Asked>,
}

/// What is read through the cache like any other reading, so that it outlives its source.
#[derive(Debug)]
struct Asked {
    widget: Widget,
    /// To whom the list belongs in the cache: nobody that it lists is served this widget.
    everybody: Tenant,
    source: Source,
    selection: Selection,
    refresh: Duration,
    last: tokio::sync::Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    /// `None` before the first answer.
    asked_at: Option<Instant>,
    error: Option<String>,
}

/// How long a list is served that cannot be read again.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// An id that nobody knows asks for a new list at most this often.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// A list of more is refused by its source's limits.
const MOST_TENANTS: usize = 1_000_000;

impl Tenants {
    pub(crate) fn open(from: TenantsFrom, cache: &Cache) -> Result<Self, DefinitionError> {
        Ok(match from {
            TenantsFrom::List(members) => Self {
                known: RwLock::new(Arc::new(members)),
                generation: AtomicU64::default(),
                query: None,
            },
            TenantsFrom::Query { source, selection, refresh } => {
                let mut freshness = Freshness::new("tenants", refresh);
                freshness.grace = KEPT;
                freshness.jitter = 0.0;
                freshness.refresh = RefreshAhead::Never;
                let version = crate::catalogue::version_of(&source, &selection, "tenants");
                let definition = Definition::new(WIDGET).version(&version).freshness(freshness);
                let widget = cache.declare(definition)?;
                let everybody = Tenant::new("everybody").expect("a name");
                let last = tokio::sync::Mutex::default();
                let query = Asked { widget, everybody, source, selection, refresh, last };
                let (known, generation) = Default::default();
                Self { known, generation, query: Some(query) }
            }
        })
    }

    pub(crate) fn known(&self) -> Arc<Members> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, members: Members) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if **known != members {
            *known = Arc::new(members);
            // Under the lock: nobody sees the new ones with the old generation.
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}

/// The name under which the list is kept.
const WIDGET: &str = "samovar.tenants";

impl Inner {
    pub(crate) async fn member(self: &Arc<Self>, id: &str) -> Result<Arc<Member>, NoTenant> {
        if let Some(member) = self.tenants.known().get(id) {
            return Ok(member.clone());
        }
        if self.tenants.query.is_some() {
            // Somebody new, perhaps.
            self.ask_for_tenants(ASK_AGAIN).await?;
        }
        let known = self.tenants.known();
        known.get(id).cloned().ok_or_else(|| NoTenant::Unknown { id: id.to_owned() })
    }

    /// All that there are. A list that cannot be read again is the last one that could.
    pub(crate) async fn members(self: &Arc<Self>) -> Result<Arc<Members>, NoTenant> {
        if let Some(asked) = &self.tenants.query {
            self.ask_for_tenants(asked.refresh).await?;
        }
        Ok(self.tenants.known())
    }

    /// Asks unless that was done within `not_within`. One at a time: who waited takes what came.
    async fn ask_for_tenants(self: &Arc<Self>, not_within: Duration) -> Result<(), NoTenant> {
        let Some(asked) = &self.tenants.query else { return Ok(()) };
        let mut last = asked.last.lock().await;
        let now = self.clock.now();
        if last.asked_at.is_none_or(|at| now.since(at) >= not_within) {
            let first = last.asked_at.is_none();
            last.error = self.read_tenants(asked, first).await.err();
            last.asked_at = Some(self.clock.now());
            if let Some(reason) = &last.error {
                tracing::warn!(reason, "the tenants cannot be read");
            }
        }
        match &last.error {
            Some(reason) if self.tenants.known().is_empty() => {
                Err(NoTenant::Unread { reason: reason.clone() })
            }
            _ => Ok(()),
        }
    }

    /// At first any list will do; later it has to be a new one.
    async fn read_tenants(self: &Arc<Self>, asked: &Asked, first: bool) -> Result<(), String> {
        let reading = asked.widget.reading(&asked.everybody);
        let compute = || {
            let (source, selection) = (asked.source.clone(), asked.selection.clone());
            let bytes = self.value_limit;
            move || async move {
                let mut snapshot = source.snapshot().await?;
                let limits = Limits { rows: MOST_TENANTS, bytes };
                selection.append(&mut snapshot, &[], limits, Vec::new()).await
            }
        };
        if first {
            let kept = self.cache.get_or_compute(&reading, compute()).await;
            return self.take_tenants(&kept.map_err(|error| error.to_string())?);
        }
        match self.cache.recompute(&reading, compute()).await {
            Ok(answer) => self.take_tenants(&answer),
            Err(error) => Err(error.to_string()),
        }
    }

    fn take_tenants(&self, answer: &Answer) -> Result<(), String> {
        let bytes = answer.bytes().map_err(|error| error.to_string())?;
        let list: List = serde_json::from_slice(&bytes).map_err(|error| {
            format!("the query has to give id, and may give name and time_zone: {error}")
        })?;
        let members = list.rows.into_iter().filter_map(|row| {
            let read = row.read();
            if let Err(reason) = &read {
                tracing::warn!(reason, "a tenant is left out");
            }
            read.ok()
        });
        self.tenants
            .replace(members.map(|it| (it.tenant.as_str().to_owned(), Arc::new(it))).collect());
        Ok(())
    }
}

/// Keeps the list as fresh as it should be, for as long as there is an engine.
pub(crate) fn keep_asking(inner: &Arc<Inner>) {
    let Some(refresh) = inner.tenants.query.as_ref().map(|asked| asked.refresh) else { return };
    let (weak, clock): (Weak<Inner>, _) = (Arc::downgrade(inner), inner.clock.clone());
    tokio::spawn(async move {
        loop {
            clock.sleep(refresh).await;
            let Some(inner) = weak.upgrade() else { return };
            // What went wrong is logged and remembered.
            let _ = inner.ask_for_tenants(refresh / 2).await;
        }
    });
}

#[derive(Deserialize)]
struct List {
    rows: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    id: serde_json::Value,
    name: Option<String>,
    time_zone: Option<String>,
}

impl Listed {
    fn read(self) -> Result<Member, String> {
        let id = match self.id {
            serde_json::Value::String(id) => id,
            serde_json::Value::Number(id) => id.to_string(),
            other => return Err(format!("{other} is no id")),
        };
        let tenant = Tenant::new(&id).map_err(|error| format!("{id:?}: {error}"))?;
        let zone = match &self.time_zone {
            None => TimeZone::UTC,
            Some(zone) => {
                TimeZone::get(zone).map_err(|_| format!("{id:?}: `{zone}` is no time zone"))?
            }
        };
        Ok(Member { tenant, zone, name: self.name.unwrap_or(id) })
    }
}
