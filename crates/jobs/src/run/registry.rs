//! Which kinds of jobs a worker knows, and what they may use.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
};

use super::{
    context::Context,
    kind::{Job, Size, Stop},
};
use crate::{InvalidName, InvalidRate, Kind, Rate, RemoteName, Rule, limits};

pub(super) type Doing<T> = Pin<Box<dyn Future<Output = Result<T, Stop>> + Send>>;

/// A job of whatever type, read from its payload.
pub(super) trait AnyJob: Send + Sync {
    fn run(self: Arc<Self>, cx: Context) -> Doing<()>;
    fn size(self: Arc<Self>, cx: Context) -> Doing<Option<Size>>;
    /// The payloads of the parts.
    fn split(self: Arc<Self>, cx: Context, parts: usize) -> Doing<Vec<Vec<u8>>>;
}

struct Of<J>(J);

impl<J: Job> AnyJob for Of<J> {
    fn run(self: Arc<Self>, cx: Context) -> Doing<()> {
        Box::pin(async move { self.0.run(&cx).await })
    }

    fn size(self: Arc<Self>, cx: Context) -> Doing<Option<Size>> {
        Box::pin(async move { self.0.size(&cx).await })
    }

    fn split(self: Arc<Self>, cx: Context, parts: usize) -> Doing<Vec<Vec<u8>>> {
        Box::pin(async move {
            let parts = self.0.split(&cx, parts).await?;
            Ok(parts.iter().map(serde_json::to_vec).collect::<Result<_, _>>()?)
        })
    }
}

type Read = Box<dyn Fn(&[u8]) -> Result<Arc<dyn AnyJob>, serde_json::Error> + Send + Sync>;

/// Filled once, when a worker is put together.
#[derive(Default)]
pub struct Registry {
    version: u32,
    kinds: HashMap<&'static str, Known>,
    services: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

struct Known {
    read: Read,
    rate: Option<Rate>,
    needs: Vec<RemoteName>,
}

/// Why a kind cannot be registered like this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnfitKind {
    #[error("there are two kinds of jobs named `{0}`: rename one")]
    AlreadyKnown(&'static str),
    #[error("there is no kind of jobs named `{0}`: register it first")]
    Unknown(String),
    #[error("the kind `{kind}`: {invalid}")]
    Name { kind: String, invalid: InvalidName },
    #[error("the kind `{kind}`: {invalid}")]
    Rate { kind: String, invalid: InvalidRate },
    #[error(
        "the kind `{kind}` needs {found} remotes, at most {} are taken: name fewer",
        limits::NEEDS
    )]
    TooManyNeeds { kind: String, found: usize },
}

impl Registry {
    /// Of the definitions: jobs that a newer one pushed are left to newer workers.
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Makes a kind known.
    pub fn with<J: Job>(mut self) -> Result<Self, UnfitKind> {
        let read: Read = Box::new(|payload| {
            let job: J = serde_json::from_slice(payload)?;
            Ok(Arc::new(Of(job)))
        });
        let known = Known { read, rate: None, needs: Vec::new() };
        if self.kinds.insert(J::KIND, known).is_some() {
            return Err(UnfitKind::AlreadyKnown(J::KIND));
        }
        self.rate(J::KIND, J::RATE)?.needs(J::KIND, J::NEEDS)
    }

    /// Another rate than the one its code declares, or none.
    pub fn rate(mut self, kind: &str, rate: Option<Rate>) -> Result<Self, UnfitKind> {
        if let Some(Err(invalid)) = rate.map(|rate| rate.check()) {
            return Err(UnfitKind::Rate { kind: kind.to_owned(), invalid });
        }
        self.known(kind)?.rate = rate;
        Ok(self)
    }

    /// Other remotes than those its code declares.
    pub fn needs(mut self, kind: &str, remotes: &[&str]) -> Result<Self, UnfitKind> {
        if remotes.len() > limits::NEEDS {
            return Err(UnfitKind::TooManyNeeds { kind: kind.to_owned(), found: remotes.len() });
        }
        let needs: Result<_, _> = remotes.iter().map(|name| RemoteName::new(*name)).collect();
        let name = |invalid| UnfitKind::Name { kind: kind.to_owned(), invalid };
        self.known(kind)?.needs = needs.map_err(name)?;
        Ok(self)
    }

    fn known(&mut self, kind: &str) -> Result<&mut Known, UnfitKind> {
        self.kinds.get_mut(kind).ok_or_else(|| UnfitKind::Unknown(kind.to_owned()))
    }

    /// Something that jobs use, one of each type: a pool of connections, a client.
    pub fn service<T: Send + Sync + 'static>(self, service: T) -> Self {
        self.service_arc(Arc::new(service))
    }

    /// The same for what others use too.
    pub fn service_arc<T: Send + Sync + 'static>(mut self, service: Arc<T>) -> Self {
        self.services.insert(TypeId::of::<T>(), service);
        self
    }

    pub(super) fn definitions(&self) -> u32 {
        self.version
    }

    /// Of the kinds that have one.
    pub(super) fn rules(&self) -> Arc<[Rule]> {
        let rule = |(kind, known): (&&str, &Known)| {
            let has_rule = known.rate.is_some() || !known.needs.is_empty();
            let kind = Kind::new(*kind).ok().filter(|_| has_rule)?;
            Some(Rule { kind, rate: known.rate, needs: known.needs.clone() })
        };
        self.kinds.iter().filter_map(rule).collect()
    }

    pub(super) fn needs_of(&self, kind: &str) -> &[RemoteName] {
        self.kinds.get(kind).map_or(&[], |known| &known.needs)
    }

    pub(super) fn find<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.services.get(&TypeId::of::<T>())?.clone().downcast().ok()
    }

    /// The job, ready to run; otherwise why it can never be.
    pub(super) fn read(&self, kind: &str, payload: &[u8]) -> Result<Arc<dyn AnyJob>, String> {
        match self.kinds.get(kind) {
            None => Err(format!("no worker of this version knows jobs of kind {kind}")),
            Some(known) => (known.read)(payload).map_err(|error| {
                format!("its payload cannot be read as a job of kind {kind}: {error}")
            }),
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<_> = self.kinds.keys().collect();
        f.debug_struct("Registry").field("kinds", &kinds).finish_non_exhaustive()
    }
}
