//! How each alert stands, for whoever looks, and what is to be told after a look.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use samovar_clock::{Instant, WallTime};
use serde::Serialize;

use super::{
    kind::{AlertKind, Side, Unit},
    measure::{Measured, Seen, measure},
    phase::{Phase, Turn},
    settings::AlertRule,
    webhook::{Sender, WebhookShown},
};

/// Empty where nobody looks: a process that only carries out a command.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<Watched>);

#[derive(Debug, Default)]
struct Watched {
    instance: Option<String>,
    standings: Vec<Standing>,
    senders: Arc<Vec<Sender>>,
}

/// An alert that fires, and of which somebody was told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Told {
    pub(super) kind: AlertKind,
    /// Where it is known.
    pub(super) since: Option<WallTime>,
    /// It was told of both.
    pub(super) is_over: bool,
    /// No other process can know that somebody was told.
    pub(super) is_unmarked: bool,
}

/// One alert of this process.
#[derive(Debug)]
struct Standing {
    rule: AlertRule,
    phase: Phase,
    last: Measured,
    /// Since when it fires, or has not fired.
    since: WallTime,
    /// Its last turn was told while its mark could not be moved.
    unmarked: Option<Turn>,
}

/// What is told: the body of a webhook.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Notice {
    #[serde(skip)]
    pub(super) kind: AlertKind,
    #[serde(skip)]
    pub(super) turn: Turn,
    /// The turn before was told, and has left no mark.
    #[serde(skip)]
    pub(super) follows_unmarked: bool,
    pub(super) alert: &'static str,
    /// `firing` or `resolved`.
    state: &'static str,
    /// For people.
    pub(super) message: String,
    value: Option<f64>,
    side: Side,
    threshold: f64,
    unit: Unit,
    detail: Option<String>,
    at_ms: i64,
    /// Of an alert that is over: since when it fired.
    since_ms: i64,
    /// All processes on the same store see it, and one of them tells.
    pub(super) shared: bool,
    instance: String,
}

/// What is known of all alerts.
#[derive(Clone, Debug, Serialize)]
pub struct AlertsShown {
    /// Whether this process looks at all.
    pub watching: bool,
    pub instance: Option<String>,
    pub alerts: Vec<AlertShown>,
    pub webhooks: Vec<WebhookShown>,
}

#[derive(Clone, Debug, Serialize)]
pub struct AlertShown {
    pub name: &'static str,
    pub says: &'static str,
    /// `fine`, `pending`, `firing` or `off`.
    pub state: &'static str,
    /// Null while too little happens to say anything, or it cannot be asked.
    pub value: Option<f64>,
    /// Which job, which queue.
    pub detail: Option<String>,
    pub side: Side,
    pub threshold: f64,
    pub unit: Unit,
    pub for_ms: u64,
    /// Since when it fires, or does not.
    pub since_ms: i64,
    pub shared: bool,
    /// Webhooks; null: all there are.
    pub notify: Option<Vec<String>>,
}

impl Board {
    /// Begins with what was told before this process began.
    pub(super) fn begin(
        &self,
        instance: &str,
        rules: Vec<AlertRule>,
        senders: Arc<Vec<Sender>>,
        told_before: &[Told],
        at: WallTime,
    ) {
        let standing = |rule: AlertRule| {
            let told = told_before.iter().find(|it| rule.is_on && it.kind == rule.kind);
            let turn = told.map(|it| if it.is_over { Turn::Over } else { Turn::Fires });
            let phase = match turn {
                Some(Turn::Fires) => Phase::Firing { fine: None },
                Some(Turn::Over) | None => Phase::Fine,
            };
            let since = told.and_then(|it| it.since).unwrap_or(at);
            let unmarked = turn.filter(|_| told.is_some_and(|it| it.is_unmarked));
            Standing { rule, phase, last: Measured::Quiet, since, unmarked }
        };
        let standings = rules.into_iter().map(standing).collect();
        *self.watched() = Watched { instance: Some(instance.to_owned()), standings, senders };
    }

    /// Gives what fires, and what of it is over while its mark says that it fires.
    pub(super) fn end(&self) -> Vec<Told> {
        let watched = std::mem::take(&mut *self.watched());
        let told = |it: &Standing| {
            let is_over = !matches!(it.phase, Phase::Firing { .. });
            let (kind, since) = (it.rule.kind, Some(it.since));
            let is_unmarked = it.unmarked.is_some();
            (!is_over || is_unmarked).then_some(Told { kind, since, is_over, is_unmarked })
        };
        watched.standings.iter().filter_map(told).collect()
    }

