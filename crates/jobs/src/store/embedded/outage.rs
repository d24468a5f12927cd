//! After the store was away, those who hold leases may renew them before any is taken back
//! (law 13).

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

#[derive(Debug, Default)]
pub(in crate::store) struct Outage {
    is_away: AtomicBool,
    /// The longest lease that was given.
    lease_ms: AtomicU64,
    /// Before this, by the store's time, nothing is taken back.
    until_ms: AtomicU64,
}

impl Outage {
    pub(in crate::store) fn leased(&self, lease: Duration) {
        let lease_ms = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
        self.lease_ms.fetch_max(lease_ms, Ordering::Relaxed);
    }

    pub(in crate::store) fn began(&self) {
        self.is_away.store(true, Ordering::Relaxed);
    }

    /// Something was written.
    pub(in crate::store) fn over(&self, now_ms: u64) {
        if self.is_away.load(Ordering::Relaxed) && self.is_away.swap(false, Ordering::Relaxed) {
            let until_ms = now_ms.saturating_add(self.lease_ms.load(Ordering::Relaxed));
            self.until_ms.fetch_max(until_ms, Ordering::Relaxed);
        }
    }

    /// Also for as long as it is away: what is asked first when it is back must not be this.
    pub(in crate::store) fn holds_back(&self, now_ms: u64) -> bool {
        if self.is_away.load(Ordering::Relaxed) {
            return true;
        }
        now_ms < self.until_ms.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_have_one_lease_of_time_after_an_outage() {
        let outage = Outage::default();
        outage.leased(Duration::from_millis(300));
        outage.over(1000);
        assert!(!outage.holds_back(1000), "nothing was wrong");
        outage.began();
        assert!(outage.holds_back(1000));
        outage.over(2000);
        assert!(outage.holds_back(2299));
        outage.over(2200);
        assert!(!outage.holds_back(2300), "it was over at 2000");
    }
}
