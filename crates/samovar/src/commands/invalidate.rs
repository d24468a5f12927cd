//! `samovar invalidate`: data changed, or something happened.

use serde_json::{Value, json};

use super::{duration, list, reach, show, text};
use crate::{
    arguments::{Global, InvalidateArguments},
    failure::Failure,
    reach::escape,
};

pub(crate) async fn invalidate(
    global: &Global,
    arguments: &InvalidateArguments,
) -> Result<(), Failure> {
    let InvalidateArguments { tags, class, widget, event, hook, data, tenant, over } = arguments;
    let (path, body) = match (event, hook) {
        (_, Some(name)) => (format!("/v1/hooks/{}", escape(name)), json!(data)),
        (Some(name), None) => {
            let body = json!({ "name": name, "tenant": tenant, "data": data });
            ("/v1/events".to_owned(), body)
        }
        (None, None) => {
            let body = json!({
                "tags": tags, "class": class, "widget": widget, "tenant": tenant, "over": over,
            });
            ("/v1/invalidate".to_owned(), body)
        }
    };
    let mut reach = reach(global).await?;
    let answer = reach.post(&path, &body).await;
    reach.close().await;
    show(global, &answer?, |answer| match event.is_some() || hook.is_some() {
        true if answer["events"] == 0 => "it means nothing here: no event follows".to_owned(),
        true => of_event(answer),
        false => for_people(answer),
    })
}

/// A line for each thing that follows.
fn of_event(answer: &Value) -> String {
    let whose = |it: &Value| it["tenant"].as_str().unwrap_or("all tenants").to_owned();
    let invalidated = list(&answer["invalidated"]).iter().map(|it| {
        let tags = list(&it["tags"]).iter().map(|tag| format!("tag {}", text(tag)));
        format!("invalidated {} of {}", tags.collect::<Vec<_>>().join(", "), whose(it))
    });
    let settling = list(&answer["settling"]).iter().map(|it| {
        let (after, job) = (duration(&it["after_ms"]), text(&it["job"]));
        format!("once more in {after}: job {job}")
    });
    let warming = list(&answer["warming"]).iter();
    let warming =
        warming.map(|it| format!("{} is warmed: batch {}", whose(it), text(&it["batch"])));
    invalidated.chain(settling).chain(warming).collect::<Vec<_>>().join("\n")
}

fn for_people(answer: &Value) -> String {
    let named = &answer["invalidated"];
    let whose = named["tenant"].as_str().unwrap_or("all tenants");
    let tags = list(&named["tags"]).iter().map(|tag| format!("tag {}", text(tag)));
    let widget = named["widget"].as_str().map(|it| format!("widget {it}"));
    let class = named["class"].as_str().map(|it| format!("class {it}"));
    let said: Vec<_> = tags.chain(widget).chain(class).collect();
    format!("invalidated {} of {whose}", said.join(", "))
}
