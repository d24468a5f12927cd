//! `samovar status`: how the cache and the jobs fare.

use serde_json::{Map, Value};

use super::{alerts, bytes, duration, list, number, reach, share, show, table, text};
use crate::{
    arguments::{Global, StatusArguments},
    failure::Failure,
    reach::{Reach, escape},
};

pub(crate) async fn status(global: &Global, arguments: &StatusArguments) -> Result<(), Failure> {
    let mut reach = reach(global).await?;
    let answer = ask(&mut reach, arguments).await;
    reach.close().await;
    let detailed = arguments.detailed;
    show(global, &answer?, |answer| match arguments.widget.is_empty() {
        true if arguments.alerts => alerts::table(answer),
        true => overview(answer, detailed),
        false => widgets(answer),
    })
}

async fn ask(reach: &mut Reach, arguments: &StatusArguments) -> Result<Value, Failure> {
    if arguments.alerts {
        return reach.get("/v1/alerts", &[]).await;
    }
    if arguments.widget.is_empty() {
        let mut answer = reach.get("/v1/cache/stats", &[]).await?;
        // Where the jobs cannot be asked, the cache is shown all the same.
        let (workers, queues) =
            (reach.get_or_refusal("/v1/workers").await?, reach.get_or_refusal("/v1/queues").await?);
        answer["captures"] = reach.get("/v1/capture", &[]).await?["sources"].clone();
        answer["alerts"] = reach.get("/v1/alerts", &[]).await?;
        answer["jobs"] = queues.get("store").unwrap_or(&queues).clone();
        (answer["workers"], answer["queues"]) =
            (workers["workers"].clone(), queues["queues"].clone());
        return Ok(answer);
    }
    let mut widgets = Map::new();
    for widget in &arguments.widget {
        let answer = reach.get(&format!("/v1/cache/stats/{}", escape(widget)), &[]).await?;
        widgets.insert(widget.clone(), answer);
    }
    Ok(Value::Object(widgets))
}

fn overview(status: &Value, detailed: bool) -> String {
    let (health, local, store) = (&status["health"], &status["local"], &status["store"]);
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String| facts.push(vec![name.to_owned(), value]);
    fact(
        "health",
        match health["score"].as_f64() {
            None => "nothing was read yet".to_owned(),
            Some(score) => format!(
                "{score:.0} of 100: {} hits (target {}), {} a read (target {}), {} errors",
                share(&health["hit_rate"]),
                share(&health["target_hit_rate"]),
                duration(&health["response_ms"]),
                duration(&health["target_response_ms"]),
                share(&health["error_rate"]),
            ),
        },
    );
    let connected = if store["connected"] == true { "connected" } else { "NOT CONNECTED" };
    let keys = store["keys"].as_u64().map(|keys| format!(", {keys} keys")).unwrap_or_default();
    fact("store", format!("{}, {connected}{keys}", text(&store["kind"])));
    fact(
        "memory",
        format!(
            "{} of {} in {} entries",
            bytes(&local["bytes"]),
            bytes(&local["capacity_bytes"]),
            local["entries"]
        ),
    );
    fact("jobs", promise(&status["jobs"]));
    fact("alerts", alerts::fact(&status["alerts"]));
    fact("watched", format!("{} readings and boards", status["watched"]));
    for source in list(&status["captures"]) {
        fact("captures", captures(source));
    }
    if detailed {
        let used = (bytes(&store["memory_bytes"]), bytes(&store["memory_limit_bytes"]));
        fact("store's memory", format!("{} of {}", used.0, used.1));
        let gone = (number(&store["expired"]), number(&store["evicted"]));
        fact("store's keys", format!("{} expired, {} evicted", gone.0, gone.1));
        fact("reconnects", number(&store["reconnects"]));
        fact("computing now", number(&local["in_flight"]));
        for (name, source) in status["sources"].as_object().into_iter().flatten() {
            let (queries, rows) = (number(&source["queries"]), number(&source["rows"]));
            fact("source", format!("{name}: {queries} queries, {rows} rows"));
        }
    }
    if let Some(error) = store["last_error"].as_str() {
        fact("last error", error.to_owned());
    }
    let mut said = table(&[], facts);
    for warning in list(&store["warnings"]) {
        said.push_str(&format!("\nwarning: {}", text(warning)));
    }
    for shown in [workers(list(&status["workers"])), queues(list(&status["queues"]))] {
        said.extend(shown.into_iter().flat_map(|rows| ["\n\n".to_owned(), rows]));
    }
    if let Some(widgets) = status["widgets"].as_object().filter(|it| !it.is_empty()) {
        said.push_str("\n\n");
        said.push_str(&rows("widget", widgets, detailed));
    }
    if detailed {
        said.push_str(&slow(list(&status["slow"])));
    }
    said
}

fn captures(source: &Value) -> String {
    let name = text(&source["source"]);
    let not_installed = list(&source["not_installed"]);
    if let Some(error) = source["error"].as_str() {
        return format!("{name}: NOT READ: {error}");
    }
    if !not_installed.is_empty() {
        let parts: Vec<&str> = not_installed.iter().map(text).collect();
        return format!("{name}: CHANGES ARE NOT SEEN: {}", parts.join(", "));
    }
    if source["running"] != true {
        return format!("{name}: no server applies them");
    }
    let role = if source["leads"] == true { "applies" } else { "watches, another process applies" };
    let last = match source["last_applied_ms"].is_null() {
        true => String::new(),
        false => format!(", the last {} ago", duration(&source["last_applied_ms"])),
    };
    format!("{name}: {role}, {} changes{last}", number(&source["rows"]))
}

