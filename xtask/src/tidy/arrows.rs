//! Crates know each other only as ARCHITECTURE.md draws it.
//!
//! There, a fenced block headed `arrows` has a line per crate: `cache -> clock store`. A crate
//! without an arrow stands alone, `*` stands for all. Tests and examples may always use the testkit and the
//! data of packs.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Finding,
    metadata::{Kind, Metadata, Package, short_name},
};

const DOCUMENT: &str = "ARCHITECTURE.md";
const FENCE: &str = "```arrows";
const EVERYTHING: &str = "*";
const FOR_TESTS: [&str; 2] = ["testkit", "packs"];

type Arrows<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

pub(super) fn check(metadata: &Metadata, architecture: &str) -> Vec<Finding> {
    let Some(arrows) = parse(architecture) else {
        return vec![Finding::new(DOCUMENT, format!("has no block headed {FENCE}"))];
    };
    metadata.members().flat_map(|package| check_package(package, &arrows)).collect()
}

fn parse(architecture: &str) -> Option<Arrows<'_>> {
    let (_, after) = architecture.split_once(FENCE)?;
    let (block, _) = after.split_once("```")?;
    let mut arrows = Arrows::new();
    for line in block.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (from, to) = line.split_once("->").unwrap_or((line, ""));
        arrows.entry(from.trim()).or_default().extend(to.split_whitespace());
    }
    Some(arrows)
}

fn check_package(package: &Package, arrows: &Arrows<'_>) -> Vec<Finding> {
    let from = short_name(&package.name);
    let Some(drawn) = arrows.get(from) else {
        return vec![Finding::new(from, format!("is not drawn in {DOCUMENT}"))];
    };
    let ours = package.dependencies.iter().filter(|dependency| dependency.path.is_some());
    ours.filter_map(|dependency| {
        let to = short_name(&dependency.name);
        let is_for_tests = dependency.kind == Some(Kind::Dev) && FOR_TESTS.contains(&to);
        let is_drawn = drawn.contains(to) || drawn.contains(EVERYTHING);
        // A crate's tests may turn on features of itself.
        let is_itself = to == from;
        (!is_for_tests && !is_drawn && !is_itself)
            .then(|| Finding::new(from, format!("depends on {to}: {DOCUMENT} draws no such arrow")))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{ "packages": [
        { "name": "samovar-clock", "version": "0.1.0" },
        { "name": "samovar-cache", "version": "0.1.0", "dependencies": [
            { "name": "samovar-clock", "kind": null, "path": "crates/clock" },
            { "name": "samovar-testkit", "kind": "dev", "path": "testkit" },
            { "name": "bytes", "kind": null, "path": null }
        ] }
    ] }"#;

    fn complaints(arrows: &str) -> Vec<String> {
        let metadata = serde_json::from_str(METADATA).expect("it is metadata");
        let findings = check(&metadata, &format!("# Title\n\n```arrows\n{arrows}\n```\n"));
        findings.into_iter().map(|it| format!("{}: {}", it.place, it.complaint)).collect()
    }

    #[test]
    fn drawn_arrows_are_in_order_and_a_plan_may_be_ahead_of_the_code() {
        assert!(complaints("clock\ncache -> clock store\nstore -> clock").is_empty());
        assert!(complaints("clock\ncache -> *").is_empty());
    }

    #[test]
    fn an_arrow_that_is_not_drawn_is_found() {
        let found = complaints("clock\ncache -> store");
        assert_eq!(found, ["cache: depends on clock: ARCHITECTURE.md draws no such arrow"]);
    }

    #[test]
    fn a_crate_that_is_not_drawn_is_found() {
        assert_eq!(complaints("cache -> clock"), ["clock: is not drawn in ARCHITECTURE.md"]);
    }

    #[test]
    fn a_document_without_arrows_is_found() {
        let metadata = serde_json::from_str(METADATA).expect("it is metadata");
        assert_eq!(check(&metadata, "# Title").len(), 1);
    }
}
