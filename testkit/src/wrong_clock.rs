//! A wall clock for one process, which can be moved while that runs (by libfaketime).

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicI64, Ordering},
};

use anyhow::{Context, Result};

/// The one for processes with threads.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";
/// Comes right after it, so that memory is libc's. Another allocator would ask for the time while the
/// library is not ready to tell it, and wait for itself for ever.
const LIBC: &str = "libc.so.6";

/// Right until it is moved.
#[derive(Debug)]
pub struct WrongClock {
    library: PathBuf,
    file: PathBuf,
    off_s: AtomicI64,
}

impl WrongClock {
    /// How far it is off stands in a file in `dir`.
    ///
    /// # Errors
    /// When libfaketime is not installed.
    pub fn new(dir: &Path) -> Result<Self> {
        let library = find().context(
            "libfaketime is not installed: `cargo xtask test` does it, or `apt-get install \
             libfaketime`",
        )?;
        let clock = Self { library, file: dir.join("off_by"), off_s: AtomicI64::new(0) };
        clock.move_by(0)?;
        Ok(clock)
    }

    pub fn is_installed() -> bool {
        find().is_some()
    }

    /// What the process has to be started with. Only the wall clock is wrong then: a monotonic one
    /// does not jump.
    pub fn variables(&self) -> [(&'static str, OsString); 4] {
        let mut libraries = self.library.clone().into_os_string();
        libraries.push(":");
        libraries.push(LIBC);
        [
            ("LD_PRELOAD", libraries),
            ("FAKETIME_TIMESTAMP_FILE", self.file.clone().into()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ]
    }

    /// Jumps, ahead or back.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn move_by(&self, seconds: i64) -> Result<()> {
        let off_s = self.off_s.fetch_add(seconds, Ordering::Relaxed) + seconds;
        // Put in place whole: the process reads it whenever it asks for the time.
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{off_s:+}\n"))?;
        Ok(fs::rename(new, &self.file)?)
    }
}

/// Where Debian and others keep it.
fn find() -> Option<PathBuf> {
    let direct = ["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from);
    let below = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|it| it.path());
    direct.into_iter().chain(below).map(|dir| dir.join(LIBRARY)).find(|path| path.is_file())
}
