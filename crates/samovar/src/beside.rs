//! What runs beside the server, over the same definitions: jobs, schedules, alerts and captures.

use std::convert::Infallible;

use samovar_clock::Instant;
use samovar_engine::{Alerting, Capturing, Engine};
use samovar_jobs::schedule::Schedules;
use samovar_memory::Budget;
use samovar_server::Live;

use crate::{
    config::Config,
    failure::Failure,
    reload::{self, Hangup},
    state::State,
    working::{Working, instance},
};

/// Runs until it is stopped.
pub(crate) struct Beside {
    config: Config,
    working: Working,
    watching: Watching,
}

/// Nothing of it has to come to an end.
struct Watching {
    alerting: Alerting,
    capturing: Capturing,
}

impl Beside {
    pub(crate) fn start(config: Config, engine: &Engine, state: &State) -> Result<Self, Failure> {
        let working =
            Working::start(config.workers.here(), engine, state, Some(schedules(engine)?))?;
        let watching = Watching::start(&config, engine, working.budget())?;
        Ok(Self { config, working, watching })
    }

    /// Serves other definitions whenever there are some.
    pub(crate) async fn follow(
        &mut self,
        mut hangup: Hangup,
        live: &Live,
        state: &State,
    ) -> Infallible {
        loop {
            let Some((config, engine)) = hangup.next(&self.config, state).await else { continue };
            match self.take(config, &engine, live).await {
                Ok(()) => reload::taken(&self.config),
                Err(failure) => reload::refused(&failure),
            }
        }
    }

    async fn take(&mut self, config: Config, engine: &Engine, live: &Live) -> Result<(), Failure> {
        let schedules = schedules(engine)?;
        live.serve(engine.clone());
        self.working.go_on_with(config.workers.here(), engine, Some(schedules)).await;
        let next = Watching::start(&config, engine, self.working.budget())?;
        std::mem::replace(&mut self.watching, next).stop().await;
        self.config = config;
        Ok(())
    }

    pub(crate) async fn stop(self, until: Instant) {
        self.watching.stop().await;
        self.working.stop(until).await;
    }
}

fn schedules(engine: &Engine) -> Result<Schedules, Failure> {
    engine.schedules().map_err(|error| Failure::failed("reading schedules", error))
}

impl Watching {
    fn start(config: &Config, engine: &Engine, budget: Option<Budget>) -> Result<Self, Failure> {
        let alerting = engine.start_alerting(config.alerts.clone(), instance(), budget);
        let alerting =
            alerting.map_err(|error| Failure::failed("starting to look for alerts", error))?;
        Ok(Self { alerting, capturing: engine.start_capturing() })
    }

    async fn stop(self) {
        self.capturing.stop().await;
        self.alerting.stop().await;
    }
}
