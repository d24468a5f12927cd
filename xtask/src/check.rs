//! Everything CI asks for besides the tests.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{
    packages,
    run::{FEATURES, cargo, run, succeeds},
    tidy,
};

/// The quick ones first: what fails should fail early.
pub(crate) fn check() -> Result<()> {
    packages::ensure()?;
    ensure_component("fmt", "rustfmt")?;
    ensure_component("clippy", "clippy")?;
    run(cargo().args(["fmt", "--all", "--check"]))?;
    tidy::tidy()?;
    run(cargo()
        .args(["clippy", "--workspace", "--all-targets"])
        .args(FEATURES)
        .args(["--", "-D", "warnings"]))?;
    // What is shipped unless somebody asks for more.
    let plain = ["--features", "samovar-cache/simulation", "--", "-D", "warnings"];
    run(cargo().args(["clippy", "--package", "samovar", "--all-targets"]).args(plain))?;
    run(cargo().args(["doc", "--no-deps"]).args(FEATURES).env("RUSTDOCFLAGS", "-D warnings"))?;
    deny()
}

fn ensure_component(subcommand: &str, component: &str) -> Result<()> {
    if succeeds(cargo().args([subcommand, "--version"])) {
        return Ok(());
    }
    run(Command::new("rustup").args(["component", "add", component]))
        .with_context(|| format!("{component} is missing"))
}

/// cargo-deny repeats what tidy knows and adds sources and advisories. The database of advisories
/// lies elsewhere: out of reach it is reported and no failure of this tree.
fn deny() -> Result<()> {
    if !succeeds(cargo().args(["deny", "--version"])) {
        println!("\ncargo-deny is not installed: advisories are not checked");
        return Ok(());
    }
    run(cargo().args(["deny", "check", "bans", "licenses", "sources"]))?;
    if succeeds(cargo().args(["deny", "fetch", "db"])) {
        run(cargo().args(["deny", "check", "advisories"]))
    } else {
        println!("\nthe database of advisories is out of reach: not checked");
        Ok(())
    }
}
