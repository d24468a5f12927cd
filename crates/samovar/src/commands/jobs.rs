//! `samovar jobs`: which there are, and what is done with them.

use serde_json::{Value, json};

use super::{bytes, confirm, counted, list, number, reach, show, table, text, time};
use crate::{
    arguments::{Failed, Global, JobsCommand, ListArguments, PushArguments},
    failure::Failure,
    reach::{Reach, escape},
};

pub(crate) async fn jobs(global: &Global, command: Option<JobsCommand>) -> Result<(), Failure> {
    let command = command.unwrap_or_else(|| JobsCommand::List(ListArguments::default()));
    let mut reach = reach(global).await?;
    let answer = ask(&mut reach, &command).await;
    reach.close().await;
    let Some(answer) = answer? else { return Ok(()) };
    show(global, &answer, |answer| for_people(&command, answer))
}

/// Nothing: whoever was asked said no.
async fn ask(reach: &mut Reach, command: &JobsCommand) -> Result<Option<Value>, Failure> {
    let job = |id: &str, what: &str| format!("/v1/jobs/{}{what}", escape(id));
    let answer = match command {
        JobsCommand::List(arguments) => reach.get("/v1/jobs", &query(arguments)).await,
        JobsCommand::Show { id } => reach.get(&job(id, ""), &[]).await,
        JobsCommand::Retry { id: Some(id), .. } => reach.post(&job(id, "/retry"), &json!({})).await,
        JobsCommand::Retry { id: None, failed } => {
            reach.post("/v1/jobs/retry", &matching(failed, false)).await
        }
        JobsCommand::Forget { id } => reach.delete(&job(id, "")).await,
        JobsCommand::Flush { failed, force } => {
            if !force {
                let found = reach.post("/v1/jobs/flush", &matching(failed, true)).await?;
                let least = if found["exact"] == true { "" } else { "at least " };
                let jobs = counted(&found["matching"], "failed job");
                let question = format!("This forgets {least}{jobs}.");
                if !confirm(&question, false)? {
                    return Ok(None);
                }
            }
            reach.post("/v1/jobs/flush", &matching(failed, false)).await
        }
        JobsCommand::Prune { older_than, force } => {
            let question = format!("This forgets all jobs that ended more than {older_than} ago.");
            if !confirm(&question, *force)? {
                return Ok(None);
            }
            reach.post("/v1/jobs/prune", &json!({ "older_than": older_than })).await
        }
        JobsCommand::Cancel { id } => reach.post(&job(id, "/cancel"), &json!({})).await,
        JobsCommand::Push(arguments) => reach.post("/v1/jobs", &wanted(arguments)).await,
    };
    answer.map(Some)
}

fn query(arguments: &ListArguments) -> Vec<(String, String)> {
    let ListArguments { queue, state, kind, batch, tenant, reason, limit, after } = arguments;
    let limit = limit.map(|limit| limit.to_string());
    let named = [
        ("queue", queue),
        ("state", state),
        ("kind", kind),
        ("batch", batch),
        ("tenant", tenant),
        ("reason", reason),
        ("limit", &limit),
        ("after", after),
    ];
    let given = named.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
    given.map(|(name, value)| (name.to_owned(), value)).collect()
}

fn matching(failed: &Failed, dry_run: bool) -> Value {
    let Failed { queue, kind, batch, tenant, reason, .. } = failed;
    json!({
        "queue": queue, "kind": kind, "batch": batch, "tenants": tenant, "reason": reason,
        "dry_run": dry_run,
    })
}

fn wanted(arguments: &PushArguments) -> Value {
    let PushArguments { kind, payload, queue, tenant, delay, unique_key, tries, timeout } =
        arguments;
    json!({
        "kind": kind, "payload": payload, "queue": queue, "tenant": tenant, "delay": delay,
        "unique_key": unique_key, "tries": tries, "timeout": timeout,
    })
}

