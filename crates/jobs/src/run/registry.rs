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
    kinds: HashMap<&'static str, Read>,
    services: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there are two kinds of jobs named `{0}`: rename one")]
pub struct AlreadyKnown(&'static str);

impl Registry {
    /// Of the definitions: jobs that a newer one pushed are left to newer workers.
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Makes a kind known.
    pub fn with<J: Job>(mut self) -> Result<Self, AlreadyKnown> {
        let read: Read = Box::new(|payload| {
            let job: J = serde_json::from_slice(payload)?;
            Ok(Arc::new(Of(job)))
        });
        match self.kinds.insert(J::KIND, read) {
            None => Ok(self),
            Some(_) => Err(AlreadyKnown(J::KIND)),
        }
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

    pub(super) fn find<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.services.get(&TypeId::of::<T>())?.clone().downcast().ok()
    }

    /// The job, ready to run; otherwise why it can never be.
    pub(super) fn read(&self, kind: &str, payload: &[u8]) -> Result<Arc<dyn AnyJob>, String> {
        match self.kinds.get(kind) {
            None => Err(format!("no worker of this version knows jobs of kind {kind}")),
            Some(read) => read(payload).map_err(|error| {
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
