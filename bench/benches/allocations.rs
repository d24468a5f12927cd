//! Counts allocations per local hit. An executable of its own, so that counting slows no other
//! figure.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Result, ensure};
use samovar_bench::{
    deck::Parts,
    measure::wanted,
    resident::Resident,
    table::{self, Table},
};
use tokio::runtime::Builder;

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[expect(unsafe_code, reason = "an allocator is unsafe by its contract; this one only counts")]
// SAFETY: everything is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

const READINGS: usize = 10_000;
const HITS: usize = 100_000;

fn main() -> Result<()> {
    if !wanted("allocations") {
        return Ok(());
    }
    table::title(
        "Allocations per local hit",
        &format!("Counted by the global allocator over {HITS} hits on {READINGS} readings."),
    );
    // One thread, so that nothing else allocates meanwhile.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let parts = Arc::new(Parts::new()?);
    let table = Table::begin(&["tags", "Cache::get", "Cache::get_or_compute"]);
    for tags in [0, 4, 16] {
        let ours = runtime.block_on(Resident::fill(&parts, tags, READINGS))?;
        let get = count(|hit| drop(black_box(ours.get(hit % READINGS))));
        let awaited = count(|hit| {
            drop(black_box(runtime.block_on(ours.get_or_compute(hit % READINGS))));
        });
        table.row(&[tags as u64, get, awaited].map(|number| number.to_string()));
        ensure!(get == 0, "a hit allocates");
    }
    Ok(())
}

fn count(hit: impl Fn(usize)) -> u64 {
    // What a thread needs once is not a hit's.
    hit(0);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    (0..HITS).for_each(hit);
    ALLOCATIONS.load(Ordering::Relaxed) - before
}
