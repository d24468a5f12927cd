//! `samovar batches`: which there are, and how far each is.

use serde_json::{Value, json};

use super::{list, number, reach, show, table, text, time};
use crate::{
    arguments::{BatchesCommand, Global},
    failure::Failure,
    reach::escape,
};

pub(crate) async fn batches(
    global: &Global,
    command: Option<BatchesCommand>,
) -> Result<(), Failure> {
    let (queue, tenant, limit, after) = Default::default();
    let command = command.unwrap_or(BatchesCommand::List { queue, tenant, limit, after });
    let mut reach = reach(global).await?;
    let batch = |id: &str, what: &str| format!("/v1/batches/{}{what}", escape(id));
    let answer = match &command {
        BatchesCommand::List { queue, tenant, limit, after } => {
            let limit = limit.map(|limit| limit.to_string());
            let named = [("queue", queue), ("tenant", tenant), ("limit", &limit), ("after", after)];
            let given = named.into_iter().filter_map(|(name, it)| Some((name, it.clone()?)));
            let query: Vec<_> = given.map(|(name, value)| (name.to_owned(), value)).collect();
            reach.get("/v1/batches", &query).await
        }
        BatchesCommand::Show { id } => reach.get(&batch(id, ""), &[]).await,
        BatchesCommand::Cancel { id } => reach.post(&batch(id, "/cancel"), &json!({})).await,
    };
    reach.close().await;
    show(
        global,
        &answer?,
        match command {
            BatchesCommand::List { .. } => listed,
            BatchesCommand::Show { .. } | BatchesCommand::Cancel { .. } => shown,
        },
    )
}

/// `12 of 20`
fn ended(batch: &Value) -> String {
    let count = |name: &str| batch[name].as_u64().unwrap_or(0);
    format!("{} of {}", count("total").saturating_sub(count("pending")), count("total"))
}

fn listed(answer: &Value) -> String {
    let batches = list(&answer["batches"]);
    if batches.is_empty() && answer["next"].is_null() {
        return "there are no such batches".to_owned();
    }
    let rows = batches.iter().map(|it| {
        vec![
            text(&it["id"]).to_owned(),
            text(&it["name"]).to_owned(),
            text(&it["queue"]).to_owned(),
            text(&it["tenant"]).to_owned(),
            text(&it["state"]).to_owned(),
            ended(it),
            number(&it["failed"]),
            time(&it["created_ms"]),
        ]
    });
    let heading = ["id", "name", "queue", "tenant", "state", "ended", "failed", "pushed"];
    let mut said = table(&heading, rows);
    if let Some(next) = answer["next"].as_str() {
        said.push_str(&format!("\n\nit goes on: --after {next}"));
    }
    said
}

fn shown(answer: &Value) -> String {
    let line = |name: &str, value: String| vec![name.to_owned(), value];
    let mut said = table(
        &[],
        [
            line("batch", text(&answer["id"]).to_owned()),
            line("name", text(&answer["name"]).to_owned()),
            line("queue", text(&answer["queue"]).to_owned()),
            line("tenant", text(&answer["tenant"]).to_owned()),
            line("state", text(&answer["state"]).to_owned()),
            line("ended", ended(answer)),
            line("failed", number(&answer["failed"])),
            line("cancelled", number(&answer["cancelled"])),
            line("pushed", time(&answer["created_ms"])),
            line("finished", time(&answer["finished_ms"])),
        ],
    );
    for failure in list(&answer["failures"]) {
        let (tenant, reason) = (text(&failure["tenant"]), text(&failure["reason"]));
        said.push_str(&format!("\n  {} of {tenant}: {reason}", text(&failure["id"])));
    }
    said
}
