//! Other processes: started, talked to, stopped, continued, killed, and waited for with a limit.
//!
//! The usual other process is the running test itself: [`this_test`] makes a command that enters
//! the same test again with a role, which the test asks for with [`role`] before anything else.

use std::{
    env,
    ffi::OsStr,
    fmt, fs,
    io::{self, BufRead, BufReader, Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, kill_process_group, prlimit};

use crate::{spawner, wait};

const ROLE: &str = "SAMOVAR_TEST_ROLE";
const A_SIGNAL_TAKES_AT_MOST: Duration = Duration::from_secs(10);

/// A command that runs the test named `test` (its full path, as the test runner prints it) in a
/// process of its own, where [`role`] answers `role`. Standard streams are pipes.
///
/// # Errors
/// When the path of this executable is unknown.
pub fn this_test(test: &str, role: &str) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command
        .args([test, "--exact", "--quiet", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(command)
}

/// The role this process was started with by [`this_test`]; `None` in the test proper.
pub fn role() -> Option<String> {
    env::var(ROLE).ok()
}

/// Says a line to the process that started this one: it reads it with [`Process::hear`].
///
/// # Panics
/// When nobody can hear it any more.
pub fn say(line: impl fmt::Display) {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("the starting process listens");
}

/// The next line that the starting process said with [`Process::say`]; `None` when it has closed
/// its end.
pub fn hear() -> Option<String> {
    let mut line = String::new();
    match io::stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line.trim_end().to_owned()),
    }
}

/// A command for a program to which a full file is an error like any other, and no signal to die of.
/// What is ignored stays ignored in whatever is executed.
pub fn ignoring_full_files(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(program);
    command
}

/// A running process and what it has said so far. Dropping it kills it and its process group.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    child: Mutex<Child>,
    heard: Arc<Heard>,
    readers: Mutex<Vec<thread::JoinHandle<()>>>,
}

