//! What the jobs of the harness do, and what is expected of each.

use std::{borrow::Cow, path::Path, sync::Arc, time::Duration};

use anyhow::Result;
use samovar_clock::{Clock, Random};
use samovar_jobs::{
    BatchId, NewJob, Policy,
    run::{Context, Job, Registry, Stop, new_job},
};
use samovar_memory::Class;
use serde::{Deserialize, Serialize};

use crate::{
    entry::{Ends, Entry, Life, Offer},
    recorder::Journal,
};

/// One kind for all roles.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Deed {
    /// Its first attempts end in an error of its own.
    pub(crate) fails: u32,
    /// It never ends well.
    pub(crate) hopeless: bool,
    pub(crate) takes_ms: u64,
    /// It leaves another job behind, in its own batch where it is in one.
    pub(crate) leaves: bool,
    pub(crate) batch: Option<BatchId>,
    pub(crate) unique: Option<String>,
}

const BACKOFF: &[Duration] = &[Duration::from_millis(20), Duration::from_millis(60)];

impl Job for Deed {
    const KIND: &'static str = "deed";
    const QUEUE: &'static str = "prove";
    const POLICY: Policy = Policy {
        tries: 4,
        backoff: Cow::Borrowed(BACKOFF),
        timeout: Duration::from_secs(20),
        class: Class::Mb128,
        ..Policy::DEFAULT
    };

    fn unique_key(&self) -> Option<String> {
        self.unique.clone()
    }

    async fn run(&self, cx: &Context) -> Result<(), Stop> {
        let journal = cx.service::<Journal>()?;
        cx.clock().sleep(Duration::from_millis(self.takes_ms)).await;
        cx.check()?;
        if self.hopeless {
            return Err(Stop::Hopeless("as planned".to_owned()));
        }
        if cx.attempt() <= self.fails {
            return Err(Stop::Error("as planned, for now".to_owned()));
        }
        let (job, token) = (cx.id(), cx.token().as_u64());
        if self.leaves {
            let next = Deed { batch: self.batch, ..Deed::default() };
            let (new, offer) = next.new_job(&Random::System)?;
            journal.write(Entry::Left { job, token, offer });
            cx.on_ack(new)?;
        }
        journal.write(Entry::Effect { job, token });
        Ok(())
    }
}

impl Deed {
    /// Short or long enough to be in flight, sound or not.
    pub(crate) fn draw(random: &Random) -> Self {
        let chance = |percent| random.below(100) < percent;
        let fails = if chance(15) { 1 + random.below(2) as u32 } else { 0 };
        let takes_ms = match random.below(10) {
            0..4 => 0,
            4..9 => random.below(40),
            _ => 100 + random.below(400),
        };
        Self { fails, takes_ms, leaves: chance(10), hopeless: chance(3), ..Self::default() }
    }

    pub(crate) fn new_job(&self, random: &Random) -> Result<(NewJob, Offer), Stop> {
        let mut new = new_job(self, random).map_err(|error| Stop::Hopeless(error.to_string()))?;
        new.batch = self.batch;
        new.policy.isolated = random.below(100) < 2;
        let ends = if self.hopeless { Ends::Badly } else { Ends::Well };
        let (batch, unique) = (self.batch, self.unique.clone());
        Ok((new.clone(), Offer { job: new.id, ends, batch, unique }))
    }
}

pub(crate) fn registry(journal: Arc<Journal>) -> Result<Registry> {
    Ok(Registry::default().service_arc(journal).with::<Deed>()?)
}

/// The same in a child process of a node.
pub(crate) fn registry_of_child(pipe: &Path, life: Life) -> Result<Registry> {
    registry(Arc::new(Journal::open(pipe, life, Clock::System)?))
}
