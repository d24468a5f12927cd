//! A queue with a slot and a share of the memory of its own is not held up by the others.

use std::sync::Arc;

use samovar_clock::Random;
use samovar_jobs::{
    NewJob, QueueName, State,
    run::{Context, Job, Registry, Served, Stop, new_job},
};
use samovar_memory::{Class, MB};
use samovar_testkit::wait;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::bench::{Bench, LIMIT, served};

#[derive(Serialize, Deserialize)]
enum Deed {
    /// Until the gate opens.
    Long,
    Short,
}

impl Job for Deed {
    const KIND: &'static str = "reserve.deed";

    async fn run(&self, cx: &Context) -> Result<(), Stop> {
        match self {
            Deed::Long => cx.service::<Semaphore>()?.acquire().await?.forget(),
            Deed::Short => {}
        }
        Ok(())
    }
}

fn job(deed: &Deed, queue: &str, class: Class) -> NewJob {
    let mut job = new_job(deed, &Random::System).expect("a job");
    job.queue = QueueName::new(queue).expect("a name");
    job.policy.class = class;
    job
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_high_job_runs_while_low_ones_hold_all_they_may() {
    let bench = Bench::new().await;
    let gate = Arc::new(Semaphore::new(0));
    let registry = Registry::default().service_arc(gate.clone());
    let registry = registry.with::<Deed>().expect("one of its name");
    let worker = bench.work(registry, |settings| {
        let high = Served { reserved: 1, reserved_bytes: 128 * MB, ..served("high") };
        settings.queues = vec![Served { weight: 6, ..high }, served("low")];
    });
    let mut low = Vec::new();
    // Two of them fill the budget of 512 MB, if they may.
    for _ in 0..20 {
        low.push(bench.push_new(job(&Deed::Long, "low", Class::Mb256)).await);
    }
    let one_runs = || async {
        let figures = bench.store.figures().await.expect("readable");
        figures.iter().any(|it| it.running == 1).then_some(())
    };
    wait::until_async(LIMIT, "one of them to run", one_runs).await.expect("it runs");
    for _ in 0..5 {
        let high = bench.push_new(job(&Deed::Short, "high", Class::Mb128)).await;
        bench.until(high, |it| it.job.state == State::Done).await;
    }
    let figures = bench.store.figures().await.expect("readable");
    let low_queue = figures.iter().find(|it| it.queue.as_str() == "low").expect("it is known");
    assert_eq!((low_queue.running, low_queue.done), (1, 0), "no more than is not reserved");
    gate.add_permits(low.len());
    for id in low {
        bench.until_ended(id).await;
    }
    worker.drain().await;
}