impl Process {
    /// Starts `command`; it dies when this process does. Pipes are drained in the background.
    ///
    /// # Errors
    /// When the command cannot be started.
    pub fn spawn(command: Command) -> io::Result<Self> {
        let mut child = spawner::spawn(command)?;
        let pid = Pid::from_child(&child);
        let heard = Arc::new(Heard::default());
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let heard = heard.clone();
            readers.push(thread::spawn(move || heard.drain(stdout, Stream::Out)));
        } else {
            heard.text().closed = true;
        }
        if let Some(stderr) = child.stderr.take() {
            let heard = heard.clone();
            readers.push(thread::spawn(move || heard.drain(stderr, Stream::Err)));
        }
        Ok(Self { pid, child: Mutex::new(child), heard, readers: Mutex::new(readers) })
    }

    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    pub fn is_running(&self) -> bool {
        matches!(self.child().try_wait(), Ok(None))
    }

    /// SIGKILL for the process and its group, and the wait for its end. Harmless when it is dead.
    pub fn kill(&self) {
        let mut child = self.child();
        if matches!(child.try_wait(), Ok(None)) {
            // The process is not yet waited for, so its id is still its own.
            let _ = kill_process_group(self.pid, Signal::KILL);
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = child.wait();
        }
    }

    /// SIGTERM; what comes then is seen with [`Process::wait`].
    ///
    /// # Errors
    /// When it is no longer running.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// SIGHUP: what it is made of may have changed.
    ///
    /// # Errors
    /// When it is no longer running.
    pub fn reload(&self) -> Result<()> {
        self.signal(Signal::HUP)
    }

    /// SIGSTOP: returns when the process stands still.
    ///
    /// # Errors
    /// When it is no longer running.
    pub fn stop(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        self.await_state("to stop", |state| state == 'T')
    }

    /// SIGCONT after [`Process::stop`].
    ///
    /// # Errors
    /// When it is no longer running.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)?;
        self.await_state("to go on", |state| state != 'T')
    }

    /// Waits for the end by itself, and for the last of its output.
    ///
    /// # Errors
    /// When it still runs after `limit`; the message holds what it said.
    pub fn wait(&self, limit: Duration) -> Result<ExitStatus> {
        let status =
            wait::until(limit, "the end of a process", || self.child().try_wait().transpose())
                .with_context(|| self.transcript())??;
        for reader in self.readers.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            reader.join().map_err(|_| anyhow!("reading the output panicked"))?;
        }
        Ok(status)
    }

    /// Waits for the end, and insists on success.
    ///
    /// # Errors
    /// When it runs too long or fails; the message holds what it said.
    pub fn wait_for_success(&self, limit: Duration) -> Result<()> {
        let status = self.wait(limit)?;
        if !status.success() {
            bail!("{status}\n{}", self.transcript());
        }
        Ok(())
    }

    /// The next line on standard output that begins with `prefix`, without it. Lines before it
    /// are passed over for good.
    ///
    /// # Errors
    /// When none comes within `limit`, or the output ends; the message holds what it said.
    pub fn hear(&self, prefix: &str, limit: Duration) -> Result<String> {
        self.heard
            .next_line(prefix, limit)
            .with_context(|| format!("no line {prefix:?}\n{}", self.transcript()))
    }

    /// Says a line to the process; it reads it with [`hear`].
    ///
    /// # Errors
    /// When its standard input is no pipe, or closed.
    pub fn say(&self, line: impl fmt::Display) -> Result<()> {
        let mut child = self.child();
        let input = child.stdin.as_mut().context("standard input is no pipe")?;
        writeln!(input, "{line}")?;
        Ok(input.flush()?)
    }

    /// Closes its standard input: [`hear`] answers `None` there.
    pub fn hang_up(&self) {
        self.child().stdin = None;
    }

    /// Everything said on standard output so far.
    pub fn stdout(&self) -> String {
        self.heard.text().stdout.clone()
    }

    /// Everything said on standard error so far.
    pub fn stderr(&self) -> String {
        self.heard.text().stderr.clone()
    }

    /// No file may grow beyond so many bytes by its hand, as if the disk were full; `None` takes the
    /// limit away again. The process has to ignore the signal that comes with it, see
    /// [`ignoring_full_files`].
    ///
    /// # Errors
    /// When it is no longer running.
    pub fn limit_files(&self, most: Option<u64>) -> Result<()> {
        let limit = Rlimit { current: most, maximum: None };
        prlimit(Some(self.pid), Resource::Fsize, limit).context("limiting the files")?;
        Ok(())
    }

    fn transcript(&self) -> String {
        let text = self.heard.text();
        format!("--- standard output\n{}--- standard error\n{}", text.stdout, text.stderr)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let mut child = self.child();
        if let Some(status) = child.try_wait()? {
            bail!("the process is no longer running: {status}");
        }
        Ok(kill_process(self.pid, signal)?)
    }

    fn await_state(&self, what: &str, reached: impl Fn(char) -> bool) -> Result<()> {
        let path = format!("/proc/{}/stat", self.pid());
        wait::until(A_SIGNAL_TAKES_AT_MOST, &format!("a process {what}"), || {
            let stat = fs::read_to_string(&path).ok()?;
            // The name, in parentheses, may hold anything; the state follows it.
            let state = stat.rsplit_once(") ")?.1.chars().next()?;
            reached(state).then_some(())
        })
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a process has said, and a signal for each new line of it.
#[derive(Debug, Default)]
struct Heard {
    text: Mutex<Text>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Text {
    stdout: String,
    stderr: String,
    /// Up to where `next_line` has read.
    read_to: usize,
    /// Whether standard output has ended.
    closed: bool,
}

#[derive(Clone, Copy)]
enum Stream {
    Out,
    Err,
}

impl Heard {
    fn drain(&self, pipe: impl Read, stream: Stream) {
        let mut lines = BufReader::new(pipe);
        let mut line = Vec::new();
        while matches!(lines.read_until(b'\n', &mut line), Ok(length) if length > 0) {
            let mut text = self.text();
            let said = match stream {
                Stream::Out => &mut text.stdout,
                Stream::Err => &mut text.stderr,
            };
            said.push_str(&String::from_utf8_lossy(&line));
            self.news.notify_all();
            line.clear();
        }
        if let Stream::Out = stream {
            self.text().closed = true;
            self.news.notify_all();
        }
    }

    fn next_line(&self, prefix: &str, limit: Duration) -> Result<String> {
        let mut found = None;
        let (text, _) = self
            .news
            .wait_timeout_while(self.text(), limit, |text| {
                found = text.take_line(prefix);
                found.is_none() && !text.closed
            })
            .unwrap_or_else(PoisonError::into_inner);
        match found {
            Some(line) => Ok(line),
            None if text.closed => bail!("the output has ended"),
            None => bail!("waited {limit:?} in vain"),
        }
    }

    fn text(&self) -> MutexGuard<'_, Text> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Text {
    fn take_line(&mut self, prefix: &str) -> Option<String> {
        while let Some(length) = self.stdout[self.read_to..].find('\n') {
            let line = &self.stdout[self.read_to..self.read_to + length];
            let wanted = line.strip_prefix(prefix).map(str::to_owned);
            self.read_to += length + 1;
            if wanted.is_some() {
                return wanted;
            }
        }
        None
    }
}
