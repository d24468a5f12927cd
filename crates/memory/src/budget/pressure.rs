//! How tight it is, for work that can do with less: chunks, a cache's local tier.

/// Ordered: more is tighter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pressure {
    #[default]
    None,
    /// Four fifths are in use: take smaller bites, drop what can be had again.
    Elevated,
    /// Nearly all is.
    Critical,
}

impl Pressure {
    pub fn of(used_bytes: u64, total_bytes: u64) -> Self {
        let percent = used_bytes.saturating_mul(100) / total_bytes.max(1);
        match percent {
            0..80 => Pressure::None,
            80..95 => Pressure::Elevated,
            _ => Pressure::Critical,
        }
    }
}

impl std::fmt::Display for Pressure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Pressure::None => "no",
            Pressure::Elevated => "elevated",
            Pressure::Critical => "critical",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_rises_with_use() {
        let of = |used| Pressure::of(used, 1000);
        assert_eq!(
            [of(0), of(799), of(800), of(949), of(950), of(5000)],
            [
                Pressure::None,
                Pressure::None,
                Pressure::Elevated,
                Pressure::Elevated,
                Pressure::Critical,
                Pressure::Critical
            ]
        );
        assert_eq!(Pressure::of(1, 0), Pressure::Critical);
    }
}
