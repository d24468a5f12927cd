//! Alerts as `samovar status` shows them.

use serde_json::Value;

use super::{duration, list, number, text, time};

/// In a line, for the overview.
pub(super) fn fact(alerts: &Value) -> String {
    if alerts["watching"] != true {
        return "no server looks for them".to_owned();
    }
    let firing = list(&alerts["alerts"]).iter().filter(|it| it["state"] == "firing");
    let names: Vec<&str> = firing.map(|it| text(&it["name"])).collect();
    match names.len() {
        0 => "none fires".to_owned(),
        count => format!("{count} FIRING: {}", names.join(", ")),
    }
}

pub(super) fn table(alerts: &Value) -> String {
    if alerts["watching"] != true {
        return "no server looks for alerts: start `samovar serve`".to_owned();
    }
    let row = |it: &Value| {
        let state = match text(&it["state"]) {
            "firing" => format!("FIRING since {}", time(&it["since_ms"])),
            state => state.to_owned(),
        };
        let unit = it["unit"].as_str().filter(|unit| !matches!(*unit, "flag" | "count"));
        let shown = |value: &Value| match (unit, value.is_null()) {
            (_, true) => "-".to_owned(),
            (Some("ms"), _) => duration(value),
            (Some(unit), _) => format!("{} {unit}", number(value)),
            (None, _) => number(value),
        };
        let lasts = match it["for_ms"].as_u64() {
            Some(0) => "at once".to_owned(),
            _ => format!("for {}", duration(&it["for_ms"])),
        };
        let told = format!("{} {}, {lasts}", text(&it["side"]), shown(&it["threshold"]));
        let detail = it["detail"].as_str().unwrap_or_default().to_owned();
        vec![text(&it["name"]).to_owned(), state, shown(&it["value"]), told, detail]
    };
    let heading = ["alert", "state", "now", "told when", ""];
    let mut said = super::table(&heading, list(&alerts["alerts"]).iter().map(row));
    let webhooks = list(&alerts["webhooks"]);
    if !webhooks.is_empty() {
        let row = |it: &Value| {
            let mut row = vec![text(&it["name"]).to_owned(), text(&it["to"]).to_owned()];
            row.extend(["sent", "failed", "waiting"].map(|of| number(&it[of])));
            row.push(it["last_error"].as_str().unwrap_or_default().to_owned());
            row
        };
        let heading = ["webhook", "to", "sent", "failed", "waiting", "last error"];
        said.push_str("\n\n");
        said.push_str(&super::table(&heading, webhooks.iter().map(row)));
    }
    said
}
