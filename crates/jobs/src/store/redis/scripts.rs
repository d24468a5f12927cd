//! The scripts; what they do is said at the top of each. All but one begin with what they share.

use std::sync::LazyLock;

use samovar_store::redis::Script;

macro_rules! script {
    ($name:ident, $file:literal, [$($part:literal),*]) => {
        pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(
                $file,
                concat!(
                    $(include_str!(concat!("scripts/", $part, ".lua")), "\n",)*
                    include_str!(concat!("scripts/", $file, ".lua")),
                ),
            )
        });
    };
    ($name:ident, $file:literal) => {
        script!($name, $file, ["queue", "rows", "batches", "insert"]);
    };
}

script!(CANCEL, "cancel");
script!(CANCEL_BATCH, "cancel_batch");
script!(CLAIM, "claim");
script!(FAILED, "failed", ["queue", "rows"]);
script!(FIGURES, "figures", ["queue", "rows"]);
script!(FIND, "find", ["queue"]);
script!(FINISH, "finish");
script!(FORGET, "forget");
script!(KNOW, "know", []);
script!(NOTE, "note");
script!(ONCE, "once", ["queue"]);
script!(OUT, "out", ["queue"]);
script!(PRUNE, "prune");
script!(PUSH, "push");
script!(PUSH_BATCH, "push_batch");
script!(REAP, "reap");
script!(RENEW, "renew", ["queue", "rows", "batches"]);
script!(REVIVE, "revive");
script!(SET, "set", ["queue"]);
script!(SHOW, "show", ["queue", "rows"]);
script!(SHOW_BATCH, "show_batch", ["queue"]);
script!(START, "start");
script!(TEND, "tend");
script!(WORKERS, "workers", []);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::{limits, state::STEPS};

    const QUEUE: &str = include_str!("scripts/queue.lua");
    const ROWS: &str = include_str!("scripts/rows.lua");
    const INSERT: &str = include_str!("scripts/insert.lua");

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

    #[test]
    fn the_scripts_know_the_same_limits() {
        for (script, line) in [
            (ROWS, format!("local HISTORY = {}\n", limits::HISTORY)),
            (ROWS, format!("local LAPSES = {}\n", limits::LAPSES)),
            (INSERT, format!("local LANES = {}\n", limits::LANES_PER_QUEUE)),
            (INSERT, format!("tonumber(queue[8]) or {}\n", limits::QUEUE_JOBS)),
            (QUEUE, format!("local FORMAT = {}\n", super::super::FORMAT)),
        ] {
            assert!(script.contains(&line), "{line}");
        }
    }
}
