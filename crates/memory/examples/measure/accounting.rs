//! What an account shows against the change of jemalloc's `stats.allocated`, while threads allocate
//! what others free.

use std::{
    fmt::Write,
    sync::{Arc, Mutex, PoisonError},
};

use samovar_clock::Random;
use samovar_memory::{Account, AllocatorFigures, spawn_thread};

type Shelf = Mutex<Vec<Vec<u8>>>;

pub(super) fn one_run() -> String {
    let mut text = String::from("| threads | account | jemalloc | error |\n|---|---|---|---|\n");
    for threads in [1, 2, 4, 8] {
        let account = Account::unlimited("accounting");
        let shelf: Arc<Shelf> = Arc::new(Mutex::new(Vec::with_capacity(1 << 20)));
        let before = AllocatorFigures::read().allocated_bytes;
        account.scope(|| {
            let threads: Vec<_> = (0..threads)
                .map(|seed| {
                    let shelf = shelf.clone();
                    spawn_thread(move || exchange(seed, &shelf))
                })
                .collect();
            threads.into_iter().for_each(|it| it.join().expect("it ends"));
        });
        let shown = account.usage().expect("metering is on").current_bytes as f64;
        let really = AllocatorFigures::read().allocated_bytes as f64 - before as f64;
        writeln!(
            text,
            "| {threads} | {shown:.0} | {really:.0} | {:+.3} % |",
            (shown / really - 1.0) * 100.0
        )
        .expect("it is text");
    }
    text.trim().to_owned()
}

fn exchange(seed: u64, shelf: &Shelf) {
    let random = Random::seeded(seed);
    for round in 0..40_000 {
        let mine = vec![1_u8; 1 + random.below(8000) as usize];
        let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.push(mine);
        if round % 3 == 0 {
            let index = random.below(shelf.len() as u64) as usize;
            drop(shelf.swap_remove(index));
        }
    }
}
