//! `samovar token`: what lets programs in.

use serde_json::{Value, json};

use super::{list, reach, show, table, tenants, text, time};
use crate::{
    arguments::{Global, TokenArguments, TokenCommand},
    failure::Failure,
    reach::escape,
};

pub(crate) async fn token(global: &Global, command: &TokenCommand) -> Result<(), Failure> {
    let mut reach = reach(global).await?;
    let answer = match command {
        TokenCommand::Create(arguments) => reach.post("/v1/tokens", &body(arguments)).await,
        TokenCommand::List => reach.get("/v1/tokens", &[]).await,
        TokenCommand::Revoke { id } => reach.delete(&format!("/v1/tokens/{}", escape(id))).await,
    };
    reach.close().await;
    show(
        global,
        &answer?,
        match command {
            TokenCommand::Create(_) => created,
            TokenCommand::List => listed,
            TokenCommand::Revoke { .. } => revoked,
        },
    )
}

fn body(arguments: &TokenArguments) -> Value {
    let TokenArguments { role, tenant, name, expires } = arguments;
    let mut body = json!({ "role": role, "tenants": tenant, "expires": expires });
    if let Some(name) = name {
        body["name"] = json!(name);
    }
    body
}

fn created(answer: &Value) -> String {
    let (role, id) = (text(&answer["role"]), text(&answer["id"]));
    let (of, token) = (tenants(&answer["tenants"]), text(&answer["token"]));
    format!(
        "token {id}, {role} of {of}; it is shown this once:\n\n{token}\n\n\
         send it as the header `Authorization: Bearer smv_...`"
    )
}

fn listed(answer: &Value) -> String {
    let tokens = list(&answer["tokens"]);
    if tokens.is_empty() {
        return "there are no tokens: `samovar token create --role viewer` makes one".to_owned();
    }
    let rows = tokens.iter().map(|it| {
        let expires = match &it["is_expired"] {
            Value::Bool(true) => "expired".to_owned(),
            _ if it["expires_ms"].is_null() => "never".to_owned(),
            _ => time(&it["expires_ms"]),
        };
        vec![
            text(&it["id"]).to_owned(),
            text(&it["name"]).to_owned(),
            text(&it["role"]).to_owned(),
            tenants(&it["tenants"]),
            time(&it["created_ms"]),
            expires,
            time(&it["used_ms"]),
        ]
    });
    table(&["id", "name", "role", "tenants", "made", "expires", "last used"], rows)
}

fn revoked(answer: &Value) -> String {
    format!("token {} lets nobody in any more", text(&answer["revoked"]))
}
