//! `samovar why`: what decides about a reading.

use serde_json::Value;

use super::{bytes, duration, list, only_tenant, reach, show, table, text};
use crate::{
    arguments::{Global, WhyArguments},
    failure::Failure,
    reach::escape,
};

pub(crate) async fn why(global: &Global, arguments: &WhyArguments) -> Result<(), Failure> {
    let mut reach = reach(global).await?;
    let asked = async {
        let tenant = only_tenant(&mut reach, arguments.tenant.as_deref()).await?;
        let mut query = vec![("tenant".to_owned(), tenant)];
        query.extend(arguments.params.pairs());
        reach.get(&format!("/v1/why/{}", escape(&arguments.widget)), &query).await
    };
    let answer = asked.await;
    reach.close().await;
    show(global, &answer?, for_people)
}

fn for_people(why: &Value) -> String {
    let mut said = format!("{}\n{}\n\n", text(&why["key"]), text(&why["summary"]));
    let stored = &why["stored"];
    let mut facts = vec![
        ("mode", text(&why["mode"]).to_owned()),
        ("freshness", text(&why["freshness"]).to_owned()),
        ("answered by this process", if why["local"] == true { "yes" } else { "no" }.to_owned()),
    ];
    if stored.is_object() {
        facts.extend([
            ("age", duration(&stored["age_ms"])),
            ("fresh for in all", duration(&stored["ttl_ms"])),
            ("then stale for", duration(&stored["grace_ms"])),
            ("refreshed in", duration(&stored["refresh_in_ms"])),
            ("computed in", duration(&stored["compute_ms"])),
            ("stored", format!("{} of {}", bytes(&stored["bytes"]), bytes(&stored["raw_bytes"]))),
        ]);
    }
    let lease = &why["lease"];
    if lease.is_object() {
        let left = duration(&lease["left_ms"]);
        facts.push((
            "being computed",
            format!("by node {}, lease for {left}", text(&lease["node"])),
        ));
    }
    let back_off = &why["back_off"];
    if back_off.is_object() {
        let (left, failures) = (duration(&back_off["left_ms"]), &back_off["failures"]);
        let error = text(&back_off["error"]);
        facts.push(("backing off", format!("{left} after {failures} failures: {error}")));
    }
    let change = &why["last_change"];
    if change.is_object() {
        let (ago, what) = (duration(&change["ms_ago"]), text(&change["what"]));
        let cause = change["cause"].as_str().map(|it| format!(" ({it})")).unwrap_or_default();
        facts.push(("invalidated last", format!("{ago} ago by {what}{cause}")));
    }
    let facts = facts.into_iter().map(|(name, value)| vec![name.to_owned(), value]);
    said.push_str(&table(&[], facts));
    said.push_str("\n\n");
    let stamps = list(&why["stamps"]).iter().map(|stamp| {
        vec![
            text(&stamp["what"]).to_owned(),
            text(&stamp["verdict"]).to_owned(),
            match stamp["changed_ms_ago"].is_null() {
                true => "-".to_owned(),
                false => format!("{} ago", duration(&stamp["changed_ms_ago"])),
            },
            text(&stamp["cause"]).to_owned(),
        ]
    });
    said.push_str(&table(&["depends on", "is", "changed", "because of"], stamps));
    said
}
