//! What a file changes about alerts, and who hears of them.

use std::time::Duration;

use samovar_jobs::post::PostUrl;
use samovar_widgets::SigningSecret;

use super::kind::AlertKind;

/// All alerts, each of them as it is by itself unless it was changed.
#[derive(Clone, Debug)]
pub struct AlertSettings {
    /// Of each kind one.
    pub rules: Vec<AlertRule>,
    pub webhooks: Vec<Webhook>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AlertRule {
    pub kind: AlertKind,
    pub threshold: f64,
    /// It fires after it has held for so long, and is over when it has not for as long.
    pub lasts: Duration,
    /// Webhooks by their names; all there are where it does not say.
    pub notify: Option<Vec<String>>,
    pub is_on: bool,
}

/// Somewhere to tell of alerts.
#[derive(Clone, Debug)]
pub struct Webhook {
    pub name: String,
    pub url: PostUrl,
    pub secret: SigningSecret,
}

impl Default for AlertSettings {
    fn default() -> Self {
        let rules = AlertKind::ALL.into_iter().map(AlertRule::of).collect();
        Self { rules, webhooks: Vec::new() }
    }
}

impl AlertRule {
    fn of(kind: AlertKind) -> Self {
        let (threshold, lasts) = (kind.threshold(), kind.lasts());
        Self { kind, threshold, lasts, notify: None, is_on: true }
    }

    pub(super) fn tells(&self, webhook: &str) -> bool {
        self.notify.as_ref().is_none_or(|named| named.iter().any(|it| it == webhook))
    }
}
