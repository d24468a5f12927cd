//! What people and programs read of it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::scene::Finding;

/// One line for each store, and what went wrong below.
pub fn table(findings: &[Finding]) -> String {
    let mut text = String::from(
        "| store | faults | jobs | acknowledged | lost | batches | unfinished | callbacks wrong | \
         attempts repeated | in flight at faults | starved | longest recovery |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for it in findings {
        let v = &it.verdict;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} ms |",
            it.level,
            it.fault_count(),
            v.jobs,
            v.acknowledged,
            v.lost,
            v.batches,
            v.unfinished,
            v.callbacks_wrong,
            v.repeated,
            v.bound,
            v.starved,
            it.longest_recovery.as_millis(),
        );
    }
    text.push('\n');
    for it in findings {
        let kinds: Vec<_> =
            it.faults.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let (took, seed) = (it.took.as_secs(), it.seed);
        let _ = writeln!(text, "{}: {}; {took} s; seed {seed}", it.level, kinds.join(", "));
    }
    for it in findings.iter().filter(|it| it.is_broken()) {
        let _ = writeln!(text, "\n{}: promises were broken; seed {}", it.level, it.seed);
        it.evidence.iter().for_each(|line| {
            let _ = writeln!(text, "  {line}");
        });
    }
    text
}

/// The same for programs.
pub fn json(findings: &[Finding]) -> Value {
    let one = |it: &Finding| {
        let v = &it.verdict;
        json!({
            "store": it.level, "seed": it.seed, "promises": it.level.promises(),
            "broken": it.is_broken(), "faults": it.faults, "jobs": v.jobs,
            "acknowledged": v.acknowledged, "lost": v.lost, "batches": v.batches,
            "unfinished": v.unfinished, "callbacks_wrong": v.callbacks_wrong,
            "repeated": v.repeated, "in_flight_at_faults": v.bound, "starved": v.starved,
            "longest_recovery_ms": it.longest_recovery.as_millis() as u64,
            "took_ms": it.took.as_millis() as u64, "evidence": it.evidence,
        })
    };
    findings.iter().map(one).collect()
}
