//! The rules that no other tool knows, each a function from what it reads to what is wrong.

mod arrows;
mod dependencies;
mod licences;
mod links;
mod metadata;
mod sources;
mod tree;
mod words;

use std::fmt;

use anyhow::{Context, Result, bail};

use crate::run::workspace_root;
use metadata::Metadata;
use tree::Tree;

/// Something that is against a rule, or soon will be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// A file with a line, a crate, a package.
    place: String,
    complaint: String,
    is_warning: bool,
}

impl Finding {
    fn new(place: impl fmt::Display, complaint: impl Into<String>) -> Self {
        Self { place: place.to_string(), complaint: complaint.into(), is_warning: false }
    }

    fn warning(place: impl fmt::Display, complaint: impl Into<String>) -> Self {
        Self { is_warning: true, ..Self::new(place, complaint) }
    }
}

/// Checks everything; fails when a rule is broken.
pub(crate) fn tidy() -> Result<()> {
    println!("\n$ tidy");
    let findings = findings()?;
    for Finding { place, complaint, is_warning } in &findings {
        println!("{} {place}: {complaint}", if *is_warning { "warning" } else { "error" });
    }
    let broken = findings.iter().filter(|finding| !finding.is_warning).count();
    if broken > 0 {
        bail!("tidy found {broken} broken rules");
    }
    println!("tidy: all rules kept, {} warnings", findings.len());
    Ok(())
}

fn findings() -> Result<Vec<Finding>> {
    let root = workspace_root();
    let metadata = Metadata::load()?;
    let tree = Tree::read(root)?;
    let policy = toml::from_str(tree.text("deny.toml").context("deny.toml is missing")?)?;
    let architecture = tree.text("ARCHITECTURE.md").context("ARCHITECTURE.md is missing")?;
    let mut findings = dependencies::check(&metadata, &policy);
    findings.extend(arrows::check(&metadata, architecture));
    findings.extend(sources::check(&tree));
    findings.extend(words::check(&tree));
    findings.extend(links::check(&tree));
    findings.sort();
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The crate arrows above all; a run of the tests alone is to see them, too.
    #[test]
    fn this_workspace_is_tidy() {
        let broken: Vec<_> =
            findings().expect("it can be read").into_iter().filter(|it| !it.is_warning).collect();
        assert!(broken.is_empty(), "{broken:#?}");
    }
}
