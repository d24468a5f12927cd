//! Many readers of one reading.

use tokio::sync::watch;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_tasks_on_one_cold_key_are_one_compute() {
    const TASKS: usize = 10_000;
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::builder().open(folder.path()).await.expect("opens");
    let revenue = Wanted::revenue(&cache);
    let computes = Arc::new(AtomicU64::new(0));
    let (arrived, _) = watch::channel(0);
    let arrived = Arc::new(arrived);
    let started = Clock::System.now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (cache, revenue) = (cache.clone(), revenue.clone());
            let (computes, arrived) = (computes.clone(), arrived.clone());
            tokio::spawn(async move {
                arrived.send_modify(|count| *count += 1);
                // Ends when all have come, so that nobody finds it done.
                let compute = || async move {
                    computes.fetch_add(1, Ordering::SeqCst);
                    let mut arrivals = arrived.subscribe();
                    arrivals.wait_for(|count| *count == TASKS).await.map_err(|e| e.to_string())?;
                    Ok::<_, String>("42")
                };
                cache.get_or_compute(&revenue.reading(), compute).await
            })
        })
        .collect();
    let mut fresh = 0;
    for task in tasks {
        let answer = task.await.expect("no panic").expect("a value");
        assert_eq!(number(&answer), 42);
        fresh += usize::from(answer.is_fresh());
    }
    let took = Clock::System.now().since(started);
    let computes = computes.load(Ordering::SeqCst);
    println!("{TASKS} tasks on one cold key: {computes} compute, {fresh} fresh answers, {took:?}");
    assert_eq!((computes, fresh), (1, TASKS));
    cache.close().await;
}
