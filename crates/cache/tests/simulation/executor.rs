//! A scheduler that a seed decides: one thread, virtual time, a random choice of who runs next.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

use samovar_clock::{ManualClock, Random, Spawner};

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tasks belong to a group, usually a node, which can be paused and killed.
#[derive(Clone)]
pub struct Executor(Arc<Shared>);

struct Shared {
    clock: Arc<ManualClock>,
    random: Random,
    state: Mutex<State>,
    ready: Arc<Mutex<Vec<u64>>>,
}

#[derive(Default)]
struct State {
    tasks: BTreeMap<u64, (usize, Option<Task>)>,
    next: u64,
    paused: Vec<usize>,
    steps: u64,
}

struct Wakes {
    id: u64,
    ready: Arc<Mutex<Vec<u64>>>,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if !ready.contains(&self.id) {
            ready.push(self.id);
        }
    }
}

impl Executor {
    pub fn new(clock: Arc<ManualClock>, random: Random) -> Self {
        let (state, ready) = (Mutex::default(), Arc::default());
        Self(Arc::new(Shared { clock, random, state, ready }))
    }

    pub fn spawn(&self, group: usize, task: impl Future<Output = ()> + Send + 'static) {
        self.add(group, Box::pin(task));
    }

    /// What production code spawns, runs in the same group.
    pub fn spawner(&self, group: usize) -> Spawner {
        let weak = Arc::downgrade(&self.0);
        Spawner::Manual(Arc::new(move |task| {
            if let Some(shared) = weak.upgrade() {
                Executor(shared).add(group, task);
            }
        }))
    }

    fn add(&self, group: usize, task: Task) {
        let mut state = self.state();
        state.next += 1;
        let id = state.next;
        state.tasks.insert(id, (group, Some(task)));
        self.ready().push(id);
    }

    /// The group stands still while time goes on.
    pub fn pause(&self, group: usize) {
        self.state().paused.push(group);
    }

    pub fn resume(&self, group: usize) {
        self.state().paused.retain(|paused| *paused != group);
    }

    pub fn is_paused(&self, group: usize) -> bool {
        self.state().paused.contains(&group)
    }

    /// Drops all tasks of the group where they stand.
    pub fn kill(&self, group: usize) {
        let killed: Vec<Task> = {
            let mut state = self.state();
            state.paused.retain(|paused| *paused != group);
            let ids: Vec<u64> =
                state.tasks.iter().filter(|(_, (of, _))| *of == group).map(|(id, _)| *id).collect();
            ids.iter().filter_map(|id| state.tasks.remove(id)?.1).collect()
        };
        drop(killed);
    }

    pub fn steps(&self) -> u64 {
        self.state().steps
    }

    /// Polls one task, or lets time pass until one can run. False when nothing is left to do.
    pub fn step(&self) -> bool {
        let Some(id) = self.choose() else {
            let Some(deadline) = self.0.clock.next_deadline() else { return false };
            self.0.clock.advance_to(deadline);
            return true;
        };
        let task = self.state().tasks.get_mut(&id).and_then(|(_, task)| task.take());
        let Some(mut task) = task else { return true };
        let waker = Waker::from(Arc::new(Wakes { id, ready: self.0.ready.clone() }));
        let poll = task.as_mut().poll(&mut Context::from_waker(&waker));
        let finished = {
            let mut state = self.state();
            state.steps += 1;
            match (poll, state.tasks.get_mut(&id)) {
                (Poll::Pending, Some((_, slot))) => {
                    *slot = Some(task);
                    None
                }
                _ => {
                    state.tasks.remove(&id);
                    Some(task)
                }
            }
        };
        drop(finished);
        true
    }

    fn choose(&self) -> Option<u64> {
        let state = self.state();
        let mut ready = self.ready();
        ready.retain(|id| state.tasks.contains_key(id));
        let runs = |id: &u64| !state.paused.contains(&state.tasks[id].0);
        let able: Vec<usize> =
            ready.iter().enumerate().filter(|(_, id)| runs(id)).map(|(index, _)| index).collect();
        if able.is_empty() {
            return None;
        }
        let choice = able[self.0.random.below(able.len() as u64) as usize];
        Some(ready.swap_remove(choice))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ready(&self) -> MutexGuard<'_, Vec<u64>> {
        self.0.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
