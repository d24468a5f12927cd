//! All processes of a server, known by the folder they work in. PostgreSQL has one for each
//! connection, each in a session of its own, so that no process group holds them together.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

const A_SIGNAL_TAKES_AT_MOST: Duration = Duration::from_secs(10);

/// SIGKILL for everybody who works in `data`, and the wait for their end.
pub(crate) fn end(data: &Path) {
    // Nobody can refuse. Who is held up in the kernel for longer ends when it lets go.
    let _ = wait::until(A_SIGNAL_TAKES_AT_MOST, "the end of a server's processes", || {
        let members = members(data);
        for member in &members {
            let _ = kill_process(*member, Signal::KILL);
        }
        members.is_empty().then_some(())
    });
    remove_shared_memory(data);
}

/// SIGSTOP for all, who must not start others meanwhile: returns when they stand still.
pub(super) fn stop(data: &Path) -> Result<()> {
    signal(data, Signal::STOP);
    wait::until(A_SIGNAL_TAKES_AT_MOST, "a server's processes to stop", || {
        members(data).iter().all(|it| is_stopped(*it)).then_some(())
    })
}

/// SIGCONT for all.
pub(super) fn resume(data: &Path) -> Result<()> {
    signal(data, Signal::CONT);
    wait::until(A_SIGNAL_TAKES_AT_MOST, "a server's processes to go on", || {
        (!members(data).iter().any(|it| is_stopped(*it))).then_some(())
    })
}

fn signal(data: &Path, signal: Signal) {
    for member in members(data) {
        // One that has just ended needs no signal.
        let _ = kill_process(member, signal);
    }
}

fn members(data: &Path) -> Vec<Pid> {
    let (Ok(data), Ok(processes)) = (fs::canonicalize(data), fs::read_dir("/proc")) else {
        return Vec::new();
    };
    let works_here = |process: fs::DirEntry| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let folder = fs::read_link(process.path().join("cwd")).ok()?;
        (folder == data).then(|| Pid::from_raw(pid)).flatten()
    };
    processes.flatten().filter_map(works_here).collect()
}

fn is_stopped(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    // The name, in parentheses, may hold anything; the state follows it.
    stat.is_ok_and(|it| it.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
}

/// A killed PostgreSQL leaves a System V segment behind, of which a machine has a limited number.
/// Its identifier stands at the end of a line of the lock file.
fn remove_shared_memory(data: &Path) {
    const SEGMENT_LINE: usize = 6;
    let path = data.join("postmaster.pid");
    let lock = fs::read_to_string(&path).unwrap_or_default();
    let line = lock.lines().nth(SEGMENT_LINE).unwrap_or_default();
    if let Some(segment) = line.split_whitespace().last() {
        let mut command = Command::new("ipcrm");
        let command = command.args(["-m", segment]).stdout(Stdio::null()).stderr(Stdio::null());
        let _ = command.status();
        // Not twice: the identifier may soon be somebody else's. So may the process id there, with
        // which the next start would be refused.
        let _ = fs::remove_file(path);
    }
}
