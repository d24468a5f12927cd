//! The child's side: waits for work, does it in an account of its own, tells how it goes.

use std::{
    any::Any,
    collections::BTreeMap,
    fmt, io,
    os::{fd::AsFd, unix::net::UnixStream},
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::Duration,
};

use rustix::process::Signal;

use super::frame::{Frame, Inbox, Next};
use crate::{Account, Exceeded, Limit, alloc::out_of_memory};

/// Set for children; a binary that starts them looks for it first of all.
pub(super) const CHILD_VARIABLE: &str = "SAMOVAR_MEMORY_CHILD";

const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);

type WorkFunction = Box<dyn Fn(&Context, &[u8]) -> Result<Vec<u8>, String>>;

/// The work a child knows, by name. Parent and child are one binary, so both know the same.
#[derive(Default)]
pub struct Works(BTreeMap<&'static str, WorkFunction>);

impl Works {
    /// What a child can do: gets its input, gives a result or a reason.
    pub fn with(
        mut self,
        name: &'static str,
        work: impl Fn(&Context, &[u8]) -> Result<Vec<u8>, String> + 'static,
    ) -> Self {
        self.0.insert(name, Box::new(work));
        self
    }
}

impl fmt::Debug for Works {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Whether this process was started to be a child: then call [`main`] and nothing else.
pub fn is_child() -> bool {
    std::env::var_os(CHILD_VARIABLE).is_some()
}

/// What work can do while it runs in a child.
#[derive(Debug)]
pub struct Context {
    parent: Parent,
    account: Account,
    running: Running,
}

impl Context {
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Between two steps: ends work that is over its limit before the hard limit does.
    pub fn step(&self) -> Result<(), Exceeded> {
        self.account.check()
    }

    /// Tells the parent how far this is, or asks it for something.
    pub fn progress(&self, told: &[u8]) {
        self.parent.tell(&Frame::Progress(told.to_vec()));
    }

    /// From other threads.
    pub fn teller(&self) -> impl Fn(&[u8]) + Send + Sync + 'static {
        let parent = self.parent.clone();
        move |told| parent.tell(&Frame::Progress(told.to_vec()))
    }

    /// Until this work has ended, `hear` gets whatever the parent says, in a thread of its own.
    /// What was said before is gone.
    pub fn hear(&self, hear: impl FnMut(Vec<u8>) + Send + 'static) {
        self.running.lock().hears = Some(Box::new(hear));
    }
}

#[derive(Debug, Clone)]
struct Parent(Arc<Mutex<UnixStream>>);

impl Parent {
    fn tell(&self, frame: &Frame) {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A parent that does not listen is dead, and then so is this process.
        let _ = frame.write_to(&*stream);
    }
}

/// What the listening thread knows of the work that runs.
#[derive(Clone, Default)]
struct Running(Arc<Mutex<Work>>);

#[derive(Default)]
struct Work {
    account: Option<Account>,
    hears: Option<Box<dyn FnMut(Vec<u8>) + Send>>,
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, Work> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Running").field(&self.lock().account).finish()
    }
}

/// Serves the parent until it is gone.
pub fn main(works: &Works) -> ExitCode {
    match serve(works) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve(works: &Works) -> io::Result<()> {
    // The socket's end says it as well, but a stopped process does not read.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    out_of_memory::report_from_now_on();
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let parent = Parent(Arc::new(Mutex::new(stream.try_clone()?)));
    let running = Running::default();
    let (sender, receiver) = mpsc::channel();
    let (listens_for, tells) = (running.clone(), parent.clone());
    std::thread::Builder::new()
        .name("listen".to_owned())
        .spawn(move || listen(stream, &sender, &listens_for, &tells))?;
    parent.tell(&Frame::Ready);
    for frame in receiver {
        let Frame::Work { work, job, limit_bytes, input } = frame else { continue };
        let account = Account::new(&job, Limit::Bytes(limit_bytes));
        *running.lock() = Work { account: Some(account.clone()), hears: None };
        let context = Context { parent: parent.clone(), account, running: running.clone() };
        let result = run(works, &work, &context, &input);
        *running.lock() = Work::default();
        drop(input);
        crate::purge();
        parent.tell(&Frame::Sample {
            current_bytes: 0,
            peak_bytes: context.account.usage().map_or(0, |usage| usage.peak_bytes),
        });
        let is_broken = matches!(result, Frame::Panicked(_));
        parent.tell(&result);
        if is_broken {
            return Err(io::Error::other("work panicked"));
        }
    }
    Ok(())
}

fn run(works: &Works, name: &str, context: &Context, input: &[u8]) -> Frame {
    let Some(work) = works.0.get(name) else {
        return Frame::Failed(format!("this binary knows no work named {name:?}"));
    };
    let run = || context.account.scope(|| work(context, input));
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(output)) => Frame::Done(output),
        Ok(Err(reason)) => Frame::Failed(reason),
        Err(panic) => Frame::Panicked(message(&*panic)),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "without a message".to_owned())
}

/// Hears the parent's wishes and its end, and samples while nothing is said.
fn listen(mut stream: UnixStream, works: &mpsc::Sender<Frame>, running: &Running, parent: &Parent) {
    let mut inbox = Inbox::default();
    let timed = stream.set_read_timeout(Some(SAMPLE_INTERVAL));
    while timed.is_ok() {
        match inbox.next(&mut stream) {
            Ok(Next::Frame(Frame::Say(said))) => {
                if let Some(hear) = &mut running.lock().hears {
                    hear(said);
                }
            }
            Ok(Next::Frame(frame)) => {
                if works.send(frame).is_err() {
                    break;
                }
            }
            Ok(Next::Quiet) => {
                let usage = running.lock().account.as_ref().and_then(Account::usage);
                if let Some(usage) = usage {
                    let (current_bytes, peak_bytes) = (usage.current_bytes, usage.peak_bytes);
                    parent.tell(&Frame::Sample { current_bytes, peak_bytes });
                }
            }
            Ok(Next::Closed) | Err(_) => break,
        }
    }
    // Whatever the work is doing: nobody waits for it any more.
    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
}
