//! What runs beside the server, over the same definitions: jobs, schedules, alerts and captures.

use std::convert::Infallible;

use samovar_clock::Instant;
use samovar_engine::{Alerting, Capturing, Engine, Firing};
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
    /// Nothing while others take their place.
    alerting: Option<Alerting>,
    capturing: Option<Capturing>,
}

impl Beside {
    pub(crate) fn start(config: Config, engine: &Engine, state: &State) -> Result<Self, Failure> {
        let schedules = Some(schedules(engine)?);
        let working = Working::start(config.workers.here(), engine, state, schedules)?;
        let alerting = Some(alerting(&config, engine, working.budget(), Firing::default())?);
        let capturing = Some(engine.start_capturing());
        Ok(Self { config, working, alerting, capturing })
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
            match schedules(&engine) {
                Ok(schedules) => self.take(config, &engine, schedules, live).await,
                Err(failure) => reload::refused(&failure),
            }
        }
    }

    async fn take(&mut self, config: Config, engine: &Engine, schedules: Schedules, live: &Live) {
        // What is captured meanwhile waits for the new rules.
        if let Some(before) = self.capturing.take() {
            before.stop().await;
        }
        live.serve(engine.clone());
        self.capturing = Some(engine.start_capturing());
        self.working.go_on_with(config.workers.here(), engine, Some(schedules)).await;
        let firing = match self.alerting.take() {
            Some(before) => before.stop().await,
            None => Firing::default(),
        };
        match alerting(&config, engine, self.working.budget(), firing) {
            Ok(alerting) => self.alerting = Some(alerting),
            Err(failure) => tracing::error!(%failure, "nobody looks for alerts any more"),
        }
        reload::taken(&config);
        self.config = config;
    }

    pub(crate) async fn stop(self, until: Instant) {
        if let Some(capturing) = self.capturing {
            capturing.stop().await;
        }
        if let Some(alerting) = self.alerting {
            alerting.stop().await;
        }
        self.working.stop(until).await;
    }
}

fn schedules(engine: &Engine) -> Result<Schedules, Failure> {
    engine.schedules().map_err(|error| Failure::failed("reading schedules", error))
}

fn alerting(
    config: &Config,
    engine: &Engine,
    budget: Option<Budget>,
    firing: Firing,
) -> Result<Alerting, Failure> {
    let alerting = engine.start_alerting(config.alerts.clone(), instance(), budget, firing);
    alerting.map_err(|error| Failure::failed("starting to look for alerts", error))
}
