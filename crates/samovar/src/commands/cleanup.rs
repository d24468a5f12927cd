//! `samovar cleanup`: what is of no use to anybody goes.

use serde_json::{Value, json};

use super::{bytes, confirm, list, reach, show, text};
use crate::{
    arguments::{CleanupArguments, Global},
    failure::Failure,
    reach::Reach,
};

pub(crate) async fn cleanup(global: &Global, arguments: &CleanupArguments) -> Result<(), Failure> {
    let mut reach = reach(global).await?;
    let answer = ask(&mut reach, arguments).await;
    reach.close().await;
    show(global, &answer?, for_people)
}

async fn ask(reach: &mut Reach, arguments: &CleanupArguments) -> Result<Value, Failure> {
    let CleanupArguments { leases, expired, dry_run, force } = *arguments;
    // Neither is named: both.
    let both = !leases && !expired;
    let body = |dry_run: bool| json!({ "leases": leases || both, "expired": expired || both, "dry_run": dry_run });
    if dry_run || force {
        return reach.post("/v1/cleanup", &body(dry_run)).await;
    }
    let found = reach.post("/v1/cleanup", &body(true)).await?;
    if count(&found) == 0 || !confirm(&summary(&found, "would go."), false)? {
        return Ok(found);
    }
    reach.post("/v1/cleanup", &body(false)).await
}

fn count(found: &Value) -> u64 {
    let listed = list(&found["expired"]).len() + list(&found["dead_leases"]).len();
    listed as u64 + found["unlisted"].as_u64().unwrap_or(0)
}

fn summary(found: &Value, what: &str) -> String {
    let (entries, leases) = (list(&found["expired"]).len(), list(&found["dead_leases"]).len());
    let size = bytes(&found["expired_bytes"]);
    let more = match found["unlisted"].as_u64() {
        Some(more) if more > 0 => format!(" and {more} more"),
        _ => String::new(),
    };
    format!("{entries} expired entries ({size}) and {leases} leases of dead processes{more} {what}")
}

fn for_people(found: &Value) -> String {
    if count(found) == 0 {
        return "there is nothing to clean up".to_owned();
    }
    let would = found["dry_run"] == true;
    let mut said = summary(found, if would { "would go" } else { "are gone" });
    if would {
        let kinds = [("expired", "entry"), ("dead_leases", "lease")];
        for (kind, name) in kinds {
            for key in list(&found[kind]) {
                said.push_str(&format!("\n  {name} {}", text(key)));
            }
        }
    }
    said
}
