//! Warm-ups that nobody asks for: by the calendar, at start, and before what is usually read.

use samovar_clock::Random;
use samovar_jobs::{
    ScheduleName,
    run::new_job,
    schedule::{CatchUp, InvalidSchedule, Schedule, Schedules},
};
use samovar_widgets::{CatchUpDefinition, Problem, ScheduleDefinition, WarmDefinition};

use super::{
    jobs::{Dispatch, Usual},
    request::{WarmFailure, WarmUp},
};
use crate::engine::Engine;

/// Ten minutes before each hour. No schedule of a file can be called so.
const USUAL: (&str, &str) = ("samovar.usual", "50 * * * *");
const AT_START: &str = "samovar.at-start";

impl From<&WarmDefinition> for WarmUp {
    fn from(definition: &WarmDefinition) -> Self {
        Self {
            widgets: definition.widgets.clone(),
            ranges: definition.ranges.iter().map(ToString::to_string).collect(),
            tenants: definition.tenants.clone(),
            force: definition.force,
            parallel: definition.parallel,
            queue: definition.queue.clone(),
            name: definition.name.clone(),
        }
    }
}

impl Engine {
    /// What it pushes by the calendar.
    pub fn schedules(&self) -> Result<Schedules, InvalidSchedule> {
        let random = &self.0.random;
        let mut schedules: Vec<_> =
            self.0.schedules.iter().map(|it| schedule(it, random)).collect();
        if self.0.warming.usual {
            schedules.push(Schedule {
                name: ScheduleName::new(USUAL.0).expect("a name"),
                cron: USUAL.1.to_owned(),
                time_zone: "UTC".to_owned(),
                catch_up: CatchUp::Skip,
                job: new_job(&Usual {}, random).expect("plain data"),
            });
        }
        Schedules::new(schedules)
    }

    /// Pushes what is to be warmed when a process starts. Of processes that start together one does.
    pub async fn warm_at_start(&self) -> Result<(), WarmFailure> {
        let Some(definition) = &self.0.warming.at_start else { return Ok(()) };
        let warm_up = WarmUp::from(definition).called("at-start");
        let job = Dispatch { warm_up, unique: Some(AT_START.to_owned()) };
        let job = new_job(&job, &self.0.random).expect("plain data");
        self.0.jobs()?.push(vec![job]).await?;
        Ok(())
    }
}

/// While one is under way there is no second one.
fn schedule(definition: &ScheduleDefinition, random: &Random) -> Schedule {
    let name = &definition.name.value;
    let warm_up = WarmUp::from(&definition.warm).called(name);
    let job = Dispatch { warm_up, unique: Some(format!("schedule/{name}")) };
    Schedule {
        // Their letters are a part of those that are allowed.
        name: ScheduleName::new(name.as_str()).unwrap_or_else(|_| fallback()),
        cron: definition.cron.value.clone(),
        time_zone: definition.time_zone.clone(),
        catch_up: match definition.catch_up {
            CatchUpDefinition::Skip => CatchUp::Skip,
            CatchUpDefinition::Once => CatchUp::Once,
            CatchUpDefinition::All => CatchUp::All,
        },
        job: new_job(&job, random).expect("plain data"),
    }
}

/// Of a name that is refused where it is declared.
fn fallback() -> ScheduleName {
    ScheduleName::new("unnamed").expect("a name")
}

/// What is wrong with its expression.
pub(crate) fn check_schedule(definition: &ScheduleDefinition) -> Option<Problem> {
    let error = Schedules::new([schedule(definition, &Random::seeded(0))]).err()?.to_string();
    // It ends with what to do.
    let (reason, advice) = error.rsplit_once(": ").unwrap_or((&error, "write another one"));
    Some(Problem::new(definition.cron.line, reason).hint(advice))
}
