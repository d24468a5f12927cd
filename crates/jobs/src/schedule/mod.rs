//! Schedules: jobs that are pushed when the calendar says so.
//!
//! - `plan`: when a cron expression is due, in a time zone
//! - `due`: what of it is due now, and what becomes of what was missed
//! - `scheduler`: the task that pushes it, in any number of processes

mod due;
mod plan;
mod scheduler;

use std::collections::BTreeMap;

use samovar_clock::{Random, WallTime};
use serde::{Deserialize, Serialize};

use self::plan::{Plan, PlanFault};
use crate::{
    InvalidJob, JobId, Kind, NewJob, Pushed, QueueName, ScheduleName, Store, StoreError, limits,
    store::Mark,
};

pub use scheduler::Scheduler;

/// What becomes of instants that nobody fired in time: none of the processes was up, or the store
/// was away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// Nothing.
    #[default]
    Skip,
    /// One job for all of them.
    Once,
    /// A job each, for the last [`limits::CATCH_UP`].
    All,
}

impl CatchUp {
    pub fn name(self) -> &'static str {
        match self {
            CatchUp::Skip => "skip",
            CatchUp::Once => "once",
            CatchUp::All => "all",
        }
    }
}

/// A job that is pushed whenever a cron expression is due.
///
/// ```
/// use samovar_jobs::{JobId, Kind, NewJob, QueueName, ScheduleName};
/// use samovar_jobs::schedule::{CatchUp, Schedule, Schedules};
///
/// let job = NewJob::new(JobId::from_u64(1), QueueName::new("low")?, Kind::new("warm")?, *b"{}");
/// let nightly = Schedule {
///     name: ScheduleName::new("nightly")?,
///     cron: "0 3 * * *".into(),
///     time_zone: "Europe/Berlin".into(),
///     catch_up: CatchUp::Once,
///     job,
/// };
/// let odd = Schedule { time_zone: "Berlin".into(), ..nightly.clone() };
/// assert!(Schedules::new([nightly]).is_ok());
/// let error = Schedules::new([odd]).unwrap_err().to_string();
/// assert!(error.contains("there is no time zone \"Berlin\""));
/// # Ok::<_, samovar_jobs::InvalidName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub name: ScheduleName,
    /// Minute, hour, day, month and weekday, and seconds before them if there are six fields. A
    /// Sunday is 0 or 7. Where both a day and a weekday are given, either will do.
    pub cron: String,
    /// By its IANA name.
    pub time_zone: String,
    pub catch_up: CatchUp,
    /// Pushed under another id each time. With a unique key it is pushed when the last one has
    /// ended.
    pub job: NewJob,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schedule {name}: {fault}")]
pub struct InvalidSchedule {
    name: ScheduleName,
    fault: ScheduleFault,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum ScheduleFault {
    #[error(transparent)]
    Plan(PlanFault),
    #[error(transparent)]
    Job(InvalidJob),
    #[error("its job is in a batch: leave its `batch` empty")]
    Batch,
    #[error("there is another one of this name: rename one")]
    Twice,
    #[error("it is one more than the {} that are taken", limits::SCHEDULES_PER_QUEUE)]
    TooMany,
}

/// Schedules that were checked, by name.
#[derive(Debug, Clone, Default)]
pub struct Schedules(BTreeMap<ScheduleName, Planned>);

#[derive(Debug, Clone)]
struct Planned {
    schedule: Schedule,
    plan: Plan,
}

/// A schedule as it is shown. Times are those of the calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleView {
    pub name: ScheduleName,
    pub queue: QueueName,
    pub kind: Kind,
    pub cron: String,
    pub words: String,
    pub time_zone: String,
    pub catch_up: CatchUp,
    /// The last instant for which jobs were pushed.
    pub last_ms: Option<u64>,
    pub next_ms: Vec<u64>,
}

/// Instants a list looks ahead.
const NEXT_SHOWN: usize = 5;

impl Schedules {
    pub fn new(schedules: impl IntoIterator<Item = Schedule>) -> Result<Self, InvalidSchedule> {
        let mut checked = Self::default();
        for schedule in schedules {
            checked.add(schedule)?;
        }
        Ok(checked)
    }

    fn add(&mut self, schedule: Schedule) -> Result<(), InvalidSchedule> {
        let name = schedule.name.clone();
        let invalid = |fault| InvalidSchedule { name: name.clone(), fault };
        let plan = Plan::new(&schedule.cron, &schedule.time_zone);
        let plan = plan.map_err(|fault| invalid(ScheduleFault::Plan(fault)))?;
        schedule.job.check().map_err(|error| invalid(ScheduleFault::Job(error)))?;
        if schedule.job.batch.is_some() {
            return Err(invalid(ScheduleFault::Batch));
        }
        if self.0.len() == limits::SCHEDULES_PER_QUEUE {
            return Err(invalid(ScheduleFault::TooMany));
        }
        match self.0.insert(name.clone(), Planned { schedule, plan }) {
            None => Ok(()),
            Some(_) => Err(invalid(ScheduleFault::Twice)),
        }
    }

    /// All of them by name, with the last and the next times.
    pub async fn list(
        &self,
        store: &Store,
        now: WallTime,
    ) -> Result<Vec<ScheduleView>, StoreError> {
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(0);
        let mut marks = BTreeMap::new();
        for queue in self.queues() {
            let of_queue = store.marks(queue.clone()).await?;
            marks.extend(of_queue.into_iter().map(|it| ((queue.clone(), it.schedule.clone()), it)));
        }
        let view = |(name, planned): (&ScheduleName, &Planned)| {
            let queue = planned.schedule.job.queue.clone();
            let mark = marks.get(&(queue, name.clone()));
            planned.view(mark, now_ms)
        };
        Ok(self.0.iter().map(view).collect())
    }

    /// Pushes its job now, by hand; when it is due next does not change. Nothing when there is no
    /// such schedule.
    pub async fn run_now(
        &self,
        name: &ScheduleName,
        store: &Store,
        random: &Random,
    ) -> Result<Option<Pushed>, StoreError> {
        let Some(planned) = self.0.get(name) else { return Ok(None) };
        let pushed = store.push(vec![planned.job(random)]).await?;
        Ok(pushed.first().copied())
    }

    /// Each once.
    fn queues(&self) -> Vec<QueueName> {
        let mut queues: Vec<_> = self.0.values().map(|it| it.schedule.job.queue.clone()).collect();
        queues.sort_unstable();
        queues.dedup();
        queues
    }
}

impl Planned {
    fn job(&self, random: &Random) -> NewJob {
        NewJob { id: JobId::draw(random), ..self.schedule.job.clone() }
    }

    fn view(&self, mark: Option<&Mark>, now_ms: u64) -> ScheduleView {
        let Schedule { name, cron, time_zone, catch_up, job } = self.schedule.clone();
        let from_ms = mark.map_or(now_ms, |mark| mark.mark_ms.max(now_ms));
        let next = |at_ms: &u64| self.plan.next_after(*at_ms);
        ScheduleView {
            name,
            queue: job.queue,
            kind: job.kind,
            cron,
            words: self.plan.words(),
            time_zone,
            catch_up,
            last_ms: mark.and_then(|mark| mark.fired_ms),
            next_ms: std::iter::successors(next(&from_ms), next).take(NEXT_SHOWN).collect(),
        }
    }
}
