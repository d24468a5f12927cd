//! `samovar.toml`: the sections of the process are read here, those of the widgets by their crate.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use samovar_cache::{Cache, OpenError, Settings};
use samovar_clock::Clock;
use samovar_engine::Catalogue;
use samovar_server::Server;
use samovar_widgets::{Definitions, Document, Problem, Section};

use crate::failure::Failure;

#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) file: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) store: Store,
    pub(crate) cache: Settings,
    pub(crate) definitions: Definitions,
}

/// Where the shared tier is kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Embedded { folder: PathBuf },
    Redis { url: String },
}

#[derive(Clone, Copy)]
enum Kind {
    Embedded,
    Redis,
}

impl Config {
    pub(crate) fn load(file: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(file).map_err(|error| {
            Failure::failed(format!("reading the configuration {}", file.display()), error)
        })?;
        Self::parse(file, &text).map_err(|problems| Failure::problems(file, problems))
    }

    fn parse(file: &Path, text: &str) -> Result<Self, Vec<Problem>> {
        let document = Document::parse(text)?;
        let mut root = document.root();
        let config = Self {
            listen: read_server(&mut root),
            store: read_store(&mut root, folder_of(file)),
            cache: read_cache(&mut root),
            definitions: Definitions::read(&mut root),
            file: file.to_owned(),
        };
        root.finish();
        let problems = document.problems();
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// Opens the sources and prepares the queries.
    pub(crate) async fn catalogue(&self) -> Result<Catalogue, Failure> {
        let folder = folder_of(&self.file);
        Catalogue::check(&self.definitions, folder, &Clock::System)
            .await
            .map_err(|problems| Failure::problems(&self.file, problems))
    }

    pub(crate) async fn open_cache(&self) -> Result<Cache, Failure> {
        let builder = Cache::builder().settings(self.cache.clone());
        let opened: Result<Cache, OpenError> = match &self.store {
            Store::Embedded { folder } => builder.open(folder).await,
            Store::Redis { url } => builder.connect(url).await,
        };
        opened.map_err(|error| Failure::failed("opening the store", error))
    }
}

/// Relative paths in a configuration begin where it lies.
fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

fn read_server(root: &mut Section<'_>) -> SocketAddr {
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 7070));
    let Some(mut section) = root.section("server") else { return default };
    let listen = section.text("listen").and_then(|listen| {
        let address = listen.value.parse::<SocketAddr>().map_err(|_| {
            let reason = format!("`{}` is no address", listen.value);
            Problem::new(listen.line, reason).hint("write it like \"127.0.0.1:7070\"")
        });
        let allowed = address.and_then(|address| match Server::may_listen(address) {
            Ok(()) => Ok(address),
            Err(error) => Err(Problem::new(listen.line, error)),
        });
        allowed.map_err(|problem| section.note(problem)).ok()
    });
    section.finish();
    listen.unwrap_or(default)
}

fn read_store(root: &mut Section<'_>, folder: &Path) -> Store {
    const KINDS: [(&str, Kind); 2] = [("embedded", Kind::Embedded), ("redis", Kind::Redis)];
    let default = || Store::Embedded { folder: folder.join("samovar-data") };
    let Some(mut section) = root.section("store") else { return default() };
    let kind = section.choice("kind", &KINDS).map_or(Kind::Embedded, |kind| kind.value);
    let store = match kind {
        Kind::Embedded => {
            section.text("path").map(|path| Store::Embedded { folder: folder.join(path.value) })
        }
        Kind::Redis => section.required_text("url").map(|url| Store::Redis { url: url.value }),
    };
    section.finish();
    store.unwrap_or_else(default)
}

fn read_cache(root: &mut Section<'_>) -> Settings {
    let mut settings = Settings::default();
    let Some(mut section) = root.section("cache") else { return settings };
    if let Some(memory) = section.bytes("memory") {
        settings.memory = memory.value;
    }
    if let Some(disk) = section.bytes("disk") {
        settings.disk = disk.value;
    }
    if let Some(above) = section.bytes("compress_above") {
        settings.compress_above = above.value.try_into().unwrap_or(usize::MAX);
    }
    if let Some(limit) = section.bytes("value_limit") {
        settings.value_limit = limit.value;
    }
    section.finish();
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDGETS: &str = "[tenants]\nlist = [{ id = \"a\" }]\n[source.s]\nurl = \"sqlite://s.db\"\n\
                           [widget.w]\nsource = \"s\"\nquery = \"select 1\"\n";

    fn parse(text: &str) -> Result<Config, Vec<String>> {
        let config = Config::parse(Path::new("etc/samovar.toml"), &format!("{text}{WIDGETS}"));
        config.map_err(|problems| {
            problems.into_iter().map(|it| format!("{}: {}", it.line, it.reason)).collect()
        })
    }

    #[test]
    fn paths_begin_where_the_file_lies() {
        let config = parse("").expect("defaults will do");
        assert_eq!(config.listen.to_string(), "127.0.0.1:7070");
        assert_eq!(config.store, Store::Embedded { folder: "etc/samovar-data".into() });
        let config = parse("[store]\npath = \"/var/lib/x\"\n").expect("a path");
        assert_eq!(config.store, Store::Embedded { folder: "/var/lib/x".into() });
    }

    #[test]
    fn settings_are_read_as_written() {
        let config = parse(
            "[server]\nlisten = \"[::1]:80\"\n[store]\nkind = \"redis\"\nurl = \"redis://r\"\n\
             [cache]\nmemory = \"64MB\"\nvalue_limit = \"1MB\"\n",
        )
        .expect("all is known");
        assert_eq!(config.listen.to_string(), "[::1]:80");
        assert_eq!(config.store, Store::Redis { url: "redis://r".to_owned() });
        assert_eq!((config.cache.memory, config.cache.value_limit), (64 << 20, 1 << 20));
    }

    #[test]
    fn other_machines_are_kept_out() {
        let problems = parse("[server]\nlisten = \"0.0.0.0:7070\"\n").expect_err("a problem");
        assert!(problems[0].starts_with("2: 0.0.0.0:7070 can be reached"), "{problems:?}");
    }

    #[test]
    fn a_key_of_the_other_kind_of_store_is_unknown() {
        let problems = parse("[store]\nkind = \"redis\"\npath = \"x\"\n").expect_err("problems");
        assert_eq!(problems, ["1: [store] needs `url`", "3: unknown key `path` in [store]"]);
    }
}
