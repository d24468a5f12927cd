//! Laws 1 to 5, simulated: nodes run the production types; store, bus, clock and scheduler are
//! ours, and a seed decides every interleaving.

#![expect(unreachable_pub, reason = "a test binary exports nothing")]
#![expect(clippy::print_stdout, reason = "the summary is what the test shows")]

mod cluster;
mod executor;
mod oracle;

use std::time::Duration;

use samovar_cache::{Law, simulated::StoreLaw};

use crate::{
    cluster::{Cluster, NODES, Node, Wanted},
    oracle::Report,
};

/// One law that a run breaks on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Broken {
    Node(Law),
    Store(StoreLaw),
    /// A composed value is stamped after its inputs were read.
    ComposedAfterInputs,
    /// What is bundled is taken over without a look at what it was made under.
    TakenOverUnseen,
    /// Time is told by a task that stands still with its node.
    TickingClock,
}

const STEPS_PER_SEED: u64 = 2_500;
/// Unless `SIMULATION_SEEDS` asks for more.
const SEEDS: u64 = 1_000;
/// A broken law must be noticed within this many seeds.
const SEEDS_TO_NOTICE: u64 = 10_000;

struct Run {
    /// Without those of the settling at the end.
    steps: u64,
    report: Report,
}

fn run(seed: u64, broken: Option<Broken>) -> Run {
    let cluster = Cluster::new(seed, broken);
    let mut nodes: Vec<Node> = (0..NODES).map(|_| cluster.start()).collect();
    while cluster.executor.steps() < STEPS_PER_SEED {
        act(&cluster, &mut nodes);
        // A breath of time between two acts: what is under way goes on meanwhile.
        let until = cluster.clock.now() + cluster.up_to(60);
        while cluster.clock.now() < until && cluster.executor.step() {}
        if !cluster.oracle.report().violations.is_empty() {
            break;
        }
    }
    let steps = cluster.executor.steps();
    if broken.is_none() {
        settle(&cluster, &nodes);
    }
    for node in &nodes {
        cluster.executor.kill(node.group);
    }
    Run { steps, report: cluster.oracle.report() }
}

/// One random thing: mostly reads, some writes, now and then a disaster.
fn act(cluster: &Cluster, nodes: &mut [Node]) {
    let random = &cluster.random;
    let index = random.below(NODES as u64) as usize;
    let node = &nodes[index];
    match random.below(100) {
        0..50 => node.read(wanted(cluster)),
        50..54 => node.read_bundle(),
        54..58 => node.bundle(),
        58..80 => node.write(random.below(6) as usize),
        80..82 => node.clear(["plain", "strict", "whole"][random.below(3) as usize]),
        82..84 => node.clear_reading(random.below(2) as usize, 4 + random.below(2) as usize),
        84..92 => cluster.disturb_master(),
        92..96 => cluster.disturb_line(node.group),
        96..99 => cluster.pause(node.group),
        _ => {
            cluster.executor.kill(node.group);
            nodes[index] = cluster.start();
        }
    }
}

fn wanted(cluster: &Cluster) -> Wanted {
    let random = &cluster.random;
    match random.below(10) {
        0..6 => {
            Wanted::Plain { own: random.below(2) as usize, shared: 4 + random.below(2) as usize }
        }
        6..8 => Wanted::Strict { own: random.below(4) as usize },
        _ => Wanted::Whole,
    }
}

/// After the last disaster everything must come back by itself: each reading is answered, and
/// nothing is left in flight.
fn settle(cluster: &Cluster, nodes: &[Node]) {
    let pass = |seconds| {
        let until = cluster.clock.now() + Duration::from_secs(seconds);
        while cluster.clock.now() < until && cluster.executor.step() {}
    };
    pass(30);
    let errors = cluster.oracle.report().errors;
    let before = cluster.oracle.report();
    for node in nodes {
        node.read(Wanted::Plain { own: 2, shared: 4 });
    }
    pass(30);
    let after = cluster.oracle.report();
    let answered = after.fresh + after.stale - before.fresh - before.stale + after.errors - errors;
    if answered != nodes.len() as u64 {
        cluster.oracle.violation(format!("only {answered} of {} reads ended", nodes.len()));
    }
    for node in nodes.iter().filter(|node| node.in_flight() > 0) {
        cluster.oracle.violation(format!("a flight never landed on node {}", node.group));
    }
}

