//! What people and programs read of it.

use std::fmt::Write as _;

use samovar_jobs::limits;
use serde_json::{Value, json};

use crate::{
    check::Rule,
    scene::{Finding, is_broken},
};

/// What was found, in the end.
#[derive(Clone, Debug)]
pub struct Report {
    /// For people.
    pub table: String,
    /// For programs.
    pub json: Value,
    /// Some promise was.
    pub is_broken: bool,
}

pub(crate) fn report(findings: &[Finding]) -> Report {
    Report { table: table(findings), json: json(findings), is_broken: is_broken(findings) }
}

/// Of each store, so many breaks are shown.
const SHOWN: usize = 20;

/// A line for each store, then its faults by kind, then what went wrong.
fn table(findings: &[Finding]) -> String {
    let mut text = String::from(
        "| store | faults | jobs acknowledged | of them lost | batches | of them lost | unfinished \
         | callbacks wrong | ends forgotten | run again | repeated | in flight at faults \
         | starved | longest recovery |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for it in findings {
        let v = &it.verdict;
        let cells = [
            it.fault_count(),
            v.acknowledged,
            v.count(Rule::JobKept),
            v.batches,
            v.count(Rule::BatchKept),
            v.count(Rule::BatchFinishes),
            v.count(Rule::Callbacks),
            v.count(Rule::EndKept),
            v.count(Rule::NotAgain),
            v.repeated,
            v.in_flight,
            v.starved,
        ];
        let cells = cells.map(|it| it.to_string()).join(" | ");
        let (recovery, kind) = it.longest_recovery;
        let _ = writeln!(text, "| {} | {cells} | {} ms ({kind}) |", it.level, recovery.as_millis());
    }
    text.push('\n');
    for it in findings {
        let count = |(kind, count): (&&str, &usize)| match *kind {
            "point" => format!("{count} point ({} died there)", it.died_at_points),
            kind => format!("{count} {kind}"),
        };
        let kinds: Vec<_> = it.faults.iter().map(count).collect();
        let given_up = match it.verdict.given_up {
            0 => String::new(),
            count => format!("; {count} jobs failed after {} losses each", limits::LAPSES),
        };
        let counted = match it.level.remembers() {
            true => "",
            false => "; what it lost is counted, and was not promised",
        };
        let (took, seed) = (it.took.as_secs(), it.seed);
        let _ = writeln!(
            text,
            "- {}: {}{given_up}{counted}; {took} s, seed {seed}",
            it.level,
            kinds.join(", ")
        );
    }
    findings.iter().for_each(|it| evidence(it, &mut text));
    text
}

fn evidence(finding: &Finding, text: &mut String) {
    let Some(kept) = &finding.kept else { return };
    let Finding { level, seed, .. } = finding;
    let word = if finding.broken().next().is_some() { "BROKEN" } else { "sound" };
    let _ = writeln!(text, "\n{level}: {word}, seed {seed}; all that happened: {}", kept.display());
    for it in finding.broken().take(SHOWN) {
        let id = it.id.map(|id| format!("{id} ")).unwrap_or_default();
        let _ = writeln!(text, "  {}: {id}{}", it.rule, it.why);
    }
    if let more @ 1.. = finding.broken().count().saturating_sub(SHOWN) {
        let _ = writeln!(text, "  and {more} more");
    }
}

/// The same for programs.
fn json(findings: &[Finding]) -> Value {
    let one = |it: &Finding| {
        let v = &it.verdict;
        let broken: Vec<_> = it
            .broken()
            .map(|it| json!({"rule": it.rule, "id": it.id.map(|id| id.to_string()), "why": it.why}))
            .collect();
        json!({
            "store": it.level, "seed": it.seed, "remembers": it.level.remembers(),
            "faults": it.faults, "died_at_points": it.died_at_points,
            "jobs": v.jobs, "acknowledged": v.acknowledged, "lost": v.count(Rule::JobKept),
            "batches": v.batches, "batches_lost": v.count(Rule::BatchKept),
            "unfinished": v.count(Rule::BatchFinishes),
            "callbacks_wrong": v.count(Rule::Callbacks), "ends_forgotten": v.count(Rule::EndKept),
            "run_again": v.count(Rule::NotAgain),
            "repeated": v.repeated, "in_flight_at_faults": v.in_flight, "starved": v.starved, "given_up": v.given_up,
            "longest_recovery_ms": it.longest_recovery.0.as_millis() as u64,
            "longest_recovery_after": it.longest_recovery.1,
            "took_ms": it.took.as_millis() as u64, "broken": broken, "kept": it.kept,
        })
    };
    findings.iter().map(one).collect()
}
