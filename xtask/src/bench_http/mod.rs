//! Hits over HTTP beside nginx, and thousands of connections that read every few seconds.
//!
//! Each server has one core and the clients the other. What is compared takes turns, round after round.

mod clients;
mod servers;

use std::{collections::BTreeMap, process::Command, time::Duration};

use anyhow::{Context, Result, bail};

use crate::{
    packages,
    run::{cargo, run},
};
use clients::Load;
use servers::{Nginx, Samovar};

const ROUNDS: usize = 5;
const ROUND_S: u64 = 3;
const OPEN: usize = 20_000;
const EVERY: Duration = Duration::from_secs(5);
const OPEN_FOR: Duration = Duration::from_secs(30);
pub(super) const PATH: &str = "/v1/widgets/orders?tenant=north";

pub(crate) fn bench_http(sections: &[String]) -> Result<()> {
    let wanted = |name: &str| sections.is_empty() || sections.iter().any(|it| it == name);
    packages::ensure_for_bench()?;
    run(cargo().args(["build", "--release", "--package", "samovar"]))?;
    let folder = std::env::temp_dir().join(format!("samovar-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let measured = (|| {
        let samovar = Samovar::start(&folder)?;
        let nginx = Nginx::start(&folder, samovar.address())?;
        if wanted("hit") {
            hits(&samovar, &nginx)?;
        }
        if wanted("connections") {
            connections(&samovar)?;
        }
        Ok(())
    })();
    let _ = std::fs::remove_dir_all(&folder);
    measured
}

/// One round of one contestant.
struct Round {
    per_s: f64,
    cpu_us: f64,
    p99_ms: f64,
}

fn hits(samovar: &Samovar, nginx: &Nginx) -> Result<()> {
    println!("\n| connections | server | requests/s | to nginx proxy_cache | CPU, µs | p99, ms |");
    println!("|---|---|---|---|---|---|");
    for open in [64, 1000] {
        let mut rounds: BTreeMap<usize, Vec<Round>> = BTreeMap::new();
        let contestants = [
            ("samovar", format!("http://{}{PATH}", samovar.address()), samovar.pids()),
            ("nginx proxy_cache", format!("http://{}{PATH}", nginx.address()), nginx.pids()),
            ("nginx, a file", format!("http://{}/file", nginx.address()), nginx.pids()),
        ];
        for round in 0..=ROUNDS {
            for (index, (_, url, pids)) in contestants.iter().enumerate() {
                let one = wrk(url, open, pids)?;
                // The first one warms up.
                if round > 0 {
                    rounds.entry(index).or_default().push(one);
                }
            }
        }
        for (index, (name, ..)) in contestants.iter().enumerate() {
            let (mine, theirs) = (&rounds[&index], &rounds[&1]);
            let ratios = mine.iter().zip(theirs).map(|(mine, its)| mine.per_s / its.per_s);
            let mut ratios: Vec<f64> = ratios.collect();
            ratios.sort_by(f64::total_cmp);
            let median = |figure: fn(&Round) -> f64| {
                let mut all: Vec<f64> = mine.iter().map(figure).collect();
                all.sort_by(f64::total_cmp);
                all[all.len() / 2]
            };
            println!(
                "| {open} | {name} | {:.0} | {:.2} ({:.2}-{:.2}) | {:.2} | {:.1} |",
                median(|it| it.per_s),
                ratios[ratios.len() / 2],
                ratios[0],
                ratios[ratios.len() - 1],
                median(|it| it.cpu_us),
                median(|it| it.p99_ms),
            );
        }
    }
    Ok(())
}

fn wrk(url: &str, open: usize, pids: &[u32]) -> Result<Round> {
    let (open, seconds) = (format!("-c{open}"), format!("-d{ROUND_S}s"));
    let before = servers::cpu_ns(pids)?;
    let mut wrk = Command::new("taskset");
    wrk.args(["-c", "1", "wrk", "-t1", &open, &seconds, "--latency", url]);
    let said = wrk.output().context("starting wrk")?;
    let cpu_ns = servers::cpu_ns(pids)? - before;
    let said = String::from_utf8(said.stdout)?;
    if said.contains("Non-2xx") {
        bail!("{url}: {said}");
    }
    let word_after = |name: &str| {
        let rest = said.split(name).nth(1).with_context(|| format!("no {name}: {said}"))?;
        rest.split_whitespace().next().context("nothing follows")
    };
    let requests: f64 = said
        .split(" requests in")
        .next()
        .and_then(|it| it.split_whitespace().last())
        .context("no count")?
        .parse()?;
    // Above it stand percentages of another kind, which may end alike.
    let (_, latencies) = said.split_once("Latency Distribution").context("no latencies")?;
    let p99 = latencies.split("99%").nth(1).and_then(|it| it.split_whitespace().next());
    let p99 = p99.context("no 99%")?;
    let digits = p99.trim_end_matches(char::is_alphabetic);
    let p99_ms: f64 = digits.parse::<f64>()?
        * match &p99[digits.len()..] {
            "us" => 1e-3,
            "ms" => 1.0,
            _ => 1e3,
        };
    let per_s = word_after("Requests/sec:")?.parse()?;
    Ok(Round { per_s, cpu_us: cpu_ns as f64 / 1e3 / requests, p99_ms })
}

fn connections(samovar: &Samovar) -> Result<()> {
    let empty = servers::resident_bytes(samovar.pids())?;
    let mut load = Load::open(samovar.address(), OPEN)?;
    let connected = servers::resident_bytes(samovar.pids())?;
    let report = load.read(EVERY, OPEN_FOR)?;
    let used = servers::resident_bytes(samovar.pids())?;
    let each = |bytes: u64| bytes.saturating_sub(empty) as f64 / 1024.0 / load.len() as f64;
    println!(
        "\n| connections | KB each, never used | KB each, while read | answers | errors | p50, ms | p99, ms | longest, ms |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    println!(
        "| {} | {:.1} | {:.1} | {} | {} | {:.1} | {:.1} | {:.1} |",
        load.len(),
        each(connected),
        each(used),
        report.answers(),
        report.errors,
        report.quantile_ms(0.5),
        report.quantile_ms(0.99),
        report.quantile_ms(1.0),
    );
    Ok(())
}
