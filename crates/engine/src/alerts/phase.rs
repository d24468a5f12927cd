//! The life of an alert: fine, pending, firing, fine. It is told of twice: when it begins to fire, and
//! when it is over.

use std::time::Duration;

use samovar_clock::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    #[default]
    Fine,
    /// Something is wrong, and not yet for long enough.
    Pending { since: Instant },
    /// `fine` since when nothing is wrong any more, and not yet for long enough.
    Firing { fine: Option<Instant> },
}

/// What one look has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Wrong,
    Right,
    /// It could not be looked at: nothing begins and nothing ends by that.
    Unknown,
}

/// What somebody should hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Fires,
    Over,
}

impl Phase {
    /// It fires after it was wrong for `lasts` without a break, and is over after it was right for as
    /// long without a break: what goes up and down is told of once.
    pub(crate) fn step(&mut self, look: Look, now: Instant, lasts: Duration) -> Option<Turn> {
        let (next, turn) = match (*self, look) {
            (Phase::Firing { .. }, Look::Wrong | Look::Unknown) => {
                (Phase::Firing { fine: None }, None)
            }
            (Phase::Firing { fine }, Look::Right) => {
                let fine = fine.unwrap_or(now);
                match now.since(fine) >= lasts {
                    true => (Phase::Fine, Some(Turn::Over)),
                    false => (Phase::Firing { fine: Some(fine) }, None),
                }
            }
            (_, Look::Right | Look::Unknown) => (Phase::Fine, None),
            (Phase::Fine, Look::Wrong) => Self::wrong_since(now, now, lasts),
            (Phase::Pending { since }, Look::Wrong) => Self::wrong_since(since, now, lasts),
        };
        *self = next;
        turn
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Phase::Fine => "fine",
            Phase::Pending { .. } => "pending",
            Phase::Firing { .. } => "firing",
        }
    }

    fn wrong_since(since: Instant, now: Instant, lasts: Duration) -> (Self, Option<Turn>) {
        match now.since(since) >= lasts {
            true => (Phase::Firing { fine: None }, Some(Turn::Fires)),
            false => (Phase::Pending { since }, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use samovar_clock::{Clock, ManualClock, WallTime};

    use super::*;

    const LASTS: Duration = Duration::from_secs(10);

    fn looks(text: &str) -> Vec<Look> {
        let look = |c| match c {
            'x' => Look::Wrong,
            '.' => Look::Right,
            _ => Look::Unknown,
        };
        text.chars().map(look).collect()
    }

    /// A look each five seconds: what was told at which of them.
    fn told(lasts: Duration, looks: &[Look]) -> Vec<(usize, Turn)> {
        let manual = Arc::new(ManualClock::new(WallTime::from_millis(0)));
        let clock = Clock::Manual(manual.clone());
        let (mut phase, mut told) = (Phase::Fine, Vec::new());
        for (index, look) in looks.iter().enumerate() {
            told.extend(phase.step(*look, clock.now(), lasts).map(|turn| (index, turn)));
            manual.advance(Duration::from_secs(5));
        }
        told
    }

    #[test]
    fn it_fires_once_and_is_over_once() {
        use Turn::{Fires, Over};
        for (text, expected) in [
            ("....", &[][..]),
            ("xx.xx.xx", &[]),
            ("xxx", &[(2, Fires)]),
            ("xxxxxxxx", &[(2, Fires)]),
            ("xxx...", &[(2, Fires), (5, Over)]),
            ("xxx..x..x...", &[(2, Fires), (11, Over)]),
            ("xxx...xxx...", &[(2, Fires), (5, Over), (8, Fires), (11, Over)]),
            ("xx?xxx", &[(5, Fires)]),
            ("xxx????", &[(2, Fires)]),
            ("xxx..?...", &[(2, Fires), (8, Over)]),
        ] {
            assert_eq!(told(LASTS, &looks(text)), expected, "{text}");
        }
        let at_once = told(Duration::ZERO, &looks("x.x?."));
        assert_eq!(at_once, [(0, Fires), (1, Over), (2, Fires), (4, Over)]);
    }

    proptest! {
        /// Whatever is seen: it fires first, then in turns, never sooner than after `lasts` of the same.
        #[test]
        fn turns_alternate_and_each_follows_a_while_of_the_same(text in "[x.?]{0,60}", seconds in 0_u64..30) {
            let (looks, lasts) = (looks(&text), Duration::from_secs(seconds));
            let needed = usize::try_from(seconds.div_ceil(5)).expect("few") + 1;
            let told = told(lasts, &looks);
            for (place, (index, turn)) in told.iter().enumerate() {
                let expected = if place % 2 == 0 { Turn::Fires } else { Turn::Over };
                prop_assert_eq!(*turn, expected);
                let of = if *turn == Turn::Fires { Look::Wrong } else { Look::Right };
                prop_assert!(index + 1 >= needed);
                prop_assert!(looks[index + 1 - needed..=*index].iter().all(|it| *it == of));
            }
            let last = told.last().map_or(0, |(index, _)| index + 1);
            let fires = told.len() % 2 == 1;
            let other = if fires { Look::Right } else { Look::Wrong };
            let longest = looks[last..].split(|it| *it != other).map(<[Look]>::len).max();
            prop_assert!(longest.unwrap_or(0) < needed, "nothing is left untold");
        }
    }
}
