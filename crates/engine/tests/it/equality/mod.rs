//! What a widget over a rollup shows equals what plain SQL says of the same database at that moment:
//! widgets, ranges and filters that chance draws, tenants in many time zones around the days that
//! are not like others, and rows that come, change and go late. A seed repeats everything.
//!
//! `EQUALITY_CASES` asks for more readings than a run has by itself, `EQUALITY_SEED` begins with
//! the seed of a failure.

mod calendar;
mod cases;
mod counts;
mod database;
mod drawn;
mod figures;
mod orders;
mod shown;
mod walk;

use samovar_clock::Random;

use self::{counts::Counts, database::Database, walk::Walk};

/// In each database, unless `EQUALITY_CASES` asks for others.
const CASES: usize = 480;
/// After so many the next seed has other rows, widgets and tenants.
const CASES_PER_SEED: usize = 120;

/// A span of years: its tenants' time zones, and the days around which most happens.
struct Era {
    zones: &'static [(&'static str, &'static [&'static str])],
}

const ERAS: [Era; 3] = [
    Era {
        zones: &[
            ("Europe/Berlin", &["2026-03-29"]),
            ("Australia/Lord_Howe", &["2026-04-05"]),
            ("America/New_York", &["2026-03-08"]),
        ],
    },
    Era {
        zones: &[
            ("America/New_York", &["2026-11-01"]),
            ("Europe/Berlin", &["2026-10-25"]),
            ("Asia/Kathmandu", &["2026-10-31"]),
            ("Australia/Lord_Howe", &["2026-10-04"]),
        ],
    },
    // A day that was left out, one that began at one, and clocks that changed a minute after midnight.
    Era {
        zones: &[
            ("Pacific/Apia", &["2011-12-30"]),
            ("America/Sao_Paulo", &["2011-10-16", "2012-02-26"]),
            ("America/St_Johns", &["2010-11-07", "2011-03-13", "2011-11-06"]),
        ],
    },
];

fn pick<'a, T>(random: &Random, of: &'a [T]) -> &'a T {
    &of[random.below(of.len() as u64) as usize]
}

fn asked(variable: &str) -> Option<usize> {
    std::env::var(variable).ok().and_then(|number| number.parse().ok())
}

#[expect(clippy::print_stdout, reason = "the figures, for whoever asks with --no-capture")]
async fn equals(mut database: Database) {
    let cases = asked("EQUALITY_CASES").unwrap_or(CASES);
    let mut seed = asked("EQUALITY_SEED").unwrap_or(0) as u64;
    let mut counts = Counts::default();
    while counts.readings < cases {
        let more = CASES_PER_SEED.min(cases - counts.readings);
        let walk = Walk::begin(database, seed, &ERAS[seed as usize % ERAS.len()]).await;
        database = walk.go(more, &mut counts).await;
        seed += 1;
    }
    println!(
        "equality on {}: {} readings compared, 0 differences; {counts}",
        database.name(),
        counts.readings
    );
    assert!(counts.bundles > 0, "nothing was bundled: {counts}");
    assert!(counts.alone * 8 > cases, "few were made of kept partials alone: {counts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_sqlite_a_rollup_shows_what_plain_sql_says() {
    equals(Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_postgres_a_rollup_shows_what_plain_sql_says() {
    equals(Database::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_mariadb_a_rollup_shows_what_plain_sql_says() {
    equals(Database::maria_db().await).await;
}
