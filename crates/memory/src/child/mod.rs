//! Child processes with a hard limit: the same binary again, a few of them kept warm.

mod confine;
mod death;
mod frame;
mod main;
mod process;

use std::{
    fmt, io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use tokio::sync::{Semaphore, oneshot};

use process::Process;

pub use death::{Death, LimitHit};
pub use frame::MOST_FRAME_BYTES;
pub use main::{Context, Works, is_child, main};
pub use process::{ChildOptions, Event, Failure, Line, Request};

use crate::process_scope;

/// How many children there may be.
#[derive(Debug, Clone, Copy)]
pub struct PoolSize {
    /// At work at the same time; more wait.
    pub most: usize,
    /// Idle ones that are kept for the next.
    pub warm: usize,
}

impl Default for PoolSize {
    fn default() -> Self {
        Self { most: 8, warm: 2 }
    }
}

/// Runs work in child processes. Clones are the same pool; with the last one its children end.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    warm: Mutex<Vec<Process>>,
    size: PoolSize,
    places: Arc<Semaphore>,
    keeper: mpsc::Sender<Start>,
}

type Start = mpsc::Sender<io::Result<Process>>;

/// Starts children in a thread that lives as long as the pool: a child is killed with the thread
/// that started it, which is how it cannot outlive this process.
fn keep(options: &ChildOptions, starts: &mpsc::Receiver<Start>) {
    for start in starts {
        let _ = start.send(Process::start(options));
    }
}

impl Pool {
    pub fn new(options: ChildOptions, size: PoolSize) -> io::Result<Self> {
        process_scope(|| {
            let (keeper, starts) = mpsc::channel();
            std::thread::Builder::new()
                .name("child-keeper".to_owned())
                .spawn(move || keep(&options, &starts))?;
            let places = Arc::new(Semaphore::new(size.most));
            Ok(Self(Arc::new(Inner { warm: Mutex::default(), size, places, keeper })))
        })
    }

    /// Starts idle children ahead of the work. Blocks.
    pub fn warm_up(&self) -> io::Result<()> {
        while self.warm_count() < self.0.size.warm {
            let process = self.0.start()?;
            self.0.keep_warm(process);
        }
        Ok(())
    }

    pub fn warm_count(&self) -> usize {
        self.0.warm.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Does the work in a child. Dropping the future kills the child. `tell` gets what the child
    /// tells, and a line to answer on.
    pub async fn run(
        &self,
        request: Request,
        tell: impl FnMut(Event, &Line) + Send + 'static,
    ) -> Result<Vec<u8>, Failure> {
        // The semaphore is never closed.
        let place = self.0.places.clone().acquire_owned().await.map_err(|_| Failure::Cancelled)?;
        let cancelled = CancelOnDrop(Arc::new(AtomicBool::new(false)));
        let (sender, result) = oneshot::channel();
        let (pool, is_cancelled) = (self.0.clone(), cancelled.0.clone());
        std::thread::Builder::new().name("child-run".to_owned()).spawn(move || {
            let result = process_scope(|| pool.run(&request, &is_cancelled, tell));
            drop(place);
            let _ = sender.send(result);
        })?;
        result.await.unwrap_or(Err(Failure::Cancelled))
    }
}

struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Inner {
    fn start(&self) -> io::Result<Process> {
        let (start, started) = mpsc::channel();
        let gone = |_| io::Error::other("the thread that starts children is gone");
        self.keeper.send(start).map_err(|_| gone(mpsc::RecvError))?;
        started.recv().map_err(gone)?
    }

    fn take_warm(&self) -> Option<Process> {
        let mut warm = self.warm.lock().unwrap_or_else(PoisonError::into_inner);
        warm.retain_mut(Process::is_still_idle);
        warm.pop()
    }

    fn keep_warm(&self, mut process: Process) {
        if !process.is_still_idle() {
            return;
        }
        let mut warm = self.warm.lock().unwrap_or_else(PoisonError::into_inner);
        if warm.len() < self.size.warm {
            warm.push(process);
        }
    }

    fn run(
        &self,
        request: &Request,
        cancelled: &AtomicBool,
        mut tell: impl FnMut(Event, &Line),
    ) -> Result<Vec<u8>, Failure> {
        let mut process = match self.take_warm() {
            Some(process) => process,
            None => self.start()?,
        };
        let result = process.work(request, cancelled, &mut tell);
        if matches!(result, Ok(_) | Err(Failure::Work(_))) {
            self.keep_warm(process);
        }
        request.gauge.set(0);
        result
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("size", &self.0.size)
            .field("warm", &self.warm_count())
            .finish_non_exhaustive()
    }
}
