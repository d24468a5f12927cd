//! A bounded queue from async callers to threads.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use samovar_clock::Clock;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::blocking;

/// Callers wait for a place without blocking a thread; threads wait for jobs without spinning.
/// Places are given in the order they were asked for.
#[derive(Debug)]
pub(super) struct Queue<J> {
    places: Semaphore,
    state: Mutex<State<J>>,
    arrived: Condvar,
}

#[derive(Debug)]
struct State<J> {
    jobs: VecDeque<J>,
    /// Threads inside `arrived.wait`: waking nobody would cost a system call per job.
    sleepers: usize,
    closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Busy,
    Closed,
}

/// The right to one push.
pub(super) type Place<'q> = SemaphorePermit<'q>;

impl<J> Queue<J> {
    pub(super) fn new(places: usize) -> Self {
        Self {
            places: Semaphore::new(places),
            state: Mutex::new(State { jobs: VecDeque::new(), sleepers: 0, closed: false }),
            arrived: Condvar::new(),
        }
    }

    pub(super) async fn enter(
        &self,
        clock: &Clock,
        patience: Duration,
    ) -> Result<Place<'_>, Refused> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        match clock.timeout(patience, self.places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(Refused::Closed),
            Err(_) => Err(Refused::Busy),
        }
    }

    pub(super) fn enter_blocking(
        &self,
        clock: &Clock,
        patience: Duration,
    ) -> Result<Place<'_>, Refused> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        match blocking::wait(self.places.acquire(), clock, clock.now() + patience) {
            Some(Ok(place)) => Ok(place),
            Some(Err(_)) => Err(Refused::Closed),
            None => Err(Refused::Busy),
        }
    }

    pub(super) fn push(&self, place: Place<'_>, job: J) -> Result<(), Refused> {
        let mut state = self.state();
        if state.closed {
            return Err(Refused::Closed);
        }
        // Given back by whoever takes the job.
        place.forget();
        state.jobs.push_back(job);
        let wake = state.sleepers > 0;
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Waits for a job; `None` when the queue is closed and everything in it was taken.
    pub(super) fn take(&self) -> Option<J> {
        let job = self.wait()?.jobs.pop_front();
        self.places.add_permits(1);
        job
    }

    /// Waits for jobs and moves all there are, but at most `limit`, to the end of `jobs`. False
    /// when the queue is closed and everything in it was taken.
    pub(super) fn take_all(&self, limit: usize, jobs: &mut VecDeque<J>) -> bool {
        let Some(mut state) = self.wait() else { return false };
        let count = state.jobs.len().min(limit);
        jobs.extend(state.jobs.drain(..count));
        drop(state);
        self.places.add_permits(count);
        true
    }

    /// Nothing enters any more, who waits for a place is sent away, what is inside stays.
    pub(super) fn close(&self) {
        self.places.close();
        self.state().closed = true;
        self.arrived.notify_all();
    }

    /// Closes and drops what is inside.
    pub(super) fn abandon(&self) {
        self.close();
        let dropped = std::mem::take(&mut self.state().jobs);
        drop(dropped);
    }

    pub(super) fn waiting(&self) -> usize {
        self.state().jobs.len()
    }

    fn wait(&self) -> Option<MutexGuard<'_, State<J>>> {
        let mut state = self.state();
        while state.jobs.is_empty() {
            if state.closed {
                return None;
            }
            state.sleepers += 1;
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.sleepers -= 1;
        }
        Some(state)
    }

    fn state(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        sync::Arc,
        task::{Context, Poll, Waker},
    };

    use samovar_clock::{ManualClock, WallTime};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn manual() -> (Arc<ManualClock>, Clock) {
        let manual = Arc::new(ManualClock::new(WallTime::from_millis(0)));
        (manual.clone(), Clock::Manual(manual))
    }

    fn put(queue: &Queue<u32>, job: u32) {
        let place = queue.enter_blocking(&Clock::System, Duration::ZERO).expect("a place");
        queue.push(place, job).expect("open");
    }

    #[test]
    fn jobs_come_out_in_order_and_no_more_than_asked_for() {
        let queue = Queue::new(8);
        (1..=5).for_each(|job| put(&queue, job));
        let mut jobs = VecDeque::new();
        assert!(queue.take_all(3, &mut jobs));
        assert_eq!(jobs, [1, 2, 3]);
        assert_eq!(queue.take(), Some(4));
        assert_eq!(queue.waiting(), 1);
    }

    #[test]
    fn who_finds_the_queue_full_waits_for_a_place_and_gets_the_next_one() {
        let (_, clock) = manual();
        let queue = Queue::new(1);
        put(&queue, 1);
        let mut entering = pin!(queue.enter(&clock, PATIENCE));
        let mut context = Context::from_waker(Waker::noop());
        assert!(entering.as_mut().poll(&mut context).is_pending());
        assert_eq!(queue.take(), Some(1));
        assert!(matches!(entering.as_mut().poll(&mut context), Poll::Ready(Ok(_))));
    }

    #[test]
    fn patience_ends_by_the_clock_and_takes_no_place() {
        let (manual, clock) = manual();
        let queue = Queue::new(1);
        put(&queue, 1);
        let mut context = Context::from_waker(Waker::noop());
        {
            let mut entering = pin!(queue.enter(&clock, PATIENCE));
            assert!(entering.as_mut().poll(&mut context).is_pending());
            manual.advance(PATIENCE);
            let refused = entering.as_mut().poll(&mut context);
            assert!(matches!(refused, Poll::Ready(Err(Refused::Busy))));
        }
        let refused = queue.enter_blocking(&clock, Duration::ZERO);
        assert!(matches!(refused, Err(Refused::Busy)));
        queue.take();
        put(&queue, 2);
    }

    #[test]
    fn closing_sends_away_who_waits_and_keeps_what_is_inside() {
        let (_, clock) = manual();
        let queue = Queue::new(2);
        put(&queue, 1);
        let place = queue.enter_blocking(&clock, Duration::ZERO).expect("the last place");
        let mut entering = pin!(queue.enter(&clock, PATIENCE));
        let mut context = Context::from_waker(Waker::noop());
        assert!(entering.as_mut().poll(&mut context).is_pending());
        queue.close();
        let refused = entering.as_mut().poll(&mut context);
        assert!(matches!(refused, Poll::Ready(Err(Refused::Closed))));
        assert_eq!(queue.push(place, 2), Err(Refused::Closed));
        assert_eq!(queue.take(), Some(1));
        assert_eq!(queue.take(), None);
    }

    #[test]
    fn a_thread_that_waits_for_jobs_is_woken_by_one_and_by_the_end() {
        let queue = Arc::new(Queue::new(1));
        let taker = std::thread::spawn({
            let queue = queue.clone();
            move || (queue.take(), queue.take())
        });
        put(&queue, 7);
        queue.close();
        assert_eq!(taker.join().expect("thread"), (Some(7), None));
    }

    #[test]
    fn a_blocked_caller_gets_the_place_that_becomes_free() {
        let queue = Arc::new(Queue::new(1));
        put(&queue, 1);
        let caller = std::thread::spawn({
            let queue = queue.clone();
            move || {
                let place = queue.enter_blocking(&Clock::System, Duration::from_secs(60));
                queue.push(place.expect("a place"), 2)
            }
        });
        assert_eq!(queue.take(), Some(1));
        assert_eq!(queue.take(), Some(2));
        assert_eq!(caller.join().expect("thread"), Ok(()));
    }
}
