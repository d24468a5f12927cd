//! What is read: readings with their tags, in the order of a Zipf distribution, and payloads.

use anyhow::Result;
use bytes::Bytes;
use samovar_cache::{Cache, Definition, Freshness, Tag, Tenant, Widget};
use samovar_clock::Random;

/// Readings that are resident while hits are measured.
pub const READINGS: usize = 100_000;
const TENANTS: usize = 10;
const WIDGETS: usize = 8;
const DAYS: usize = 365;
/// Distinct tags over all readings; each belongs to one tenant.
pub const TAGS: usize = 1_000;
/// Bytes of a value in the local tier: the most that is not compressed by default.
pub const SMALL_VALUE: usize = 1024;
const SEED: u64 = 2026;

/// What the key of a reading is made from. A request would bring these; here they are small tables,
/// so that no contestant is charged for fetching them from memory.
#[derive(Debug)]
pub struct Parts {
    pub tenants: Vec<Tenant>,
    pub widgets: Vec<String>,
    days: Vec<String>,
    shops: Vec<String>,
    tags: Vec<Tag>,
}

/// The parts of one reading.
#[derive(Clone, Copy, Debug)]
pub struct Card<'a> {
    pub widget: usize,
    pub tenant: &'a Tenant,
    pub params: [(&'a str, &'a str); 2],
}

impl Parts {
    pub fn new() -> Result<Self> {
        let tag = |number: usize| Tag::new(&format!("campaign/{number}"));
        Ok(Self {
            tenants: (0..TENANTS)
                .map(|number| Tenant::new(&format!("brand-{number}")))
                .collect::<Result<_, _>>()?,
            widgets: (0..WIDGETS).map(|number| format!("revenue_by_day_{number}")).collect(),
            days: (0..DAYS)
                .map(|day| format!("2026-{:02}-{:02}", day / 31 + 1, day % 31 + 1))
                .collect(),
            shops: (0..=READINGS / DAYS).map(|shop| (shop + 100).to_string()).collect(),
            tags: (0..TAGS).map(tag).collect::<Result<_, _>>()?,
        })
    }

    #[inline]
    pub fn card(&self, index: usize) -> Card<'_> {
        Card {
            widget: index % WIDGETS,
            tenant: &self.tenants[index % TENANTS],
            params: [("day", &self.days[index % DAYS]), ("shop", &self.shops[index / DAYS])],
        }
    }

    /// The reading's tags: spread evenly, each tag always used by the same tenant.
    pub fn tags(&self, index: usize, count: usize) -> Vec<Tag> {
        let own = TAGS / TENANTS;
        let number = |nth: usize| (index / TENANTS + nth * 31) % own * TENANTS + index % TENANTS;
        (0..count).map(|nth| self.tags[number(nth)].clone()).collect()
    }

    /// Declares the widgets, with a freshness that outlives every benchmark.
    pub fn declare(&self, cache: &Cache) -> Result<Vec<Widget>> {
        let declare = |name: &String| {
            let mut freshness = Freshness::built_in("daily").unwrap_or_default();
            freshness.jitter = 0.0;
            Ok(cache.declare(Definition::new(name).freshness(freshness))?)
        };
        self.widgets.iter().map(declare).collect()
    }
}

/// The key text that our cache makes, written by hand: what somebody with a bare map would do who
/// knows that no part needs escaping and that the parameters are in order.
#[inline]
pub fn write_key(parts: &Parts, card: &Card<'_>, out: &mut String) {
    let tenant = card.tenant.as_str();
    out.clear();
    for piece in ["{", tenant, "}:e:widget:", &parts.widgets[card.widget], ":", tenant] {
        out.push_str(piece);
    }
    let [(first, day), (second, shop)] = card.params;
    for piece in ["?", first, "=", day, "&", second, "=", shop, "#1"] {
        out.push_str(piece);
    }
}

/// Bytes that no compression makes smaller, the same for the same `seed`.
pub fn payload(seed: u64, bytes: usize) -> Bytes {
    let random = Random::seeded(seed ^ SEED);
    let mut payload = Vec::with_capacity(bytes + 8);
    while payload.len() < bytes {
        payload.extend(random.next_u64().to_le_bytes());
    }
    payload.truncate(bytes);
    Bytes::copy_from_slice(&payload)
}

/// `draws` indices below [`READINGS`], distributed after Zipf with this exponent. Which reading is
/// popular has nothing to do with when it was inserted.
pub fn zipf(draws: usize, exponent: f64) -> Vec<u32> {
    let random = Random::seeded(SEED);
    let mut ranked: Vec<u32> = (0..READINGS as u32).collect();
    for last in (1..ranked.len()).rev() {
        ranked.swap(last, random.below(last as u64 + 1) as usize);
    }
    let mut total = 0.0;
    let cumulative: Vec<f64> = (1..=READINGS)
        .map(|rank| {
            total += (rank as f64).powf(-exponent);
            total
        })
        .collect();
    let draw = |_| {
        let point = random.fraction() * total;
        ranked[cumulative.partition_point(|&sum| sum < point).min(READINGS - 1)]
    };
    (0..draws).map(draw).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn readings_and_tags_are_as_many_as_announced() -> Result<()> {
        let parts = Parts::new()?;
        let (mut keys, mut tags) = (HashSet::new(), HashSet::new());
        for index in 0..READINGS {
            let mut key = String::new();
            write_key(&parts, &parts.card(index), &mut key);
            keys.insert(key);
            let of = parts.tags(index, 4);
            assert_eq!(of.iter().map(Tag::path).collect::<HashSet<_>>().len(), 4);
            tags.extend(of.into_iter().map(|tag| (index % TENANTS, tag.path().to_owned())));
        }
        assert_eq!((keys.len(), tags.len()), (READINGS, TAGS));
        Ok(())
    }

    #[test]
    fn a_few_readings_are_most_of_the_draws() {
        let drawn = zipf(100_000, 0.99);
        let distinct = drawn.iter().collect::<HashSet<_>>().len();
        assert!((20_000..60_000).contains(&distinct), "{distinct}");
    }
}
