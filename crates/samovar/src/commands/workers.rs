//! `samovar workers`: who runs jobs, and who is to end.

use serde_json::{Value, json};

use super::{bytes, duration, list, number, reach, show, table, text};
use crate::{
    arguments::{Global, WorkersCommand},
    failure::Failure,
    reach::escape,
};

pub(crate) async fn workers(
    global: &Global,
    command: Option<WorkersCommand>,
) -> Result<(), Failure> {
    let command = command.unwrap_or(WorkersCommand::List);
    let mut reach = reach(global).await?;
    let at = |worker: &str, what: &str| format!("/v1/workers/{}/{what}", escape(worker));
    let answer = match &command {
        WorkersCommand::List => reach.get("/v1/workers", &[]).await,
        WorkersCommand::Drain { worker } => reach.post(&at(worker, "drain"), &json!({})).await,
        WorkersCommand::Restart { worker: Some(worker) } => {
            reach.post(&at(worker, "restart"), &json!({})).await
        }
        WorkersCommand::Restart { worker: None } => {
            reach.post("/v1/workers/restart", &json!({})).await
        }
    };
    reach.close().await;
    let is_list = matches!(command, WorkersCommand::List);
    show(global, &answer?, if is_list { listed } else { told })
}

fn listed(answer: &Value) -> String {
    let workers = list(&answer["workers"]);
    if workers.is_empty() {
        return "nobody runs jobs".to_owned();
    }
    let rows = workers.iter().map(|it| {
        let queues: Vec<&str> = list(&it["queues"]).iter().map(text).collect();
        let memory = &it["memory"];
        vec![
            text(&it["name"]).to_owned(),
            number(&it["pid"]),
            state(it),
            format!("{} of {}", number(&it["held"]), number(&it["most_slots"])),
            format!("{} of {}", bytes(&memory["used_bytes"]), bytes(&memory["budget_bytes"])),
            queues.join(", "),
            duration(&it["up_ms"]),
            text(&it["binary"]).to_owned(),
        ]
    });
    let heading = ["worker", "pid", "state", "jobs", "memory", "queues", "up", "version"];
    table(&heading, rows)
}

fn state(worker: &Value) -> String {
    match (&worker["lost"], &worker["draining"], worker["order"].as_str()) {
        (Value::Bool(true), _, _) => format!("silent for {}", duration(&worker["silent_ms"])),
        (_, Value::Bool(true), _) => "draining".to_owned(),
        (_, _, Some(order)) => format!("told to {order}"),
        _ => "working".to_owned(),
    }
}

fn told(answer: &Value) -> String {
    let workers: Vec<&str> = list(&answer["workers"]).iter().map(text).collect();
    if workers.is_empty() {
        return "nobody runs jobs, so nobody was told".to_owned();
    }
    format!("told to {}: {}", text(&answer["order"]), workers.join(", "))
}
