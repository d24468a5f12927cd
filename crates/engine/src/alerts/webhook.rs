//! Signed posts, one webhook beside the other: one that hangs holds up nothing but itself.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use samovar_clock::{Clock, Random};
use samovar_jobs::post::{NotTaken, Poster};
use serde::Serialize;
use tokio::sync::mpsc;
use tracing::Instrument;

use super::{board::Notice, settings::Webhook};
use crate::{signature, spans};

/// The header with `sha256=` and the signature of the time, a dot and the body.
pub const SIGNATURE: &str = "samovar-signature";
/// The header with the time of the signature, in seconds since 1970.
pub const SIGNED_AT: &str = "samovar-timestamp";
/// The header that is the same whenever the same is sent again.
const DELIVERY: &str = "samovar-delivery";

/// Notices that wait for one webhook. More are dropped, and said to be.
const WAITING: usize = 64;
/// How long a webhook may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// Pauses before what was not taken is sent again. Then it is given up.
const AGAIN_AFTER: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
];

/// What became of what was sent to a webhook, since this process began.
#[derive(Clone, Debug, Serialize)]
pub struct WebhookShown {
    pub name: String,
    /// The scheme and the host of it.
    pub to: String,
    pub sent: u64,
    /// Given up after several tries, or dropped.
    pub failed: u64,
    pub waiting: usize,
    /// Why the last try has failed.
    pub last_error: Option<String>,
}

#[derive(Debug)]
pub(super) struct Sender {
    pub(super) name: String,
    notices: mpsc::Sender<Arc<Notice>>,
    figures: Arc<Mutex<WebhookShown>>,
}

impl Sender {
    pub(super) fn start(webhook: Webhook, poster: Poster, clock: Clock, random: Random) -> Self {
        let (notices, waiting) = mpsc::channel(WAITING);
        let figures = Arc::new(Mutex::new(WebhookShown {
            name: webhook.name.clone(),
            to: webhook.url.to_string(),
            sent: 0,
            failed: 0,
            waiting: 0,
            last_error: None,
        }));
        let name = webhook.name.clone();
        let sending = Sending { webhook, poster, clock, random, figures: figures.clone() };
        // It ends when nobody sends any more, and what waits has been sent or given up.
        tokio::spawn(sending.keep(waiting));
        Self { name, notices, figures }
    }

    /// Without a wait.
    pub(super) fn send(&self, notice: Arc<Notice>) {
        let mut figures = lock(&self.figures);
        match self.notices.try_send(notice) {
            Ok(()) => figures.waiting += 1,
            Err(error) => {
                figures.failed += 1;
                tracing::error!(webhook = self.name, %error, "an alert is not sent");
            }
        }
    }

    pub(super) fn shown(&self) -> WebhookShown {
        lock(&self.figures).clone()
    }
}

struct Sending {
    webhook: Webhook,
    poster: Poster,
    clock: Clock,
    random: Random,
    figures: Arc<Mutex<WebhookShown>>,
}

impl Sending {
    async fn keep(self, mut waiting: mpsc::Receiver<Arc<Notice>>) {
        while let Some(notice) = waiting.recv().await {
            let span = spans::webhook(&self.webhook.name, notice.alert);
            let sent = self.send(&notice).instrument(span.clone()).await;
            spans::outcome(&span, sent.is_ok());
            let (webhook, alert) = (&self.webhook.name, notice.alert);
            let mut figures = lock(&self.figures);
            figures.waiting -= 1;
            match sent {
                Ok(()) => figures.sent += 1,
                Err(error) => {
                    figures.failed += 1;
                    tracing::error!(webhook, alert, %error, "an alert is not sent");
                }
            }
        }
    }

    /// Signed anew each time, so that whoever checks the time takes it.
    async fn send(&self, notice: &Notice) -> Result<(), NotTaken> {
        let body = serde_json::to_vec(notice).expect("plain data");
        let delivery = format!("{:016x}", self.random.id());
        let mut pauses = AGAIN_AFTER.into_iter();
        loop {
            let at = (self.clock.wall().as_millis() / 1000).to_string();
            let parts = [at.as_bytes(), b".", &body];
            let signature = signature::sign(&self.webhook.secret, &parts);
            let headers = [
                (SIGNED_AT, at),
                (SIGNATURE, format!("sha256={signature}")),
                (DELIVERY, delivery.clone()),
            ];
            let sent = self.poster.post(&self.webhook.url, &headers, body.clone(), ANSWERS_WITHIN);
            let Err(error) = sent.await else { return Ok(()) };
            lock(&self.figures).last_error = Some(error.to_string());
            match (&error, pauses.next()) {
                (NotTaken::Away(_), Some(pause)) => {
                    let webhook = &self.webhook.name;
                    tracing::warn!(webhook, %error, again_s = pause.as_secs(), "an alert waits");
                    self.clock.sleep(pause).await;
                }
                _ => return Err(error),
            }
        }
    }
}

fn lock(figures: &Mutex<WebhookShown>) -> MutexGuard<'_, WebhookShown> {
    figures.lock().unwrap_or_else(PoisonError::into_inner)
}
