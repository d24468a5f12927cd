//! The jobs of the trials: some take too much memory, some keep it, some are modest.

use std::{
    borrow::Cow,
    fs::OpenOptions,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use futures_util::stream;
use samovar_jobs::{
    Policy,
    run::{Context, Job, Registry, Stop, UnfitKind},
};
use samovar_memory::{Class, MB};
use serde::{Deserialize, Serialize};

pub(super) const QUEUE: &str = "prove";

/// Nothing is tried a second time: the first end is the one that is looked at.
const ONCE: Policy =
    Policy { tries: 1, backoff: Cow::Borrowed(&[]), class: Class::Mb128, ..Policy::DEFAULT };

/// All kinds, for workers and their children.
pub(super) fn registry() -> Result<Registry, UnfitKind> {
    let registry = Registry::default().with::<Pile>()?.with::<Pass>()?;
    registry.with::<Keep>()?.with::<Modest>()
}

fn megabytes(count: u64) -> Vec<Vec<u8>> {
    (0..count).map(|_| vec![1; MB as usize]).collect()
}

/// Writes down which rows of a job are done, in a line that is there as a whole or not at all.
fn note_done(ledger: &Path, from: u64, to: u64) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(ledger)?;
    file.write_all(format!("{from} {to}\n").as_bytes())
}

/// Holds a megabyte for each of its rows until it ends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Pile {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) splits: bool,
    pub(super) ledger: PathBuf,
}

impl Job for Pile {
    const KIND: &'static str = "prove.pile";
    const QUEUE: &'static str = QUEUE;
    const POLICY: Policy = ONCE;

    async fn run(&self, cx: &Context) -> Result<(), Stop> {
        let from = cx.saved()?.unwrap_or(self.from);
        let held = &Mutex::new(Vec::new());
        cx.in_chunks(stream::iter(from..self.to), 16, |rows: Vec<u64>| async move {
            let next = rows[rows.len() - 1] + 1;
            let more = megabytes(rows.len() as u64);
            held.lock().unwrap_or_else(PoisonError::into_inner).extend(more);
            note_done(&self.ledger, rows[0], next)?;
            Ok(next)
        })
        .await
    }

    async fn split(&self, cx: &Context, parts: usize) -> Result<Vec<Self>, Stop> {
        let from = cx.saved()?.unwrap_or(self.from);
        let step = (self.to - from).div_ceil(parts as u64).max(1);
        let part = |from: u64| Self { from, to: (from + step).min(self.to), ..self.clone() };
        let parts = (from..self.to).step_by(step as usize).map(part);
        Ok(if self.splits { parts.collect() } else { Vec::new() })
    }
}

/// Lets rows of a kilobyte pass, and gives as its result the most that it held of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Pass {
    pub(super) rows: u64,
    pub(super) ledger: PathBuf,
}

impl Job for Pass {
    const KIND: &'static str = "prove.pass";
    const QUEUE: &'static str = QUEUE;
    const POLICY: Policy = ONCE;

    async fn run(&self, cx: &Context) -> Result<(), Stop> {
        let from: u64 = cx.saved()?.unwrap_or(0);
        let rows = stream::iter((from..self.rows).map(|row| (row, vec![1_u8; 1024])));
        cx.in_chunks(rows, 1000, |rows: Vec<(u64, Vec<u8>)>| async move {
            let next = rows[rows.len() - 1].0 + 1;
            note_done(&self.ledger, rows[0].0, next)?;
            Ok(next)
        })
        .await?;
        cx.result(&cx.memory().map(|usage| usage.peak_bytes))
    }
}

/// What [`Keep`] leaves behind.
static KEPT: Mutex<Vec<Vec<Vec<u8>>>> = Mutex::new(Vec::new());

/// Ends well, and leaves memory behind that nobody gives back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Keep {
    pub(super) megabytes: u64,
}

impl Job for Keep {
    const KIND: &'static str = "prove.keep";
    const QUEUE: &'static str = QUEUE;
    const POLICY: Policy = ONCE;

    async fn run(&self, _: &Context) -> Result<(), Stop> {
        KEPT.lock().unwrap_or_else(PoisonError::into_inner).push(megabytes(self.megabytes));
        Ok(())
    }
}

/// Holds what it may, for a moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Modest {
    pub(super) megabytes: u64,
}

impl Job for Modest {
    const KIND: &'static str = "prove.modest";
    const QUEUE: &'static str = QUEUE;
    const POLICY: Policy = ONCE;

    async fn run(&self, cx: &Context) -> Result<(), Stop> {
        let held = megabytes(self.megabytes);
        cx.check()?;
        drop(held);
        Ok(())
    }
}
