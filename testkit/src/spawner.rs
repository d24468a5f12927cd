//! Starts processes that die with this one, even when it is killed.

use std::{
    io,
    os::unix::process::CommandExt,
    process::{Child, Command},
    sync::{OnceLock, mpsc},
    thread,
};

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

type Request = (Command, mpsc::SyncSender<io::Result<Child>>);

/// Spawns `command` in a process group of its own.
///
/// The kernel's death signal is tied to the thread that forked, not to its process: a test's
/// thread ends with the test, this one never does.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<mpsc::Sender<Request>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, requests) = mpsc::channel::<Request>();
        thread::Builder::new()
            .name("testkit-spawner".into())
            .spawn(move || {
                for (mut command, answer) in requests {
                    // Nobody listens when the asking thread is gone; the child then dies here.
                    if let Err(mpsc::SendError(Ok(mut orphan))) =
                        answer.send(spawn_here(&mut command))
                    {
                        let _ = orphan.kill();
                        let _ = orphan.wait();
                    }
                }
            })
            .expect("a thread can be started");
        sender
    });
    let (answer, answers) = mpsc::sync_channel(1);
    spawner.send((command, answer)).map_err(io::Error::other)?;
    answers.recv().map_err(io::Error::other)?
}

fn spawn_here(command: &mut Command) -> io::Result<Child> {
    let parent = getpid();
    command.process_group(0);
    #[expect(
        unsafe_code,
        reason = "a death signal can only be asked for by the child itself; the closure makes \
                  two system calls and allocates nothing"
    )]
    // SAFETY: between fork and exec only async-signal-safe calls are made.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            if getppid() != Some(parent) {
                return Err(io::ErrorKind::BrokenPipe.into()); // the parent died meanwhile
            }
            Ok(())
        });
    }
    command.spawn()
}