fn for_people(command: &JobsCommand, answer: &Value) -> String {
    let id = text(&answer["id"]);
    let more = if answer["more"] == true { "; there are more: do it again" } else { "" };
    match command {
        JobsCommand::List(_) => listed(answer),
        JobsCommand::Show { .. } => shown(answer),
        JobsCommand::Retry { id: Some(_), .. } => {
            format!("{id} waits on {} again, with all attempts", text(&answer["queue"]))
        }
        JobsCommand::Retry { id: None, .. } => {
            let taken = match answer["key_taken"].as_u64() {
                Some(taken) if taken > 0 => {
                    format!("; left {taken} alone, whose unique keys others hold")
                }
                _ => String::new(),
            };
            let jobs = counted(&answer["retried"], "failed job");
            format!("trying {jobs} again{taken}{more}")
        }
        JobsCommand::Forget { .. } => format!("{id} is forgotten"),
        JobsCommand::Flush { .. } => {
            format!("forgot {}{more}", counted(&answer["forgotten"], "failed job"))
        }
        JobsCommand::Prune { .. } => {
            format!("forgot {}{more}", counted(&answer["forgotten"], "ended job"))
        }
        JobsCommand::Cancel { .. } => match text(&answer["state"]) {
            "cancelled" => format!("{id} is cancelled"),
            _ => format!("{id} runs, and is told to stop"),
        },
        JobsCommand::Push(_) => match answer["pushed"] == true {
            true => format!("{id} is pushed to {}", text(&answer["queue"])),
            false => format!("{id} is there already, nothing was pushed"),
        },
    }
}

fn listed(answer: &Value) -> String {
    let jobs = list(&answer["jobs"]);
    if jobs.is_empty() && answer["next"].is_null() {
        return "there are no such jobs".to_owned();
    }
    let rows = jobs.iter().map(|it| {
        vec![
            text(&it["id"]).to_owned(),
            text(&it["queue"]).to_owned(),
            text(&it["kind"]).to_owned(),
            text(&it["tenant"]).to_owned(),
            text(&it["state"]).to_owned(),
            number(&it["attempt"]),
            time(&it["at_ms"]),
            first_line(text(&it["reason"])),
        ]
    });
    let heading = ["id", "queue", "kind", "tenant", "state", "attempts", "since", "reason"];
    let mut said = table(&heading, rows);
    if let Some(next) = answer["next"].as_str() {
        said.push_str(&format!("\n\nit goes on: --after {next}"));
    }
    said
}

/// What of it fits into a table.
fn first_line(reason: &str) -> String {
    const WIDTH: usize = 60;
    let line = reason.lines().next().unwrap_or_default();
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

fn shown(answer: &Value) -> String {
    let policy = &answer["policy"];
    let mut rows = vec![
        vec!["job".to_owned(), text(&answer["id"]).to_owned()],
        vec!["kind".to_owned(), text(&answer["kind"]).to_owned()],
        vec!["queue".to_owned(), text(&answer["queue"]).to_owned()],
        vec!["tenant".to_owned(), text(&answer["tenant"]).to_owned()],
        vec!["batch".to_owned(), text(&answer["batch"]).to_owned()],
        vec!["state".to_owned(), text(&answer["state"]).to_owned()],
        vec!["since".to_owned(), time(&answer["at_ms"])],
        vec!["pushed".to_owned(), time(&answer["pushed_ms"])],
        vec![
            "attempts".to_owned(),
            format!("{} of {}", number(&answer["attempt"]), number(&policy["tries"])),
        ],
        vec!["memory".to_owned(), text(&policy["class"]).to_owned()],
        vec!["payload".to_owned(), answer["payload"].to_string()],
    ];
    for name in ["progress", "checkpoint", "result"] {
        if !answer[name].is_null() {
            rows.push(vec![name.to_owned(), answer[name].to_string()]);
        }
    }
    let mut said = table(&[], rows);
    for attempt in list(&answer["history"]) {
        let (at, worker) = (time(&attempt["ended_ms"]), text(&attempt["worker"]));
        let (step, reason) = (text(&attempt["step"]), text(&attempt["reason"]));
        said.push_str(&format!("\n\n{at}  {step} on {worker}\n  {reason}"));
        for note in list(&attempt["notes"]) {
            said.push_str(&format!("\n  {}", text(note)));
        }
        let peak = list(&attempt["flight"]).iter().max_by_key(|it| it["bytes"].as_u64());
        if let Some(peak) = peak {
            said.push_str(&format!("\n  it held {} at most", bytes(&peak["bytes"])));
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_to_what_fits_into_a_table() {
        assert_eq!(first_line("short\nand more"), "short");
        assert_eq!(first_line(&"ü".repeat(61)), format!("{}…", "ü".repeat(60)));
    }
}
