//! A hit in the local tier against `get` of quick_cache and of moka.
//!
//! All look up the same key text for the same bytes in a set of the same size, in the same order,
//! with the same hash function, and each makes the key from its parts first: ours through
//! `Cache::get`, the others into a `String` that is reused.

use std::sync::Arc;

use anyhow::Result;
use tokio::runtime::Runtime;

use crate::{
    deck::{self, Parts, READINGS},
    measure::{ROUNDS, Ratio, Samples, StopWatch, in_threads},
    peers::Peers,
    resident::Resident,
    table::{self, Table},
};

const HITS_PER_SAMPLE: usize = 400_000;
const DRAWS: usize = 1 << 21;
const ZIPF: f64 = 0.99;

/// A way to look up the reading with a number.
type LookUp<'a> = Box<dyn Fn(&[u32]) + Sync + 'a>;

pub fn run() -> Result<()> {
    table::title(
        "Local hit",
        &format!(
            "{READINGS} resident values of 1 KiB, Zipf {ZIPF}, {} distinct tags, key made from its \
             parts on all sides. ns per hit and thread: the median of {ROUNDS} rounds of \
             {HITS_PER_SAMPLE} hits, contestants in turn. The ratio is ours to quick_cache, round \
             by round: median (least-most).",
            deck::TAGS
        ),
    );
    let runtime = Runtime::new()?;
    let parts = Arc::new(Parts::new()?);
    let draws = deck::zipf(DRAWS, ZIPF);
    let table = Table::begin(&[
        "tags",
        "threads",
        "samovar",
        "samovar, bytes cloned",
        "quick_cache",
        "quick_cache, Arc<[u8]>",
        "moka",
        "samovar / quick_cache",
        "moka / samovar",
        "speed-up, samovar",
        "speed-up, quick_cache",
    ]);
    for tags in [0, 4, 16] {
        let ours = runtime.block_on(Resident::fill(&parts, tags, READINGS))?;
        let peers = Peers::fill(&parts)?;
        let mut contest = Contest::new(vec![
            Box::new(|draws| ours.get_each(draws)),
            Box::new(|draws| ours.get_each_owned(draws)),
            Box::new(|draws| peers.quick_cache(draws)),
            Box::new(|draws| peers.quick_slice(draws)),
            Box::new(|draws| peers.moka(draws)),
        ]);
        contest.play(&draws);
        for threads in [1, 2] {
            table.row(&contest.row(tags, threads));
        }
    }
    Ok(())
}

/// The contestants and their samples, with one thread and with two.
struct Contest<'a> {
    contestants: Vec<LookUp<'a>>,
    samples: [Vec<Samples>; 2],
}

const OURS: usize = 0;
const QUICK: usize = 2;
const MOKA: usize = 4;

impl<'a> Contest<'a> {
    fn new(contestants: Vec<LookUp<'a>>) -> Self {
        let empty = vec![Samples::default(); contestants.len()];
        Self { contestants, samples: [empty.clone(), empty] }
    }

    fn play(&mut self, draws: &[u32]) {
        for round in 0..=ROUNDS {
            for threads in [1, 2] {
                for (number, contestant) in self.contestants.iter().enumerate() {
                    let nanos = in_threads(threads, |thread| {
                        let from =
                            (round * 2 + thread) * HITS_PER_SAMPLE % (DRAWS - HITS_PER_SAMPLE);
                        let draws = &draws[from..][..HITS_PER_SAMPLE];
                        let watch = StopWatch::start();
                        contestant(draws);
                        watch.nanos() / HITS_PER_SAMPLE as f64
                    });
                    if round > 0 {
                        self.samples[threads - 1][number].push(nanos);
                    }
                }
            }
        }
    }

    fn ratio(&self, threads: usize, one: usize, other: usize) -> Ratio {
        self.samples[threads - 1][one].ratio_to(&self.samples[threads - 1][other])
    }

    fn row(&self, tags: usize, threads: usize) -> Vec<String> {
        let medians = self.samples[threads - 1].iter().map(|s| format!("{:.0}", s.median()));
        // How many more hits per second two threads do than one.
        let speed_up = |number: usize| match threads {
            2 => format!(
                "{:.2}",
                2.0 / self.samples[1][number].ratio_to(&self.samples[0][number]).median
            ),
            _ => String::new(),
        };
        let mut row = vec![tags.to_string(), threads.to_string()];
        row.extend(medians);
        row.push(self.ratio(threads, OURS, QUICK).to_string());
        row.push(self.ratio(threads, MOKA, OURS).to_string());
        row.extend([speed_up(OURS), speed_up(QUICK)]);
        row
    }
}
