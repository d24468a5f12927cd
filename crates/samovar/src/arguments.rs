//! The command line.

mod jobs;

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use serde_json::Value;

pub(crate) use jobs::{
    BatchesCommand, Failed, JobsCommand, ListArguments, PushArguments, QueuesCommand,
    SchedulesCommand, WorkArguments, WorkersCommand,
};

/// Keeps dashboards hot: widgets are declared once, computed once, and served from memory until
/// their data changes
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong use, 3 a check found problems"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) global: Global,
}

/// Of commands that export it.
#[cfg(feature = "otlp")]
pub(super) const TELEMETRY: &str = "OTEL_EXPORTER_OTLP_ENDPOINT names a collector for spans and metrics (OTLP over \
                                    HTTP): see docs/telemetry.md";
#[cfg(not(feature = "otlp"))]
pub(super) const TELEMETRY: &str = "";

#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// What is served, from where
    #[arg(long, global = true, value_name = "FILE", default_value = "samovar.toml")]
    pub(crate) config: PathBuf,
    /// For programs: the answer as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// How the log is written, on standard error: for people, or an object on each line; RUST_LOG says
    /// how much
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text, hide_default_value = true)]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the widgets of a configuration
    Serve(ServeArguments),
    /// Serve ready-made dashboards over a generated shop, warm, and say what to try
    Demo(DemoArguments),
    /// Write a configuration to begin with, which passes the check as it is
    Init(InitArguments),
    /// Check a configuration and prepare its queries, without serving
    Check,
    /// Show how the cache fares: health, store, and each widget
    Status(StatusArguments),
    /// Watch a running server, once a second: reads, hits, queues, workers, slow computes
    Top(ServerArguments),
    /// Explain a reading: what is stored, what it depends on, who computes it, when it is refreshed
    Why(WhyArguments),
    /// Compute readings before anybody asks for them, the most read first
    Warm(WarmArguments),
    /// Compute a sample of what is served once more, and compare
    Verify(VerifyArguments),
    /// Drop readings, so that they are not served any more, not even marked stale
    Clear(ClearArguments),
    /// Say that data changed: what depends on it is computed anew when it is read
    Invalidate(InvalidateArguments),
    /// Remove expired entries and the leases of dead processes
    Cleanup(CleanupArguments),
    /// Make, list and revoke the tokens that let programs in
    #[command(subcommand)]
    Token(TokenCommand),
    /// Add, list and remove those who may sign in
    #[command(subcommand)]
    User(UserCommand),
    /// Show who changed what, the newest first
    Audit(AuditArguments),
    /// Triggers in a source that record its changes
    #[command(subcommand)]
    Capture(CaptureCommand),
    /// What the server and its jobs hold
    #[command(subcommand)]
    Memory(MemoryCommand),
    /// Run jobs, beside servers and others that do, on the Redis that they share
    Work(WorkArguments),
    /// Show queues; pause, resume or clear one
    Queues {
        #[command(subcommand)]
        command: Option<QueuesCommand>,
    },
    /// Show jobs, push one, cancel, try again, forget
    Jobs {
        #[command(subcommand)]
        command: Option<JobsCommand>,
    },
    /// Show batches of jobs, cancel one
    Batches {
        #[command(subcommand)]
        command: Option<BatchesCommand>,
    },
    /// Show who runs jobs; let workers end, or others take their place
    Workers {
        #[command(subcommand)]
        command: Option<WorkersCommand>,
    },
    /// Show what is run by the calendar; run one now
    Schedules {
        #[command(subcommand)]
        command: Option<SchedulesCommand>,
    },
    /// Kill, stop and starve what runs jobs, on throw-away stores, and check that no promise is broken
    Prove(samovar_prove::Arguments),
    /// Print what a shell needs to complete commands and options
    Completions {
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum MemoryCommand {
    /// Sample it as lines of JSON; ends with 3 when a threshold was crossed
    Watch(MemoryWatchArguments),
}

#[derive(Debug, Args)]
pub(crate) struct MemoryWatchArguments {
    #[command(flatten)]
    pub(crate) server: ServerArguments,
    /// Between two samples, like 500ms or 5s; a number alone is in seconds
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_seconds)]
    pub(crate) interval: Duration,
    /// How long; until it is interrupted where it is left out
    #[arg(long, value_name = "DURATION", value_parser = parse_seconds)]
    pub(crate) duration: Option<Duration>,
    /// What a job may hold of its limit before that is told, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 80.0, value_parser = parse_percent)]
    pub(crate) threshold: f64,
    /// Where the lines are added to; standard output where it is left out
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CaptureCommand {
    /// Put the outbox and the triggers of all captures into their source, or bring them up to date
    Install(CaptureArguments),
    /// Take them away again; nothing is left
    Uninstall(UninstallArguments),
    /// Show which triggers are there, what waits in the outbox, and what triggers cannot see
    Status(CaptureArguments),
    /// Print what `install` would do, for somebody who may; changes nothing
    Sql(SqlArguments),
}

