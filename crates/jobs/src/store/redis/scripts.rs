//! The scripts; what they do is said at the top of each. All but one begin with what they share.

use std::sync::LazyLock;

use samovar_store::redis::Script;

macro_rules! part {
    ($part:literal) => {
        concat!(include_str!(concat!("scripts/", $part, ".lua")), "\n")
    };
}

macro_rules! script {
    ($name:ident, $file:literal, [$($part:tt),*]) => {
        pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new($file, concat!($(part!($part),)* part!($file)))
        });
    };
    // Plain jobs first: the functions for all others are made when one of them is met.
    ($name:ident, $file:literal, [$($part:tt),*], others [$($other:tt),*]) => {
        pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(
                $file,
                concat!(
                    $(part!($part),)*
                    "local function others()\n",
                    $(part!($other),)*
                    "end\n",
                    part!($file),
                ),
            )
        });
    };
    ($name:ident, $file:literal) => {
        script!($name, $file, ["queue", "moves", "tallies", "rows", "batches", "insert"]);
    };
}

script!(CANCEL, "cancel");
script!(CANCEL_BATCH, "cancel_batch");
script!(
    CLAIM,
    "claim",
    ["queue", "moves", "tallies", "plain"],
    others ["rows", "batches", "insert", "rates", "breakers", "rules", "claim_others"]
);
script!(DROP, "drop", ["queue"]);
script!(FIGURES, "figures", ["queue", "moves", "rows"]);
script!(FIND, "find", ["queue"]);
script!(
    FINISH,
    "finish",
    ["queue", "moves", "tallies", "plain", "outcomes"],
    others ["rows", "batches", "insert", "finish_others"]
);
script!(FIRE, "fire");
script!(FORGET, "forget");
script!(KNOW, "know", []);
script!(LIST, "list", ["queue", "moves", "rows"]);
script!(LIST_BATCHES, "list_batches", ["queue"]);
script!(MARKS, "marks", ["queue"]);
script!(NOTE, "note");
script!(ONCE, "once", ["queue"]);
script!(OUT, "out", ["queue"]);
script!(PRUNE, "prune", ["queue", "moves", "tallies", "rows", "batches", "insert", "rates"]);
script!(PUSH, "push");
script!(PUSH_BATCH, "push_batch");
script!(REAP, "reap");
script!(RENEW, "renew", ["queue", "moves", "tallies", "rows", "batches"]);
script!(REPORT, "report", ["queue", "breakers"]);
script!(REVIVE, "revive");
script!(SET, "set", ["queue"]);
script!(SHOW, "show", ["queue", "moves", "rows"]);
script!(SHOW_BATCH, "show_batch", ["queue"]);
script!(SHOW_BREAKERS, "show_breakers", ["queue", "breakers"]);
script!(SHOW_TALLIES, "show_tallies", ["queue", "moves", "tallies"]);
script!(
    START,
    "start",
    ["queue", "moves", "tallies", "plain"],
    others ["rows", "batches", "insert", "start_others"]
);
script!(TEND, "tend");
script!(WORKERS, "workers", []);

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use crate::{limits, state::STEPS};

    const QUEUE: &str = include_str!("scripts/queue.lua");
    const ROWS: &str = include_str!("scripts/rows.lua");
    const MOVES: &str = include_str!("scripts/moves.lua");
    const INSERT: &str = include_str!("scripts/insert.lua");
    const TALLIES: &str = include_str!("scripts/tallies.lua");
    const BREAKERS: &str = include_str!("scripts/breakers.lua");
    const FIRE: &str = include_str!("scripts/fire.lua");
    const TEND: &str = include_str!("scripts/tend.lua");
    const PRUNE: &str = include_str!("scripts/prune.lua");

    #[test]
    fn the_scripts_know_exactly_these_steps() {
        let (_, table) = ROWS.split_once("local STEPS = {").expect("a table");
        let (table, _) = table.split_once("\n}").expect("it ends");
        let steps = |line: &str| {
            let (step, moves) = line.trim().split_once(" = {")?;
            let moves = moves.trim_end_matches("},").split(", ").map(|one| {
                let (from, to) = one.split_once(" = ").expect("from and to");
                format!("{} {step} {to}", from.trim_matches(['[', ']'])).to_lowercase()
            });
            Some(moves.collect::<Vec<_>>())
        };
        let scripted: BTreeSet<String> = table.lines().filter_map(steps).flatten().collect();
        let coded = STEPS.iter().filter_map(|(from, step, to)| {
            from.map(|from| format!("{} {} {}", from.name(), step.name(), to.name()))
        });
        assert_eq!(scripted, coded.collect());
    }

    fn hours(of: Duration) -> u64 {
        of.as_secs() / 3600
    }

    fn days(of: Duration) -> u64 {
        hours(of) / 24
    }

    #[test]
    fn the_scripts_know_the_same_limits() {
        for (script, line) in [
            (MOVES, format!("local HISTORY = {}\n", limits::HISTORY)),
            (ROWS, format!("local LAPSES = {}\n", limits::LAPSES)),
            (INSERT, format!("local LANES = {}\n", limits::LANES_PER_QUEUE)),
            (INSERT, format!("tonumber(queue[8]) or {}\n", limits::QUEUE_JOBS)),
            (QUEUE, format!("local FORMAT = {}\n", super::super::FORMAT)),
            (TALLIES, format!("local TALLIED_KINDS = {}\n", limits::TALLIED_KINDS)),
            (TEND, format!("local MINUTES_KEPT_MS = {} * HOUR_MS\n", hours(limits::MINUTES_KEPT))),
            (TEND, format!("local HOURS_KEPT_MS = {} * 24 * HOUR_MS\n", days(limits::HOURS_KEPT))),
            (PRUNE, format!("local HOURS_KEPT_MS = {} * 24 * HOUR_MS\n", days(limits::HOURS_KEPT))),
            (BREAKERS, format!("local BREAKERS = {}\n", limits::BREAKERS_PER_QUEUE)),
            (BREAKERS, format!("local OPEN_MS = {}\n", limits::BREAKER_OPEN.as_millis())),
            (
                BREAKERS,
                format!("local OPEN_LONGEST_MS = {}\n", limits::BREAKER_OPEN_LONGEST.as_millis()),
            ),
            (BREAKERS, format!("local PROBE_MS = {}\n", limits::PROBE.as_millis())),
            (FIRE, format!("local SCHEDULES = {}\n", limits::SCHEDULES_PER_QUEUE)),
        ] {
            assert!(script.contains(&line), "{line}");
        }
    }
}
