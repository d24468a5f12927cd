//! What of a schedule is due: pure.

use super::{CatchUp, plan::Plan};
use crate::limits;

/// What to push now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    /// Instants that each get a job, the oldest first.
    pub(super) at_ms: Vec<u64>,
    /// Where the mark moves.
    pub(super) mark_ms: u64,
    /// Instants before these, or all of them, get none.
    pub(super) left_out: bool,
}

/// Nothing when nothing was due since the mark. On time is the last instant, for a little while:
/// all others were missed.
pub(super) fn due(plan: &Plan, catch_up: CatchUp, mark_ms: u64, now_ms: u64) -> Option<Due> {
    let last_ms = plan.last_until(now_ms).filter(|last_ms| *last_ms > mark_ms)?;
    let before = |at_ms: u64| plan.last_before(at_ms).filter(|at_ms| *at_ms > mark_ms);
    let late_ms = now_ms - last_ms;
    let (at_ms, left_out) = match catch_up {
        CatchUp::Skip if u128::from(late_ms) > limits::ON_TIME.as_millis() => (Vec::new(), true),
        CatchUp::Skip => (vec![last_ms], before(last_ms).is_some()),
        CatchUp::Once => (vec![last_ms], false),
        CatchUp::All => {
            let all = std::iter::successors(Some(last_ms), |at_ms| before(*at_ms));
            let mut at_ms: Vec<u64> = all.take(limits::CATCH_UP + 1).collect();
            let left_out = at_ms.len() > limits::CATCH_UP;
            at_ms.truncate(limits::CATCH_UP);
            at_ms.reverse();
            (at_ms, left_out)
        }
    };
    Some(Due { at_ms, mark_ms: last_ms, left_out })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    /// A full hour.
    const BASE: u64 = 490_000 * HOUR;

    fn at(catch_up: CatchUp, mark_ms: u64, now_ms: u64) -> Option<(Vec<u64>, u64, bool)> {
        let hourly = Plan::new("0 * * * *", "UTC").expect("sound");
        let due = due(&hourly, catch_up, BASE + mark_ms, BASE + now_ms)?;
        let at_ms = due.at_ms.iter().map(|at_ms| at_ms - BASE).collect();
        Some((at_ms, due.mark_ms - BASE, due.left_out))
    }

    #[test]
    fn an_instant_is_due_once_it_has_come_and_until_the_mark_is_there() {
        for catch_up in [CatchUp::Skip, CatchUp::Once, CatchUp::All] {
            assert_eq!(at(catch_up, 0, HOUR - 1), None);
            assert_eq!(at(catch_up, 0, HOUR), Some((vec![HOUR], HOUR, false)));
            assert_eq!(at(catch_up, HOUR, HOUR + 5), None);
            assert_eq!(at(catch_up, 3 * HOUR, 2 * HOUR), None, "a clock that is behind");
        }
    }

    #[test]
    fn what_was_missed_is_skipped_run_once_or_run_all() {
        let (late, on_time) = (3 * HOUR + 120_000, 3 * HOUR + 500);
        assert_eq!(at(CatchUp::Skip, 0, late), Some((vec![], 3 * HOUR, true)));
        assert_eq!(at(CatchUp::Skip, 0, on_time), Some((vec![3 * HOUR], 3 * HOUR, true)));
        assert_eq!(at(CatchUp::Once, 0, late), Some((vec![3 * HOUR], 3 * HOUR, false)));
        let all = vec![HOUR, 2 * HOUR, 3 * HOUR];
        assert_eq!(at(CatchUp::All, 0, late), Some((all, 3 * HOUR, false)));
    }

    #[test]
    fn after_a_long_time_the_last_hundred_are_run_and_the_rest_is_said() {
        let (at_ms, mark_ms, left_out) = at(CatchUp::All, 0, 200 * HOUR).expect("due");
        assert_eq!((at_ms.len(), at_ms[0], mark_ms), (100, 101 * HOUR, 200 * HOUR));
        assert!(left_out);
        let (at_ms, _, left_out) = at(CatchUp::All, 100 * HOUR, 200 * HOUR).expect("due");
        assert_eq!((at_ms.len(), left_out), (100, false));
    }
}
