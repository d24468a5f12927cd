//! What happened, put together from all lines; and what the store says at the end.

use std::collections::{BTreeMap, HashMap, HashSet};

use samovar_jobs::{BatchId, JobId, State};

use crate::{
    entry::{BatchOffer, Entry, Hits, Life, Line, Offer},
    fault::Kind,
};

#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) offered: HashMap<JobId, Offered>,
    pub(crate) batches: HashMap<BatchId, OfferedBatch>,
    /// In the order of their tokens: a process that is stopped may write late of what it began.
    pub(crate) attempts: Vec<Attempt>,
    /// Jobs that did what they are for.
    pub(crate) effects: HashSet<JobId>,
    pub(crate) left: Vec<Left>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) starved: Vec<Fault>,
    pub(crate) troubles: Vec<String>,
    /// Nodes that died by their own hand, at a point.
    pub(crate) died_at_points: usize,
}

#[derive(Debug)]
pub(crate) struct Offered {
    pub(crate) offer: Offer,
    pub(crate) fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It may be there or not.
    Unknown,
    Acked {
        at_us: u64,
    },
    /// It is not there: refused, or another one holds its key.
    Not,
}

#[derive(Debug)]
pub(crate) struct OfferedBatch {
    pub(crate) offer: BatchOffer,
    pub(crate) fate: Fate,
}

/// One run of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) life: Life,
    pub(crate) job: JobId,
    pub(crate) token: u64,
    /// From here on it may be in flight…
    pub(crate) asked_us: u64,
    /// …and from here on its worker knows.
    pub(crate) claimed_us: u64,
    /// When its start was on record.
    pub(crate) began_us: u64,
    /// When its code came to an end.
    pub(crate) ran_us: Option<u64>,
    /// What the job became then.
    pub(crate) ended: Option<(u64, String)>,
    /// From here on it is in flight no more: its end was answered, its process is dead, or its job was
    /// claimed by another one while it ran.
    pub(crate) until_us: u64,
}

impl Attempt {
    /// What came of it counts.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.ended.as_ref().is_some_and(|(_, became)| became != "zombie")
    }

    /// The job has ended with it.
    pub(crate) fn is_final(&self) -> bool {
        const ENDS: [&str; 4] = ["done", "failed", "cancelled", "deleted"];
        self.ended.as_ref().is_some_and(|(_, became)| ENDS.contains(&became.as_str()))
    }
}

/// A job that an attempt leaves behind, if it is the one that counts.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) parent: JobId,
    pub(crate) job: JobId,
}

#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// Nothing: the machine was busy.
    pub(crate) kind: Option<Kind>,
    pub(crate) hits: Hits,
    pub(crate) from_us: u64,
    pub(crate) until_us: u64,
}

impl Fault {
    /// Whether the attempt was in flight while it lasted.
    pub(crate) fn met(&self, attempt: &Attempt) -> bool {
        let hit = match self.hits {
            Hits::All => true,
            Hits::Life(life) => life == attempt.life,
        };
        hit && attempt.asked_us <= self.until_us && attempt.until_us >= self.from_us
    }
}

/// What the store says when all is quiet.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) jobs: HashMap<JobId, State>,
    pub(crate) batches: HashMap<BatchId, BatchFact>,
    /// All that it counts.
    pub(crate) total_jobs: u64,
    /// Of them, those that have not ended.
    pub(crate) open_jobs: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct BatchFact {
    pub(crate) is_finished: bool,
    pub(crate) is_cancelled: bool,
    pub(crate) total: u64,
    pub(crate) pending: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
}

impl History {
    pub(crate) fn of(lines: &[Line]) -> Self {
        let mut reader = Reader::default();
        lines.iter().for_each(|line| reader.read(line));
        reader.done()
    }

    pub(crate) fn members(&self) -> HashMap<BatchId, Vec<JobId>> {
        let mut members: HashMap<_, Vec<_>> = HashMap::new();
        for (job, offered) in &self.offered {
            if let Some(batch) = offered.offer.batch {
                members.entry(batch).or_default().push(*job);
            }
        }
        members
    }

    pub(crate) fn by_kind(&self) -> BTreeMap<Kind, usize> {
        let mut counts = BTreeMap::new();
        self.faults.iter().filter_map(|fault| fault.kind).for_each(|kind| {
            *counts.entry(kind).or_default() += 1;
        });
        counts
    }
}

#[derive(Default)]
struct Reader {
    history: History,
    pushes: HashMap<u64, (Vec<JobId>, Option<BatchId>)>,
    /// When it was asked for, and when it was given.
    claimed: HashMap<Key, (u64, u64)>,
    at: HashMap<Key, usize>,
    died_us: HashMap<Life, u64>,
}

type Key = (Life, JobId, u64);