fn promise(jobs: &Value) -> String {
    if let Some(message) = jobs["error"]["message"].as_str() {
        return format!("NOT REACHABLE: {message}");
    }
    let durability = jobs["durability"].as_str();
    let durability = durability.map(|it| format!(", durability {it}")).unwrap_or_default();
    format!(
        "{}{durability}; an acknowledged one survives {}",
        text(&jobs["kind"]),
        text(&jobs["survives"])
    )
}

fn workers(workers: &[Value]) -> Option<String> {
    let row = |it: &Value| {
        let memory = &it["memory"];
        let state = match (&it["lost"], it["draining"] == true || it["order"].is_string()) {
            (Value::Bool(true), _) => format!("LOST, silent for {}", duration(&it["silent_ms"])),
            (_, true) => "draining".to_owned(),
            _ => "works".to_owned(),
        };
        vec![
            text(&it["name"]).to_owned(),
            state,
            format!("{} of {}", it["slots"], it["most_slots"]),
            number(&it["held"]),
            format!("{} of {}", bytes(&memory["used_bytes"]), bytes(&memory["budget_bytes"])),
        ]
    };
    let heading = ["worker", "state", "slots", "jobs", "memory"];
    (!workers.is_empty()).then(|| table(&heading, workers.iter().map(row)))
}

fn queues(queues: &[Value]) -> Option<String> {
    let row = |it: &Value| {
        let paused = if it["paused"] == true { " (paused)" } else { "" };
        let mut row = vec![format!("{}{paused}", text(&it["name"]))];
        row.extend(["waiting", "scheduled", "running", "done", "failed"].map(|of| number(&it[of])));
        row.push(duration(&it["oldest_waiting_ms"]));
        row
    };
    let heading = ["queue", "waiting", "scheduled", "running", "done", "failed", "oldest waits"];
    (!queues.is_empty()).then(|| table(&heading, queues.iter().map(row)))
}

fn rows(what: &str, widgets: &Map<String, Value>, detailed: bool) -> String {
    let mut heading = vec![what, "reads", "hits", "stale", "computes", "errors"];
    if detailed {
        heading.extend(["read p50", "p99", "compute p50", "p99", "lease waits", "leases kept"]);
    }
    let row = |(name, it): (&String, &Value)| {
        let mut row = vec![
            name.clone(),
            number(&it["reads"]),
            share(&it["hit_rate"]),
            number(&it["stale_hits"]),
            number(&it["computes"]),
            number(&it["errors"]),
        ];
        if detailed {
            let times = ["read_p50_ms", "read_p99_ms", "compute_p50_ms", "compute_p99_ms"];
            row.extend(times.map(|time| duration(&it[time])));
            row.extend([number(&it["lease_waits"]), share(&it["lease_success"])]);
        }
        row
    };
    let mut said = table(&heading, widgets.iter().map(row));
    for (name, widget) in widgets {
        for advice in list(&widget["advice"]) {
            said.push_str(&format!("\nadvice for {name}: {}", text(advice)));
        }
        let shadow = &widget["shadow"];
        if shadow.is_object() {
            let (equal, different) = (&shadow["equal"], &shadow["different"]);
            let failed = &shadow["failed"];
            said.push_str(&format!(
                "\n{name} in the shadow: {equal} equal, {different} different, {failed} not compared"
            ));
        }
    }
    said
}

fn slow(computes: &[Value]) -> String {
    if computes.is_empty() {
        return String::new();
    }
    let row = |it: &Value| {
        let query: String = text(&it["query"]).split_whitespace().collect::<Vec<_>>().join(" ");
        vec![
            text(&it["widget"]).to_owned(),
            text(&it["tenant"]).to_owned(),
            it["params"].to_string(),
            duration(&it["took_ms"]),
            query.chars().take(60).collect(),
        ]
    };
    let heading = ["slow compute", "tenant", "parameters", "took", "query"];
    format!("\n\n{}", table(&heading, computes.iter().take(20).map(row)))
}

fn widgets(widgets: &Value) -> String {
    let mut said = Vec::new();
    for (name, detail) in widgets.as_object().into_iter().flatten() {
        let total = Map::from_iter([(name.clone(), detail["total"].clone())]);
        said.push(rows("widget", &total, true));
        if let Some(tenants) = detail["tenants"].as_object().filter(|it| !it.is_empty()) {
            said.push(rows("tenant", tenants, true));
        }
        let history = list(&detail["history"]);
        if !history.is_empty() {
            let heading =
                ["five minutes", "reads", "hits", "stale", "computes", "errors", "a read"];
            let row = |(index, it): (usize, &Value)| {
                vec![
                    format!("-{} min", 5 * (history.len() - index)),
                    number(&it["reads"]),
                    number(&it["hits"]),
                    number(&it["stale_hits"]),
                    number(&it["computes"]),
                    number(&it["errors"]),
                    duration(&it["response_ms"]),
                ]
            };
            said.push(table(&heading, history.iter().enumerate().map(row)));
        }
    }
    said.join("\n\n")
}
