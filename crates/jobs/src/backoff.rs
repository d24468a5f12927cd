//! How long to wait for a store that is away.

use std::time::Duration;

use samovar_clock::Random;

/// Longer and longer waits, up to 1.3 s, each a bit different.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(crate) fn next(&mut self, random: &Random) -> Duration {
        self.failures = (self.failures + 1).min(4);
        let ms = 80 << self.failures;
        Duration::from_millis(ms / 2 + random.below(ms / 2))
    }
}
