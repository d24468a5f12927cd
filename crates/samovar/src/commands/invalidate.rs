//! `samovar invalidate`: data changed.

use serde_json::{Value, json};

use super::{list, reach, show, text};
use crate::{
    arguments::{Global, InvalidateArguments},
    failure::Failure,
};

pub(crate) async fn invalidate(
    global: &Global,
    arguments: &InvalidateArguments,
) -> Result<(), Failure> {
    let InvalidateArguments { tags, class, widget, tenant, over } = arguments;
    let body = json!({
        "tags": tags, "class": class, "widget": widget, "tenant": tenant, "over": over,
    });
    let mut reach = reach(global).await?;
    let answer = reach.post("/v1/invalidate", &body).await;
    reach.close().await;
    show(global, &answer?, for_people)
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
