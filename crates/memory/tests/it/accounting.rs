//! Work of every kind of badness, and what its account showed against the truth.

use samovar_memory::{
    Account, AlertMark, BATCH_BYTES, Budget, Class, Limit, MB, Metering, OperationLine, Work,
    inherit, metering, process_scope, spawn, spawn_blocking, spawn_thread, step, unattributed,
};

fn held(account: &Account) -> u64 {
    account.usage().expect("metering is on").current_bytes
}

/// What jemalloc gives for 1,000,000 bytes and a header: whole pages.
const MILLION_REALLY: u64 = 245 * 4096;

#[test]
fn metering_is_on_and_what_nobody_pays_for_is_told() {
    assert_eq!(metering(), Metering::On);
    let before = unattributed().expect("metering is on").process_bytes;
    let kept = process_scope(|| vec![1_u8; 50_000_000]);
    let after = unattributed().expect("metering is on").process_bytes;
    assert!(after > before + 40_000_000, "{before} {after}");
    drop(kept);
}

#[test]
fn a_block_costs_its_size_class_and_its_header() {
    let account = Account::unlimited("page");
    let page = account.scope(|| vec![0_u8; 4096]);
    assert_eq!(held(&account), 5120);
    drop(page);
    assert_eq!(held(&account), 0);
}

#[test]
fn work_that_holds_twice_its_limit_is_stopped_at_its_next_step() {
    let account = Account::new("twice", Class::Mb128);
    account.scope(|| {
        let kept: Vec<Vec<u8>> = (0..256).map(|_| vec![0; 1_000_000]).collect();
        let stopped = step().expect_err("it holds twice its limit");
        assert_eq!(stopped.limit, Limit::Class(Class::Mb128));
        assert!(stopped.to_string().contains("twice went over its limit of 128 MB"));
        let truth = 256 * MILLION_REALLY;
        assert!(stopped.current_bytes.abs_diff(truth) < MB, "{stopped}");
        drop(kept);
        // What was held is not forgotten.
        assert!(step().is_err());
    });
    assert_eq!(held(&account), 0);
}

#[test]
fn a_tight_loop_overshoots_by_no_more_than_a_step_and_a_batch() {
    let account = Account::new("tight", Limit::Bytes(10 * MB));
    let stopped = account.scope(|| {
        let mut kept = Vec::with_capacity(1_000_000);
        loop {
            kept.push(Box::new([0_u8; 100]));
            if let Err(stopped) = step() {
                return stopped;
            }
        }
    });
    let batch = BATCH_BYTES.unsigned_abs();
    assert!(stopped.peak_bytes <= 10 * MB + batch + 16 * MB / 2, "{stopped}");
    assert!(account.is_warned());
}

#[test]
fn what_grows_and_shrinks_in_place_is_followed() {
    let account = Account::unlimited("grows");
    let mut bytes = account.scope(|| vec![0_u8; 100]);
    // Outside of the scope: who allocated it pays for its growth.
    bytes.resize(3_000_000, 0);
    let grown = held(&account);
    assert!((3_000_000..4_000_000).contains(&grown), "{grown}");
    bytes.truncate(1);
    bytes.shrink_to_fit();
    assert!(held(&account) <= 64);
}

#[test]
fn threads_and_rayon_work_for_the_account_and_others_free() {
    let account = Account::unlimited("threads");
    let kept: Vec<Vec<u8>> = account.scope(|| {
        let threads: Vec<_> = (0..4).map(|_| spawn_thread(|| vec![1_u8; 1_000_000])).collect();
        let mut kept: Vec<_> = threads.into_iter().map(|it| it.join().expect("it ends")).collect();
        let pool = process_scope(|| rayon::ThreadPoolBuilder::new().num_threads(2).build());
        let pool = pool.expect("it starts");
        kept.push(pool.install(inherit(|| vec![1_u8; 1_000_000])));
        kept
    });
    let shown = held(&account);
    assert!(shown.abs_diff(5 * MILLION_REALLY) < 10_000, "{shown}");
    std::thread::spawn(move || drop(kept)).join().expect("it ends");
    assert!(held(&account) < 10_000, "{}", held(&account));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_keep_their_account_whichever_thread_polls_them() {
    let accounts: Vec<_> = (0..20).map(|it| Account::unlimited(&format!("task {it}"))).collect();
    let tasks: Vec<_> = accounts
        .iter()
        .map(|account| {
            account.wrap(async {
                let mut kept = Vec::new();
                for _ in 0..10 {
                    kept.push(vec![1_u8; 100_000]);
                    tokio::task::yield_now().await;
                }
                kept.push(spawn(async { vec![1_u8; 100_000] }).await.expect("it ends"));
                kept.push(spawn_blocking(|| vec![1_u8; 100_000]).await.expect("it ends"));
                kept
            })
        })
        .map(tokio::spawn)
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.expect("it ends"));
    }
    // Twelve blocks of 25 pages, and the vector that holds them.
    for account in &accounts {
        let shown = held(account);
        assert!(shown.abs_diff(12 * 25 * 4096) < 16_000, "{shown}");
    }
    drop(all);
    for account in &accounts {
        assert!(held(account) <= BATCH_BYTES.unsigned_abs(), "{}", held(account));
    }
}

#[test]
fn what_moves_to_the_cache_moves_to_its_account() {
    let (job, cache) = (Account::unlimited("job"), Account::unlimited("cache"));
    let value = job.scope(|| vec![7_u8; 1_000_000]);
    let value = cache.adopt(value);
    assert_eq!((held(&job), held(&cache)), (0, MILLION_REALLY));
    let name = cache.adopt(job.scope(|| "reading".repeat(1000)));
    let boxed = cache.adopt(job.scope(|| vec![1_u64; 1000].into_boxed_slice()));
    assert_eq!(held(&job), 0);
    assert_eq!(cache.adopt(Vec::<u8>::new()).capacity(), 0);
    drop((value, name, boxed));
    assert_eq!(held(&cache), 0);
}

#[tokio::test]
async fn a_leak_is_told_after_a_few_runs_with_what_is_still_out_there() {
    let budget = Budget::new(1024 * MB, samovar_clock::Clock::System);
    for run in 0..8 {
        let job = format!("leaks/{run}");
        let work = Work { kind: "leaks", job: &job, class: Class::Mb128, share: None };
        let admitted = budget.admit(work).await.expect("it fits");
        admitted.account().scope(|| Box::leak(vec![0_u8; 1_000_000].into_boxed_slice()));
    }
    let alerts = budget.alerts_since(&mut AlertMark::default());
    let text = format!("{alerts:?}");
    assert!(text.contains("Leak") && text.contains("\"leaks\""), "{text}");
    assert_eq!(budget.history().retained_bytes("leaks"), 8 * MILLION_REALLY);
    // What one run needs is known by now.
    let need = budget.history().need_bytes("leaks", Class::Mb128);
    assert!((MB..2 * MB).contains(&need), "{need}");
}

#[test]
fn an_operations_line_shows_the_account() {
    let account = Account::new("warm", Class::Mb128);
    let kept = account.scope(|| vec![0_u8; 64_000_000]);
    let line = OperationLine::of(&account, "orders").expect("metering is on");
    assert_eq!((line.current_memory_mb, line.memory_limit_mb), (61.04, 128.0));
    assert_eq!(line.usage_percentage, 47.69);
    drop(kept);
}
