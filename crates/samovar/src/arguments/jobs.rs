//! The command line, as far as it is about jobs.

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand, builder::NonEmptyStringValueParser};
use samovar_engine::parse_duration;

#[derive(Debug, Args)]
#[command(after_help = super::TELEMETRY)]
pub(crate) struct WorkArguments {
    /// Only these queues, like high,default; all that are declared where none is named
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) queues: Vec<String>,
    /// Jobs at a time, instead of the configuration's
    #[arg(long, value_name = "N", value_parser = parse_slots)]
    pub(crate) slots: Option<usize>,
    /// Attempts in all, of jobs whose kind leaves that at the default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) tries: Option<u16>,
    /// The longest one attempt may take, in seconds or like 5m, of jobs whose kind leaves that at the
    /// default
    #[arg(long, value_name = "DURATION", value_parser = parse_timeout)]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueuesCommand {
    /// Show what waits, runs and failed on each
    List,
    /// Show what became of the jobs of one over the last hours, by kind
    Show {
        #[arg(value_name = "QUEUE")]
        queue: String,
        #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=744))]
        hours: u32,
    },
    /// Claim nothing more from it; what runs goes on
    Pause {
        #[arg(value_name = "QUEUE")]
        queue: String,
    },
    /// Claim from it again
    Resume {
        #[arg(value_name = "QUEUE")]
        queue: String,
    },
    /// Cancel what waits or is scheduled there; asks first
    Clear {
        #[arg(value_name = "QUEUE")]
        queue: String,
        /// Only jobs of these tenants
        #[arg(long, value_name = "ID")]
        tenant: Vec<String>,
        /// Does not ask
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// Show which there are: what runs, waits, is scheduled, and has ended
    List(ListArguments),
    /// Show all that is kept of one
    Show {
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Try again, with all attempts: one that failed or was cancelled, or all failed ones that match
    #[command(group(ArgGroup::new("which").required(true).multiple(true)
        .args(["id", "all", "queue", "kind", "batch", "tenant", "reason"])))]
    Retry {
        #[arg(value_name = "ID", conflicts_with_all = ["all", "queue", "kind", "batch", "tenant", "reason"])]
        id: Option<String>,
        #[command(flatten)]
        failed: Failed,
    },
    /// Forget a failed one
    Forget {
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Forget all failed ones that match; asks first
    #[command(group(ArgGroup::new("which").required(true).multiple(true)
        .args(["all", "queue", "kind", "batch", "tenant", "reason"])))]
    Flush {
        #[command(flatten)]
        failed: Failed,
        /// Does not ask
        #[arg(long)]
        force: bool,
    },
    /// Forget all that ended, however, more than so long ago; asks first
    Prune {
        /// Like 7d
        #[arg(long, value_name = "DURATION", value_parser = parse_written)]
        older_than: String,
        /// Does not ask
        #[arg(long)]
        force: bool,
    },
    /// Cancel one: what waits ends at once, what runs is told to stop
    Cancel {
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Push one, of a kind that is pushed from outside
    Push(PushArguments),
}

#[derive(Debug, Default, Args)]
pub(crate) struct ListArguments {
    #[arg(long, value_name = "NAME")]
    pub(crate) queue: Option<String>,
    /// running, waiting, scheduled, failed, done or cancelled
    #[arg(long)]
    pub(crate) state: Option<String>,
    #[arg(long)]
    pub(crate) kind: Option<String>,
    #[arg(long, value_name = "ID")]
    pub(crate) batch: Option<String>,
    #[arg(long, value_name = "ID")]
    pub(crate) tenant: Option<String>,
    /// In the reason of the last attempt
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) reason: Option<String>,
    /// How many, at most 500
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// From this place on, as the page before it says
    #[arg(long, value_name = "PLACE")]
    pub(crate) after: Option<String>,
}

