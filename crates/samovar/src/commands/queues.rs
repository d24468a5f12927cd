//! `samovar queues`: what waits, runs and failed on each; whether it is claimed from.

use serde_json::{Value, json};

use super::{bytes, confirm, counted, duration, list, number, reach, share, show, table, text};
use crate::{
    arguments::{Global, QueuesCommand},
    failure::Failure,
    reach::{Reach, escape},
};

pub(crate) async fn queues(global: &Global, command: Option<QueuesCommand>) -> Result<(), Failure> {
    let command = command.unwrap_or(QueuesCommand::List);
    let mut reach = reach(global).await?;
    let answer = ask(&mut reach, &command).await;
    reach.close().await;
    let Some(answer) = answer? else { return Ok(()) };
    show(
        global,
        &answer,
        match command {
            QueuesCommand::List => listed,
            QueuesCommand::Show { .. } => shown,
            QueuesCommand::Pause { .. } | QueuesCommand::Resume { .. } => told,
            QueuesCommand::Clear { .. } => cleared,
        },
    )
}

/// Nothing: whoever was asked said no.
async fn ask(reach: &mut Reach, command: &QueuesCommand) -> Result<Option<Value>, Failure> {
    let at = |queue: &str, what: &str| format!("/v1/queues/{}/{what}", escape(queue));
    let answer = match command {
        QueuesCommand::List => reach.get("/v1/queues", &[]).await,
        QueuesCommand::Show { queue, hours } => {
            let hours = [("hours".to_owned(), hours.to_string())];
            reach.get(&format!("/v1/queues/{}", escape(queue)), &hours).await
        }
        QueuesCommand::Pause { queue } => reach.post(&at(queue, "pause"), &json!({})).await,
        QueuesCommand::Resume { queue } => reach.post(&at(queue, "resume"), &json!({})).await,
        QueuesCommand::Clear { queue, tenant, force } => {
            let found = if *force { Value::Null } else { reach.get("/v1/queues", &[]).await? };
            if !confirm(&question(&found, queue, tenant), *force)? {
                return Ok(None);
            }
            reach.post(&at(queue, "clear"), &json!({ "tenants": tenant })).await
        }
    };
    answer.map(Some)
}

fn question(found: &Value, name: &str, tenants: &[String]) -> String {
    let queue = list(&found["queues"]).iter().find(|it| it["name"] == name);
    let count = |what: &str| queue.and_then(|it| it[what].as_u64()).unwrap_or(0);
    let jobs = counted(&json!(count("waiting") + count("scheduled")), "waiting or scheduled job");
    match tenants {
        [] => format!("This cancels {jobs} of {name}."),
        some => format!("This cancels those of {} among {jobs} of {name}.", some.join(", ")),
    }
}

fn listed(answer: &Value) -> String {
    let counts = ["waiting", "scheduled", "claimed", "running", "failed", "done", "cancelled"];
    let rows = list(&answer["queues"]).iter().map(|it| {
        let state = if it["paused"] == true { "paused" } else { "" };
        let counted = counts.iter().map(|name| number(&it[*name]));
        let named = [text(&it["name"]).to_owned(), state.to_owned()];
        let oldest = duration(&it["oldest_waiting_ms"]);
        named.into_iter().chain(counted).chain([oldest]).collect()
    });
    let heading = [&["queue", ""], &counts[..], &["oldest waits"]].concat();
    let queues = table(&heading, rows);
    format!("{queues}\n\nan acknowledged job survives {}", text(&answer["store"]["survives"]))
}

fn shown(answer: &Value) -> String {
    let kinds = list(&answer["kinds"]);
    let hours = counted(&answer["hours"], "hour");
    if kinds.is_empty() {
        return format!("nothing ended on {} in the last {hours}", text(&answer["queue"]));
    }
    let rows = kinds.iter().map(|it| {
        let kind = it["kind"].as_str().unwrap_or("all others").to_owned();
        let counts = ["done", "failed", "retried"].map(|name| number(&it[name]));
        let spread =
            |name: &str| format!("{} / {}", duration(&it[name]["p50"]), duration(&it[name]["p99"]));
        let rates = [share(&it["success_rate"]), spread("waited_ms"), spread("ran_ms")];
        [kind]
            .into_iter()
            .chain(counts)
            .chain(rates)
            .chain([bytes(&it["peak_bytes"]["p99"])])
            .collect()
    });
    let heading = [
        "kind",
        "done",
        "failed",
        "retried",
        "well",
        "waited (p50 / p99)",
        "ran (p50 / p99)",
        "memory (p99)",
    ];
    format!("{} in the last {hours}\n{}", text(&answer["queue"]), table(&heading, rows))
}

fn told(answer: &Value) -> String {
    let queue = text(&answer["queue"]);
    match answer["paused"] == true {
        true => format!("{queue} is paused: nothing more is claimed from it, what runs goes on"),
        false => format!("{queue} is claimed from"),
    }
}

fn cleared(answer: &Value) -> String {
    let (cancelled, queue) = (counted(&answer["cancelled"], "job"), text(&answer["queue"]));
    let more = if answer["more"] == true { "; there are more: do it again" } else { "" };
    format!("cancelled {cancelled} of {queue}{more}; `jobs retry ID` brings one back")
}
