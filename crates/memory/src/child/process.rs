//! The parent's side of one child: starts it, limits it, watches it, finds out how it ended.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs::File,
    io::{self, Read},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
    process::{Child, Command, ExitStatus},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit};

use super::{
    confine::Confined,
    death::{Death, Evidence},
    frame::{Frame, Inbox, Next},
    main::CHILD_VARIABLE,
};
use crate::{
    ChildGauge, Limit, MB,
    alloc::out_of_memory::FailedAllocation,
    system::{Cgroup, ProcessMemory, oom_kills},
};

/// How children are started.
#[derive(Debug, Clone)]
pub struct ChildOptions {
    /// What the binary is called with; it looks at [`is_child`](super::is_child) and not at these.
    pub arguments: Vec<OsString>,
    /// A delegated cgroup, where there is one.
    pub cgroup: Option<Cgroup>,
    /// Where the kernel counts whom it killed for want of memory.
    pub vmstat: PathBuf,
}

impl Default for ChildOptions {
    fn default() -> Self {
        Self {
            arguments: Vec::new(),
            cgroup: Cgroup::delegated(),
            vmstat: PathBuf::from("/proc/vmstat"),
        }
    }
}

/// One piece of work for a child.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which of the binary's [`Works`](super::Works).
    pub work: String,
    /// For whom, for people.
    pub job: String,
    pub limit: Limit,
    pub input: Vec<u8>,
    /// Where what the child holds is counted: that of the job's [`Admitted`](crate::Admitted).
    pub gauge: ChildGauge,
}

