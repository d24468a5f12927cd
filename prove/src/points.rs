//! Named points between the steps of an attempt, where a node writes down that it has passed, and may
//! die by its own hand.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::process::{Signal, getpid, kill_process};
use samovar_jobs::{JobId, run::STEPS_TARGET};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

use crate::{entry::Entry, recorder::Journal};

/// Where the node is to die next: the point, and how many more times it may be passed.
#[derive(Debug, Default)]
pub(crate) struct Doom(Mutex<Option<(String, u64)>>);

impl Doom {
    pub(crate) fn set(&self, point: String, passings: u64) {
        *self.lock() = Some((point, passings));
    }

    /// Whether it is now.
    fn passes(&self, point: &str) -> bool {
        let mut doom = self.lock();
        match &mut *doom {
            Some((at, 0)) if at == point => true,
            Some((at, left)) if at == point => {
                *left -= 1;
                false
            }
            _ => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(String, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From now on each step is written down; what else is worth a warning goes to standard error.
pub(crate) fn watch(journal: Arc<Journal>, doom: Arc<Doom>) {
    let points = Points { journal, doom, asked_us: AtomicU64::new(0) };
    let steps = Targets::new().with_target(STEPS_TARGET, Level::TRACE);
    let warnings = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    tracing_subscriber::registry()
        .with(points.with_filter(steps))
        .with(warnings.with_filter(LevelFilter::WARN))
        .init();
}

#[derive(Debug)]
struct Points {
    journal: Arc<Journal>,
    doom: Arc<Doom>,
    /// When the worker asked for jobs. That happens too often to be written down each time.
    asked_us: AtomicU64,
}

impl<S: Subscriber> Layer<S> for Points {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut seen = Seen::default();
        event.record(&mut seen);
        let Seen { step, job, token, became } = seen;
        match (step.as_str(), job) {
            ("asked", _) => self.asked_us.store(self.journal.now_us(), Ordering::Relaxed),
            ("claimed", Some(job)) => {
                let asked_us = self.asked_us.load(Ordering::Relaxed);
                self.journal.write(Entry::Claimed { job, token, asked_us });
            }
            (_, Some(job)) => {
                self.journal.write(Entry::Step { step: step.clone(), job, token, became });
            }
            (_, None) => {}
        }
        if self.doom.passes(&step) {
            self.journal.write(Entry::Dies { point: step });
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }
}

#[derive(Default)]
struct Seen {
    step: String,
    job: Option<JobId>,
    token: u64,
    became: Option<String>,
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "job" {
            self.job = JobId::parse(&format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "step" => value.clone_into(&mut self.step),
            "became" => self.became = Some(value.to_owned()),
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "token" {
            self.token = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doom_comes_at_its_point_after_so_many_passings() {
        let doom = Doom::default();
        assert!(!doom.passes("ran"));
        doom.set("ran".to_owned(), 1);
        assert_eq!(
            ["claimed", "ran", "claimed", "ran"].map(|it| doom.passes(it)),
            [false, false, false, true]
        );
    }
}
