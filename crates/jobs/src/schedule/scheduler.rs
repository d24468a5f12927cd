//! The task that fires schedules: any process may run one, each instant is fired once.

use std::{sync::Arc, time::Duration};

use samovar_clock::{Clock, Random};
use tokio::{sync::watch, task::JoinHandle};

use super::{
    Planned, Schedules,
    due::{Due, due},
};
use crate::{
    QueueName, Store, StoreError,
    backoff::Backoff,
    store::{Fire, Fired},
};

/// The longest sleep, so that a calendar that was set is noticed.
const LOOK: Duration = Duration::from_secs(30);
/// What was refused, because a queue is full, is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// A scheduler that runs. Dropped, it goes on; [`Scheduler::drain`] ends it.
#[derive(Debug)]
pub struct Scheduler {
    draining: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Scheduler {
    /// Starts it on the current Tokio runtime. It goes by the calendar of this machine.
    pub fn start(schedules: Schedules, store: Arc<Store>, clock: Clock, random: Random) -> Self {
        let (draining, drains) = watch::channel(false);
        let run = Loop { schedules, store, clock, random, draining: drains };
        Self { draining, task: tokio::spawn(run.run()) }
    }

    /// Fires nothing more.
    pub async fn drain(self) {
        self.draining.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "a scheduler ended badly");
        }
    }
}

struct Loop {
    schedules: Schedules,
    store: Arc<Store>,
    clock: Clock,
    random: Random,
    draining: watch::Receiver<bool>,
}

impl Loop {
    async fn run(self) {
        let mut away = Backoff::default();
        while !*self.draining.borrow() {
            let rest = match self.round().await {
                Ok(all_fired) => {
                    away = Backoff::default();
                    self.until_next().min(if all_fired { LOOK } else { TRY_AGAIN })
                }
                Err(error) => {
                    tracing::warn!(%error, "no schedule is fired");
                    away.next(&self.random)
                }
            };
            self.rest(rest).await;
        }
    }

    /// Fires what is due. Whether nothing was refused.
    async fn round(&self) -> Result<bool, StoreError> {
        let mut all_fired = true;
        for queue in self.schedules.queues() {
            let marks = self.store.marks(queue.clone()).await?;
            for planned in self.schedules.0.values() {
                if planned.schedule.job.queue != queue {
                    continue;
                }
                let mark = marks.iter().find(|mark| mark.schedule == planned.schedule.name);
                match self.look_at(planned, &queue, mark.map(|mark| mark.mark_ms)).await {
                    Ok(()) => {}
                    Err(StoreError::Refused(refusal)) => {
                        let name = &planned.schedule.name;
                        tracing::warn!(schedule = %name, %refusal, "a schedule is not fired");
                        all_fired = false;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(all_fired)
    }

    async fn look_at(
        &self,
        planned: &Planned,
        queue: &QueueName,
        mark_ms: Option<u64>,
    ) -> Result<(), StoreError> {
        let (schedule, now_ms) = (&planned.schedule, self.now_ms());
        let name = &schedule.name;
        let due = match mark_ms {
            // It is new: it fires from now on.
            None => Some(Due { at_ms: Vec::new(), mark_ms: now_ms, left_out: false }),
            Some(mark_ms) => due(&planned.plan, schedule.catch_up, mark_ms, now_ms),
        };
        let Some(due) = due else { return Ok(()) };
        let fire = Fire {
            queue: queue.clone(),
            schedule: name.clone(),
            expected_ms: mark_ms,
            mark_ms: due.mark_ms,
            jobs: due.at_ms.iter().map(|_| planned.job(&self.random)).collect(),
        };
        let fired = self.store.fire(fire).await?;
        if due.left_out && matches!(fired, Fired::Now(_)) {
            let (fired, since_ms) = (due.at_ms.len(), mark_ms);
            tracing::warn!(schedule = %name, fired, since_ms, "a schedule was missed for a while");
        }
        Ok(())
    }

    fn until_next(&self) -> Duration {
        let now_ms = self.now_ms();
        let next = self.schedules.0.values().filter_map(|it| it.plan.next_after(now_ms)).min();
        next.map_or(LOOK, |next_ms| Duration::from_millis(next_ms.saturating_sub(now_ms)))
    }

    /// By the calendar.
    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.wall().as_millis()).unwrap_or(0)
    }

    async fn rest(&self, rest: Duration) {
        let mut draining = self.draining.clone();
        let drained = async { drop(draining.wait_for(|draining| *draining).await) };
        let _ = self.clock.timeout(rest, drained).await;
    }
}
