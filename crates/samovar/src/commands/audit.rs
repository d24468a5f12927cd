//! `samovar audit`: who changed what.

use serde_json::Value;

use super::{list, reach, show, table, text, time};
use crate::{
    arguments::{AuditArguments, Global},
    failure::Failure,
};

pub(crate) async fn audit(global: &Global, arguments: &AuditArguments) -> Result<(), Failure> {
    let mut query = vec![("limit".to_owned(), arguments.limit.to_string())];
    if let Some(before) = arguments.before {
        query.push(("before".to_owned(), before.to_string()));
    }
    let mut reach = reach(global).await?;
    let answer = reach.get("/v1/audit-log", &query).await;
    reach.close().await;
    show(global, &answer?, for_people)
}

fn for_people(answer: &Value) -> String {
    let entries = list(&answer["entries"]);
    if entries.is_empty() {
        return "nothing was changed".to_owned();
    }
    let rows = entries.iter().map(|it| {
        let times = match it["times"].as_u64() {
            Some(times) if times > 1 => format!(" ({times} times)"),
            _ => String::new(),
        };
        let named: Vec<&str> = list(&it["tenants"]).iter().filter_map(Value::as_str).collect();
        vec![
            time(&it["at_ms"]),
            text(&it["who"]).to_owned(),
            format!("{}{times}", text(&it["what"])),
            named.join(", "),
            it["detail"].as_str().unwrap_or_default().to_owned(),
            format!("{} {}", text(&it["outcome"]), text(&it["code"])),
        ]
    });
    let mut said = table(&["when (UTC)", "who", "what", "tenants", "detail", "outcome"], rows);
    if let Some(before) = answer["before"].as_u64() {
        said.push_str(&format!("\nolder ones: --before {before}"));
    }
    said
}
