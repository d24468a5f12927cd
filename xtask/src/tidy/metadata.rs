//! What `cargo metadata` says, as far as rules need it.

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::run::{cargo, workspace_root};

#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    pub(super) packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) license: Option<String>,
    /// Absent for a package that lies here.
    pub(super) source: Option<String>,
    #[serde(default)]
    pub(super) dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) kind: Option<Kind>,
    /// Present for a package that lies here.
    pub(super) path: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Dev,
    Build,
}

impl Metadata {
    /// Of the whole tree, for all features and platforms, as `Cargo.lock` has it.
    pub(super) fn load() -> Result<Self> {
        let output = cargo()
            .args(["metadata", "--format-version", "1", "--all-features", "--locked"])
            .current_dir(workspace_root())
            .output()
            .context("starting cargo metadata")?;
        if !output.status.success() {
            bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.source.is_none())
    }
}

/// The name by which documents call a crate of ours: that of its folder.
pub(super) fn short_name(package: &str) -> &str {
    package.strip_prefix("samovar-").unwrap_or(package)
}
