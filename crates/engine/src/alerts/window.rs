//! The last while of the counters of this process: the last minute, or as much more of the last five as
//! it takes for enough to have happened to say anything.

use std::{collections::VecDeque, time::Duration};

use samovar_cache::Counters;
use samovar_clock::Instant;

const LEAST: Duration = Duration::from_secs(60);
const MOST: Duration = Duration::from_secs(300);
/// Of fewer reads, or leases, nothing is said.
pub(super) const ENOUGH: u64 = 20;

#[derive(Debug, Default)]
pub(super) struct Window(VecDeque<(Instant, Counters)>);

impl Window {
    pub(super) fn push(&mut self, now: Instant, counters: Counters) {
        // One that is as old as a whole window stays: what came since is counted from it.
        while self.0.get(1).is_some_and(|(at, _)| now.since(*at) >= MOST) {
            self.0.pop_front();
        }
        self.0.push_back((now, counters));
    }

    /// The shortest window in which enough of what `count` counts has happened.
    pub(super) fn last(&self, count: impl Fn(&Counters) -> u64) -> Option<Counters> {
        let (now, latest) = self.0.back()?;
        let earlier = self.0.iter().rev().filter(|(at, _)| now.since(*at) >= LEAST);
        let mut windows = earlier.map(|(_, counters)| latest.since(counters));
        windows.find(|counted| count(counted) >= ENOUGH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    /// A look each ten seconds, at which `reads` more reads have been.
    fn window(reads: &[u64]) -> Window {
        let (mut window, mut all) = (Window::default(), 0);
        for (index, reads) in reads.iter().enumerate() {
            all += reads;
            let counters = Counters { misses: all, ..Counters::default() };
            window.push(at(10 * index as u64), counters);
        }
        window
    }

    #[test]
    fn with_enough_reads_it_is_the_last_minute_and_with_fewer_it_is_longer() {
        let reads = |window: &Window| window.last(Counters::reads).map(|it| it.reads());
        assert_eq!(reads(&window(&[1000; 6])), None, "a minute is not over");
        assert_eq!(reads(&window(&[1000; 7])), Some(6000));
        assert_eq!(reads(&window(&[2; 20])), Some(20), "a hundred seconds");
        assert_eq!(reads(&window(&[0; 100])), None);
        let busy_once: Vec<u64> = std::iter::once(0).chain([100]).chain([0; 29]).collect();
        assert_eq!(reads(&window(&busy_once)), Some(100), "five minutes ago");
        let long_ago: Vec<u64> = busy_once.into_iter().chain([0; 2]).collect();
        assert_eq!(reads(&window(&long_ago)), None);
        assert_eq!(window(&[1; 100]).0.len(), 31, "no more is kept than is looked at");
    }

    #[test]
    fn a_look_that_came_late_is_a_longer_window() {
        let mut window = Window::default();
        let counters = |misses| Counters { misses, ..Counters::default() };
        window.push(at(0), counters(0));
        window.push(at(1000), counters(50));
        assert_eq!(window.last(Counters::reads), Some(counters(50)));
    }
}
