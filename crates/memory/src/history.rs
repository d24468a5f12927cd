//! What earlier runs of a kind of work came to: their peaks, and what they never gave back.

use std::collections::{HashMap, VecDeque};

use crate::{Account, Class, MB};

const RUNS_KEPT: usize = 32;
/// Kinds of work remembered; the one that has not run for the longest time is forgotten.
const KINDS_KEPT: usize = 1000;
/// Runs before their peaks are believed.
const RUNS_BELIEVED: usize = 5;
/// Room above the peaks seen, in percent.
const MARGIN_PERCENT: u64 = 10;

/// Runs in a row that must have kept something for it to be called a leak.
const LEAK_RUNS: usize = 5;
/// A run that keeps less is not counted: a name interned, a table grown.
const LEAK_BYTES_PER_RUN: u64 = 64 * 1024;

/// Memory that stays when runs end, and more with each of them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Leak {
    pub kind: String,
    /// How many of the last runs still hold something.
    pub runs: usize,
    pub retained_bytes: u64,
}

#[derive(Debug, Default)]
struct Kind {
    peaks: VecDeque<u64>,
    /// Accounts of runs that ended: they go on telling what is still out there.
    ended: VecDeque<Account>,
    last_run: u64,
}

#[derive(Debug, Default)]
pub struct History {
    kinds: HashMap<String, Kind>,
    runs: u64,
}

impl History {
    /// What a run is expected to need, at most its class; the class while too little is known.
    pub fn need_bytes(&self, kind: &str, class: Class) -> u64 {
        let learned = self.peak_p95_bytes(kind).map(|peak| peak / 100 * (100 + MARGIN_PERCENT));
        learned.map_or(class.bytes(), |need| need.clamp(MB, class.bytes()))
    }

    /// 95 of 100 runs stayed at or below it; nothing while too few were seen.
    pub fn peak_p95_bytes(&self, kind: &str) -> Option<u64> {
        let kind = self.kinds.get(kind).filter(|kind| kind.peaks.len() >= RUNS_BELIEVED)?;
        let mut peaks: Vec<_> = kind.peaks.iter().copied().collect();
        peaks.sort_unstable();
        peaks.get((peaks.len() * 95).div_ceil(100) - 1).copied()
    }

    /// A run has ended. Tells when this kind of work leaks.
    pub fn record(
        &mut self,
        name: &str,
        peak_bytes: Option<u64>,
        account: &Account,
    ) -> Option<Leak> {
        self.runs += 1;
        let runs = self.runs;
        self.make_room_for(name);
        let kind = self.kinds.entry(name.to_owned()).or_default();
        kind.last_run = runs;
        if let Some(peak) = peak_bytes {
            push(&mut kind.peaks, peak);
        }
        // The newest is not asked: its result may be on its way to where it belongs.
        let leak = leak(name, kind.ended.iter().map(retained_bytes));
        push(&mut kind.ended, account.clone());
        leak
    }

    /// Peaks of runs in other processes, or before this one began; they count as long as there are
    /// no newer ones.
    pub fn seed(&mut self, name: &str, peaks: impl IntoIterator<Item = u64>) {
        self.make_room_for(name);
        let runs = self.runs;
        let kind = self.kinds.entry(name.to_owned()).or_default();
        if kind.peaks.is_empty() {
            kind.last_run = runs;
            peaks.into_iter().for_each(|peak| push(&mut kind.peaks, peak));
        }
    }

    /// What ended runs of this kind still hold.
    pub fn retained_bytes(&self, kind: &str) -> u64 {
        let ended = self.kinds.get(kind).map(|kind| &kind.ended);
        ended.into_iter().flatten().map(retained_bytes).sum()
    }

    fn make_room_for(&mut self, name: &str) {
        if self.kinds.len() < KINDS_KEPT || self.kinds.contains_key(name) {
            return;
        }
        let oldest = self.kinds.iter().min_by_key(|(_, kind)| kind.last_run);
        if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
            self.kinds.remove(&oldest);
        }
    }
}

fn push<T>(runs: &mut VecDeque<T>, run: T) {
    if runs.len() == RUNS_KEPT {
        runs.pop_front();
    }
    runs.push_back(run);
}

fn retained_bytes(account: &Account) -> u64 {
    account.usage().map_or(0, |usage| usage.current_bytes)
}

/// `retained` from the oldest run to the newest.
fn leak(kind: &str, retained: impl DoubleEndedIterator<Item = u64>) -> Option<Leak> {
    let in_a_row: Vec<_> = retained.rev().take_while(|it| *it >= LEAK_BYTES_PER_RUN).collect();
    (in_a_row.len() >= LEAK_RUNS).then(|| Leak {
        kind: kind.to_owned(),
        runs: in_a_row.len(),
        retained_bytes: in_a_row.iter().sum(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_need_is_learned_after_a_few_runs_and_stays_below_the_class() {
        let mut history = History::default();
        let account = Account::unlimited("learns");
        for run in 1..=20 {
            let before = history.need_bytes("warm", Class::Mb128);
            if run <= RUNS_BELIEVED as u64 {
                assert_eq!(before, Class::Mb128.bytes());
            }
            history.record("warm", Some(run * MB), &account);
        }
        assert_eq!(history.peak_p95_bytes("warm"), Some(19 * MB));
        assert_eq!(history.need_bytes("warm", Class::Mb128), 19 * MB / 100 * 110);
        for _ in 0..20 {
            history.record("warm", Some(500 * MB), &account);
        }
        assert_eq!(history.need_bytes("warm", Class::Mb128), Class::Mb128.bytes());
        assert_eq!(history.need_bytes("other", Class::Mb512), Class::Mb512.bytes());
    }

    #[test]
    fn a_need_that_was_learned_elsewhere_counts_until_there_are_runs_here() {
        let mut history = History::default();
        history.seed("warm", [10 * MB; RUNS_BELIEVED]);
        assert_eq!(history.peak_p95_bytes("warm"), Some(10 * MB));
        history.seed("few", [10 * MB; RUNS_BELIEVED - 1]);
        assert_eq!(history.peak_p95_bytes("few"), None);
        let account = Account::unlimited("learns");
        for _ in 0..RUNS_KEPT {
            history.record("warm", Some(20 * MB), &account);
        }
        assert_eq!(history.peak_p95_bytes("warm"), Some(20 * MB));
        history.seed("warm", [MB; RUNS_KEPT]);
        assert_eq!(history.peak_p95_bytes("warm"), Some(20 * MB), "its own are newer");
    }

    #[test]
    fn a_leak_is_what_stays_run_after_run() {
        let big = LEAK_BYTES_PER_RUN;
        assert_eq!(leak("k", [big; 4].into_iter()), None);
        assert_eq!(leak("k", [big, big, 0, big, big, big, big].into_iter()), None);
        let found = leak("k", [0, big, big, big, big, 2 * big].into_iter()).expect("it leaks");
        assert_eq!((found.runs, found.retained_bytes), (5, 6 * big));
    }

    #[test]
    fn the_kind_that_ran_longest_ago_is_forgotten() {
        let mut history = History::default();
        let account = Account::unlimited("many");
        for kind in 0..=KINDS_KEPT {
            history.record(&format!("kind {kind}"), Some(MB), &account);
        }
        assert_eq!(history.kinds.len(), KINDS_KEPT);
        assert!(!history.kinds.contains_key("kind 0"));
    }
}
