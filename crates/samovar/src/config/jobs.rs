//! `[job."KIND"]`: where jobs of a kind go, how often they are tried, and what they may reach.

use std::{collections::BTreeMap, time::Duration};

use samovar_engine::{JOB_KINDS, JobRule, JobRules};
use samovar_jobs::{
    QueueName, Rate,
    http::{InvalidHttp, Target},
    limits,
};
use samovar_memory::Class;
use samovar_widgets::{Located, Problem, Section, nearest};

use super::Workers;

/// As the file has them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Jobs {
    kinds: BTreeMap<String, JobRule>,
    targets: Vec<Target>,
}

impl Jobs {
    pub(crate) fn rules(&self, workers: &Workers) -> Result<JobRules, InvalidHttp> {
        JobRules::new(self.kinds.clone(), workers.queues(), self.targets.clone())
    }
}

const HTTP: &str = "http";
const CLASSES: [(&str, Class); 4] = [
    ("128MB", Class::Mb128),
    ("256MB", Class::Mb256),
    ("512MB", Class::Mb512),
    ("1024MB", Class::Mb1024),
];
const URL: &str = "url = \"https://app.example.com/jobs/\"";

pub(super) fn read_jobs(root: &mut Section<'_>, queues: &[QueueName]) -> Jobs {
    let mut jobs = Jobs::default();
    for (kind, mut section) in root.sections("job") {
        let is_known = JOB_KINDS.contains(&kind.value.as_str());
        if kind.value == HTTP {
            jobs.targets = read_targets(&mut section);
        }
        let rule = read_rule(&mut section, queues);
        if is_known {
            section.finish();
            jobs.kinds.insert(kind.value, rule);
        } else {
            // Its keys are not looked at: those of which kind, nobody knows.
            root.note(unknown(&kind));
        }
    }
    jobs
}

fn unknown(kind: &Located<String>) -> Problem {
    let hint = match nearest(&kind.value, JOB_KINDS) {
        Some(nearest) => format!("did you mean [job.\"{nearest}\"]?"),
        None => format!("there are {}", JOB_KINDS.join(" and ")),
    };
    Problem::new(kind.line, format!("there are no jobs of kind `{}`", kind.value)).hint(hint)
}

fn read_rule(section: &mut Section<'_>, queues: &[QueueName]) -> JobRule {
    const MOMENT: Duration = Duration::from_millis(1);
    let times = |most: u16| 1..usize::from(most) + 1;
    let small = |count: Located<usize>| u16::try_from(count.value).ok();
    JobRule {
        queue: read_queue(section, queues),
        tries: section.count("tries", times(limits::TRIES)).and_then(small),
        backoff: section.durations(
            "backoff",
            0..=limits::BACKOFF_STEPS,
            Duration::ZERO..=limits::LONGEST_DELAY,
        ),
        timeout: section.duration("timeout", MOMENT..=limits::LONGEST_TIMEOUT).map(|it| it.value),
        max_exceptions: section.count("max_exceptions", times(limits::TRIES)).and_then(small),
        delete_when_missing: section.flag("delete_when_missing").map(|it| it.value),
        class: section.choice("memory", &CLASSES).map(|it| it.value),
        split: section.flag("split").map(|it| it.value),
        rate: section.section("rate").and_then(read_rate),
    }
}

fn read_queue(section: &mut Section<'_>, queues: &[QueueName]) -> Option<QueueName> {
    let Located { value, line } = section.text("queue")?;
    let found = queues.iter().find(|queue| queue.as_str() == value);
    if found.is_none() {
        let hint = match nearest(&value, queues.iter().map(QueueName::as_str)) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => "declare it, as [queue.NAME]".to_owned(),
        };
        section.refuse(
            "queue",
            line,
            &format!("names the queue `{value}`, which there is not"),
            &hint,
        );
    }
    found.cloned()
}

fn read_rate(mut section: Section<'_>) -> Option<Rate> {
    section.require("count", "count = 90");
    section.require("per", "per = \"1m\"");
    let count = section.count("count", 1..limits::RATE_COUNT as usize + 1);
    let per = section.duration("per", limits::RATE_PER);
    section.finish();
    Some(Rate { count: u32::try_from(count?.value).ok()?, per: per?.value })
}

/// The secret of one stands in the environment, and is sent along with its jobs.
fn read_targets(section: &mut Section<'_>) -> Vec<Target> {
    const EXAMPLE: &str = "targets = [{ url = \"https://app.example.com/jobs/\" }]";
    const AUTHORIZATION: &str = "authorization = \"Bearer ${APP_TOKEN}\"";
    let tables = section.list("targets", 0..=limits::HTTP_TARGETS, EXAMPLE).unwrap_or_default();
    let read = |mut table: Section<'_>| {
        let no_url =
            |_: InvalidHttp| "it is no URL of http or https, or a name and a password are in it";
        let target = table.required_url("url", URL, |url| Target::new(url).map_err(no_url));
        let target = target.map(|it| it.value);
        let secret = table.url("authorization", AUTHORIZATION, |secret| {
            // The target may be wrong: this one is told as well.
            let target = target.clone().map_or_else(|| Target::new("http://localhost"), Ok);
            let no_secret = |_: InvalidHttp| "it is no plain text";
            target.and_then(|target| target.authorization(secret)).map_err(no_secret)
        });
        table.finish();
        secret.map(|it| it.value).filter(|_| target.is_some()).or(target)
    };
    tables.into_iter().filter_map(read).collect()
}