impl Reader {
    fn read(&mut self, line: &Line) {
        let history = &mut self.history;
        match &line.entry {
            Entry::Began { .. } => {}
            Entry::Offered { push, jobs, batch } => self.offered(*push, jobs, batch.as_ref()),
            Entry::Acked { push, instead } => {
                self.settle(*push, Fate::Acked { at_us: line.at_us });
                for (job, _) in instead {
                    self.fate(*job, Fate::Not);
                }
            }
            Entry::Refused { push, .. } => self.settle(*push, Fate::Not),
            Entry::Claimed { job, token, asked_us } => {
                self.claimed.insert((line.life, *job, *token), (*asked_us, line.at_us));
            }
            Entry::Step { step, job, token, became } => {
                let key = (line.life, *job, *token);
                match (step.as_str(), became) {
                    ("started", _) => self.began(key, line.at_us),
                    ("ran", _) => self.ran(key, line.at_us),
                    ("reported", Some(became)) => self.ended(key, line.at_us, became),
                    _ => {}
                }
            }
            Entry::Effect { job, .. } => drop(history.effects.insert(*job)),
            Entry::Left { job, offer, .. } => {
                history.left.push(Left { parent: *job, job: offer.job });
                let offered = Offered { offer: offer.clone(), fate: Fate::Unknown };
                history.offered.insert(offer.job, offered);
            }
            Entry::Dies { .. } => history.died_at_points += 1,
            Entry::Starved { ms } => history.starved.push(Fault {
                kind: None,
                hits: Hits::Life(line.life),
                from_us: line.at_us.saturating_sub(ms * 1000),
                until_us: line.at_us,
            }),
            Entry::Trouble { reason } => history.troubles.push(reason.clone()),
            Entry::Fault { kind, hits, from_us, until_us } => {
                if let (true, Hits::Life(life)) = (kind.is_deadly(), hits) {
                    self.died_us.insert(*life, *until_us);
                }
                history.faults.push(Fault {
                    kind: Some(*kind),
                    hits: hits.clone(),
                    from_us: *from_us,
                    until_us: *until_us,
                });
            }
        }
    }

    fn offered(&mut self, push: u64, jobs: &[Offer], batch: Option<&BatchOffer>) {
        let callbacks: HashSet<JobId> =
            batch.iter().flat_map(|batch| batch.callbacks().map(|(_, job)| job)).collect();
        for offer in jobs {
            let offered = Offered { offer: offer.clone(), fate: Fate::Unknown };
            self.history.offered.insert(offer.job, offered);
        }
        // Whether a callback comes depends on its batch, and is seen there.
        let pushed = jobs.iter().map(|offer| offer.job).filter(|job| !callbacks.contains(job));
        self.pushes.insert(push, (pushed.collect(), batch.map(|batch| batch.batch)));
        if let Some(offer) = batch {
            let offered = OfferedBatch { offer: offer.clone(), fate: Fate::Unknown };
            self.history.batches.insert(offer.batch, offered);
        }
    }

    fn settle(&mut self, push: u64, fate: Fate) {
        let Some((jobs, batch)) = self.pushes.get(&push).cloned() else { return };
        jobs.into_iter().for_each(|job| self.fate(job, fate));
        if let Some(batch) = batch.and_then(|batch| self.history.batches.get_mut(&batch)) {
            batch.fate = fate;
        }
    }

    fn fate(&mut self, job: JobId, fate: Fate) {
        if let Some(offered) = self.history.offered.get_mut(&job) {
            offered.fate = fate;
        }
    }

    fn began(&mut self, key: Key, began_us: u64) {
        let (life, job, token) = key;
        let claimed = self.claimed.get(&key).copied();
        let (asked_us, claimed_us) = claimed.unwrap_or((began_us, began_us));
        self.at.insert(key, self.history.attempts.len());
        self.history.attempts.push(Attempt {
            life,
            job,
            token,
            asked_us,
            claimed_us,
            began_us,
            ran_us: None,
            ended: None,
            until_us: u64::MAX,
        });
    }

    fn ran(&mut self, key: Key, at_us: u64) {
        if let Some(at) = self.at.get(&key) {
            self.history.attempts[*at].ran_us = Some(at_us);
        }
    }

    fn ended(&mut self, key: Key, at_us: u64, became: &str) {
        // What is reported without a start was given back or cancelled before it.
        if let Some(at) = self.at.get(&key) {
            self.history.attempts[*at].ended = Some((at_us, became.to_owned()));
        }
    }

    fn done(mut self) -> History {
        let attempts = &mut self.history.attempts;
        attempts.sort_by_key(|attempt| (attempt.token, attempt.began_us));
        let mut next_us = HashMap::new();
        for attempt in attempts.iter_mut().rev() {
            let ended_us = attempt.ended.as_ref().map(|(at_us, _)| *at_us);
            let died_us = self.died_us.get(&attempt.life).copied();
            // Who has come to the end of his code by then waits for the answer to his report: the store
            // may have it already.
            let still_ran = |at_us: &u64| attempt.ran_us.is_none_or(|ran_us| ran_us > *at_us);
            let taken_us = next_us.insert(attempt.job, attempt.claimed_us).filter(still_ran);
            attempt.until_us =
                [ended_us, died_us, taken_us].into_iter().flatten().min().unwrap_or(u64::MAX);
        }
        self.history
    }
}
