//! What metering costs and how far its figures can be trusted, measured here and now:
//! `cargo run -p samovar-memory --release --example measure`.
//!
//! Costs are CPU time of pairs that alternate, as medians, because machines are busy. Each part
//! that needs a process of its own runs in one: this binary again, told by a variable.

mod accounting;
mod admission;
mod cost;
mod fold;

use std::{
    alloc::{GlobalAlloc, Layout},
    process::Command,
    sync::atomic::{AtomicU8, Ordering},
};

use samovar_memory::Metered;
use tikv_jemallocator::Jemalloc;

/// Bare jemalloc or the metered one, decided at the first allocation, for the whole process.
struct Switched {
    metered: Metered,
    mode: AtomicU8,
}

const UNKNOWN: u8 = 0;
const METERED: u8 = 1;
const BARE: u8 = 2;

impl Switched {
    #[inline]
    #[expect(unsafe_code, reason = "the environment before there is an allocator")]
    fn is_bare(&self) -> bool {
        match self.mode.load(Ordering::Relaxed) {
            UNKNOWN => {
                // SAFETY: called before other threads exist, with a name that ends with a zero.
                let is_bare = !unsafe { libc::getenv(c"MEASURE_BARE".as_ptr()) }.is_null();
                self.mode.store(if is_bare { BARE } else { METERED }, Ordering::Relaxed);
                is_bare
            }
            mode => mode == BARE,
        }
    }
}

#[expect(unsafe_code, reason = "a global allocator")]
// SAFETY: each call goes to the same of two allocators.
unsafe impl GlobalAlloc for Switched {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on.
        unsafe { if self.is_bare() { Jemalloc.alloc(layout) } else { self.metered.alloc(layout) } }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on.
        unsafe {
            if self.is_bare() {
                Jemalloc.alloc_zeroed(layout)
            } else {
                self.metered.alloc_zeroed(layout)
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: passed on.
        unsafe {
            if self.is_bare() {
                Jemalloc.dealloc(block, layout);
            } else {
                self.metered.dealloc(block, layout);
            }
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: passed on.
        unsafe {
            if self.is_bare() {
                Jemalloc.realloc(block, layout, new_size)
            } else {
                self.metered.realloc(block, layout, new_size)
            }
        }
    }
}

#[global_allocator]
static ALLOCATOR: Switched = Switched { metered: Metered::new(), mode: AtomicU8::new(UNKNOWN) };

#[expect(clippy::print_stdout, reason = "figures for people")]
fn main() {
    match std::env::var("MEASURE").as_deref() {
        Ok(part @ (fold::LEAN | fold::FULL)) => println!("{}", fold::one_run(part)),
        Ok("accounting") => println!("{}", accounting::one_run()),
        Ok("admission") => println!("{}", admission::one_run()),
        _ => {
            println!("## ns per allocation and free\n\n{}", cost::table());
            println!("## A workload: JSON rows parsed and folded\n\n{}", fold::table());
            println!("## Accounts against jemalloc's own count\n\n{}\n", run("accounting", false));
            println!(
                "## 200 pieces of class 128 MB in a budget of 256 MB\n\n{}",
                run("admission", false)
            );
        }
    }
}

/// A part in a process of its own.
fn run(part: &str, is_bare: bool) -> String {
    let mut command = Command::new("/proc/self/exe");
    command.env("MEASURE", part);
    if is_bare {
        command.env("MEASURE_BARE", "1");
    }
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[expect(clippy::disallowed_methods, reason = "CPU time, which other processes do not spend")]
fn cpu_ns(clock: rustix::time::ClockId) -> u64 {
    let time = rustix::time::clock_gettime(clock);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// The median, the least and the most.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}
