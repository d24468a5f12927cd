//! Jobs from outside: of few kinds, on queues that are declared, each checked before it is kept.

use std::time::Duration;

use samovar_jobs::{
    JobId, Kind, NewJob, Pushed, Tenant,
    http::Http,
    run::{Job, new_job},
};
use samovar_memory::Class;
use samovar_widgets::{nearest, parse_duration};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{JobFailure, JobRule, PUSHED_FROM_OUTSIDE, list::queue_named};
use crate::{engine::Engine, warm::request::owner};

/// What is to be done, and what of the policy of its kind is to be otherwise.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobWanted {
    pub kind: String,
    /// Kept byte by byte.
    pub payload: Box<RawValue>,
    /// Drawn by whoever pushes, so that repeating it pushes nothing twice: 16 hexadecimal digits.
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub queue: Option<String>,
    #[serde(default)]
    pub tenant: Option<String>,
    /// Like 90s.
    #[serde(default)]
    pub delay: Option<String>,
    /// While a job of this tenant with this key has not ended, its queue takes no second one.
    #[serde(default)]
    pub unique_key: Option<String>,
    #[serde(default)]
    pub tries: Option<u16>,
    #[serde(default)]
    pub backoff: Option<Vec<String>>,
    #[serde(default)]
    pub timeout: Option<String>,
    #[serde(default)]
    pub max_exceptions: Option<u16>,
    #[serde(default)]
    pub delete_when_missing: Option<bool>,
    #[serde(default)]
    pub memory: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobPushed {
    /// Of the job that is there: of the one that was pushed, or of the one that was there before.
    pub id: String,
    pub queue: String,
    pub kind: String,
    /// Otherwise it was there before, or another one holds its unique key.
    pub pushed: bool,
}

impl Engine {
    pub async fn push_job(&self, wanted: &JobWanted) -> Result<JobPushed, JobFailure> {
        let store = self.job_store()?;
        let mut job = self.wanted(wanted)?;
        if let Some(tenant) = &wanted.tenant {
            self.0.member(tenant).await?;
            // It would be nobody's, and nobody who is bound could see it.
            let whose = owner(Some(tenant));
            if whose.as_str() != tenant || whose == Tenant::system() {
                let (field, what) = ("tenant", "name that jobs can have");
                return Err(JobFailure::Value { field, found: tenant.clone(), what });
            }
        }
        job.tenant = owner(wanted.tenant.as_deref());
        // Of one tenant's jobs alone, and of those from outside: names may hold what separates them.
        let key = |key: &String| {
            let tenant = job.tenant.as_str();
            format!("pushed/{}/{tenant}/{key}", tenant.len())
        };
        job.unique_key = wanted.unique_key.as_ref().map(key);
        let (queue, kind) = (job.queue.to_string(), job.kind.to_string());
        let pushed = store.push(vec![job.clone()]).await?;
        let (id, pushed) = match pushed.first() {
            Some(Pushed::AlreadyThere(id)) => (*id, false),
            Some(Pushed::New(id)) => (*id, true),
            None => (job.id, true),
        };
        Ok(JobPushed { id: id.to_string(), queue, kind, pushed })
    }

    fn wanted(&self, wanted: &JobWanted) -> Result<NewJob, JobFailure> {
        let kind = self.pushed_kind(&wanted.kind)?;
        let mut job = self.http_job(wanted)?;
        job.kind = kind;
        if let Some(id) = &wanted.id {
            let found = id.clone();
            let unfit =
                JobFailure::Value { field: "id", found, what: "id of 16 hexadecimal digits" };
            job.id = JobId::parse(id).ok_or(unfit)?;
        }
        let rules = &self.0.rules;
        let queue = queue_named(wanted.queue.as_deref())?;
        let of_kind = rules.of(&wanted.kind).and_then(|rule| rule.queue.clone());
        job.queue = queue.or(of_kind).unwrap_or(job.queue);
        let known = rules.queues();
        if !known.is_empty() && !known.contains(&job.queue) {
            let queue = job.queue.to_string();
            let nearest = nearest(&queue, known.iter().map(|it| it.as_str())).map(str::to_owned);
            return Err(JobFailure::Queue { queue, nearest });
        }
        rules.apply(&mut job);
        wanted.rule()?.apply(&mut job.policy);
        job.delay = duration("delay", wanted.delay.as_deref())?.unwrap_or_default();
        Ok(job)
    }

    fn pushed_kind(&self, kind: &str) -> Result<Kind, JobFailure> {
        if PUSHED_FROM_OUTSIDE.contains(&kind) {
            return Kind::new(kind).map_err(|error| JobFailure::Name { field: "kind", error });
        }
        let nearest = nearest(kind, PUSHED_FROM_OUTSIDE).map(str::to_owned);
        Err(JobFailure::Kind { kind: kind.chars().take(64).collect(), nearest })
    }

    fn http_job(&self, wanted: &JobWanted) -> Result<NewJob, JobFailure> {
        let read = serde_json::from_str::<Http>(wanted.payload.get());
        let unread = |reason: String| JobFailure::Payload { kind: Http::KIND.to_owned(), reason };
        let http = read.map_err(|error| unread(error.to_string()))?;
        let targets = self.0.rules.targets().ok_or(JobFailure::NoTargets)?;
        targets.check(&http).map_err(JobFailure::Http)?;
        new_job(&http, &self.0.random).map_err(|error| unread(error.to_string()))
    }
}

impl JobWanted {
    fn rule(&self) -> Result<JobRule, JobFailure> {
        let class = |text: &String| {
            let found = text.clone();
            let unfit = JobFailure::Value { field: "memory", found, what: "class of memory" };
            text.parse::<Class>().map_err(|_| unfit)
        };
        let backoff = self.backoff.as_ref().map(|delays| {
            let delay = |it: &String| Ok(duration("backoff", Some(it))?.unwrap_or_default());
            delays.iter().map(delay).collect::<Result<Vec<_>, JobFailure>>()
        });
        Ok(JobRule {
            tries: self.tries,
            backoff: backoff.transpose()?,
            timeout: duration("timeout", self.timeout.as_deref())?,
            max_exceptions: self.max_exceptions,
            delete_when_missing: self.delete_when_missing,
            class: self.memory.as_ref().map(class).transpose()?,
            ..JobRule::default()
        })
    }
}

fn duration(field: &'static str, text: Option<&str>) -> Result<Option<Duration>, JobFailure> {
    let Some(text) = text else { return Ok(None) };
    let found = text.chars().take(64).collect();
    let unfit = || JobFailure::Value { field, found, what: "duration" };
    parse_duration(text).map(Some).map_err(|_| unfit())
}
