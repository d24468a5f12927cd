//! Who is next: small pieces of work may go ahead of a large one that does not fit, but only so
//! often.

use std::collections::VecDeque;

/// How many may be admitted past one that waits. Then it is the next, however long that takes.
pub(super) const MOST_PASSES: u32 = 16;

/// How many may wait.
pub(super) const MOST_WAITING: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Waiting {
    ticket: u64,
    need_bytes: u64,
    passed: u32,
}

#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: VecDeque<Waiting>,
}

impl Line {
    /// Whether there was room in the line.
    pub(super) fn join(&mut self, ticket: u64, need_bytes: u64) -> bool {
        let has_room = self.waiting.len() < MOST_WAITING;
        if has_room {
            self.waiting.push_back(Waiting { ticket, need_bytes, passed: 0 });
        }
        has_room
    }

    pub(super) fn leave(&mut self, ticket: u64) {
        self.waiting.retain(|it| it.ticket != ticket);
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether one of those that may be next has a need like this.
    pub(super) fn any(&self, is_so: impl Fn(u64) -> bool) -> bool {
        for it in &self.waiting {
            if is_so(it.need_bytes) {
                return true;
            }
            if it.passed >= MOST_PASSES {
                break;
            }
        }
        false
    }

    /// Takes the first that fits, unless that would pass somebody once too often.
    pub(super) fn next(&mut self, fits: impl Fn(u64) -> bool) -> Option<(u64, u64)> {
        let mut chosen = None;
        for (index, it) in self.waiting.iter().enumerate() {
            if fits(it.need_bytes) {
                chosen = Some(index);
                break;
            }
            if it.passed >= MOST_PASSES {
                break;
            }
        }
        let index = chosen?;
        for passed in self.waiting.iter_mut().take(index) {
            passed.passed += 1;
        }
        self.waiting.remove(index).map(|it| (it.ticket, it.need_bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_work_goes_ahead_of_large_work_only_so_often() {
        let mut line = Line::default();
        line.join(0, 100);
        for ticket in 1..=30 {
            line.join(ticket, 10);
        }
        for ticket in 1..=u64::from(MOST_PASSES) {
            assert_eq!(line.next(|need| need <= 50), Some((ticket, 10)));
        }
        assert_eq!(line.next(|need| need <= 50), None);
        assert_eq!(line.next(|need| need <= 100), Some((0, 100)));
        assert_eq!(line.next(|need| need <= 50), Some((17, 10)));
    }

    #[test]
    fn a_full_line_takes_nobody() {
        let mut line = Line::default();
        assert!((0..MOST_WAITING as u64).all(|ticket| line.join(ticket, 1)));
        assert!(!line.join(u64::MAX, 1));
        line.leave(0);
        assert!(line.join(u64::MAX, 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 4 } else { 256 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// Against a plain model of the budget: never more than it, and whoever joins is admitted
        /// after a bounded number of others.
        #[test]
        fn nobody_starves_and_the_budget_holds(needs in prop::collection::vec(1..=100u64, 1..200)) {
            let (mut line, mut running, mut order) = (Line::default(), VecDeque::new(), Vec::new());
            for (ticket, need) in needs.iter().enumerate() {
                line.join(ticket as u64, *need);
            }
            while order.len() < needs.len() {
                let held: u64 = running.iter().sum();
                prop_assert!(held <= 100);
                match line.next(|need| held + need <= 100) {
                    Some((ticket, need)) => {
                        order.push(ticket);
                        running.push_back(need);
                    }
                    None => prop_assert!(running.pop_front().is_some(), "nothing runs or fits"),
                }
            }
            for (position, ticket) in order.iter().enumerate() {
                let later = order[..position].iter().filter(|it| *it > ticket).count();
                prop_assert!(later <= MOST_PASSES as usize);
            }
        }
    }
}
