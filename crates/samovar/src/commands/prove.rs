//! `samovar prove`: the fault harness, over throw-away stores. It touches nothing that is configured.

use std::io::Write;

use samovar_prove::{Arguments, prove as run};

use crate::{arguments::Global, failure::Failure, serve::print};

/// Each store is tried in a thread and a runtime of its own.
pub(crate) fn prove(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let tell = |word: String| {
        // Nobody has to hear it.
        let _ = writeln!(std::io::stderr(), "{word}");
    };
    let report = run(arguments, &tell).map_err(Failure::Failed)?;
    print(&match global.json {
        true => format!("{:#}", report.json),
        false => report.table.trim_end().to_owned(),
    })?;
    if report.is_broken { Err(Failure::Found) } else { Ok(()) }
}
