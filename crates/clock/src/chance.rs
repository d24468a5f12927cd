//! Random numbers: from the operating system's seed, or from a seed that repeats.

use std::{
    cell::Cell,
    sync::{Arc, Mutex, PoisonError},
};

/// Where randomness comes from. For identity and jitter, not for secrets: those use
/// [`Random::fill_secret`].
#[derive(Clone, Debug, Default)]
pub enum Random {
    #[default]
    System,
    Seeded(Arc<Mutex<Generator>>),
}

impl Random {
    pub fn seeded(seed: u64) -> Self {
        Random::Seeded(Arc::new(Mutex::new(Generator::new(seed))))
    }

    pub fn next_u64(&self) -> u64 {
        thread_local! {
            static GENERATOR: Cell<Option<Generator>> = const { Cell::new(None) };
        }
        match self {
            Random::System => GENERATOR.with(|cell| {
                let mut generator = cell.take().unwrap_or_else(Generator::from_system);
                let value = generator.next();
                cell.set(Some(generator));
                value
            }),
            Random::Seeded(generator) => {
                generator.lock().unwrap_or_else(PoisonError::into_inner).next()
            }
        }
    }

    /// A number that names one thing for ever: never zero, so that zero can mean "none".
    pub fn id(&self) -> u64 {
        loop {
            match self.next_u64() {
                0 => {}
                id => return id,
            }
        }
    }

    /// Uniform in `0..bound`; 0 when `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// Uniform in `[0, 1)`.
    pub fn fraction(&self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Fills `secret` from the operating system, whatever this source is.
    #[expect(clippy::disallowed_methods, reason = "this is the source others take")]
    pub fn fill_secret(secret: &mut [u8]) {
        getrandom::fill(secret).expect("the operating system has randomness");
    }
}

/// SplitMix64: a full period over 64 bits, so that ids of one generator never repeat.
#[derive(Debug, Clone)]
pub struct Generator(u64);

impl Generator {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn from_system() -> Self {
        let mut seed = [0; 8];
        Random::fill_secret(&mut seed);
        Self(u64::from_le_bytes(seed))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_itself_and_differs_from_others() {
        let draw = |seed| {
            let random = Random::seeded(seed);
            [random.next_u64(), random.next_u64(), random.next_u64()]
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn bounds_hold() {
        let random = Random::seeded(1);
        for _ in 0..1000 {
            assert!(random.below(3) < 3);
            assert!((0.0..1.0).contains(&random.fraction()));
        }
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn two_threads_draw_different_ids_from_the_system() {
        let here = Random::System.id();
        let there = std::thread::spawn(|| Random::System.id()).join().expect("thread");
        assert_ne!(here, there);
    }
}
