//! `samovar init`: a configuration to begin with, which passes the check as it is.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use samovar_packs::commerce;
use samovar_widgets::SourceUrl;

use crate::{
    arguments::{Global, InitArguments, Pack},
    demo::{self, DATABASE},
    failure::Failure,
    serve::print,
};

/// Around a source of one's own.
const OWN: &str = include_str!("init/own.toml");
/// In front of what a pack declares.
const OF_PACK: &str = include_str!("init/pack.toml");

pub(crate) fn init(global: &Global, arguments: &InitArguments) -> Result<(), Failure> {
    let file = &global.config;
    if file.exists() {
        return Err(is_there(file));
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder)
        .map_err(|error| Failure::failed(format!("making {}", folder.display()), error))?;
    let database = folder.join(DATABASE);
    let is_generated = arguments.source.is_none() && !database.exists();
    let url = arguments.source.clone().unwrap_or_else(|| format!("sqlite://{DATABASE}"));
    check_url(&url)?;
    if is_generated {
        let orders = u32::try_from(commerce::ORDERS).unwrap_or(u32::MAX);
        let described = demo::generate(&database, orders).map_err(|error| {
            Failure::failed(format!("generating {}", database.display()), error)
        })?;
        print(&format!("generated {described} in {}", database.display()))?;
    }
    write(file, &text(arguments.pack, &url), has_password(&url))?;
    let mut said = format!("wrote {}", file.display());
    if has_password(&url) {
        said.push_str(
            ", readable by you alone: a password stands in it. Better write ${NAME} in its place, \
             and keep the password in the environment",
        );
    }
    let config = match global.config == Path::new("samovar.toml") {
        true => String::new(),
        false => format!(" --config {}", file.display()),
    };
    said.push_str(&format!("\n\nnext:\n  samovar check{config}\n"));
    if arguments.pack.is_some() {
        said.push_str(&format!("  samovar capture install{config}\n"));
    }
    said.push_str(&format!("  samovar serve{config}"));
    print(&said)
}

fn text(pack: Option<Pack>, url: &str) -> String {
    // What JSON escapes in a text, TOML reads.
    let url = serde_json::Value::from(url).to_string();
    match pack {
        None => OWN.replacen("URL", &url, 1),
        Some(Pack::Commerce) => {
            format!("{}{}", OF_PACK.replacen("URL", &url, 1), commerce::DEFINITIONS)
        }
    }
}

/// What comes from the environment is looked at when it is there.
fn check_url(url: &str) -> Result<(), Failure> {
    if url.contains("${") {
        return Ok(());
    }
    let parsed: Result<SourceUrl, _> = url.parse();
    parsed.map(drop).map_err(|error| Failure::Use(format!("--source: {error}")))
}

/// One that stands there itself.
fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let is_named = |it: &str| it.starts_with("${") && it.ends_with('}');
    let stands = |it: &str| !it.is_empty() && !is_named(it);
    let user = rest.rsplit_once('@').and_then(|(user, _)| user.split_once(':'));
    let mut options = rest.split(['?', '&']).filter_map(|it| it.strip_prefix("password="));
    user.is_some_and(|(_, password)| stands(password)) || options.any(stands)
}

/// Nothing is written over, also if it came a moment ago.
fn write(file: &Path, text: &str, is_private: bool) -> Result<(), Failure> {
    let mode = if is_private { 0o600 } else { 0o644 };
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(file);
    let written = made.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => is_there(file),
        _ => Failure::failed(format!("writing {}", file.display()), error),
    })
}

fn is_there(file: &Path) -> Failure {
    let file = file.display();
    Failure::Use(format!(
        "{file} is there already: move it away, or name another one with --config"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_seen_where_it_stands_itself() {
        for (url, expected) in [
            ("postgres://anna:secret@db/shop", true),
            ("postgres://anna:p@ss@db/shop", true),
            ("postgres://anna:${HALF}secret@db/shop", true),
            ("postgres://db/shop?user=anna&password=secret", true),
            ("postgres://db/shop?password=${PASSWORD}&user=anna", false),
            ("postgres://anna:${PASSWORD}@db/shop", false),
            ("postgres://anna@db:5432/shop", false),
            ("sqlite://a:b.db", false),
            ("sqlite://shop.db", false),
        ] {
            assert_eq!(has_password(url), expected, "{url}");
        }
    }
}
