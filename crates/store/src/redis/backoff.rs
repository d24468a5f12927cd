//! How long to wait before trying again.

use std::time::Duration;

use samovar_clock::Random;

/// Doubles from the first pause to the longest one; half of each is chance, so that many nodes do
/// not come back as one.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new((first, longest): (Duration, Duration)) -> Self {
        Self { first, longest: longest.max(first), next: first }
    }

    pub(super) fn pause(&mut self, random: &Random) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        jittered(pause, random)
    }

    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

/// Between half of `duration` and all of it.
pub(super) fn jittered(duration: Duration, random: &Random) -> Duration {
    duration / 2 + (duration / 2).mul_f64(random.fraction())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_over() {
        let random = Random::seeded(5);
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new((ms(50), ms(300)));
        for whole in [50, 100, 200, 300, 300] {
            let pause = backoff.pause(&random);
            assert!(pause >= ms(whole) / 2 && pause <= ms(whole), "{pause:?} of {whole} ms");
        }
        backoff.reset();
        assert!(backoff.pause(&random) <= ms(50));
    }
}
