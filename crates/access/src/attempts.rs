//! Attempts that failed, by address and by user: after a few in a row each has to wait.
//!
//! A bucket for each of them, which an attempt draws from before anything is compared, so that many
//! at a time are no way around it, and which gets it back when it succeeds. Those of one process:
//! so many processes, so many attempts.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use samovar_clock::Instant;

use crate::limits;

#[derive(Debug)]
pub(crate) struct Attempts<K> {
    /// That may fail in a row.
    burst: u32,
    /// The time in which one of them is forgotten.
    every: Duration,
    /// When all of somebody's failures will be forgotten.
    full_at: Mutex<HashMap<K, Instant>>,
}

/// How long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait(pub(crate) Duration);

impl<K: std::hash::Hash + Eq + Clone> Attempts<K> {
    pub(crate) fn new(burst: u32, every: Duration) -> Self {
        Self { burst, every, full_at: Mutex::default() }
    }

    /// Counts one as failed, unless there were too many.
    pub(crate) fn draw(&self, of: &K, now: Instant) -> Result<(), Wait> {
        let mut table = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = table.get(of).copied().unwrap_or(now).max(now);
        let full_then = full_at + self.every;
        let most = now + self.every * self.burst;
        if full_then > most {
            return Err(Wait(full_then.since(most)));
        }
        if !table.contains_key(of) && table.len() >= limits::REMEMBERED {
            make_room(&mut table, now);
        }
        table.insert(of.clone(), full_then);
        Ok(())
    }

    /// It did not fail.
    pub(crate) fn give_back(&self, of: &K, now: Instant) {
        let mut table = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(full_at) = table.get_mut(of) else { return };
        *full_at = *full_at - self.every;
        if *full_at <= now {
            table.remove(of);
        }
    }

    /// It succeeded, and whatever failed before is forgotten.
    pub(crate) fn forget(&self, of: &K) {
        self.full_at.lock().unwrap_or_else(PoisonError::into_inner).remove(of);
    }
}

/// Those go whose failures are forgotten, and where there are none, the half that is nearest to it.
fn make_room<K: std::hash::Hash + Eq>(table: &mut HashMap<K, Instant>, now: Instant) {
    table.retain(|_, full_at| *full_at > now);
    if table.len() < limits::REMEMBERED {
        return;
    }
    let mut all: Vec<Instant> = table.values().copied().collect();
    let middle = all.len() / 2;
    let (_, median, _) = all.select_nth_unstable(middle);
    let median = *median;
    table.retain(|_, full_at| *full_at > median);
}

/// Where somebody comes from: one address, or the network that one customer is given.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(1_000_000_000) + Duration::from_secs(seconds)
    }

    fn three() -> Attempts<u32> {
        Attempts::new(3, Duration::from_secs(10))
    }

    #[test]
    fn after_a_few_in_a_row_there_is_one_in_a_while() {
        let attempts = three();
        for _ in 0..3 {
            assert_eq!(attempts.draw(&1, at(0)), Ok(()));
        }
        assert_eq!(attempts.draw(&1, at(0)), Err(Wait(Duration::from_secs(10))));
        assert_eq!(attempts.draw(&1, at(4)), Err(Wait(Duration::from_secs(6))));
        assert_eq!(attempts.draw(&2, at(4)), Ok(()), "others are not held up");
        assert_eq!(attempts.draw(&1, at(10)), Ok(()));
        assert_eq!(attempts.draw(&1, at(10)), Err(Wait(Duration::from_secs(10))));
        for _ in 0..3 {
            assert_eq!(attempts.draw(&1, at(60)), Ok(()));
        }
        assert!(attempts.draw(&1, at(60)).is_err(), "waiting long gives no more than at first");
    }

    #[test]
    fn what_succeeds_costs_nothing() {
        let attempts = three();
        for _ in 0..100 {
            attempts.draw(&1, at(0)).expect("allowed");
            attempts.give_back(&1, at(0));
        }
        assert!(attempts.full_at.lock().expect("no panic").is_empty());
        for _ in 0..3 {
            attempts.draw(&1, at(0)).expect("allowed");
        }
        attempts.forget(&1);
        assert_eq!(attempts.draw(&1, at(0)), Ok(()));
    }

    #[test]
    fn the_table_is_bounded_and_keeps_the_worst() {
        let attempts = three();
        for _ in 0..3 {
            attempts.draw(&u32::MAX, at(0)).expect("allowed");
        }
        for one in 0..limits::REMEMBERED as u32 * 3 {
            attempts.draw(&one, at(0)).expect("allowed");
        }
        assert!(attempts.full_at.lock().expect("no panic").len() <= limits::REMEMBERED);
        assert!(attempts.draw(&u32::MAX, at(0)).is_err(), "one that failed often is remembered");
    }

    #[test]
    fn addresses_of_one_network_are_one() {
        let of = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
