//! The data folder, and the one process that owns it.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::fs::FlockOperation;
use samovar_clock::Clock;

use super::{errors::OpenError, limits};

const LOCK_FILE: &str = "owner.lock";

/// A folder that belongs to this process until the value, its clones and every database opened in it
/// are gone.
///
/// The lock is the operating system's: it ends with the process, however that ends.
#[derive(Debug, Clone)]
pub struct Folder {
    ownership: Arc<Ownership>,
}

#[derive(Debug)]
struct Ownership {
    path: PathBuf,
    lock: File,
    open_files: Mutex<BTreeSet<&'static str>>,
}

impl Folder {
    /// Makes the folder when it is missing, for this user only, and takes it.
    pub fn own(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let failed = |source| OpenError::Folder { folder: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        // Absolute, so that a later change of the working directory changes nothing.
        let path = fs::canonicalize(path).map_err(failed)?;
        let mut lock = open_lock(&path).map_err(failed)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let pid = read_pid(&mut lock);
                return Err(OpenError::Owned { folder: path, pid });
            }
            Err(errno) => return Err(failed(errno.into())),
        }
        write_pid(&mut lock).map_err(failed)?;
        let ownership = Ownership { path, lock, open_files: Mutex::default() };
        Ok(Self { ownership: Arc::new(ownership) })
    }

    /// Like [`Folder::own`], but waits up to `patience` for an owner that is about to leave.
    pub async fn own_within(
        path: impl AsRef<Path>,
        patience: Duration,
        clock: &Clock,
    ) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let deadline = clock.now() + patience;
        loop {
            let refused = match Self::own(path) {
                Err(refused @ OpenError::Owned { .. }) => refused,
                settled => return settled,
            };
            let left = deadline.since(clock.now());
            if left.is_zero() {
                return Err(refused);
            }
            clock.sleep(left.min(limits::OWN_RETRY)).await;
        }
    }

    pub fn path(&self) -> &Path {
        &self.ownership.path
    }

    /// One opening of one file: two would be two writers, and two opinions on its generation.
    pub(super) fn claim(&self, file: &'static str) -> Result<Claim, OpenError> {
        let mut parts = Path::new(file).components();
        let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
        if !plain || file == LOCK_FILE {
            return Err(OpenError::Name { file });
        }
        if !self.ownership.files(|files| files.insert(file)) {
            return Err(OpenError::AlreadyOpen { path: self.path().join(file) });
        }
        Ok(Claim { ownership: self.ownership.clone(), file })
    }
}

/// Keeps the folder owned and the file taken for as long as a connection to it may exist.
#[derive(Debug)]
pub(super) struct Claim {
    ownership: Arc<Ownership>,
    file: &'static str,
}

impl Claim {
    pub(super) fn path(&self) -> PathBuf {
        self.ownership.path.join(self.file)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.ownership.files(|files| files.remove(self.file));
    }
}

impl Ownership {
    fn files<T>(&self, change: impl FnOnce(&mut BTreeSet<&'static str>) -> T) -> T {
        change(&mut self.open_files.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        // So that the next owner is never reported under this number.
        let _ = self.lock.set_len(0);
        // Closing alone would leave the lock to a child process that is just being started: until
        // it executes its program it has a copy of the descriptor.
        let _ = rustix::fs::flock(&self.lock, FlockOperation::Unlock);
    }
}

fn open_lock(folder: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(folder.join(LOCK_FILE))
}

/// `None` in the instant between taking the lock and writing the number.
fn read_pid(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    writeln!(lock, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_taken_once_and_free_again_after() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Folder::own(home.path()).expect("owned");
        let claim = folder.claim("a.db").expect("free");
        let clone = folder.clone();
        for folder in [&folder, &clone] {
            assert!(matches!(folder.claim("a.db"), Err(OpenError::AlreadyOpen { .. })));
        }
        drop(claim);
        let claim = clone.claim("a.db").expect("free again");
        assert!(matches!(folder.claim("a.db"), Err(OpenError::AlreadyOpen { .. })));
        drop(claim);
    }

    #[test]
    fn names_that_leave_the_folder_or_hide_its_lock_are_refused() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Folder::own(home.path()).expect("owned");
        for file in ["", "..", "a/b", "/etc/passwd", LOCK_FILE] {
            assert!(matches!(folder.claim(file), Err(OpenError::Name { .. })), "{file:?}");
        }
    }

    #[test]
    fn a_clone_or_a_database_that_outlives_the_value_keeps_the_folder() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Folder::own(home.path()).expect("owned");
        let clone = folder.clone();
        drop(folder);
        assert!(matches!(Folder::own(home.path()), Err(OpenError::Owned { .. })));
        let claim = clone.claim("a.db").expect("free");
        drop(clone);
        assert!(matches!(Folder::own(home.path()), Err(OpenError::Owned { .. })));
        drop(claim);
        Folder::own(home.path()).expect("free");
    }
}
