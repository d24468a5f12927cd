//! What is left to do when the system gives no memory: say so, without allocating.
//!
//! A child process under a hard limit dies of a failed allocation; the line it writes on standard
//! error tells its parent how much was asked for, and how much the process had.

use std::{
    io::{Cursor, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::fs::{Mode, OFlags};

static REPORTS: AtomicBool = AtomicBool::new(false);

pub(crate) const REPORT: &str = "samovar: failed allocation of ";

/// What the standard library says before it aborts.
const END: &str = "\nmemory allocation of ";

/// From now on failed allocations of this process are reported on standard error.
pub(crate) fn report_from_now_on() {
    REPORTS.store(true, Ordering::Relaxed);
}

/// A failed allocation, as told by the process in which it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FailedAllocation {
    pub(crate) requested_bytes: u64,
    pub(crate) data_bytes: u64,
}

impl FailedAllocation {
    /// The one that `output` says the process ended with, else the last it tells of. On its way
    /// out a process may ask for more, in vain.
    pub(crate) fn find_in(output: &str) -> Option<Self> {
        let before_the_end = output.find(END).map_or(output, |at| &output[..at]);
        let (_, told) = before_the_end.rsplit_once(REPORT)?;
        let line = told.lines().next()?;
        let (requested, data) = line.split_once(" bytes, data ")?;
        let data = data.strip_suffix(" bytes")?;
        Some(Self { requested_bytes: requested.parse().ok()?, data_bytes: data.parse().ok()? })
    }
}

#[cold]
#[inline(never)]
pub(crate) fn report(requested: usize) {
    if !REPORTS.load(Ordering::Relaxed) {
        return;
    }
    let mut line = [0_u8; 160];
    let mut cursor = Cursor::new(&mut line[..]);
    // A pipe takes a line this short whole, or not at all.
    if writeln!(cursor, "\n{REPORT}{requested} bytes, data {} bytes", data_bytes()).is_ok() {
        let length = usize::try_from(cursor.position()).unwrap_or_default();
        let _ = rustix::io::write(rustix::stdio::stderr(), &line[..length]);
    }
}

/// Private writable memory that is mapped, which is what `RLIMIT_DATA` counts; 0 when unknown.
fn data_bytes() -> u64 {
    let read = || {
        let file = rustix::fs::open(c"/proc/self/statm", OFlags::RDONLY, Mode::empty()).ok()?;
        let mut buffer = [0_u8; 128];
        let length = rustix::io::read(&file, &mut buffer).ok()?;
        let text = std::str::from_utf8(&buffer[..length]).ok()?;
        let pages: u64 = text.split_ascii_whitespace().nth(5)?.parse().ok()?;
        Some(pages * rustix::param::page_size() as u64)
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_report_is_found_among_other_output() {
        let text = format!(
            "noise\n\n{REPORT}1 bytes, data 2 bytes\nmore\n{REPORT}30 bytes, data 40 bytes\nabort"
        );
        let found = FailedAllocation { requested_bytes: 30, data_bytes: 40 };
        assert_eq!(FailedAllocation::find_in(&text), Some(found));
        let text = format!(
            "{text}\nmemory allocation of 30 bytes failed\n{REPORT}9 bytes, data 9 bytes\n"
        );
        assert_eq!(FailedAllocation::find_in(&text), Some(found));
        assert_eq!(FailedAllocation::find_in("nothing here"), None);
    }
}
