//! The harness as it is run by hand, with fewer faults: real processes, real servers, all levels.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use samovar_testkit::Process;
use serde_json::Value;

const FAULTS: u64 = 110;
const LEVELS: usize = 5;
/// Only ends what hangs.
const LIMIT: Duration = Duration::from_secs(600);

#[test]
fn over_a_hundred_faults_break_no_promise() -> Result<()> {
    let findings = prove(&["--faults", &FAULTS.to_string(), "--json"])?;
    assert_eq!(findings.len(), LEVELS);
    let mut faults = 0;
    for it in &findings {
        println!("{it}");
        let count = |name: &str| it[name].as_u64().with_context(|| format!("no {name}: {it}"));
        let kinds = it["faults"].as_object().context("faults by kind")?;
        faults += kinds.values().filter_map(Value::as_u64).sum::<u64>();
        ensure!(kinds.contains_key("kill") && kinds.contains_key("point"), "{it}");
        let forgets = it["remembers"] == false;
        ensure!(forgets || (count("lost")?, count("batches_lost")?) == (0, 0), "{it}");
        ensure!((count("unfinished")?, count("callbacks_wrong")?) == (0, 0), "{it}");
        let bound = count("in_flight_at_faults")? + count("starved")?;
        ensure!(forgets || count("repeated")? <= bound, "{it}");
        ensure!(count("acknowledged")? > 0 && count("batches")? > 0, "{it}");
    }
    assert_eq!(faults, FAULTS);
    let met = |kind: &str| findings.iter().any(|it| it["faults"].get(kind).is_some());
    for kind in ["clock ahead", "clock back", "failover", "master kill", "disk full"] {
        assert!(met(kind), "no {kind}");
    }
    Ok(())
}

#[test]
fn what_takes_too_much_memory_breaks_no_promise() -> Result<()> {
    let findings = prove(&["--memory", "--json"])?;
    let trials: Vec<_> = findings.iter().filter_map(|it| it["trial"].as_str()).collect();
    assert_eq!(trials, ["limits", "chunks", "splits", "leaks", "purges"]);
    for it in &findings {
        println!("{it}");
        ensure!(it["jobs"].as_u64() > Some(0) && it["peak_bytes"].as_u64() > Some(0), "{it}");
    }
    Ok(())
}

/// It ends well if nothing was broken; else its report is the error.
fn prove(arguments: &[&str]) -> Result<Vec<Value>> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samovar-prove"));
    command.args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let process = Process::spawn(command)?;
    let status = process.wait(LIMIT)?;
    ensure!(status.success(), "{status}\n{}\n{}", process.stderr(), process.stdout());
    Ok(serde_json::from_str(&process.stdout())?)
}
