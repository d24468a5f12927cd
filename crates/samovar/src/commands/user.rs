//! `samovar user`: those who may sign in.

use std::io::{self, BufRead, IsTerminal, Read};

use console::Term;
use serde_json::{Value, json};

use super::{list, reach, show, table, tenants, text, time};
use crate::{
    arguments::{Global, UserCommand},
    failure::Failure,
    reach::escape,
};

/// Of a line on standard input; no password is as long.
const MOST_BYTES: u64 = 4096;

pub(crate) async fn user(global: &Global, command: &UserCommand) -> Result<(), Failure> {
    // Asked for first: a command that owns the store keeps nobody waiting.
    let password = match command {
        UserCommand::Add(_) | UserCommand::Password { .. } => Some(password()?),
        UserCommand::List | UserCommand::Remove { .. } => None,
    };
    let mut reach = reach(global).await?;
    let answer = match command {
        UserCommand::Add(it) => {
            let (name, role, tenants) = (&it.name, &it.role, &it.tenant);
            let body =
                json!({ "name": name, "role": role, "tenants": tenants, "password": password });
            reach.post("/v1/users", &body).await
        }
        UserCommand::List => reach.get("/v1/users", &[]).await,
        UserCommand::Remove { name } => reach.delete(&format!("/v1/users/{}", escape(name))).await,
        UserCommand::Password { name } => {
            let path = format!("/v1/users/{}/password", escape(name));
            reach.post(&path, &json!({ "password": password })).await
        }
    };
    reach.close().await;
    show(
        global,
        &answer?,
        match command {
            UserCommand::Add(_) => added,
            UserCommand::List => listed,
            UserCommand::Remove { .. } => removed,
            UserCommand::Password { .. } => changed,
        },
    )
}

/// From the terminal without showing it, twice; elsewhere the first line of standard input. Never an
/// argument, which others on the machine can see.
fn password() -> Result<String, Failure> {
    let failed = |error| Failure::failed("reading the password", error);
    let terminal = Term::stderr();
    if !io::stdin().is_terminal() || !terminal.is_term() {
        let mut line = String::new();
        io::stdin().lock().take(MOST_BYTES).read_line(&mut line).map_err(failed)?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let ask = |question: &str| {
        terminal.write_str(question)?;
        terminal.read_secure_line()
    };
    let password = ask("password: ").map_err(failed)?;
    if ask("once more: ").map_err(failed)? == password {
        return Ok(password);
    }
    Err(Failure::Use("the second one is another password: nothing was changed".to_owned()))
}

fn added(answer: &Value) -> String {
    let (name, role) = (text(&answer["name"]), text(&answer["role"]));
    format!("{name} may sign in, as {role} of {}", tenants(&answer["tenants"]))
}

fn listed(answer: &Value) -> String {
    let users = list(&answer["users"]);
    if users.is_empty() {
        return "nobody may sign in: `samovar user add NAME --role viewer` lets somebody"
            .to_owned();
    }
    let rows = users.iter().map(|it| {
        vec![
            text(&it["name"]).to_owned(),
            text(&it["role"]).to_owned(),
            tenants(&it["tenants"]),
            time(&it["created_ms"]),
            time(&it["password_ms"]),
        ]
    });
    table(&["name", "role", "tenants", "added", "password of"], rows)
}

fn removed(answer: &Value) -> String {
    format!("{} is signed out, and does not sign in any more", text(&answer["removed"]))
}

fn changed(answer: &Value) -> String {
    format!(
        "{} has another password, and every earlier sign-in has ended",
        text(&answer["changed"])
    )
}
