//! Change capture: triggers record in an outbox, in the transaction of the change, what changed; the
//! rows of the outbox are read, applied, and deleted by their numbers. There is no cursor: a row that is
//! committed late is read when it is there, whatever its number.
//!
//! - `dialect`: what is said to each kind of database
//! - `connection`: says it
//! - `install`: what has to be there, and what is
//! - `outbox`: rows are taken and removed

mod connection;
mod dialect;
mod install;
mod outbox;

use std::{path::Path, time::Duration};

use samovar_clock::Clock;

use self::{connection::Place, dialect::Dialect};
pub use self::{
    install::{InstallError, Installed, Installer, OutboxFigures, Part, Standing},
    outbox::{Outbox, Recorded, Taken, Waited},
};
use crate::{CaptureDefinition, SourceDefinition, SourceError, SourceUrl};

/// The captures of one source, and the way to them.
#[derive(Clone, Debug)]
pub struct Captured {
    reads: Place,
    writes: Option<Place>,
    dialect: Dialect,
    captures: Vec<CaptureDefinition>,
    poll: Duration,
}

/// A statement takes no longer, however long queries of widgets may take. Whoever waits for a lock on a
/// table holds up those that come after him: also that takes no longer.
const STATEMENT_LIMIT: Duration = Duration::from_secs(5);

impl Captured {
    /// Of all captures, those of one source. Nothing is connected before it is used.
    pub fn of(
        source: &SourceDefinition,
        captures: &[CaptureDefinition],
        folder: &Path,
        clock: &Clock,
    ) -> Self {
        let settings = &source.capture;
        let place = |url: &SourceUrl, may_write| Place {
            url: url.clone(),
            may_write,
            folder: folder.to_owned(),
            timeout: source.timeout.min(STATEMENT_LIMIT),
            clock: clock.clone(),
        };
        let of_this = captures.iter().filter(|capture| capture.source == source.name);
        Self {
            reads: place(&source.url.value, settings.url.is_none()),
            writes: settings.url.as_ref().map(|url| place(&url.value, true)),
            dialect: Dialect {
                kind: source.url.value.kind(),
                outbox: settings.outbox.clone(),
                notify: settings.notify,
            },
            captures: of_this.cloned().collect(),
            poll: settings.poll,
        }
    }

    pub fn captures(&self) -> &[CaptureDefinition] {
        &self.captures
    }

    /// The outbox, to be read.
    pub async fn open(&self) -> Result<Outbox, SourceError> {
        let (dialect, writes) = (self.dialect.clone(), self.writes.as_ref());
        Outbox::open(&self.reads, writes, dialect, self.poll).await
    }

    /// By the url that is given, or that of the primary, or that of the source.
    pub async fn installer(&self, url: Option<&SourceUrl>) -> Result<Installer, SourceError> {
        let mut place = self.writes.as_ref().unwrap_or(&self.reads).clone();
        if let Some(url) = url {
            place.url = url.clone();
        }
        (place.timeout, place.may_write) = (STATEMENT_LIMIT, true);
        Installer::open(&place, self.dialect.clone(), self.captures.clone()).await
    }
}