    /// What was told before this process began, where that was not known when it did.
    pub(super) fn recall(&self, told_before: &[Told], at: WallTime) {
        let mut watched = self.watched();
        for standing in watched.standings.iter_mut().filter(|it| it.rule.is_on) {
            let is_told = told_before.iter().any(|it| it.kind == standing.rule.kind);
            // That it is over was told, and is yet to be marked.
            let is_over = standing.unmarked == Some(Turn::Over);
            if is_told && !is_over && !matches!(standing.phase, Phase::Firing { .. }) {
                (standing.phase, standing.since) = (Phase::Firing { fine: None }, at);
            }
        }
    }

    /// The turns that have left no mark yet.
    pub(super) fn unmarked(&self) -> Vec<(AlertKind, Turn)> {
        let watched = self.watched();
        watched.standings.iter().filter_map(|it| Some((it.rule.kind, it.unmarked?))).collect()
    }

    /// Whether the last turn of this alert has left none.
    pub(super) fn set_unmarked(&self, kind: AlertKind, turn: Option<Turn>) {
        let mut watched = self.watched();
        let standing = watched.standings.iter_mut().find(|it| it.rule.kind == kind);
        standing.into_iter().for_each(|it| it.unmarked = turn);
    }

    /// What is to be told after this look, with the rule that asks for it.
    pub(super) fn look(&self, seen: &Seen, now: Instant, at: WallTime) -> Vec<(AlertRule, Notice)> {
        let mut watched = self.watched();
        let instance = watched.instance.clone().unwrap_or_default();
        let mut notices = Vec::new();
        for standing in watched.standings.iter_mut().filter(|it| it.rule.is_on) {
            let rule = &standing.rule;
            standing.last = measure(rule.kind, seen);
            let look = standing.last.look(rule.kind.side(), rule.threshold);
            let Some(turn) = standing.phase.step(look, now, rule.lasts) else { continue };
            let since = std::mem::replace(&mut standing.since, at);
            let follows_unmarked = standing.unmarked.take().is_some();
            let notice = standing.notice(turn, &instance, at, since);
            notices.push((rule.clone(), Notice { follows_unmarked, ..notice }));
        }
        notices
    }

    pub(crate) fn shown(&self) -> AlertsShown {
        let watched = self.watched();
        let alerts = watched.standings.iter().map(Standing::shown).collect();
        let webhooks = watched.senders.iter().map(Sender::shown).collect();
        let instance = watched.instance.clone();
        AlertsShown { watching: instance.is_some(), instance, alerts, webhooks }
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing {
    fn notice(&self, turn: Turn, instance: &str, at: WallTime, since: WallTime) -> Notice {
        let Self { rule, last, .. } = self;
        let (about, (value, detail)) = (rule.kind.about(), last.value());
        let is_over = turn == Turn::Over;
        let side = about.side.name();
        let threshold = about.unit.show(rule.threshold);
        let message = match (about.unit, value) {
            (Unit::Flag, _) => about.says.to_owned(),
            (unit, Some(value)) => {
                let detail = detail.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
                let value = unit.show(value);
                format!("{}: {value}{detail}, told of {side} {threshold}", about.says)
            }
            (_, None) => format!("{}: too little happens, told of {side} {threshold}", about.says),
        };
        Notice {
            kind: rule.kind,
            turn,
            follows_unmarked: false,
            alert: about.name,
            state: if is_over { "resolved" } else { "firing" },
            message: if is_over { format!("over: {message}") } else { message },
            value,
            side: about.side,
            threshold: rule.threshold,
            unit: about.unit,
            detail,
            at_ms: at.as_millis(),
            since_ms: if is_over { since.as_millis() } else { at.as_millis() },
            shared: about.is_shared,
            instance: instance.to_owned(),
        }
    }

    fn shown(&self) -> AlertShown {
        let Self { rule, phase, last, since, .. } = self;
        let (about, (value, detail)) = (rule.kind.about(), last.value());
        AlertShown {
            name: about.name,
            says: about.says,
            state: if rule.is_on { phase.name() } else { "off" },
            value,
            detail,
            side: about.side,
            threshold: rule.threshold,
            unit: about.unit,
            for_ms: u64::try_from(rule.lasts.as_millis()).unwrap_or(u64::MAX),
            since_ms: since.as_millis(),
            shared: about.is_shared,
            notify: rule.notify.clone(),
        }
    }
}

impl Measured {
    fn value(&self) -> (Option<f64>, Option<String>) {
        match self {
            Measured::Value { value, detail } => {
                (Some((value * 1000.0).round() / 1000.0), detail.clone())
            }
            Measured::Quiet | Measured::Unknown => (None, None),
        }
    }
}
