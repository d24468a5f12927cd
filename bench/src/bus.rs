//! The bus bound: how long after `invalidate` has returned here another node still serves the old
//! value as fresh.
//!
//! The other node is a process of its own that does nothing but look at its local tier. Boot time
//! is the same clock in both.

use std::{convert::Infallible, thread};

use anyhow::{Context, Result};
use bytes::Bytes;
use samovar_cache::{Cache, Definition, How, Subject, Tag, Tenant, Tier};
use samovar_clock::Clock;
use samovar_testkit::{RedisServer, process, wait};
use tokio::runtime::Runtime;

use crate::{
    LIMIT, child,
    measure::quantile,
    table::{self, Table},
};

pub const ROLE: &str = "bus";

const ROUNDS: usize = 2_000;

pub fn run() -> Result<()> {
    table::title(
        "Bus bound",
        &format!(
            "{ROUNDS} rounds on Redis: from the return of `invalidate` in one process until the \
             local tier of another one, which holds the value and looks all the time, no longer \
             serves it as fresh. 0 where it had stopped before `invalidate` returned."
        ),
    );
    let server = RedisServer::start()?;
    let other = child::start(ROLE, &server.url())?;
    let runtime = Runtime::new()?;
    let late_us = runtime.block_on(async {
        let cache = Cache::builder().connect(&server.url()).await?;
        let (tenant, tags) = (tenant()?, [tag()?]);
        let mut late_us = Vec::with_capacity(ROUNDS);
        for round in 1..=ROUNDS {
            other.hear("holds", LIMIT)?;
            cache.invalidate(&Subject::Tags(&tags), Some(&tenant), &How::default()).await?;
            let returned = Clock::System.now();
            let gone: u64 = other.hear("gone ", LIMIT)?.parse()?;
            let late_ns = gone.saturating_sub(returned.as_nanos());
            late_us.push(late_ns as f64 / 1e3);
            if round < ROUNDS {
                other.say("again")?;
            }
        }
        cache.close().await;
        anyhow::Ok(late_us)
    })?;
    other.hang_up();
    other.wait_for_success(LIMIT)?;
    let before = late_us.iter().filter(|&&late| late == 0.0).count();
    let shown = |q| format!("{:.0}", quantile(&late_us, q));
    let table = Table::begin(&["rounds", "stopped before", "p50, µs", "p99, µs", "longest, µs"]);
    let counts = [late_us.len(), before].map(|count| count.to_string());
    table.row(&[counts.as_slice(), &[0.5, 0.99, 1.0].map(shown)].concat());
    Ok(())
}

/// The other node: holds the value, watches it go, says when, and gets it anew.
pub fn child() -> Result<()> {
    let runtime = Runtime::new()?;
    let cache = runtime.block_on(Cache::builder().connect(&child::argument()?))?;
    let widget = cache.declare(Definition::new("watched"))?;
    let (tenant, tags) = (tenant()?, [tag()?]);
    let reading = widget.reading(&tenant).tags(&tags);
    let compute = || async { Ok::<_, Infallible>(Bytes::from_static(b"value")) };
    loop {
        // Not kept where news came in between, or while the link is new.
        let held = || {
            let answer = runtime.block_on(cache.get_or_compute(&reading, compute));
            answer.is_ok_and(|answer| answer.tier() == Tier::Local).then_some(())
        };
        wait::until(LIMIT, "a local value", held)?;
        process::say("holds");
        while cache.get(&reading).is_some() {
            // Two processes and a server share the cores.
            thread::yield_now();
        }
        process::say(format_args!("gone {}", Clock::System.now().as_nanos()));
        if process::hear().is_none() {
            break;
        }
    }
    runtime.block_on(cache.close());
    Ok(())
}

fn tenant() -> Result<Tenant> {
    Tenant::new("brand").context("a valid tenant")
}

fn tag() -> Result<Tag> {
    Tag::new("orders").context("a valid tag")
}
