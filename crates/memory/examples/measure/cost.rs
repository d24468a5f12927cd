//! One allocation and its free, bare and metered, in one process.

#![expect(unsafe_code, reason = "allocators are called directly")]

use std::{
    alloc::{GlobalAlloc, Layout},
    fmt::Write,
    hint::black_box,
    sync::Barrier,
};

use rustix::time::ClockId;
use samovar_memory::{Account, Metered};
use tikv_jemallocator::Jemalloc;

use super::{cpu_ns, spread};

const ROUNDS: usize = 15;
const REPEATS: u64 = 400_000;

pub(super) fn table() -> String {
    let mut text = String::from(
        "| pattern | threads | bare | metered | added | added, least and most of 15 pairs |\n\
         |---|---|---|---|---|---|\n",
    );
    for (name, size, at_once) in [
        ("64 B", 64, 1),
        ("1000 × 64 B", 64, 1000),
        ("1000 B", 1000, 1),
        ("100 × 10 KB", 10_000, 100),
    ] {
        for threads in [1, 2] {
            let (mut bare, mut metered, mut added) = (Vec::new(), Vec::new(), Vec::new());
            for round in 0..ROUNDS {
                let layout = Layout::from_size_align(size, 8).expect("it is valid");
                let of_bare = || time(&Jemalloc, layout, at_once, threads);
                let of_metered = || time(&Metered::new(), layout, at_once, threads);
                let (a, b) = if round % 2 == 0 {
                    let a = of_bare();
                    (a, of_metered())
                } else {
                    let b = of_metered();
                    (of_bare(), b)
                };
                bare.push(a);
                metered.push(b);
                added.push(b - a);
            }
            let (bare, metered, added) = (spread(bare), spread(metered), spread(added));
            writeln!(
                text,
                "| {name} | {threads} | {:.1} | {:.1} | {:.1} | {:.1} .. {:.1} |",
                bare.0, metered.0, added.0, added.1, added.2
            )
            .expect("it is text");
        }
    }
    text
}

/// CPU time per allocation and free, the mean of the threads.
fn time<A: GlobalAlloc + Sync>(allocator: &A, layout: Layout, at_once: usize, threads: u32) -> f64 {
    let account = Account::unlimited("measured");
    let barrier = Barrier::new(threads as usize);
    let sum: f64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    account.scope(|| repeat(allocator, layout, at_once))
                })
            })
            .collect();
        threads.into_iter().map(|it| it.join().expect("it ends")).sum()
    });
    sum / f64::from(threads)
}

fn repeat<A: GlobalAlloc>(allocator: &A, layout: Layout, at_once: usize) -> f64 {
    let mut blocks = Vec::with_capacity(at_once);
    let start = cpu_ns(ClockId::ThreadCPUTime);
    for _ in 0..REPEATS / at_once as u64 {
        for _ in 0..at_once {
            // SAFETY: the layout has a size; the block is written inside of it.
            unsafe {
                let block = allocator.alloc(layout);
                block.write(1);
                blocks.push(black_box(block));
            }
        }
        for block in blocks.drain(..) {
            // SAFETY: allocated above with this layout.
            unsafe { allocator.dealloc(block, layout) };
        }
    }
    (cpu_ns(ClockId::ThreadCPUTime) - start) as f64 / REPEATS as f64
}