#[derive(Debug, Args)]
pub(crate) struct CaptureArguments {
    /// May be left out where only one source has captures
    #[arg(long, value_name = "NAME")]
    pub(crate) source: Option<String>,
    /// Another way to the same database, for a user who may do it
    #[arg(long, value_name = "URL", env = "SAMOVAR_CAPTURE_URL", hide_env_values = true)]
    pub(crate) url: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct UninstallArguments {
    #[command(flatten)]
    pub(crate) common: CaptureArguments,
    /// Does not ask
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SqlArguments {
    #[command(flatten)]
    pub(crate) common: CaptureArguments,
    /// What `uninstall` would do
    #[arg(long)]
    pub(crate) uninstall: bool,
}

#[derive(Debug, Args)]
#[command(after_help = TELEMETRY)]
pub(crate) struct ServeArguments {
    /// Address and port, instead of the configuration's; port 0 takes a free one
    #[arg(long, value_parser = parse_listen)]
    pub(crate) listen: Option<SocketAddr>,
}

#[derive(Debug, Args)]
#[command(after_help = TELEMETRY)]
pub(crate) struct DemoArguments {
    /// How many orders the first tenant has, of the last three years; the second has a tenth of them.
    /// The same number gives the same orders on the same day
    #[arg(long, default_value_t = 20_425, value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    pub(crate) orders: u32,
    /// Where the database, its configuration and the store lie, and are found again; by default
    /// a folder in the user's cache
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address and port; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:7070", value_parser = parse_listen)]
    pub(crate) listen: SocketAddr,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("over").required(true).multiple(true).args(["source", "pack"])))]
pub(crate) struct InitArguments {
    /// Where your data is: sqlite://PATH, postgres://..., mysql://... A password may be left to the
    /// environment, as '${NAME}'
    #[arg(long, value_name = "URL")]
    pub(crate) source: Option<String>,
    /// A ready-made dashboard; without --source, over a generated database
    #[arg(long, value_name = "NAME")]
    pub(crate) pack: Option<Pack>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Pack {
    /// Orders with items: sales, products, channels, hours, refunds
    Commerce,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    /// With latencies, leases, slow computes and advice
    #[arg(long)]
    pub(crate) detailed: bool,
    /// Only the alerts, and what became of what was told
    #[arg(long, conflicts_with_all = ["detailed", "widget"])]
    pub(crate) alerts: bool,
    /// Only these widgets, each by tenant
    #[arg(long, value_name = "NAME")]
    pub(crate) widget: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ServerArguments {
    /// Another server than that of the configuration, like http://127.0.0.1:7070
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// A manager's, where one is needed; best in the environment, where others do not see it
    #[arg(long, env = "SAMOVAR_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

/// One reading.
#[derive(Debug, Args)]
pub(crate) struct WhyArguments {
    #[arg(value_name = "WIDGET")]
    pub(crate) widget: String,
    /// Whose reading it is; may be left out where there is only one tenant
    #[arg(long, value_name = "ID")]
    pub(crate) tenant: Option<String>,
    #[command(flatten)]
    pub(crate) params: Params,
}

#[derive(Debug, Args)]
pub(crate) struct Params {
    /// Like 7d, this_month or 2026-11-01..2026-11-21
    #[arg(long)]
    pub(crate) range: Option<String>,
    /// A parameter of the widget
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parse_pair)]
    pub(crate) params: Vec<(String, String)>,
}

impl Params {
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        let range = self.range.iter().map(|range| ("range".to_owned(), range.clone()));
        range.chain(self.params.iter().cloned()).collect()
    }
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).multiple(true).args(["widget", "tenant", "pattern", "all"])))]
pub(crate) struct ClearArguments {
    /// All readings of a widget, or with --range and --param one of them
    #[arg(long, value_name = "NAME", conflicts_with_all = ["pattern", "all"])]
    pub(crate) widget: Option<String>,
    #[command(flatten)]
    pub(crate) params: Params,
    /// Only this tenant's; alone, everything of it
    #[arg(long, value_name = "ID")]
    pub(crate) tenant: Option<String>,
    /// Keys as `why` shows them, with * and ?
    #[arg(long, conflicts_with = "all")]
    pub(crate) pattern: Option<String>,
    /// Everything there is; asks first
    #[arg(long, conflicts_with = "tenant")]
    pub(crate) all: bool,
    /// Does not ask
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).multiple(true).args(["tags", "class", "widget", "event", "hook"])))]
pub(crate) struct InvalidateArguments {
    /// Data that changed, like orders/2026/11/21
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// All readings of a freshness class
    #[arg(long, value_name = "NAME")]
    pub(crate) class: Option<String>,
    /// All readings of a widget
    #[arg(long, value_name = "NAME")]
    pub(crate) widget: Option<String>,
    /// Something that happened: what its rule in the configuration names
    #[arg(long, value_name = "NAME", conflicts_with_all = ["tags", "class", "widget", "over"])]
    pub(crate) event: Option<String>,
    /// What another system would send, unsigned: its body is --data
    #[arg(long, value_name = "NAME", requires = "data", conflicts_with_all = ["tags", "class", "widget", "event", "tenant", "over"])]
    pub(crate) hook: Option<String>,
    /// What the event is about, like '{"received_at": "2026-11-21T09:30:00Z"}'
    #[arg(long, value_name = "JSON", conflicts_with_all = ["tags", "class", "widget"], value_parser = parse_json)]
    pub(crate) data: Option<Value>,
    /// Whose data it is; all tenants' where it is left out, and only global tags then
    #[arg(long, value_name = "ID")]
    pub(crate) tenant: Option<String>,
    /// Spreads the recomputation over this time, like 10m; until then old values are served, marked
    #[arg(long, value_name = "DURATION")]
    pub(crate) over: Option<String>,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).multiple(true).args(["all", "widget", "range", "tenant"])))]
