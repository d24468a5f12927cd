//! Prints the tables of docs/benchmarks.md. Names of sections as arguments choose among them.

use anyhow::Result;
use samovar_bench::{bus, child, jobs, local_hit, measure::wanted, shared_hit, stampede, waits};

type Section = (&'static str, fn() -> Result<()>);

const SECTIONS: [Section; 6] = [
    ("local_hit", local_hit::run),
    ("shared_hit", shared_hit::run),
    ("waits", waits::run),
    ("stampede", stampede::run),
    ("bus", bus::run),
    ("jobs", jobs::run),
];

fn main() -> Result<()> {
    match child::role().as_deref() {
        Some(stampede::ROLE) => return stampede::child(),
        Some(bus::ROLE) => return bus::child(),
        _ => {}
    }
    for (name, run) in SECTIONS {
        if wanted(name) {
            run()?;
        }
    }
    Ok(())
}
