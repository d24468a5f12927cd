//! Who is next: small pieces of work may go ahead of a large one that does not fit, but only so
//! often. Whoever has a reserved share of his own is held up by nobody while it lasts.

use std::collections::VecDeque;

/// How many may be admitted past one that waits. Then it is the next, however long that takes.
pub(super) const MOST_PASSES: u32 = 16;

/// How many may wait.
pub(super) const MOST_WAITING: usize = 10_000;

/// What somebody in the line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) need_bytes: u64,
    pub(super) share: Option<String>,
}

/// From where a wish can be fulfilled now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    No,
    /// From what all may use.
    Common,
    /// From what nobody else may use, so that it takes nothing from those before it.
    OwnShare,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Waiting {
    ticket: u64,
    wish: Wish,
    passed: u32,
}

#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: VecDeque<Waiting>,
}

impl Line {
    /// Whether there was room in the line.
    pub(super) fn join(&mut self, ticket: u64, wish: Wish) -> bool {
        let has_room = self.waiting.len() < MOST_WAITING;
        if has_room {
            self.waiting.push_back(Waiting { ticket, wish, passed: 0 });
        }
        has_room
    }

    pub(super) fn leave(&mut self, ticket: u64) {
        self.waiting.retain(|it| it.ticket != ticket);
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether one of those that may be next has a wish like this.
    pub(super) fn any(&self, is_so: impl Fn(&Wish) -> bool) -> bool {
        for it in &self.waiting {
            if is_so(&it.wish) {
                return true;
            }
            if it.passed >= MOST_PASSES {
                break;
            }
        }
        false
    }

    /// Takes the first that fits, unless that would pass somebody once too often.
    pub(super) fn next(&mut self, fit: impl Fn(&Wish) -> Fit) -> Option<(u64, Wish)> {
        let mut chosen = None;
        let mut is_held_up = false;
        for (index, it) in self.waiting.iter().enumerate() {
            match fit(&it.wish) {
                Fit::Common if is_held_up => {}
                Fit::No => {}
                fit => {
                    chosen = Some((index, fit));
                    break;
                }
            }
            is_held_up |= it.passed >= MOST_PASSES;
        }
        let (index, fit) = chosen?;
        if fit == Fit::Common {
            self.waiting.iter_mut().take(index).for_each(|it| it.passed += 1);
        }
        self.waiting.remove(index).map(|it| (it.ticket, it.wish))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wish(need_bytes: u64) -> Wish {
        Wish { need_bytes, share: None }
    }

    fn up_to(bytes: u64) -> impl Fn(&Wish) -> Fit {
        move |wish| if wish.need_bytes <= bytes { Fit::Common } else { Fit::No }
    }

    #[test]
    fn small_work_goes_ahead_of_large_work_only_so_often() {
        let mut line = Line::default();
        line.join(0, wish(100));
        for ticket in 1..=30 {
            line.join(ticket, wish(10));
        }
        for ticket in 1..=u64::from(MOST_PASSES) {
            assert_eq!(line.next(up_to(50)), Some((ticket, wish(10))));
        }
        assert_eq!(line.next(up_to(50)), None);
        assert_eq!(line.next(up_to(100)), Some((0, wish(100))));
        assert_eq!(line.next(up_to(50)), Some((17, wish(10))));
    }

    #[test]
    fn whoever_has_a_share_passes_without_being_counted_or_held_up() {
        let mut line = Line::default();
        let own = Wish { share: Some("high".to_owned()), ..wish(10) };
        let fit = |it: &Wish| if it.share.is_some() { Fit::OwnShare } else { Fit::No };
        line.join(0, wish(100));
        for ticket in 1..=u64::from(MOST_PASSES) {
            line.join(ticket, wish(10));
            assert_eq!(line.next(up_to(50)), Some((ticket, wish(10))));
        }
        for ticket in 100..200 {
            line.join(ticket, own.clone());
            assert_eq!(line.next(fit), Some((ticket, own.clone())), "nobody is passed too often");
        }
        line.join(200, own);
        assert_eq!(line.next(up_to(50)), None, "beyond its share it waits like everybody");
    }

    #[test]
    fn a_full_line_takes_nobody() {
        let mut line = Line::default();
        assert!((0..MOST_WAITING as u64).all(|ticket| line.join(ticket, wish(1))));
        assert!(!line.join(u64::MAX, wish(1)));
        line.leave(0);
        assert!(line.join(u64::MAX, wish(1)));
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
                line.join(ticket as u64, wish(*need));
            }
            while order.len() < needs.len() {
                let held: u64 = running.iter().sum();
                prop_assert!(held <= 100);
                match line.next(up_to(100 - held)) {
                    Some((ticket, wish)) => {
                        order.push(ticket);
                        running.push_back(wish.need_bytes);
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