pub(crate) struct WarmArguments {
    /// Every reading that the configuration lists, of every tenant
    #[arg(long, conflicts_with_all = ["widget", "range", "tenant"])]
    pub(crate) all: bool,
    /// Only these widgets
    #[arg(long, value_name = "NAME")]
    pub(crate) widget: Vec<String>,
    /// These ranges, instead of those that each widget lists
    #[arg(long, value_name = "RANGE")]
    pub(crate) range: Vec<String>,
    /// Only these tenants
    #[arg(long, value_name = "ID")]
    pub(crate) tenant: Vec<String>,
    /// So many jobs side by side, each one tenant after the other; by default a job for each tenant,
    /// as many at a time as there are slots and memory
    #[arg(long, value_name = "N")]
    pub(crate) parallel: Option<usize>,
    /// Also what is fresh, from the source
    #[arg(long)]
    pub(crate) force: bool,
    /// Where its jobs go
    #[arg(long, value_name = "NAME")]
    pub(crate) queue: Option<String>,
    /// Does not wait for the end: it goes on where workers run
    #[arg(long)]
    pub(crate) detach: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// How many readings
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) sample: usize,
}

#[derive(Debug, Args)]
pub(crate) struct CleanupArguments {
    /// Only leases of dead processes
    #[arg(long)]
    pub(crate) leases: bool,
    /// Only expired entries
    #[arg(long)]
    pub(crate) expired: bool,
    /// Lists what would go, and removes nothing
    #[arg(long, conflicts_with = "force")]
    pub(crate) dry_run: bool,
    /// Does not ask
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token, which is shown this once
    Create(TokenArguments),
    /// Show which there are, never what they are
    List,
    /// Let nobody in any more with a token
    Revoke {
        /// As `token list` shows it
        #[arg(value_name = "ID")]
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TokenArguments {
    /// What it may do: viewer, manager, owner or admin
    #[arg(long)]
    pub(crate) role: String,
    /// Only for these tenants; all of them where none is named
    #[arg(long, value_name = "ID")]
    pub(crate) tenant: Vec<String>,
    /// What it is for
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// How long it lives, like 30d; where it is left out, until it is revoked
    #[arg(long, value_name = "DURATION")]
    pub(crate) expires: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Let somebody sign in; the password is asked for, or read from standard input
    Add(UserArguments),
    /// Show who may sign in
    List,
    /// Sign somebody out everywhere, for good
    Remove {
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Set somebody's password, which is asked for, or read from standard input; every sign-in ends
    Password {
        #[arg(value_name = "NAME")]
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct UserArguments {
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// What they may do: viewer, manager, owner or admin
    #[arg(long)]
    pub(crate) role: String,
    /// Only for these tenants; all of them where none is named
    #[arg(long, value_name = "ID")]
    pub(crate) tenant: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArguments {
    /// How many entries
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub(crate) limit: usize,
    /// From this entry on, as the page before it says
    #[arg(long, value_name = "ID")]
    pub(crate) before: Option<u64>,
}

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write it like 127.0.0.1:7070".to_owned())
}

/// Of at least a hundredth of a second, and a year at most.
fn parse_seconds(text: &str) -> Result<Duration, String> {
    const BOUNDS: RangeInclusive<Duration> =
        Duration::from_millis(10)..=Duration::from_secs(366 * 24 * 3600);
    let seconds = text.parse().map(Duration::from_secs);
    let duration = seconds.or_else(|_| samovar_widgets::parse_duration(text))?;
    let fits = BOUNDS.contains(&duration);
    fits.then_some(duration).ok_or_else(|| "choose something between 10ms and 366d".to_owned())
}

fn parse_percent(text: &str) -> Result<f64, String> {
    let percent = text.trim_end_matches('%').parse().ok();
    let percent = percent.filter(|percent| *percent > 0.0 && *percent <= 100.0);
    percent.ok_or_else(|| "write a number above 0, at most 100".to_owned())
}

fn parse_json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{error}; write it like '{{\"id\": 7}}'"))
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it like channel=web")?;
    Ok((name.to_owned(), value.to_owned()))
}