#[test]
fn no_seed_finds_a_violation() {
    let asked = std::env::var("SIMULATION_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    let seeds: u64 = asked.unwrap_or(SEEDS);
    let mut steps = 0;
    let mut total = Report::default();
    for seed in 0..seeds {
        let run = run(seed, None);
        assert!(
            run.report.violations.is_empty(),
            "seed {seed} after {} steps: {:#?}",
            run.steps,
            run.report.violations
        );
        steps += run.steps;
        total.fresh += run.report.fresh;
        total.stale += run.report.stale;
        total.errors += run.report.errors;
        total.computes += run.report.computes;
        total.invalidations += run.report.invalidations;
        total.overlaps += run.report.overlaps;
        total.failovers += run.report.failovers;
        total.rollbacks += run.report.rollbacks;
    }
    println!(
        "simulation: {steps} steps over {seeds} seeds: {} fresh and {} stale answers, {} errors, \
         {} computes, {} invalidations of which {} overlapped a compute, {} failovers, \
         {} rollbacks, 0 violations",
        total.fresh,
        total.stale,
        total.errors,
        total.computes,
        total.invalidations,
        total.overlaps,
        total.failovers,
        total.rollbacks
    );
    assert!(steps >= 1_000_000, "only {steps} steps");
    assert!(total.overlaps > 1000, "only {} overlaps", total.overlaps);
}

#[test]
fn a_seed_repeats_itself() {
    for seed in [3, 17] {
        let (one, other) = (run(seed, None), run(seed, None));
        assert_eq!(one.steps, other.steps);
        assert_eq!(format!("{:?}", one.report), format!("{:?}", other.report));
    }
}

/// Runs with one law broken until somebody notices.
fn notices(broken: Broken) {
    let mut steps = 0;
    for seed in 0..SEEDS_TO_NOTICE {
        let run = run(seed, Some(broken));
        steps += run.steps;
        if let Some(violation) = run.report.violations.first() {
            println!("{broken:?}: noticed after {steps} steps, seed {seed}: {violation}");
            return;
        }
    }
    panic!("{broken:?} went unnoticed for {steps} steps");
}

#[test]
fn stamps_taken_after_the_compute_are_noticed() {
    notices(Broken::Node(Law::StampFirst));
}

#[test]
fn late_waiters_served_as_fresh_are_noticed() {
    notices(Broken::Node(Law::LateWaitersWait));
}

#[test]
fn a_lost_bus_that_is_ignored_is_noticed() {
    notices(Broken::Node(Law::SilenceEndsTrust));
}

#[test]
fn what_an_earlier_link_said_and_is_still_believed_is_noticed() {
    notices(Broken::Node(Law::NewLinksKnowNothing));
}

#[test]
fn one_heartbeat_for_all_masters_is_noticed() {
    notices(Broken::Node(Law::HeartbeatPerMaster));
}

#[test]
fn a_commit_without_its_token_is_noticed() {
    notices(Broken::Store(StoreLaw::TokenAtCommit));
}

#[test]
fn versions_that_count_and_restart_are_noticed() {
    notices(Broken::Store(StoreLaw::UniqueVersions));
}

#[test]
fn an_incarnation_by_run_id_is_noticed() {
    notices(Broken::Store(StoreLaw::IncarnationOfHistory));
}

#[test]
fn a_composed_value_stamped_after_its_inputs_is_noticed() {
    notices(Broken::ComposedAfterInputs);
}

#[test]
fn what_is_bundled_without_a_look_at_its_stamps_is_noticed() {
    notices(Broken::TakenOverUnseen);
}

#[test]
fn a_clock_that_stands_still_with_its_node_is_noticed() {
    notices(Broken::TickingClock);
}
