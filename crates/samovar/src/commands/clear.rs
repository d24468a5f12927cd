//! `samovar clear`: what is named is not served any more.

use serde_json::{Map, Value, json};

use super::{confirm, list, reach, show, text};
use crate::{
    arguments::{ClearArguments, Global},
    failure::Failure,
};

pub(crate) async fn clear(global: &Global, arguments: &ClearArguments) -> Result<(), Failure> {
    let ClearArguments { widget, params, tenant, pattern, all, force } = arguments;
    let params: Map<String, Value> =
        params.pairs().into_iter().map(|(name, value)| (name, Value::from(value))).collect();
    if !params.is_empty() && widget.is_none() {
        let message = "--range and --param are of a widget: say --widget NAME";
        return Err(Failure::Use(message.to_owned()));
    }
    if *all && !confirm("Everything is computed anew when it is read next.", *force)? {
        return Err(Failure::Use("nothing was cleared".to_owned()));
    }
    let body = json!({
        "widget": widget, "tenant": tenant, "pattern": pattern, "params": params, "all": all,
    });
    let mut reach = reach(global).await?;
    let answer = reach.post("/v1/clear", &body).await;
    reach.close().await;
    show(global, &answer?, for_people)
}

fn for_people(answer: &Value) -> String {
    let said = list(&answer["cleared"]).iter().map(|cleared| {
        if let Some(reading) = cleared.get("reading") {
            return format!("cleared {}", text(&reading["key"]));
        }
        if let Some(widget) = cleared.get("widget") {
            let of = widget["tenant"].as_str().map(|it| format!(" of {it}")).unwrap_or_default();
            return format!("cleared all readings of {}{of}", text(&widget["widget"]));
        }
        match cleared.get("tenant") {
            Some(tenant) => format!("cleared everything of {}", text(&tenant["tenant"])),
            None => "cleared everything".to_owned(),
        }
    });
    let said: Vec<_> = said.collect();
    if said.is_empty() { "no key can match".to_owned() } else { said.join("\n") }
}
