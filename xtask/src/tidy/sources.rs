//! Rust files: they say what they are, and stay small. Manifests: they take the shared lints.

use super::{
    Finding,
    tree::{SourceFile, Tree},
};

const LOOK_TWICE_LINES: usize = 500;
/// Only ever lowered.
const MOST_LINES: usize = 800;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        if file.is_rust() {
            findings.extend(check_length(file));
            findings.extend(check_opening(file));
        } else if file.path.ends_with("/Cargo.toml") {
            findings.extend(check_lints(file));
        }
    }
    findings
}

fn check_length(file: &SourceFile) -> Option<Finding> {
    let lines = file.lines().count();
    if lines > MOST_LINES {
        Some(Finding::new(&file.path, format!("{lines} lines; at most {MOST_LINES}")))
    } else if lines > LOOK_TWICE_LINES {
        Some(Finding::warning(&file.path, format!("{lines} lines: is this one subject?")))
    } else {
        None
    }
}

/// An included document counts.
fn check_opening(file: &SourceFile) -> Option<Finding> {
    let opens = file
        .lines()
        .map(|(_, line)| line.trim())
        .find(|line| !line.is_empty() && !["#![no_main]", "#![no_std]"].contains(line))
        .is_some_and(|line| line.starts_with("//!") || line.starts_with("#![doc"));
    (!opens).then(|| Finding::new(&file.path, "does not open with `//!`: what is it, and why?"))
}

fn check_lints(manifest: &SourceFile) -> Option<Finding> {
    let table: toml::Table = match toml::from_str(&manifest.text) {
        Ok(table) => table,
        Err(error) => return Some(Finding::new(&manifest.path, error.message())),
    };
    let shares = table.get("lints").and_then(|lints| lints.get("workspace"));
    // A package that is a workspace of its own (for fuzzing) has no lints to share.
    let is_member = table.contains_key("package") && !table.contains_key("workspace");
    (is_member && shares != Some(&toml::Value::Boolean(true)))
        .then(|| Finding::new(&manifest.path, "does not take the workspace's lints"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<(String, bool)> {
        let findings = check(&Tree::of(&[(path, text)]));
        findings.into_iter().map(|it| (it.complaint, it.is_warning)).collect()
    }

    #[test]
    fn a_module_opens_with_what_it_is() {
        assert!(complaints("a.rs", "//! What it is.\n\nuse b;\n").is_empty());
        assert!(complaints("a.rs", "#![no_main]\n//! What it is.\n").is_empty());
        assert!(complaints("a.rs", "#![doc = include_str!(\"../README.md\")]\n").is_empty());
        assert_eq!(complaints("a.rs", "use b;\n//! Late.\n").len(), 1);
        assert_eq!(complaints("a.rs", "").len(), 1);
    }

    #[test]
    fn long_files_warn_and_longer_ones_fail() {
        let of =
            |lines: usize| complaints("a.rs", &format!("//! Long.\n{}", "//\n".repeat(lines - 1)));
        assert!(of(LOOK_TWICE_LINES).is_empty());
        assert!(of(LOOK_TWICE_LINES + 1)[0].1);
        assert!(of(MOST_LINES)[0].1);
        assert!(!of(MOST_LINES + 1)[0].1);
    }

    #[test]
    fn a_manifest_takes_the_shared_lints() {
        assert!(complaints("a/Cargo.toml", "[package]\n[lints]\nworkspace = true\n").is_empty());
        assert_eq!(complaints("a/Cargo.toml", "[package]\n").len(), 1);
        assert!(complaints("a/Cargo.toml", "[package]\n[workspace]\n").is_empty());
    }
}
