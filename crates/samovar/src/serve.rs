//! The composition root: what is loaded, opened, started, waited for and stopped, in this order.

use std::{
    convert::Infallible,
    future::Future,
    io::{self, Write},
    net::SocketAddr,
    time::Duration,
};

use samovar_clock::{Clock, Instant};
use samovar_engine::{Ask, Catalogue, Engine};
use samovar_server::Server;
use samovar_widgets::Problem;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    arguments::{Global, ServeArguments},
    beside::Beside,
    config::{Config, Store},
    failure::{Failure, counted, tell},
    reach::SOCKET,
    reload::Hangup,
    state::State,
    telemetry::Telemetry,
};

/// Requests that are not answered this long after the signal are given up, and jobs that have not
/// ended by then go back to their queues.
pub(crate) const DRAIN: Duration = Duration::from_secs(20);

pub(crate) async fn serve(
    global: &Global,
    arguments: ServeArguments,
    telemetry: Telemetry,
) -> Result<(), Failure> {
    let (config, catalogue) = Config::load_with_catalogue(&global.config, Ask::Reachable).await?;
    warn(&config, &catalogue);
    let listen = arguments.listen.unwrap_or(config.listen);
    may_listen(listen, &config)?;
    let state = State::open(&config).await?;
    let announce = async |_: &Engine, address| format!("listening on http://{address}");
    run(config, catalogue, state, listen, telemetry, announce).await
}

/// Of what is probably wrong.
pub(crate) fn warn(config: &Config, catalogue: &Catalogue) {
    for warning in config.warnings(catalogue) {
        let (hint, variable) = (warning.hint.unwrap_or_default(), warning.variable);
        tracing::warn!(line = warning.line, variable, hint, "{}", warning.reason);
    }
}

/// Told before anything is opened.
pub(crate) fn may_listen(listen: SocketAddr, config: &Config) -> Result<(), Failure> {
    let may = Server::may_listen(listen, &config.access);
    may.map_err(|error| Failure::Use(error.to_string()))
}

pub(crate) async fn check(global: &Global) -> Result<(), Failure> {
    let checked = Config::load_with_catalogue(&global.config, Ask::All).await;
    let (config, catalogue) = match checked {
        Err(Failure::Problems { file, problems }) if global.json => {
            print(&format!("{:#}", as_json(&file, None, &problems)))?;
            return Err(Failure::Problems { file, problems });
        }
        checked => checked?,
    };
    let (file, count) = (config.file.display().to_string(), config.definitions.count());
    let warnings = &config.warnings(&catalogue)[..];
    if global.json {
        return print(&format!("{:#}", as_json(&file, Some(count), warnings)));
    }
    let mut said = String::new();
    let told = warnings.iter().try_for_each(|warning| tell(&mut said, &file, warning));
    told.expect("memory takes everything");
    let plural = if count == 1 { "" } else { "s" };
    said.push_str(&format!("{file}: nothing wrong with {count} widget{plural}"));
    if !warnings.is_empty() {
        said.push_str(&format!(", {}", counted(warnings)));
    }
    print(&said)
}

fn as_json(file: &str, widgets: Option<usize>, problems: &[Problem]) -> serde_json::Value {
    let problem = |it: &Problem| {
        let severity = if it.is_error() { "error" } else { "warning" };
        let (reason, hint) = (&it.reason, &it.hint);
        match &it.variable {
            Some(it) => {
                json!({ "variable": it, "severity": severity, "reason": reason, "hint": hint })
            }
            None => {
                json!({ "line": it.line, "severity": severity, "reason": reason, "hint": hint })
            }
        }
    };
    let problems: Vec<_> = problems.iter().map(problem).collect();
    json!({ "file": file, "widgets": widgets, "problems": problems })
}

/// Serves and works until a signal, and leaves the store in good order however that ends. `announce`
/// makes what is said when it serves: where it listens, after what it likes to do before.
pub(crate) async fn run(
    config: Config,
    catalogue: Catalogue,
    state: State,
    listen: SocketAddr,
    telemetry: Telemetry,
    announce: impl AsyncFnOnce(&Engine, SocketAddr) -> String,
) -> Result<(), Failure> {
    let served = async {
        let engine = state.engine(&config, catalogue)?;
        let mut server = Server::bind(listen, engine.clone(), state.access.clone())
            .await
            .map_err(|error| Failure::failed("starting the server", error))?;
        if let Some(connections) = config.connections {
            server.most_connections(connections);
        }
        if let Store::Embedded { folder } = &config.store
            && let Err(error) = server.also_at(&folder.join(SOCKET))
        {
            // It serves all the same.
            tracing::warn!(%error, "commands cannot reach this server");
        }
        // Before anybody is told where it listens: from then on a signal must be heard.
        let stop = Stop::listen().map_err(|error| Failure::failed("waiting for signals", error))?;
        let hangup = Hangup::listen()?;
        let address =
            server.address().map_err(|error| Failure::failed("asking for the address", error))?;
        let live = server.live();
        let observed = live.clone();
        let telemetry = telemetry.start(move || {
            let observed = observed.clone();
            async move { observed.metrics().await }
        });
        let mut beside = Beside::start(config, &engine, &state)?;
        if let Err(error) = engine.warm_at_start().await {
            tracing::warn!(%error, "nothing is warmed at start");
        }
        // Whoever announces is the last to hold the engine here: it ends when another takes its place.
        let announced = async move { print(&announce(&engine, address).await) };
        let others = async || beside.follow(hangup, &live, &state).await;
        let (announced, deadline) = Box::pin(serve_until(server, stop, announced, others)).await;
        beside.stop(deadline).await;
        telemetry.stop().await;
        announced
    };
    let served = served.await;
    state.close().await;
    served
}

/// Until a signal, or until nobody can be told that it serves. Gives until when all else has to be over.
async fn serve_until(
    server: Server,
    mut stop: Stop,
    announced: impl Future<Output = Result<(), Failure>>,
    meanwhile: impl AsyncFnOnce() -> Infallible,
) -> (Result<(), Failure>, Instant) {
    let (drain, draining) = tokio::sync::oneshot::channel();
    let mut serving = tokio::spawn(server.run(async { drop(draining.await) }));
    let mut told = Ok(());
    tokio::select! {
        announced = announced => {
            told = announced;
            if told.is_ok() {
                tokio::select! {
                    () = stop.wait() => {}
                    never = meanwhile() => match never {},
                }
            }
        }
        () = stop.wait() => {}
    }
    tracing::info!(
        "stopping: requests that were begun are answered, jobs that run come to their end"
    );
    let deadline = Clock::System.now() + DRAIN;
    let _ = drain.send(());
    if Clock::System.timeout(DRAIN, &mut serving).await.is_err() {
        serving.abort();
        tracing::warn!(drain_s = DRAIN.as_secs(), "requests were given up");
    }
    (told, deadline)
}

/// SIGTERM or ctrl-c.
pub(crate) struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Stop {
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let printed = writeln!(out, "{text}").and_then(|()| out.flush());
    printed.map_err(|error| match error.kind() {
        // Whoever read it has seen enough, and nobody has to be told.
        io::ErrorKind::BrokenPipe => Failure::Said,
        _ => Failure::failed("writing to standard output", error),
    })
}
