//! `samovar.toml`: the sections of the process are read here, those of the widgets by their crate.

mod access;
mod alerts;
mod jobs;
mod sections;
mod workers;

use std::{
    env,
    ffi::OsString,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use samovar_cache::Settings;
use samovar_clock::Clock;
use samovar_engine::{AlertSettings, Ask, Catalogue, Observe};
use samovar_widgets::{Definitions, Document, Overrides, Problem};

use crate::failure::Failure;
use sections::CacheRead;

pub(crate) use jobs::Jobs;
pub(crate) use sections::{RedisUrl, Store};
pub(crate) use workers::Workers;

#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) file: PathBuf,
    pub(crate) listen: SocketAddr,
    /// At a time, if that is said.
    pub(crate) connections: Option<usize>,
    pub(crate) access: samovar_access::Settings,
    pub(crate) store: Store,
    pub(crate) cache: Settings,
    /// Another Redis than that of the store.
    pub(crate) cache_url: Option<RedisUrl>,
    pub(crate) observe: Observe,
    pub(crate) workers: Workers,
    pub(crate) alerts: AlertSettings,
    pub(crate) jobs: Jobs,
    pub(crate) definitions: Definitions,
    /// By the environment.
    overrides: Overrides,
}

impl Config {
    /// Without a look at the sources.
    pub(crate) fn load(file: &Path) -> Result<Self, Failure> {
        let (config, problems) = Self::read(file)?;
        match config {
            Some(config) if !problems.iter().any(Problem::is_error) => Ok(config),
            _ => Err(Failure::problems(file, problems)),
        }
    }

    /// With every mistake of the file told at once, those found in the sources as well.
    pub(crate) async fn load_with_catalogue(
        file: &Path,
        ask: Ask,
    ) -> Result<(Self, Catalogue), Failure> {
        let (config, mut problems) = Self::read(file)?;
        let Some(config) = config else { return Err(Failure::problems(file, problems)) };
        match config.check(ask).await {
            Ok(catalogue) if !problems.iter().any(Problem::is_error) => {
                return Ok((config, catalogue));
            }
            // They would be about what is missing because of the mistakes.
            Ok(_) => {}
            Err(found) => problems.extend(found),
        }
        problems.sort_by_key(|problem| problem.line);
        Err(Failure::problems(file, problems))
    }

    /// Opens the sources and prepares the queries.
    pub(crate) async fn catalogue(&self, ask: Ask) -> Result<Catalogue, Failure> {
        self.check(ask).await.map_err(|problems| Failure::problems(&self.file, problems))
    }

    /// What is probably wrong with it.
    pub(crate) fn warnings(&self, catalogue: &Catalogue) -> Vec<Problem> {
        let mut warnings = catalogue.warnings().to_vec();
        self.overrides.blame(&mut warnings);
        warnings
    }

    /// What a process is made of stays as it was `before`. Gives the sections of which that is a part.
    pub(crate) fn stay_made_of(&mut self, before: &Self) -> Vec<&'static str> {
        let mut differ = Vec::new();
        if (self.listen, self.connections) != (before.listen, before.connections) {
            differ.push("[server]");
        }
        if self.store != before.store {
            differ.push("[store]");
        }
        if self.cache != before.cache || self.cache_url != before.cache_url {
            differ.push("[cache]");
        }
        if self.access != before.access {
            differ.push("[access]");
        }
        if matches!(before.store, Store::Embedded { .. }) && !self.workers.in_server {
            // Nobody else can run the jobs of a folder.
            self.workers.in_server = true;
            differ.push("`in_server` in [workers]");
        }
        (self.listen, self.connections) = (before.listen, before.connections);
        self.store = before.store.clone();
        (self.cache, self.cache_url) = (before.cache.clone(), before.cache_url.clone());
        self.access = before.access.clone();
        differ
    }

    /// Where relative paths begin.
    pub(crate) fn folder(&self) -> &Path {
        folder_of(&self.file)
    }

    fn read(file: &Path) -> Result<(Option<Self>, Vec<Problem>), Failure> {
        let text = fs::read_to_string(file).map_err(|error| {
            Failure::failed(format!("reading the configuration {}", file.display()), error)
        })?;
        let plain = |text: OsString| text.to_string_lossy().into_owned();
        let variables = env::vars_os().map(|(name, value)| (plain(name), plain(value)));
        let overrides = Overrides::of(variables, &text);
        Ok(Self::parse(file, &text, |name| env::var(name).ok(), overrides))
    }

    /// What could be read, nothing where the file is no TOML, and what is wrong with it.
    fn parse(
        file: &Path,
        text: &str,
        environment: impl Fn(&str) -> Option<String>,
        overrides: Overrides,
    ) -> (Option<Self>, Vec<Problem>) {
        let document = Document::parse_in(environment, text);
        let document = match document.and_then(|document| document.overridden(&overrides)) {
            Ok(document) => document,
            Err(mut problems) => {
                overrides.blame(&mut problems);
                return (None, problems);
            }
        };
        let mut root = document.root();
        let access = access::read_access(&mut root);
        let (listen, connections) = sections::read_server(&mut root, &access);
        let store = sections::read_store(&mut root, folder_of(file));
        let CacheRead { settings, url, default_freshness } =
            sections::read_cache(&mut root, store.as_ref());
        let observe = sections::read_health(&mut root);
        let workers = workers::read_workers(&mut root, store.as_ref());
        let jobs = jobs::read_jobs(&mut root, &workers.queues());
        let alerts = alerts::read_alerts(&mut root);
        let definitions = Definitions { default_freshness, ..Definitions::read(&mut root) };
        root.finish();
        let mut problems = document.problems();
        overrides.blame(&mut problems);
        let config = Self {
            file: file.to_owned(),
            listen,
            connections,
            access,
            store: store.unwrap_or_else(|| Store::in_folder(folder_of(file))),
            cache: settings,
            cache_url: url,
            observe,
            workers,
            alerts,
            jobs,
            definitions,
            overrides,
        };
        (Some(config), problems)
    }

    async fn check(&self, ask: Ask) -> Result<Catalogue, Vec<Problem>> {
        let checked = Catalogue::check(&self.definitions, self.folder(), &Clock::System, ask).await;
        checked.map_err(|mut problems| {
            self.overrides.blame(&mut problems);
            problems
        })
    }
}

/// Relative paths in a configuration begin where it lies.
fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

#[cfg(test)]
mod tests;
