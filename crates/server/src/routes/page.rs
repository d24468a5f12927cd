//! `GET /`: boards and widgets with links to their readings, for whoever opens the address in a browser.

use std::{collections::BTreeMap, fmt::Write};

use axum::{
    extract::{RawQuery, State},
    http::{
        HeaderName, HeaderValue,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
    },
};
use samovar_engine::{Engine, WidgetShown};

use crate::{error::ApiError, identity::Identity, limits};

pub(super) async fn get(
    State(engine): State<Engine>,
    identity: Identity,
    RawQuery(query): RawQuery,
) -> Result<([(HeaderName, HeaderValue); 4], String), ApiError> {
    let all = engine.tenants().await?;
    let own = all.iter().filter(|(id, _)| identity.principal.may_see(id));
    let members: BTreeMap<_, _> = own.collect();
    let named = query.as_deref().and_then(|query| query.strip_prefix("tenant="));
    // As it stands in a query of ours; whatever else somebody writes there is the first tenant.
    let tenant = members.keys().find(|id| Some(escape_url(id).as_str()) == named);
    let tenant = tenant.or_else(|| members.keys().next()).map_or("", |id| id.as_str());
    let tenants = members.iter().take(limits::TENANTS_LINKED);
    let tenants: Vec<_> = tenants.map(|(id, member)| (id.as_str(), member.name.as_str())).collect();
    let page = write(&engine, tenant, &tenants, members.len());
    let policy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, page))
}

fn write(engine: &Engine, tenant: &str, tenants: &[(&str, &str)], in_all: usize) -> String {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Samovar</title></head><body>\
         <h1>Samovar</h1>",
    );
    let query = format!("?tenant={}", escape_url(tenant));
    for (id, name) in tenants {
        link(&mut page, &format!("/?tenant={}", escape_url(id)), name);
    }
    let rest = in_all - tenants.len();
    if rest > 0 {
        writeln!(page, "<li>and {rest} more</li>").expect("memory takes everything");
    }
    section(&mut page, "Boards");
    for board in engine.boards() {
        let href = format!("/v1/boards/{}{query}", escape_url(&board.name));
        link(&mut page, &href, &board.title);
    }
    section(&mut page, "Widgets");
    for widget in engine.widgets() {
        links_of(&mut page, &widget, &query);
    }
    section(&mut page, "More");
    for path in ["/v1/cache/stats", "/v1/cache/health", "/v1/queues", "/metrics", "/openapi.json"] {
        link(&mut page, path, path);
    }
    page.push_str("</body></html>\n");
    page
}

fn links_of(page: &mut String, widget: &WidgetShown, query: &str) {
    let path = format!("/v1/widgets/{}{query}", escape_url(&widget.name));
    if widget.params.values().any(Option::is_none) {
        let names: Vec<_> = widget.params.keys().map(String::as_str).collect();
        let text = format!("{} needs {}", widget.title, names.join(", "));
        writeln!(page, "<li>{}</li>", escape(&text)).expect("memory takes everything");
        return;
    }
    link(page, &path, &widget.title);
    for range in &widget.ranges {
        let text = format!("{}, {range}", widget.title);
        link(page, &format!("{path}&range={}", escape_url(range)), &text);
    }
}

fn section(page: &mut String, title: &str) {
    write!(page, "<h2>{title}</h2>").expect("memory takes everything");
}

fn link(page: &mut String, href: &str, text: &str) {
    let (href, text) = (escape(href), escape(text));
    writeln!(page, "<li><a href=\"{href}\">{text}</a></li>").expect("memory takes everything");
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            char => escaped.push(char),
        }
    }
    escaped
}

/// What may stand in a part of a path or a query.
fn escape_url(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let escaped = text.bytes().map(|byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    escaped.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_shown_becomes_markup() {
        assert_eq!(
            escape("<a href=\"x\" b='y'>&"),
            "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;"
        );
        assert_eq!(escape_url("a b/ü&\"<"), "a%20b%2F%C3%BC%26%22%3C");
    }
}
