//! `samovar status`: how the cache fares.

use serde_json::{Map, Value};

use super::{bytes, duration, list, number, reach, share, show, table, text};
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
        true => overview(answer, detailed),
        false => widgets(answer),
    })
}

async fn ask(reach: &mut Reach, arguments: &StatusArguments) -> Result<Value, Failure> {
    if arguments.widget.is_empty() {
        return reach.get("/v1/cache/stats", &[]).await;
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
    fact("watched", format!("{} readings and boards", status["watched"]));
    if detailed {
        let used = (bytes(&store["memory_bytes"]), bytes(&store["memory_limit_bytes"]));
        fact("store's memory", format!("{} of {}", used.0, used.1));
        let gone = (number(&store["expired"]), number(&store["evicted"]));
        fact("store's keys", format!("{} expired, {} evicted", gone.0, gone.1));
        fact("reconnects", number(&store["reconnects"]));
        fact("computing now", number(&local["in_flight"]));
    }
    if let Some(error) = store["last_error"].as_str() {
        fact("last error", error.to_owned());
    }
    let mut said = table(&[], facts);
    for warning in list(&store["warnings"]) {
        said.push_str(&format!("\nwarning: {}", text(warning)));
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
