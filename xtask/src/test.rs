//! All tests: with nextest where it is installed, with `cargo test` elsewhere. The runner's own
//! closing lines come last.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    time::Instant,
};

use anyhow::{Context, Result, bail};

use crate::{
    packages,
    run::{FEATURES, cargo, run, shown, shown_duration, succeeds, workspace_root},
};

/// What nextest does here and not by default: show what simulations and suites report.
const NEXTEST_CONFIG: &str = "xtask/nextest.toml";

pub(crate) fn test(arguments: &[String]) -> Result<()> {
    packages::ensure()?;
    if succeeds(cargo().args(["nextest", "--version"])) {
        if arguments.is_empty() {
            // nextest does not know documentation tests.
            run(cargo().args(["test", "--doc"]).args(FEATURES))?;
        }
        let config = workspace_root().join(NEXTEST_CONFIG);
        run(cargo()
            .args(["nextest", "run", "--no-fail-fast", "--tool-config-file"])
            .arg(format!("samovar:{}", config.display()))
            .args(FEATURES)
            .args(arguments))
    } else {
        cargo_test(arguments)
    }
}

/// `cargo test` closes once per binary: the closings are repeated together at the end.
#[expect(clippy::disallowed_methods, reason = "how long people waited")]
fn cargo_test(arguments: &[String]) -> Result<()> {
    let mut command = cargo();
    command.args(["test", "--no-fail-fast"]).args(FEATURES);
    command.args(arguments).args(["--", "--show-output"]);
    println!("\n$ {}", shown(&command));
    let start = Instant::now();
    // Cargo names each binary on standard error: merged, so that results can be told apart.
    let (reader, writer) = std::io::pipe()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .context("starting cargo test")?;
    // It holds the pipe's other ends, and reading would not end before it is dropped.
    drop(command);
    let mut closings = Vec::new();
    let (mut package, mut binary) = (String::new(), String::new());
    for line in BufReader::new(reader).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        match named_by(&line) {
            Some(Named::Package(name)) => {
                binary = name.to_owned();
                package = binary.clone();
            }
            // Cargo does not say whose it is: it comes after the package's own tests.
            Some(Named::Binary(name)) => binary = format!("{package}, {name}"),
            Some(Named::Documentation(name)) => binary = format!("{name}, documentation"),
            None if line.starts_with("test result: ") => {
                closings.push(format!("{line}  [{binary}]"));
            }
            None => {}
        }
    }
    let status = child.wait()?;
    let failed = !status.success();
    if failed && closings.is_empty() {
        bail!("the tests do not build: {status}");
    }
    println!("\ncargo test, {}, closed with:", shown_duration(start.elapsed()));
    for closing in &closings {
        println!("{closing}");
    }
    if failed {
        bail!("cargo test failed: {status}");
    }
    Ok(())
}

#[derive(Debug, PartialEq)]
enum Named<'a> {
    Package(&'a str),
    Binary(&'a str),
    Documentation(&'a str),
}

/// What cargo says before it starts a test binary.
fn named_by(line: &str) -> Option<Named<'_>> {
    let line = line.trim_start();
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(Named::Documentation(name));
    }
    // "unittests src/lib.rs (target/debug/deps/name-hash)"
    let (source, path) = line.strip_prefix("Running ")?.split_once(" (")?;
    let file = path.trim_end_matches(')').rsplit('/').next()?;
    let name = file.rsplit_once('-').map_or(file, |(name, _)| name);
    let is_unit = source.starts_with("unittests ");
    Some(if is_unit { Named::Package(name) } else { Named::Binary(name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_is_known_by_what_cargo_says_before_it() {
        let unit = "     Running unittests src/lib.rs (target/debug/deps/samovar_clock-0a1b2c)";
        assert_eq!(named_by(unit), Some(Named::Package("samovar_clock")));
        let integration = "     Running tests/it/main.rs (target/debug/deps/it-99aa)";
        assert_eq!(named_by(integration), Some(Named::Binary("it")));
        let documentation = "   Doc-tests samovar_cache";
        assert_eq!(named_by(documentation), Some(Named::Documentation("samovar_cache")));
        assert_eq!(named_by("test it::is_running ... ok"), None);
    }
}
