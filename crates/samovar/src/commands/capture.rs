//! `samovar capture`: triggers in a source that record its changes. It speaks with the source itself, by
//! a user who may change it; whether a server runs makes no difference.

use samovar_clock::Clock;
use samovar_widgets::{Captured, InstallError, Installed, Installer, SourceUrl, Standing};
use serde_json::{Value, json};

use super::{confirm, duration, list, number, show, table, text};
use crate::{
    arguments::{CaptureArguments, CaptureCommand, Global, SqlArguments, UninstallArguments},
    config::Config,
    failure::Failure,
    serve::print,
};

pub(crate) async fn capture(global: &Global, command: &CaptureCommand) -> Result<(), Failure> {
    match command {
        CaptureCommand::Install(arguments) => install(global, arguments).await,
        CaptureCommand::Uninstall(arguments) => uninstall(global, arguments).await,
        CaptureCommand::Status(arguments) => status(global, arguments).await,
        CaptureCommand::Sql(arguments) => sql(global, arguments).await,
    }
}

async fn install(global: &Global, arguments: &CaptureArguments) -> Result<(), Failure> {
    let (source, mut installer) = open(global, arguments).await?;
    let statements = installer.statements().await.map_err(|error| refused(&error))?;
    let installed = installer.install().await.map_err(|error| refused(&error))?;
    let mut answer = as_json(&source, &installed);
    answer["statements"] = json!(statements.len());
    show(global, &answer, |answer| {
        let done = match answer["statements"].as_u64() {
            Some(0) => "everything is there already".to_owned(),
            Some(1) => "1 statement".to_owned(),
            _ => format!("{} statements", number(&answer["statements"])),
        };
        format!("installed in {source}: {done}\n{}", of_status(answer))
    })
}

async fn uninstall(global: &Global, arguments: &UninstallArguments) -> Result<(), Failure> {
    let (source, mut installer) = open(global, &arguments.common).await?;
    let question = format!("Changes of {source} are not recorded any more. Go on?");
    if !confirm(&question, arguments.force)? {
        return Ok(());
    }
    let statements = installer.uninstall().await.map_err(|error| refused(&error))?;
    let answer = json!({ "source": source, "statements": statements });
    show(global, &answer, |_| match statements.len() {
        0 => format!("nothing was installed in {source}"),
        _ => format!("uninstalled from {source}: {}", statements.join("; ")),
    })
}

/// A check: it ends with 3 where changes are not seen.
async fn status(global: &Global, arguments: &CaptureArguments) -> Result<(), Failure> {
    let (source, mut installer) = open(global, arguments).await?;
    let installed = installer.status().await.map_err(|error| refused(&error))?;
    show(global, &as_json(&source, &installed), of_status)?;
    let is_right = installed.parts.iter().all(|part| part.standing == Standing::Installed);
    if is_right && installed.outbox.exists { Ok(()) } else { Err(Failure::Found) }
}

async fn sql(global: &Global, arguments: &SqlArguments) -> Result<(), Failure> {
    let (source, mut installer) = open(global, &arguments.common).await?;
    let statements = match arguments.uninstall {
        true => installer.statements_to_uninstall().await,
        false => installer.statements().await,
    };
    let statements = statements.map_err(|error| refused(&error))?;
    if global.json {
        return print(&format!("{:#}", json!({ "source": source, "statements": statements })));
    }
    let script: Vec<String> = statements.iter().map(|it| format!("{it};\n")).collect();
    match script.as_slice() {
        [] => print(&format!("-- nothing has to be done in {source}")),
        script => print(script.join("\n").trim_end()),
    }
}