/// Which of those that failed.
#[derive(Debug, Args)]
pub(crate) struct Failed {
    /// All that failed
    #[arg(long)]
    pub(crate) all: bool,
    #[arg(long, value_name = "NAME")]
    pub(crate) queue: Option<String>,
    #[arg(long)]
    pub(crate) kind: Option<String>,
    #[arg(long, value_name = "ID")]
    pub(crate) batch: Option<String>,
    /// Only jobs of these tenants
    #[arg(long, value_name = "ID")]
    pub(crate) tenant: Vec<String>,
    /// In the reason of the last attempt
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) reason: Option<String>,
}

const PAYLOAD: &str =
    r#"Like '{"url": "https://app.example.com/jobs/invoice", "body": {"order": 7}}'"#;

#[derive(Debug, Args)]
pub(crate) struct PushArguments {
    /// `http`
    #[arg(value_name = "KIND")]
    pub(crate) kind: String,
    /// What the kind of job takes: of `http` a url and a body
    #[arg(long, value_name = "JSON", value_parser = super::parse_json, help = PAYLOAD)]
    pub(crate) payload: serde_json::Value,
    #[arg(long, value_name = "NAME")]
    pub(crate) queue: Option<String>,
    /// Whose job it is; nobody's where it is left out
    #[arg(long, value_name = "ID")]
    pub(crate) tenant: Option<String>,
    /// Not before this time has passed, like 90s
    #[arg(long, value_name = "DURATION")]
    pub(crate) delay: Option<String>,
    /// While a job of the tenant with this key has not ended, its queue takes no second one
    #[arg(long, value_name = "KEY")]
    pub(crate) unique_key: Option<String>,
    #[arg(long, value_name = "N")]
    pub(crate) tries: Option<u16>,
    #[arg(long, value_name = "DURATION")]
    pub(crate) timeout: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BatchesCommand {
    /// Show which there are; those that have not finished first
    List {
        #[arg(long, value_name = "NAME")]
        queue: Option<String>,
        #[arg(long, value_name = "ID")]
        tenant: Option<String>,
        /// How many, at most 500
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        /// From this place on, as the page before it says
        #[arg(long, value_name = "PLACE")]
        after: Option<String>,
    },
    /// Show how far one is
    Show {
        #[arg(value_name = "ID")]
        id: String,
    },
    /// End what waits of it, and tell what runs to stop
    Cancel {
        #[arg(value_name = "ID")]
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum WorkersCommand {
    /// Show who runs jobs, and what they hold
    List,
    /// Let one end when its jobs have
    Drain {
        #[arg(value_name = "WORKER")]
        worker: String,
    },
    /// The same, and another one takes its place; all of them where none is named
    Restart {
        #[arg(value_name = "WORKER")]
        worker: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SchedulesCommand {
    /// Show when each was run and will be
    List,
    /// Push its job now; when it is due next does not change
    Run {
        #[arg(value_name = "NAME")]
        name: String,
    },
}

fn parse_slots(text: &str) -> Result<usize, String> {
    let most = samovar_jobs::limits::JOBS_PER_CALL;
    let slots = text.parse().ok().filter(|slots| (1..=most).contains(slots));
    slots.ok_or_else(|| format!("between 1 and {most} can be"))
}

/// A number alone counts seconds.
fn parse_timeout(text: &str) -> Result<Duration, String> {
    let longest = samovar_jobs::limits::LONGEST_TIMEOUT;
    let timeout = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => parse_duration(text)?,
    };
    let fits = !timeout.is_zero() && timeout <= longest;
    fits.then_some(timeout).ok_or_else(|| format!("an attempt may take 7d at most: {text}"))
}

/// As it is sent on.
fn parse_written(text: &str) -> Result<String, String> {
    parse_duration(text).map(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_seconds_or_a_duration() {
        assert_eq!(parse_timeout("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_timeout("5m"), Ok(Duration::from_secs(300)));
        for wrong in ["0", "8d", "soon", ""] {
            assert!(parse_timeout(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(parse_slots("4"), Ok(4));
        assert!(parse_slots("0").is_err() && parse_slots("1001").is_err());
    }
}
