//! The child's side of a job that runs in a process of its own.

use std::{
    collections::HashMap,
    fmt, io,
    process::ExitCode,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use samovar_clock::{Clock, Random};
use samovar_memory::child::{self, Works};
use tokio::{
    runtime::Runtime,
    sync::{oneshot, watch},
};

use super::{
    context::{Common, Context, Told},
    kind::Stop,
    reach::Reach,
    registry::Registry,
    wire::{self, Answer, Ask, Ended, Input, Question, Said},
};
use crate::{Record, StoreError};

/// What the binary of a worker is when [`is_child`](samovar_memory::child::is_child) says so: runs
/// jobs that its parent hands to it, until that is gone. The registry is made here once more; what
/// jobs use is made in this process, on its runtime.
pub fn run_as_child<F, E>(registry: F) -> ExitCode
where
    F: AsyncFnOnce() -> Result<Registry, E>,
    E: fmt::Display,
{
    match start(registry) {
        Ok(works) => child::main(&works),
        // The parent shows what a child says before it dies.
        Err(reason) => {
            let _ = io::Write::write_all(&mut io::stderr(), reason.as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn start<F, E>(registry: F) -> Result<Works, String>
where
    F: AsyncFnOnce() -> Result<Registry, E>,
    E: fmt::Display,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    let registry = runtime.block_on(registry()).map_err(|error| format!("no registry: {error}"))?;
    let registry = Arc::new(registry);
    let work = move |child: &child::Context, input: &[u8]| run(&runtime, &registry, child, input);
    Ok(Works::default().with(wire::WORK, work))
}

fn run(
    runtime: &Runtime,
    registry: &Arc<Registry>,
    child: &child::Context,
    input: &[u8],
) -> Result<Vec<u8>, String> {
    let job: Input = wire::read(input)?;
    let (tells, told) = watch::channel(Told::Nothing);
    let parent = Parent::new(child, tells);
    let common = Common {
        reach: Reach::Parent(parent.clone()),
        registry: registry.clone(),
        budget: None,
        clock: Clock::System,
        random: Random::System,
    };
    let (kind, payload) = (job.kind.clone(), job.payload.clone());
    let cx = Context::new(&common, job, child.account().clone(), told);
    let attempt = async {
        parent.ask(Question::Told).await?;
        let job = registry.read(kind.as_str(), &payload).map_err(Stop::Hopeless)?;
        job.run(cx.clone()).await
    };
    let ended = runtime.block_on(child.account().wrap(attempt));
    let record: Record = cx.take_record();
    let end = ended.and_then(|()| child.step().map_err(Stop::Memory)).map(|()| cx.take_left());
    Ok(wire::write(&Ended { end, record }))
}

/// The line to the parent, for questions. Clones are the same line.
#[derive(Clone)]
pub(super) struct Parent(Arc<Inner>);

struct Inner {
    tell: Tell,
    next: AtomicU64,
    asked: Asked,
}

type Tell = Box<dyn Fn(&[u8]) + Send + Sync>;
type Asker = oneshot::Sender<Result<Answer, StoreError>>;
type Asked = Arc<Mutex<HashMap<u64, Asker>>>;

impl Parent {
    fn new(child: &child::Context, tells: watch::Sender<Told>) -> Self {
        let asked = Asked::default();
        let answers = asked.clone();
        child.hear(move |said| match wire::read(&said) {
            Ok(Said::Told(told)) => drop(tells.send_replace(told)),
            Ok(Said::Answer(number, answer)) => {
                if let Some(asked) = lock(&answers).remove(&number) {
                    let _ = asked.send(answer.map_err(StoreError::from));
                }
            }
            // Both sides are one binary. Whoever asked waits for his timeout.
            Err(reason) => tracing::error!(reason, "the parent process is not understood"),
        });
        let tell: Tell = Box::new(child.teller());
        Self(Arc::new(Inner { tell, next: AtomicU64::new(0), asked }))
    }

    pub(super) async fn ask(&self, question: Question) -> Result<Answer, StoreError> {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        lock(&self.0.asked).insert(number, sender);
        (self.0.tell)(&wire::write(&Ask { number, question }));
        let gone = |_| StoreError::Unavailable("the parent process is gone".to_owned());
        answer.await.map_err(gone)?
    }
}

impl fmt::Debug for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parent").field("asked", &lock(&self.0.asked).len()).finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
