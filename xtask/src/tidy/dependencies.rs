//! What may enter the dependency tree: licences, banned crates, crates that must not come twice.
//! The policy is `deny.toml`, which cargo-deny reads as well.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{Finding, licences, metadata::Metadata};

#[derive(Debug, Deserialize)]
pub(super) struct Policy {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
    use_instead: Option<String>,
    /// Only a second version is banned.
    #[serde(default)]
    deny_multiple_versions: bool,
}

pub(super) fn check(metadata: &Metadata, policy: &Policy) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in &metadata.packages {
        versions.entry(&package.name).or_default().insert(&package.version);
        let place = format!("{} {}", package.name, package.version);
        match &package.license {
            None => findings.push(Finding::new(place, "names no licence")),
            Some(licence) => {
                let is_allowed = |name: &str| policy.licenses.allow.contains(name);
                if !licences::is_met(licence, is_allowed) {
                    let complaint = format!("licence {licence:?} is not allowed in deny.toml");
                    findings.push(Finding::new(place, complaint));
                }
            }
        }
    }
    for ban in &policy.bans.deny {
        let Some(found) = versions.get(ban.name.as_str()) else { continue };
        let instead = ban.use_instead.as_ref().map(|name| format!("; take {name}"));
        let instead = instead.unwrap_or_default();
        if !ban.deny_multiple_versions {
            findings.push(Finding::new(&ban.name, format!("banned: {}{instead}", ban.reason)));
        } else if found.len() > 1 {
            let found = found.iter().copied().collect::<Vec<_>>().join(" and ");
            findings.push(Finding::new(&ban.name, format!("twice, {found}: {}", ban.reason)));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(packages: &str) -> Vec<String> {
        let metadata = serde_json::from_str(packages).expect("it is metadata");
        let policy = toml::from_str(
            r#"
            [licenses]
            allow = ["MIT"]
            [bans]
            deny = [
                { crate = "openssl", use-instead = "rustls", reason = "one TLS" },
                { crate = "ring", deny-multiple-versions = true, reason = "one provider" },
            ]
            "#,
        )
        .expect("it is a policy");
        let findings = check(&metadata, &policy);
        findings.into_iter().map(|it| format!("{}: {}", it.place, it.complaint)).collect()
    }

    #[test]
    fn banned_crates_and_foreign_licences_are_found() {
        let found = complaints(
            r#"{ "packages": [
                { "name": "openssl", "version": "0.10.0", "license": "MIT" },
                { "name": "free", "version": "1.0.0", "license": "GPL-3.0" },
                { "name": "nameless", "version": "1.0.0", "license": null }
            ] }"#,
        );
        assert_eq!(
            found,
            [
                "free 1.0.0: licence \"GPL-3.0\" is not allowed in deny.toml",
                "nameless 1.0.0: names no licence",
                "openssl: banned: one TLS; take rustls",
            ]
        );
    }

    #[test]
    fn a_second_version_is_found_where_one_is_the_rule() {
        let one = r#"{ "name": "ring", "version": "0.17.1", "license": "MIT" }"#;
        let other = r#"{ "name": "ring", "version": "0.18.0", "license": "MIT" }"#;
        assert!(complaints(&format!("{{ \"packages\": [{one}] }}")).is_empty());
        let found = complaints(&format!("{{ \"packages\": [{one}, {other}] }}"));
        assert_eq!(found, ["ring: twice, 0.17.1 and 0.18.0: one provider"]);
    }
}
