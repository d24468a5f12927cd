//! Which traces are exported: decided once, where a trace comes in or begins.

/// The part of all traces that is exported, and whether others are believed who decided before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sampler {
    pub(crate) is_parent_based: bool,
    /// From 0 to 1.
    pub(crate) ratio: f64,
}

impl Default for Sampler {
    fn default() -> Self {
        Self { is_parent_based: true, ratio: 1.0 }
    }
}

impl Sampler {
    /// By the names of `OTEL_TRACES_SAMPLER`. `ratio` is what those take that have one.
    pub(crate) fn named(name: &str, ratio: f64) -> Option<Self> {
        let (is_parent_based, name) = match name.strip_prefix("parentbased_") {
            Some(name) => (true, name),
            None => (false, name),
        };
        let ratio = match name {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => ratio,
            _ => return None,
        };
        Some(Self { is_parent_based, ratio })
    }

    /// `decided` by whoever called us. The same trace is sampled by everybody who has the same ratio.
    pub(crate) fn samples(self, trace: u128, decided: Option<bool>) -> bool {
        match decided.filter(|_| self.is_parent_based) {
            Some(decided) => decided,
            None => {
                // Compared as whole numbers: as fractions the last of them round up to all.
                let below = (self.ratio * (1u64 << 63) as f64) as u64;
                trace as u64 >> 1 < below
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_calls_decides_only_where_he_is_believed() {
        let samples = |name, trace, decided| {
            Sampler::named(name, 0.5).expect("a name").samples(trace, decided)
        };
        let (low, high) = (1, u128::from(u64::MAX));
        for (name, trace, decided, expected) in [
            ("always_on", high, Some(false), true),
            ("always_off", low, Some(true), false),
            ("traceidratio", low, Some(false), true),
            ("traceidratio", high, Some(true), false),
            ("parentbased_always_on", high, None, true),
            ("parentbased_always_on", high, Some(false), false),
            ("parentbased_always_off", low, None, false),
            ("parentbased_always_off", low, Some(true), true),
            ("parentbased_traceidratio", low, None, true),
            ("parentbased_traceidratio", high, None, false),
        ] {
            assert_eq!(samples(name, trace, decided), expected, "{name} {trace:x} {decided:?}");
        }
        assert_eq!(Sampler::named("parentbased_", 1.0), None);
        assert_eq!(Sampler::named("jaeger_remote", 1.0), None);
    }
}
