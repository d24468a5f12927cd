//! A terminal that nobody looks at: keys are pressed, and all that is drawn on it is kept.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::Result;
use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};

use crate::{process::Process, wait};

#[derive(Debug)]
pub struct Terminal {
    keyboard: File,
    /// The other end, as programs have it.
    end: File,
    drawn: Arc<Mutex<String>>,
}

impl Terminal {
    /// # Errors
    /// When the system has no more of them.
    pub fn open(columns: u16, rows: u16) -> Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let keyboard = openpt(flags)?;
        grantpt(&keyboard)?;
        unlockpt(&keyboard)?;
        let name = ptsname(&keyboard, Vec::new())?.into_string()?;
        let noctty = OpenptFlags::NOCTTY.bits().cast_signed();
        let end = File::options().read(true).write(true).custom_flags(noctty).open(name)?;
        tcsetwinsize(&end, Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 })?;
        let keyboard = File::from(keyboard);
        let drawn = Arc::new(Mutex::new(String::new()));
        let (mut screen, to) = (keyboard.try_clone()?, drawn.clone());
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]);
                to.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
            }
        });
        Ok(Self { keyboard, end, drawn })
    }

    /// Its standard input and output are this terminal.
    ///
    /// # Errors
    /// When the command cannot be started.
    pub fn run(&self, mut command: Command) -> io::Result<Process> {
        command.stdin(Stdio::from(self.end.try_clone()?));
        command.stdout(Stdio::from(self.end.try_clone()?));
        Process::spawn(command)
    }

    /// # Errors
    /// When it takes no more.
    pub fn press(&self, key: &str) -> io::Result<()> {
        (&self.keyboard).write_all(key.as_bytes())
    }

    /// All that was drawn, control sequences among it.
    pub fn drawn(&self) -> String {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for something to be drawn, after so many bytes of [`Terminal::drawn`]; how many there are then.
    ///
    /// # Errors
    /// When it was not drawn within `limit`.
    pub fn shows(&self, what: &str, since: usize, limit: Duration) -> Result<usize> {
        wait::until(limit, what, || {
            let drawn = self.drawn();
            drawn[since..].contains(what).then_some(drawn.len())
        })
    }

    /// Whether lines are edited, keys are echoed, and the like.
    ///
    /// # Errors
    /// When it is none any more.
    pub fn modes(&self) -> Result<LocalModes> {
        Ok(tcgetattr(&self.end)?.local_modes)
    }
}