/// The source that is meant, and a connection to it.
async fn open(
    global: &Global,
    arguments: &CaptureArguments,
) -> Result<(String, Installer), Failure> {
    let config = Config::load(&global.config)?;
    let definitions = &config.definitions;
    let has_captures = |name: &str| definitions.captures.iter().any(|it| it.source == name);
    let mut with = definitions.sources.iter().filter(|source| has_captures(&source.name));
    let source = match (&arguments.source, with.next(), with.next()) {
        (Some(name), _, _) => {
            let found = definitions.sources.iter().find(|source| source.name == *name);
            found.ok_or_else(|| Failure::Use(format!("there is no source `{name}`")))?
        }
        (None, Some(only), None) => only,
        (None, None, _) => {
            let message = "nothing is to be captured: declare [capture.NAME]";
            return Err(Failure::Use(message.to_owned()));
        }
        (None, Some(_), Some(_)) => {
            return Err(Failure::Use("say which source: --source NAME".to_owned()));
        }
    };
    let url = arguments.url.as_deref().map(|url| {
        let parsed: Result<SourceUrl, _> = url.parse();
        let url = parsed.map_err(|error| Failure::Use(format!("--url: {error}")))?;
        match url.kind() == source.url.value.kind() {
            true => Ok(url),
            false => {
                let message = format!("--url is of another kind than the source `{}`", source.name);
                Err(Failure::Use(message))
            }
        }
    });
    let url = url.transpose()?;
    let captured = Captured::of(source, &definitions.captures, config.folder(), &Clock::System);
    let installer = captured.installer(url.as_ref()).await;
    let installer = installer.map_err(|error| refused(&InstallError::Source(error)))?;
    Ok((source.name.clone(), installer))
}

/// In the form in which the API refuses.
pub(crate) fn refused(error: &InstallError) -> Failure {
    let error = json!({ "message": error.to_string(), "hint": error.hint() });
    Failure::Refused { error: json!({ "error": error }) }
}

fn as_json(source: &str, installed: &Installed) -> Value {
    let mut answer = serde_json::to_value(installed).expect("plain data always becomes JSON");
    answer["source"] = json!(source);
    answer
}

fn of_status(answer: &Value) -> String {
    let outbox = &answer["outbox"];
    let name = text(&outbox["name"]);
    let waiting = match (outbox["exists"] == true, outbox["rows"].as_u64()) {
        (false, _) => "is MISSING".to_owned(),
        (true, Some(0) | None) => "is empty".to_owned(),
        (true, Some(rows)) => {
            format!("has {rows} rows, the oldest of {}", duration(&outbox["oldest_ms"]))
        }
    };
    let row = |part: &Value| {
        let standing = match text(&part["standing"]) {
            "installed" => "installed".to_owned(),
            other => other.replace('_', " ").to_uppercase(),
        };
        vec![
            text(&part["capture"]).to_owned(),
            text(&part["name"]).to_owned(),
            text(&part["on"]).to_owned(),
            standing,
        ]
    };
    let parts = list(&answer["parts"]);
    let mut said = format!("the outbox {name} {waiting}");
    if !parts.is_empty() {
        let heading = ["capture", "name", "on", "standing"];
        said.push_str(&format!("\n\n{}\n", table(&heading, parts.iter().map(row))));
    }
    for blind in list(&answer["blind"]) {
        said.push_str(&format!("\nnot seen: {}", text(blind)));
    }
    said
}

#[cfg(test)]
mod tests {
    use samovar_widgets::{OutboxFigures, Part};

    use super::*;

    #[test]
    fn what_is_not_as_it_should_be_stands_out() {
        let part = |name: &str, standing| Part {
            name: name.to_owned(),
            on: Some("orders".to_owned()),
            capture: Some("orders".to_owned()),
            standing,
        };
        let installed = Installed {
            outbox: OutboxFigures {
                name: "samovar_outbox".to_owned(),
                exists: true,
                rows: 12,
                oldest_ms: Some(61_000),
            },
            parts: vec![part("a", Standing::Installed), part("b", Standing::OutOfDate)],
            blind: vec!["TRUNCATE".to_owned()],
        };
        let said = of_status(&as_json("shop", &installed));
        let lines: Vec<Vec<&str>> =
            said.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            said.lines().next(),
            Some("the outbox samovar_outbox has 12 rows, the oldest of 61.0 s")
        );
        assert_eq!(lines[3], ["orders", "a", "orders", "installed"]);
        assert_eq!(lines[4], ["orders", "b", "orders", "OUT", "OF", "DATE"]);
        assert_eq!(lines.last(), Some(&vec!["not", "seen:", "TRUNCATE"]));
    }
}