/// What a child tells while it works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Progress(Vec<u8>),
    /// Of its account.
    Sample {
        current_bytes: u64,
        peak_bytes: u64,
    },
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What the work said itself.
    #[error("{0}")]
    Work(String),
    #[error("the child process {0}")]
    Died(#[from] Death),
    #[error("could not start a child process: {0}")]
    Start(#[from] io::Error),
    #[error("cancelled")]
    Cancelled,
}

/// How often a child's pages are looked at.
const TICK: Duration = Duration::from_millis(20);
/// How long a child may take to start.
const START_TICKS: u32 = 1500;
/// What the allocator maps beside the blocks it gives out: its own tables in steps of 2 MB, pages
/// half used. Work that steps is to be stopped by its account, before this.
const SLACK_PERCENT: u64 = 6;
const SLACK_BYTES: u64 = 8 * MB;
/// Code and files that are mapped while work runs are resident, too.
const RESIDENT_SLACK_BYTES: u64 = 16 * MB;
/// A warm child that has grown by more is not kept.
const WARM_GROWTH_BYTES: u64 = 16 * MB;
/// How long a child may take to listen.
const SAY_WITHIN: Duration = Duration::from_secs(5);
/// What is remembered of a child's output.
const OUTPUT_KEPT: usize = 64 * 1024;

/// What work in a child is told on, as long as it runs. Clones are the same line.
#[derive(Debug, Clone)]
pub struct Line(Arc<Mutex<Option<UnixStream>>>);

impl Line {
    fn to(stream: &UnixStream) -> io::Result<Self> {
        let stream = stream.try_clone()?;
        stream.set_write_timeout(Some(SAY_WITHIN))?;
        Ok(Self(Arc::new(Mutex::new(Some(stream)))))
    }

    /// Whether the child was told: not once its work has ended, and not when it does not listen.
    pub fn say(&self, what: &[u8]) -> bool {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let said = stream.as_ref().map(|stream| Frame::Say(what.to_vec()).write_to(stream));
        let is_told = matches!(said, Some(Ok(())));
        if !is_told {
            // Half of a frame may have been sent: nothing may follow it.
            *stream = None;
        }
        is_told
    }

    fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// A child that is ready.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    stream: UnixStream,
    inbox: Inbox,
    output: Output,
    idle: ProcessMemory,
    confined: Option<Confined>,
    oom_kills: Option<u64>,
    vmstat: PathBuf,
}

#[derive(Debug)]
struct Output {
    kept: Arc<Mutex<VecDeque<u8>>>,
    ended: mpsc::Receiver<()>,
}

impl Process {
    /// The calling thread has to live as long as the child may: when it ends, the child is killed.
    pub(super) fn start(options: &ChildOptions) -> io::Result<Self> {
        let (stream, theirs) = UnixStream::pair()?;
        let (reader, writer) = io::pipe()?;
        let child = Command::new("/proc/self/exe")
            .args(&options.arguments)
            .env(CHILD_VARIABLE, "1")
            // What is mapped counts against the hard limit, so no more is mapped than is used.
            .env("_RJEM_MALLOC_CONF", "narenas:1,retain:false")
            .stdin(OwnedFd::from(theirs))
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .spawn()?;
        let output = Output::follow(File::from(OwnedFd::from(reader)))?;
        stream.set_read_timeout(Some(TICK))?;
        let mut process = Self {
            child,
            stream,
            inbox: Inbox::default(),
            output,
            idle: ProcessMemory::default(),
            confined: None,
            oom_kills: oom_kills(&options.vmstat),
            vmstat: options.vmstat.clone(),
        };
        process.wait_until_ready()?;
        let pid = process.child.id();
        process.idle = ProcessMemory::of(pid).unwrap_or_default();
        // A cgroup that refuses us leaves the other two limits.
        process.confined = options.cgroup.as_ref().and_then(|it| Confined::new(it, pid).ok());
        Ok(process)
    }

    fn wait_until_ready(&mut self) -> io::Result<()> {
        for _ in 0..START_TICKS {
            match self.inbox.next(&mut self.stream)? {
                Next::Frame(Frame::Ready) => return Ok(()),
                Next::Frame(_) | Next::Quiet => {}
                Next::Closed => break,
            }
        }
        let output = self.output.text();
        Err(io::Error::other(format!("it did not get ready: {}", output.trim())))
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it when `cancelled` is set or the limit is passed.
    pub(super) fn work(
        &mut self,
        request: &Request,
        cancelled: &AtomicBool,
        tell: &mut dyn FnMut(Event, &Line),
    ) -> Result<Vec<u8>, Failure> {
        let line = Line::to(&self.stream)?;
        let result = self.work_on(request, cancelled, &mut |event| tell(event, &line));
        line.close();
        result
    }

    fn work_on(
        &mut self,
        request: &Request,
        cancelled: &AtomicBool,
        tell: &mut dyn FnMut(Event),
    ) -> Result<Vec<u8>, Failure> {
        let limit_bytes = request.limit.bytes();
        let data_limit_bytes = self.set_limits(limit_bytes)?;
        let work = Frame::Work {
            work: request.work.clone(),
            job: request.job.clone(),
            limit_bytes,
            input: request.input.clone(),
        };
        // One that cannot be told is dead, and how it died is found out below.
        let _ = work.write_to(&self.stream);
        let (mut panic, mut watchdog) = (None, None);
        loop {
            let resident = ProcessMemory::of(self.pid()).unwrap_or_default().rss_bytes;
            let above_idle = resident.saturating_sub(self.idle.rss_bytes);
            request.gauge.set(above_idle);
            if watchdog.is_none() && above_idle > limit_bytes + RESIDENT_SLACK_BYTES {
                watchdog = Some(above_idle);
                self.child.kill()?;
            }
            if cancelled.load(Ordering::Relaxed) {
                return Err(Failure::Cancelled);
            }
            match self.inbox.next(&mut self.stream) {
                Ok(Next::Frame(Frame::Done(output))) => return Ok(output),
                Ok(Next::Frame(Frame::Failed(reason))) => return Err(Failure::Work(reason)),
                Ok(Next::Frame(Frame::Panicked(message))) => panic = Some(message),
                Ok(Next::Frame(Frame::Progress(told))) => tell(Event::Progress(told)),
                Ok(Next::Frame(Frame::Sample { current_bytes, peak_bytes })) => {
                    request.gauge.set_peak(peak_bytes);
                    tell(Event::Sample { current_bytes, peak_bytes });
                }
                Ok(
                    Next::Frame(Frame::Ready | Frame::Work { .. } | Frame::Say(_)) | Next::Quiet,
                ) => {}
                Ok(Next::Closed) | Err(_) => break,
            }
        }
        // Its socket is closed; should it live on, it is of no use.
        let _ = self.child.kill_unless_ended();
        let status = self.child.wait()?;
        self.output.wait_for_end();
        Err(self.evidence(status, request.limit, data_limit_bytes, panic, watchdog).death().into())
    }

    fn evidence(
        &self,
        status: ExitStatus,
        limit: Limit,
        data_limit_bytes: u64,
        panic: Option<String>,
        watchdog_rss_bytes: Option<u64>,
    ) -> Evidence {
        let now = oom_kills(&self.vmstat);
        Evidence {
            status,
            limit,
            data_limit_bytes,
            watchdog_rss_bytes,
            failed_allocation: FailedAllocation::find_in(&self.output.text()),
            panic,
            was_cgroup_oom: self.confined.as_ref().is_some_and(|it| it.oom_kills() > 0),
            was_host_oom: now > self.oom_kills,
        }
    }

    /// The limit on mapped data, set from here: the child need not be trusted to, and a warm one
    /// gets another for each piece of work.
    fn set_limits(&self, limit_bytes: u64) -> io::Result<u64> {
        let with_slack = limit_bytes + limit_bytes / 100 * SLACK_PERCENT + SLACK_BYTES;
        let data = self.idle.data_bytes + with_slack;
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        let limit = Rlimit { current: Some(data), maximum: None };
        rustix::process::prlimit(pid, Resource::Data, limit)?;
        if let Some(confined) = &self.confined {
            confined.limit(with_slack)?;
        }
        Ok(data)
    }

    /// Whether it is as good as new.
    pub(super) fn is_still_idle(&mut self) -> bool {
        let lives = matches!(self.child.try_wait(), Ok(None));
        let now = ProcessMemory::of(self.pid()).unwrap_or_default();
        lives && now.rss_bytes <= self.idle.rss_bytes + WARM_GROWTH_BYTES
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

trait KillUnlessEnded {
    fn kill_unless_ended(&mut self) -> io::Result<()>;
}

impl KillUnlessEnded for Child {
    /// The socket closes a moment before the process is gone; its own way to end must not be
    /// hidden by ours.
    fn kill_unless_ended(&mut self) -> io::Result<()> {
        let (ended, timer) = mpsc::channel::<()>();
        for _ in 0..START_TICKS {
            if self.try_wait()?.is_some() {
                return Ok(());
            }
            let _ = timer.recv_timeout(Duration::from_millis(1));
        }
        drop(ended);
        self.kill()
    }
}

impl Output {
    fn follow(mut pipe: File) -> io::Result<Self> {
        let kept = Arc::new(Mutex::new(VecDeque::new()));
        let (says_end, ended) = mpsc::channel();
        let keeps = kept.clone();
        std::thread::Builder::new().name("child-output".to_owned()).spawn(move || {
            let mut chunk = [0; 1024];
            while let Ok(read @ 1..) = pipe.read(&mut chunk) {
                let mut kept = keeps.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend(&chunk[..read]);
                let too_many = kept.len().saturating_sub(OUTPUT_KEPT);
                kept.drain(..too_many);
            }
            let _ = says_end.send(());
        })?;
        Ok(Self { kept, ended })
    }

    /// Grandchildren may hold the pipe for longer; what they say is not waited for.
    fn wait_for_end(&self) {
        let _ = self.ended.recv_timeout(Duration::from_secs(1));
    }

    fn text(&self) -> String {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(kept.make_contiguous()).into_owned()
    }
}
