//! Which workers there are, and what they are told (J8).

use std::time::Duration;

use samovar_memory::BudgetUsage;

use super::harness::Harness;
use crate::{
    limits,
    name::WorkerName,
    store::{Order, Presence, WorkerView},
};

fn presence(h: &Harness) -> Presence {
    let budget =
        BudgetUsage { total_bytes: 512, promised_bytes: 7, rss_bytes: 8, running: 1, waiting: 2 };
    Presence {
        worker: h.worker(),
        start: u64::MAX,
        pid: 17,
        binary: "1.2.3 \"odd\" {}".to_owned(),
        definitions: 4,
        queues: vec![h.queue(), h.queue()],
        slots: 2,
        most_slots: 4,
        held: 1,
        draining: false,
        budget,
        up: Duration::from_millis(1234),
    }
}

async fn view(h: &Harness, worker: &WorkerName) -> Option<WorkerView> {
    let all = h.store.workers().await.expect("answers");
    all.into_iter().find(|it| it.presence.worker == *worker)
}

pub(super) async fn a_worker_is_seen_as_it_last_was_until_it_leaves(h: &Harness) {
    let mut said = presence(h);
    let worker = said.worker.clone();
    assert_eq!(h.store.leave(worker.clone()).await, Ok(false));
    assert_eq!(h.store.present(said.clone()).await, Ok(None));
    (said.held, said.draining) = (3, true);
    assert_eq!(h.store.present(said.clone()).await, Ok(None));
    let other = presence(h);
    h.store.present(other.clone()).await.expect("answers");
    let seen = view(h, &worker).await.expect("it is there");
    assert_eq!((&seen.presence, seen.order, seen.is_lost()), (&said, None, false));
    assert_eq!(h.store.leave(worker.clone()).await, Ok(true));
    assert_eq!(view(h, &worker).await, None);
    assert_eq!(view(h, &other.worker).await.expect("it stays").presence, other);
}

pub(super) async fn an_order_is_told_with_every_beat_from_then_on(h: &Harness) {
    let (said, other) = (presence(h), presence(h));
    let worker = said.worker.clone();
    assert_eq!(h.store.order(worker.clone(), Order::Drain).await, Ok(false), "nobody knows it");
    assert_eq!(h.store.present(said.clone()).await, Ok(None), "what was told to nobody is gone");
    h.store.present(other.clone()).await.expect("answers");
    for order in [Order::Drain, Order::Restart] {
        assert_eq!(h.store.order(worker.clone(), order).await, Ok(true));
        assert_eq!(view(h, &worker).await.expect("it is there").order, Some(order));
        for _ in 0..2 {
            assert_eq!(h.store.present(said.clone()).await, Ok(Some(order)));
        }
    }
    assert_eq!(h.store.present(other).await, Ok(None));
    // Whoever comes after it under its name was told nothing.
    let next = Presence { start: 1, ..said };
    assert_eq!(h.store.present(next).await, Ok(None));
}

pub(super) async fn a_silent_worker_is_lost_and_then_forgotten(h: &Harness) {
    let (said, other) = (presence(h), presence(h));
    h.store.present(said.clone()).await.expect("answers");
    h.pass(limits::WORKER_LOST + h.margin());
    h.store.present(other.clone()).await.expect("answers");
    let seen = view(h, &said.worker).await.expect("it is there");
    assert!(seen.is_lost() && seen.silent < limits::WORKER_FORGOTTEN, "{seen:?}");
    assert!(!view(h, &other.worker).await.expect("it is there").is_lost());
    h.pass(limits::WORKER_FORGOTTEN - limits::WORKER_LOST - h.margin());
    assert_eq!(view(h, &said.worker).await, None);
    assert!(view(h, &other.worker).await.expect("it is there").is_lost());
    assert_eq!(h.store.order(said.worker.clone(), Order::Drain).await, Ok(false));
}
