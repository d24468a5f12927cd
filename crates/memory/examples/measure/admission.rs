//! 200 pieces of class 128 MB in a budget of 256 MB, each of which writes every page of 60-90 % of
//! its class.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use samovar_clock::{Clock, Random};
use samovar_memory::{Budget, Class, MB, ProcessMemory, Work, spawn_blocking, step};

const PIECES: usize = 200;
const BUDGET: u64 = 256 * MB;

pub(super) fn one_run() -> String {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
    runtime.expect("it starts").block_on(admit_all())
}

async fn admit_all() -> String {
    // The kernel forgets the peak it has seen.
    let forgets = fs::write("/proc/self/clear_refs", "5").is_ok();
    let idle = ProcessMemory::own().expect("it is told").rss_bytes;
    let budget = Budget::new(BUDGET, Clock::System);
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let random = Random::seeded(7);
    let pieces: Vec<_> = (0..PIECES)
        .map(|index| {
            let (budget, running, most) = (budget.clone(), running.clone(), most.clone());
            let percent = 60 + random.below(31);
            tokio::spawn(async move {
                let job = format!("piece/{index}");
                let work = Work { kind: "piece", job: &job, class: Class::Mb128, share: None };
                let admitted = budget.admit(work).await.expect("it fits");
                let now = running.fetch_add(1, Ordering::Relaxed) + 1;
                most.fetch_max(now, Ordering::Relaxed);
                let account = admitted.account().clone();
                let write = account.scope(|| spawn_blocking(move || write_pages(percent)));
                let is_done = write.await.expect("it ends");
                running.fetch_sub(1, Ordering::Relaxed);
                drop(admitted);
                is_done
            })
        })
        .collect();
    let mut failed = 0;
    for piece in pieces {
        failed += usize::from(!piece.await.expect("it ends"));
    }
    let peak = peak_rss().saturating_sub(idle);
    format!(
        "| | |\n|---|---|\n| most RSS above idle{} | {:.1} MB, {:.2} × the budget |\n\
         | failed | {failed} of {PIECES} |\n| at the same time, at most | {} |\n",
        if forgets { "" } else { " (since the start of the process)" },
        peak as f64 / MB as f64,
        peak as f64 / BUDGET as f64,
        most.load(Ordering::Relaxed)
    )
}

/// In blocks of different sizes, each page of which is written.
fn write_pages(percent: u64) -> bool {
    let total = Class::Mb128.bytes() / 100 * percent;
    let (mut kept, mut held) = (Vec::new(), 0);
    let random = Random::seeded(percent);
    while held < total {
        let size = (1 + random.below(1_000_000)).min(total - held);
        kept.push(vec![1_u8; size as usize]);
        held += size;
        if step().is_err() {
            return false;
        }
    }
    std::hint::black_box(&kept);
    true
}

fn peak_rss() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let kilobytes = line.trim().trim_end_matches("kB").trim().parse::<u64>();
    kilobytes.unwrap_or_default() * 1024
}
