//! The `samovar` command.

mod accounts;
mod arguments;
mod beside;
mod commands;
mod config;
mod demo;
mod failure;
mod init;
mod reach;
mod reload;
mod serve;
mod state;
mod telemetry;
mod work;
mod working;

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use samovar_memory::Metered;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    arguments::{Arguments, Command, LogFormat},
    failure::{Failure, printable},
    telemetry::{LogLayer, NO_SPANS, Telemetry},
};

/// Gives memory back to the system, does not fragment under many sizes, and knows which job holds what.
#[global_allocator]
static ALLOCATOR: Metered = Metered::new();

/// As many arenas as processors, and not four times as many: each keeps free pages of its own, and the
/// budget counts what is resident.
#[expect(unsafe_code, reason = "jemalloc reads this name before the program begins")]
#[unsafe(export_name = "_rjem_malloc_conf")]
static ARENAS: &[u8; 16] = b"narenas_ratio:1\0";

/// Threads that are still in a query when everything else has ended are left behind.
const THREADS_LEAVE_WITHIN: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    // What `prove` starts is this program again.
    if let Some(ended) = samovar_prove::started() {
        return ended;
    }
    let arguments = Arguments::parse();
    let (telemetry, spans) = match arguments.command {
        Command::Serve(_) | Command::Demo(_) | Command::Work(_) => Telemetry::prepare(),
        _ => (Telemetry::default(), None),
    };
    log_to_stderr(&arguments, spans);
    if let Err(error) = accounts::route_sqlite() {
        tracing::warn!(%error, "what SQLite holds is not counted");
    }
    match run(arguments, telemetry) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let said = printable(&failure.to_string());
            if !said.is_empty() {
                // Nobody is left to tell when this fails as well.
                let _ = writeln!(io::stderr(), "{said}");
            }
            failure.exit_code()
        }
    }
}

/// `RUST_LOG` says what; standard output belongs to what the commands answer. `spans` collects what is no
/// part of the log.
fn log_to_stderr(arguments: &Arguments, spans: Option<LogLayer>) {
    // Who waits for a warm-up on a terminal is shown its progress, and not each of its jobs.
    let of_jobs = if matches!(arguments.command, Command::Warm(_)) { "warn" } else { "info" };
    let quiet =
        || EnvFilter::new(format!("info,rusqlite_migration=warn,samovar::memory={of_jobs}"));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| quiet());
    let filter = filter.add_directive(NO_SPANS.parse().expect("it is a directive"));
    let colours = io::stderr().is_terminal();
    let log = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let log = match arguments.global.log_format {
        LogFormat::Text => log.with_ansi(colours).with_filter(filter).boxed(),
        LogFormat::Json => {
            log.with_ansi(false).json().flatten_event(true).with_filter(filter).boxed()
        }
    };
    let layers: Vec<LogLayer> = spans.into_iter().chain([log]).collect();
    tracing_subscriber::registry().with(layers).init();
}

fn run(arguments: Arguments, telemetry: Telemetry) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed("starting the runtime", error))?;
    let done = runtime.block_on(async {
        let global = &arguments.global;
        match arguments.command {
            Command::Serve(arguments) => serve::serve(global, arguments, telemetry).await,
            Command::Demo(arguments) => demo::demo(arguments, telemetry).await,
            Command::Init(arguments) => init::init(global, &arguments),
            Command::Completions { shell } => commands::completions(shell),
            Command::Prove(arguments) => commands::prove(global, &arguments),
            Command::Check => serve::check(global).await,
            Command::Status(arguments) => commands::status(global, &arguments).await,
            Command::Why(arguments) => commands::why(global, &arguments).await,
            Command::Warm(arguments) => commands::warm(global, &arguments).await,
            Command::Verify(arguments) => commands::verify(global, &arguments).await,
            Command::Clear(arguments) => commands::clear(global, &arguments).await,
            Command::Invalidate(arguments) => commands::invalidate(global, &arguments).await,
            Command::Cleanup(arguments) => commands::cleanup(global, &arguments).await,
            Command::Token(command) => commands::token(global, &command).await,
            Command::User(command) => commands::user(global, &command).await,
            Command::Top(arguments) => commands::top(global, &arguments).await,
            Command::Audit(arguments) => commands::audit(global, &arguments).await,
            Command::Capture(command) => commands::capture(global, &command).await,
            Command::Memory(command) => commands::memory(global, &command).await,
            Command::Work(arguments) => work::work(global, &arguments, telemetry).await,
            Command::Queues { command } => commands::queues(global, command).await,
            Command::Jobs { command } => commands::jobs(global, command).await,
            Command::Batches { command } => commands::batches(global, command).await,
            Command::Workers { command } => commands::workers(global, command).await,
            Command::Schedules { command } => commands::schedules(global, command).await,
        }
    });
    runtime.shutdown_timeout(THREADS_LEAVE_WITHIN);
    done
}
