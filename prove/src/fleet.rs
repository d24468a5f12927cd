//! The nodes over a store: started, hurt, and started again.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context, Result};
use samovar_clock::{Clock, Random};
use samovar_jobs::run::STEP_NAMES;
use samovar_testkit::{Process, process::ignoring_full_files, wait};

use crate::{
    command::NODE,
    entry::{Entry, Hits, Life},
    fault::Kind,
    node::{BEGAN, CALM, LEASE, OPEN, Role},
    place::{Address, Level, Place},
    recorder::{Journal, micros},
};

const BEGIN_LIMIT: Duration = Duration::from_secs(30);
const POINT_LIMIT: Duration = Duration::from_millis(700);
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const END_LIMIT: Duration = Duration::from_secs(60);
/// Passings of a point before the one that is the last.
const PASSINGS: u64 = 6;
/// No file may grow beyond this while its disk is "full".
const FULL_BYTES: u64 = 4096;

pub(crate) struct Fleet<'a> {
    program: PathBuf,
    pipe: PathBuf,
    store: Address,
    journal: &'a Journal,
    clock: Clock,
    random: Random,
    nodes: Vec<Node>,
    lives: Life,
}

struct Node {
    name: &'static str,
    produces: bool,
    works: bool,
    /// With the number of its life; none before its first.
    process: Option<(Life, Process)>,
    has_begun: bool,
}

impl Node {
    fn new(name: &'static str, produces: bool, works: bool) -> Self {
        Self { name, produces, works, process: None, has_begun: false }
    }
}

impl<'a> Fleet<'a> {
    pub(crate) fn new(
        program: PathBuf,
        level: Level,
        (pipe, store): (PathBuf, Address),
        journal: &'a Journal,
        random: Random,
    ) -> Self {
        let nodes = match level {
            // A folder has one owner.
            Level::Embedded => vec![Node::new("owner", true, true)],
            _ => vec![
                Node::new("producer", true, false),
                Node::new("left", false, true),
                Node::new("right", false, true),
            ],
        };
        Self { program, pipe, store, journal, clock: Clock::System, random, nodes, lives: 0 }
    }

    /// Starts whoever is dead.
    pub(crate) fn revive(&mut self) -> Result<()> {
        for at in 0..self.nodes.len() {
            if self.nodes[at].process.as_ref().is_none_or(|(_, process)| !process.is_running()) {
                self.note_death(at);
                self.start(at)?;
            }
        }
        Ok(())
    }

    /// A node that died and was not told to is a finding.
    fn note_death(&mut self, at: usize) {
        let Some((life, process)) = self.nodes[at].process.take() else { return };
        let said = process.stderr();
        let tail: Vec<_> = said.lines().rev().take(5).collect();
        let reason = format!("life {life} ended by itself: {}", tail.join(" | "));
        self.journal.write(Entry::Trouble { reason: reason.chars().take(1000).collect() });
    }

    fn start(&mut self, at: usize) -> Result<()> {
        self.lives += 1;
        let node = &self.nodes[at];
        let role = Role {
            name: node.name.to_owned(),
            life: self.lives,
            pipe: self.pipe.clone(),
            store: self.store.clone(),
            seed: self.random.next_u64(),
            produces: node.produces,
            works: node.works,
            children: self.random.below(2) == 0,
        };
        let mut command = ignoring_full_files(&self.program);
        command.arg(NODE).arg(serde_json::to_string(&role)?);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let process = Process::spawn(command).context("starting a node")?;
        self.nodes[at].process = Some((self.lives, process));
        self.nodes[at].has_begun = false;
        Ok(())
    }

    /// What comes over a node hits it at work, not on its way there.
    fn begun(&mut self, at: usize) -> Result<(Life, &Process)> {
        let node = &mut self.nodes[at];
        let (life, process) = node.process.as_ref().context("it was started")?;
        if !node.has_begun {
            process.hear(BEGAN, BEGIN_LIMIT)?;
            node.has_begun = true;
        }
        Ok((*life, process))
    }

    /// Does one of the faults that come over a node.
    pub(crate) async fn hurt(&mut self, kind: Kind) -> Result<()> {
        let mut at = self.random.below(self.nodes.len() as u64) as usize;
        let (point, passings) =
            (self.random.below(STEP_NAMES.len() as u64), self.random.below(PASSINGS));
        if kind == Kind::Point && !self.nodes[at].works {
            at += 1;
        }
        let (more, clock) = (Duration::from_millis(self.random.below(500)), self.clock.clone());
        let (life, process) = self.begun(at)?;
        let mut from_us = micros(clock.now());
        let mut died = true;
        match kind {
            Kind::Kill => process.kill(),
            Kind::Point => {
                // It may be dead when it hears of it, or never pass there.
                process.say(format_args!("die {} {passings}", STEP_NAMES[point as usize]))?;
                let dead = || (!process.is_running()).then_some(());
                let _ = wait::until(POINT_LIMIT, "a death at a point", dead);
                from_us = micros(clock.now());
                process.kill();
            }
            Kind::Stop => {
                process.stop()?;
                clock.sleep(LEASE + Duration::from_millis(100) + more).await;
                process.resume()?;
                died = false;
            }
            _ => {
                process.limit_files(Some(FULL_BYTES))?;
                clock.sleep(Duration::from_millis(100) + more).await;
                process.limit_files(None)?;
                died = false;
            }
        }
        let until_us = micros(clock.now());
        self.journal.write(Entry::Fault { kind, hits: Hits::Life(life), from_us, until_us });
        if died {
            self.nodes[at].process = None;
        }
        Ok(())
    }

    /// What comes over the servers comes over all nodes.
    pub(crate) async fn endure(&mut self, kind: Kind, place: &Place) -> Result<()> {
        self.all(|_| Ok(()))?;
        let from_us = micros(self.clock.now());
        place.suffer(kind, &self.random).await?;
        let until_us = micros(self.clock.now());
        self.journal.write(Entry::Fault { kind, hits: Hits::All, from_us, until_us });
        Ok(())
    }

    /// No more jobs are pushed: when this returns, the last push has been answered.
    pub(crate) fn calm(&mut self) -> Result<()> {
        self.all(|process| process.say("calm"))?;
        self.all(|process| process.hear(CALM, ANSWER_LIMIT).map(drop))
    }

    fn all(&mut self, each: impl Fn(&Process) -> Result<()>) -> Result<()> {
        for at in 0..self.nodes.len() {
            let (_, process) = self.begun(at)?;
            each(process)?;
        }
        Ok(())
    }

    /// How many jobs have not ended.
    pub(crate) fn open_jobs(&mut self) -> Result<u64> {
        let (_, process) = self.begun(0)?;
        process.say("open")?;
        Ok(process.hear(OPEN, ANSWER_LIMIT)?.parse()?)
    }

    /// An orderly end of all.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.all(|process| process.say("end"))?;
        self.all(|process| process.wait_for_success(END_LIMIT))
    }
}
