//! SIGHUP: the configuration is read again, and what it defines takes the place of what was defined
//! before.

use samovar_engine::{Ask, Engine};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{config::Config, failure::Failure, serve::warn, state::State};

/// From the moment of this on a hangup does not end the process.
pub(crate) struct Hangup(Signal);

impl Hangup {
    pub(crate) fn listen() -> Result<Self, Failure> {
        let listening = signal(SignalKind::hangup()).map(Self);
        listening.map_err(|error| Failure::failed("waiting for signals", error))
    }

    /// The next one, and what the file says then: nothing where it is refused, as the log tells. What
    /// was begun of it can be given up at any time.
    pub(crate) async fn next(
        &mut self,
        before: &Config,
        state: &State,
    ) -> Option<(Config, Engine)> {
        self.0.recv().await;
        match load(before, state).await {
            Ok(loaded) => Some(loaded),
            Err(failure) => {
                refused(&failure);
                None
            }
        }
    }
}

async fn load(before: &Config, state: &State) -> Result<(Config, Engine), Failure> {
    let (mut config, catalogue) = Config::load_with_catalogue(&before.file, Ask::Reachable).await?;
    warn(&config, &catalogue);
    let differ = config.stay_made_of(before);
    if !differ.is_empty() {
        let sections = differ.join(", ");
        tracing::warn!("what is new in {sections} takes a restart: all else is taken now");
    }
    let engine = state.engine(&config, catalogue)?;
    Ok((config, engine))
}

pub(crate) fn refused(failure: &Failure) {
    tracing::error!("other definitions were refused, and what was served is served on:\n{failure}");
}

pub(crate) fn taken(config: &Config) {
    let widgets = config.definitions.count();
    tracing::info!(widgets, "other definitions are served");
}
