//! The interface as an OpenAPI document: a table of operations, and the schemas that they share.
//!
//! It is written beside the routes and not derived from them: answers are stored bytes, whose shape no
//! type says. A test holds it against the routes, in both directions, and another program checks with it
//! what a running server answers (`cargo xtask schemathesis`).

mod schemas;
mod table;

use serde_json::{Map, Value, json};

use table::{Content, OPERATIONS, Operation, Place};

use crate::{
    cookie::NAME as COOKIE,
    routes::{self, Least, RouteShown},
};

/// As it is served and committed.
pub(crate) fn text() -> String {
    format!("{:#}\n", document())
}

fn document() -> Value {
    let mut paths = Map::new();
    let routes = routes::shown();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = shown(operation, least(&routes, operation));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Samovar",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Dashboards, kept hot. Errors are `{\"error\":{\"code\",\"message\",\"hint\",\
                            \"field\"}}`; codes do not change.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "headers": schemas::headers(),
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "session": { "type": "apiKey", "in": "cookie", "name": COOKIE },
            },
        },
    })
}

fn least(routes: &[RouteShown], operation: &Operation) -> Least {
    let is_this = |it: &&RouteShown| {
        it.path == operation.path && it.method.eq_ignore_ascii_case(operation.method)
    };
    routes.iter().find(is_this).map_or(Least::Anyone, |it| it.least)
}

fn shown(operation: &Operation, least: Least) -> Value {
    let mut shown = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "responses": responses(operation, least),
    });
    if let Least::Role(least) = least {
        shown["security"] = json!([{ "token": [] }, { "session": [] }, {}]);
        shown["x-least-role"] = json!(least.name());
    }
    let parameters: Vec<Value> = operation.parameters.iter().map(parameter).collect();
    if !parameters.is_empty() {
        shown["parameters"] = parameters.into();
    }
    if let Some(body) = operation.body {
        let schema = json!({ "schema": reference(body) });
        shown["requestBody"] =
            json!({ "required": true, "content": { "application/json": schema } });
    }
    shown
}

fn parameter(parameter: &table::Parameter) -> Value {
    let place = match parameter.place {
        Place::Path => "path",
        Place::Query => "query",
        Place::Header => "header",
        // Names that a widget declares: the object's fields are parameters of their own.
        Place::Declared => {
            return json!({
                "name": "params", "in": "query", "style": "form", "explode": true,
                "description": parameter.says,
                "schema": { "type": "object", "additionalProperties": { "type": "string" } },
            });
        }
    };
    let mut schema = json!({ "type": parameter.kind });
    if parameter.kind == "array" {
        schema["items"] = json!({ "type": "string" });
    }
    json!({
        "name": parameter.name, "in": place, "required": parameter.is_needed,
        "description": parameter.says, "schema": schema,
    })
}

fn responses(operation: &Operation, least: Least) -> Value {
    let mut responses = Map::new();
    // Of every route that asks who it is.
    let denied = [401, 403, 429, 503].map(|status| (status, Content::Json("Error")));
    let denied = denied.iter().filter(|_| least != Least::Anyone);
    for (status, content) in denied.chain(operation.answers) {
        let mut response = json!({ "description": said(*status, operation.id) });
        match content {
            Content::Nothing => {}
            Content::Json(schema) => {
                let schema = json!({ "schema": reference(schema) });
                response["content"] = json!({ "application/json": schema });
            }
            Content::Text(kind) => {
                let schema = json!({ "schema": { "type": "string" } });
                response["content"] = json!({ *kind: schema });
            }
        }
        if let (200 | 304, "read") = (*status, operation.id) {
            let names = schemas::headers();
            let names = names.as_object().into_iter().flatten().map(|(name, _)| name.clone());
            let all: Map<String, Value> = names
                .map(|name| {
                    let reference = format!("#/components/headers/{name}");
                    (name, json!({ "$ref": reference }))
                })
                .collect();
            response["headers"] = all.into();
        }
        if matches!(*status, 429 | 503) {
            let schema = json!({ "type": "integer", "minimum": 1 });
            response["headers"] = json!({
                "Retry-After": { "description": "Whole seconds.", "schema": schema }
            });
        }
        responses.insert(status.to_string(), response);
    }
    responses.into()
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn said(status: u16, id: &str) -> &'static str {
    match status {
        200 => "Done.",
        201 => "Made.",
        202 => "Begun.",
        304 => "The client has these bytes already.",
        400 => "The path, the query or the form of the body is wrong.",
        401 => "Nobody is known by what was presented, or nothing was.",
        403 => "Whoever asks may not.",
        404 => "What is named does not exist.",
        408 => "The body did not arrive in time.",
        409 if id == "read" => "The widget is not served here: take the path that you took before.",
        409 => "It does not fit how things are: the code of the error says what.",
        413 => "The body is too large.",
        422 => "The body is well formed, and what it says cannot be done.",
        429 => "Too many attempts have failed. Try again after `Retry-After`.",
        503 => "It cannot be done now. Try again after `Retry-After`.",
        _ => "See the code of the error.",
    }
}

#[cfg(test)]
mod tests;
