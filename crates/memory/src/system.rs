//! What the system says: RSS, memory left, and the cgroup this process lives in.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The memory of one process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct ProcessMemory {
    pub rss_bytes: u64,
    /// Private writable memory that is mapped, touched or not: what `RLIMIT_DATA` counts.
    pub data_bytes: u64,
}

impl ProcessMemory {
    /// Of this process; nothing where the system does not tell.
    pub fn own() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/statm").ok()?)
    }

    pub fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/statm")).ok()?)
    }

    fn parse(statm: &str) -> Option<Self> {
        let page = rustix::param::page_size() as u64;
        let mut fields = statm.split_ascii_whitespace().map(|field| field.parse::<u64>().ok());
        let rss = fields.nth(1)??;
        let data = fields.nth(3)??;
        Some(Self { rss_bytes: rss * page, data_bytes: data * page })
    }
}

/// The machine's memory, or that of the cgroup where it is less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SystemMemory {
    pub total_bytes: u64,
    pub available_bytes: u64,
    /// The cgroup's limit, where there is one that can be read.
    pub cgroup_limit_bytes: Option<u64>,
    pub cgroup_current_bytes: Option<u64>,
}

impl SystemMemory {
    pub fn read() -> Option<Self> {
        let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
        let cgroup = Cgroup::own();
        let machine = Self {
            total_bytes: kilobytes(&meminfo, "MemTotal:")?,
            available_bytes: kilobytes(&meminfo, "MemAvailable:")?,
            cgroup_limit_bytes: cgroup.as_ref().and_then(|it| it.number("memory.max")),
            cgroup_current_bytes: cgroup.as_ref().and_then(|it| it.number("memory.current")),
        };
        Some(machine.within_cgroup())
    }

    fn within_cgroup(mut self) -> Self {
        if let (Some(limit), Some(current)) = (self.cgroup_limit_bytes, self.cgroup_current_bytes) {
            self.total_bytes = self.total_bytes.min(limit);
            self.available_bytes = self.available_bytes.min(limit.saturating_sub(current));
        }
        self
    }
}

fn kilobytes(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1024)
}

/// How many processes the kernel has killed for want of memory since it started.
pub(crate) fn oom_kills(vmstat: &Path) -> Option<u64> {
    let text = fs::read_to_string(vmstat).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

/// A folder of cgroup v2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    folder: PathBuf,
}

impl Cgroup {
    /// The one this process lives in; nothing under cgroup v1, or where none is mounted.
    pub fn own() -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        Self::find(&own, &mounts)
    }

    fn find(own: &str, mounts: &str) -> Option<Self> {
        let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let mount = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let folder = fields.next()?;
            (fields.next()? == "cgroup2").then_some(folder)
        })?;
        Some(Self { folder: Path::new(mount).join(path) })
    }

    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Nothing for a file that is absent, and for `max`.
    pub(crate) fn number(&self, file: &str) -> Option<u64> {
        fs::read_to_string(self.folder.join(file)).ok()?.trim().parse().ok()
    }

    /// Processes killed in here because this cgroup's limit was reached.
    pub(crate) fn oom_kills(&self) -> Option<u64> {
        let events = fs::read_to_string(self.folder.join("memory.events")).ok()?;
        events.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
    }

    /// Whether folders made in here get a memory limit of their own: somebody has delegated it.
    pub(crate) fn is_delegated(&self) -> bool {
        let control = fs::read_to_string(self.folder.join("cgroup.subtree_control"));
        let has_memory =
            control.is_ok_and(|text| text.split_ascii_whitespace().any(|it| it == "memory"));
        has_memory && rustix::fs::access(&self.folder, rustix::fs::Access::WRITE_OK).is_ok()
    }

    /// The nearest one in which children can be limited: this one or the one above it.
    pub fn delegated() -> Option<Self> {
        let own = Self::own()?;
        let above = own.folder.parent().map(Self::at);
        [Some(own), above].into_iter().flatten().find(Self::is_delegated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statm_is_read_as_pages() {
        let page = rustix::param::page_size() as u64;
        let memory = ProcessMemory::parse("765 438 410 5 0 123 0\n").expect("it is whole");
        assert_eq!(memory, ProcessMemory { rss_bytes: 438 * page, data_bytes: 123 * page });
        assert_eq!(ProcessMemory::parse("765 438"), None);
    }

    #[test]
    fn the_cgroup_v2_mount_is_found_and_v1_is_not_taken_for_it() {
        let own = "4:memory:/old\n0::/system.slice/samovar.service\n";
        let v1 = "cgroup /sys/fs/cgroup/memory cgroup rw 0 0\n";
        let v2 = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
        assert_eq!(Cgroup::find(own, v1), None);
        let found = Cgroup::find(own, &format!("{v1}{v2}")).expect("it is mounted");
        assert_eq!(found.folder(), Path::new("/sys/fs/cgroup/system.slice/samovar.service"));
        assert_eq!(Cgroup::find("4:memory:/old\n", v2), None);
    }

    #[test]
    fn a_cgroup_limits_what_the_machine_has() {
        let machine = SystemMemory {
            total_bytes: 1000,
            available_bytes: 800,
            cgroup_limit_bytes: Some(300),
            cgroup_current_bytes: Some(100),
        };
        let within = machine.within_cgroup();
        assert_eq!((within.total_bytes, within.available_bytes), (300, 200));
    }

    #[test]
    #[cfg(not(miri))]
    fn this_process_and_machine_have_memory() {
        let own = ProcessMemory::own().expect("it is told");
        assert!(own.rss_bytes > 0);
        assert!(ProcessMemory::of(std::process::id()).is_some());
        assert!(SystemMemory::read().expect("it is told").total_bytes > own.rss_bytes);
    }
}
