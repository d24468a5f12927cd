//! A child's cgroup, where somebody has delegated one to us. Plain files, no daemon.

use std::{fs, io, path::PathBuf};

use crate::system::Cgroup;

/// A folder below the delegated one, for one child; removed with it.
#[derive(Debug)]
pub(super) struct Confined {
    cgroup: Cgroup,
}

impl Confined {
    pub(super) fn new(delegated: &Cgroup, pid: u32) -> io::Result<Self> {
        let folder: PathBuf = delegated.folder().join(format!("samovar-child-{pid}"));
        fs::create_dir_all(&folder)?;
        let confined = Self { cgroup: Cgroup::at(folder) };
        confined.write("cgroup.procs", &pid.to_string())?;
        Ok(confined)
    }

    /// Pages from before the child was moved here are not charged here: the limit is the work's.
    pub(super) fn limit(&self, bytes: u64) -> io::Result<()> {
        self.write("memory.max", &bytes.to_string())?;
        // Absent without swap accounting, and then there is nothing to forbid.
        let _ = self.write("memory.swap.max", "0");
        Ok(())
    }

    pub(super) fn oom_kills(&self) -> u64 {
        self.cgroup.oom_kills().unwrap_or_default()
    }

    fn write(&self, file: &str, value: &str) -> io::Result<()> {
        fs::write(self.cgroup.folder().join(file), value)
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        // Fails while a process is in it; then it is left for the service manager.
        let _ = fs::remove_dir(self.cgroup.folder());
    }
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use super::*;

    /// Plain files stand in for the kernel's: what is written, and what is read, and no more.
    #[test]
    fn the_files_are_written_and_read() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("cgroup.subtree_control"), "cpu memory pids\n").expect("file");
        let delegated = Cgroup::at(folder.path());
        assert!(delegated.is_delegated());
        let confined = Confined::new(&delegated, 42).expect("it is made");
        confined.limit(1 << 20).expect("it is written");
        let child = folder.path().join("samovar-child-42");
        let read = |file: &str| fs::read_to_string(child.join(file)).expect("it is there");
        assert_eq!(read("memory.max"), (1 << 20).to_string());
        assert_eq!((read("memory.swap.max"), read("cgroup.procs")), ("0".into(), "42".into()));
        assert_eq!(confined.oom_kills(), 0);
        fs::write(child.join("memory.events"), "low 0\noom 1\noom_kill 1\n").expect("file");
        assert_eq!(confined.oom_kills(), 1);
    }

    #[test]
    fn a_folder_without_the_memory_controller_is_not_delegated() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(!Cgroup::at(folder.path()).is_delegated());
        fs::write(folder.path().join("cgroup.subtree_control"), "cpu\n").expect("file");
        assert!(!Cgroup::at(folder.path()).is_delegated());
    }
}
