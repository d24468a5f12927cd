//! `[alert.NAME]` and `[webhook.NAME]`: what is changed about alerts, and who hears of them.

use std::time::Duration;

use samovar_engine::{AlertKind, AlertRule, AlertSettings, Side, Unit, Webhook};
use samovar_jobs::post::PostUrl;
use samovar_widgets::{Located, Problem, Section, SigningSecret, limits, nearest, parse_bytes};

/// More are refused.
const MOST_WEBHOOKS: usize = 16;
const LONGEST: Duration = Duration::from_secs(24 * 3600);
const MOST_COUNT: usize = 1_000_000;
const MB: f64 = 1_048_576.0;

const URL: &str = "url = \"https://example.com/alerts\"";
const SECRET: &str = "secret = \"${OPS_SECRET}\", 8 to 512 bytes";
const GROWTH: &str = "write it like above = \"50MB/min\"";
/// What stands before the name of a webhook.
const WEBHOOK: &str = "webhook:";

pub(super) fn read_alerts(root: &mut Section<'_>) -> AlertSettings {
    let mut settings = AlertSettings::default();
    let sections = root.sections("webhook");
    let names: Vec<String> = sections.iter().map(|(name, _)| name.value.clone()).collect();
    if let Some((one_more, _)) = sections.get(MOST_WEBHOOKS) {
        let reason = format!("{} webhooks are declared", sections.len());
        let hint = format!("at most {MOST_WEBHOOKS} are allowed");
        root.note(Problem::new(one_more.line, reason).hint(hint));
    }
    for (name, section) in sections {
        settings.webhooks.extend(read_webhook(&name, section));
    }
    for (name, mut section) in root.sections("alert") {
        let kind = AlertKind::ALL.into_iter().find(|kind| kind.name() == name.value);
        let Some(kind) = kind else {
            let known = || AlertKind::ALL.into_iter().map(AlertKind::name);
            let problem = Problem::new(name.line, format!("there is no alert `{}`", name.value));
            let all = || format!("there are {}", known().collect::<Vec<_>>().join(", "));
            root.note(problem.meant(&name.value, known(), all));
            continue;
        };
        let rules = settings.rules.iter_mut().filter(|it| it.kind == kind);
        rules.for_each(|rule| read_rule(&mut section, rule, &names));
        section.finish();
    }
    settings
}

fn read_webhook(name: &Located<String>, mut section: Section<'_>) -> Option<Webhook> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let fits = (1..=limits::NAME_BYTES).contains(&name.value.len());
    if !fits || !name.value.chars().all(is_plain) {
        let hint = format!("take 1 to {} letters, digits, _ and -", limits::NAME_BYTES);
        section.note(Problem::new(name.line, "this is no name of a webhook").hint(hint));
    }
    let url = section.required_url("url", URL, str::parse::<PostUrl>);
    let secret = section.required_url("secret", SECRET, str::parse::<SigningSecret>);
    section.finish();
    Some(Webhook { name: name.value.clone(), url: url?.value, secret: secret?.value })
}

fn read_rule(section: &mut Section<'_>, rule: &mut AlertRule, webhooks: &[String]) {
    if let Some(is_on) = section.flag("enabled") {
        rule.is_on = is_on.value;
    }
    if let Some(threshold) = read_threshold(section, rule.kind) {
        rule.threshold = threshold;
    }
    if let Some(lasts) = section.duration("for", Duration::ZERO..=LONGEST) {
        rule.lasts = lasts.value;
    }
    if let Some(notify) = section.texts("notify", 0..=MOST_WEBHOOKS) {
        let named = notify.iter().filter_map(|it| named(it, webhooks, section));
        rule.notify = Some(named.collect());
    }
}

/// In the unit of the alert.
fn read_threshold(section: &mut Section<'_>, kind: AlertKind) -> Option<f64> {
    let key = match kind.side() {
        Side::Above => "above",
        Side::Below => "below",
    };
    match kind.unit() {
        Unit::Percent => {
            let share = section.number(key)?;
            if (0.0..=100.0).contains(&share.value) {
                return Some(share.value);
            }
            section.refuse(key, share.line, "is no percentage", "it is between 0 and 100");
            None
        }
        Unit::Milliseconds => {
            let time = section.duration(key, Duration::from_millis(1)..=LONGEST)?;
            Some(time.value.as_secs_f64() * 1000.0)
        }
        Unit::MegabytesAMinute => {
            let text = section.text(key)?;
            let bytes = text.value.strip_suffix("/min").and_then(|it| parse_bytes(it.trim()).ok());
            if bytes.is_none() {
                section.refuse(key, text.line, &format!("is `{}`, no growth", text.value), GROWTH);
            }
            bytes.map(|bytes| bytes as f64 / MB)
        }
        Unit::AMinute | Unit::Count => {
            section.count(key, 0..MOST_COUNT + 1).map(|it| it.value as f64)
        }
        // Either it is so or it is not.
        Unit::Flag => None,
    }
}

fn named(target: &Located<String>, webhooks: &[String], section: &Section<'_>) -> Option<String> {
    let Some(name) = target.value.strip_prefix(WEBHOOK) else {
        let what = format!("lists `{}`, which is no webhook", target.value);
        section.refuse("notify", target.line, &what, "write it like \"webhook:ops\"");
        return None;
    };
    let known = webhooks.iter().find(|it| *it == name);
    if known.is_none() {
        let problem = Problem::new(target.line, format!("there is no webhook `{name}`"));
        section.note(match nearest(name, webhooks.iter().map(String::as_str)) {
            Some(meant) => problem.hint(format!("did you mean `{WEBHOOK}{meant}`?")),
            None => problem.hint(format!("declare it: [webhook.{name}]")),
        });
    }
    known.cloned()
}

#[cfg(test)]
mod tests {
    use samovar_widgets::Document;

    use super::*;

    fn read(text: &str) -> AlertSettings {
        let environment = |name: &str| (name == "OPS_SECRET").then(|| "s3cr3t-s3cr3t".to_owned());
        let document = Document::parse_in(environment, text).expect("it is TOML");
        let settings = read_alerts(&mut document.root());
        assert_eq!(document.problems(), [], "{text}");
        settings
    }

    fn rule(text: &str, kind: AlertKind) -> AlertRule {
        let rules = read(text).rules;
        rules.into_iter().find(|it| it.kind == kind).expect("one of each kind")
    }

    #[test]
    fn without_a_word_every_alert_is_on_and_tells_everybody() {
        let settings = read("");
        assert_eq!(settings.rules.len(), AlertKind::ALL.len());
        assert!(settings.rules.iter().all(|it| it.is_on && it.notify.is_none()));
    }

    #[test]
    fn thresholds_are_read_in_the_unit_of_their_alert() {
        for (text, kind, threshold) in [
            ("[alert.hit_rate]\nbelow = 95", AlertKind::HitRate, 95.0),
            ("[alert.response]\nabove = \"2s\"", AlertKind::Response, 2000.0),
            ("[alert.memory_growth]\nabove = \"100MB/min\"", AlertKind::MemoryGrowth, 100.0),
            ("[alert.memory_purges]\nabove = 5", AlertKind::MemoryPurges, 5.0),
            ("[alert.memory_split]\nabove = 3", AlertKind::MemorySplit, 3.0),
        ] {
            assert_eq!(rule(text, kind).threshold, threshold, "{text}");
        }
        let off = rule("[alert.queue_wait]\nenabled = false\nfor = \"0s\"", AlertKind::QueueWait);
        assert_eq!((off.is_on, off.lasts), (false, Duration::ZERO));
    }

    #[test]
    fn a_webhook_shows_neither_its_path_nor_its_secret() {
        let settings = read(
            "[webhook.ops]\nurl = \"https://hooks.example.com/T0/${OPS_SECRET}\"\n\
             secret = \"${OPS_SECRET}\"\n[alert.errors]\nnotify = [\"webhook:ops\"]",
        );
        let shown = format!("{settings:?}");
        assert!(shown.contains("hooks.example.com") && !shown.contains("s3cr3t"), "{shown}");
        let errors = settings.rules.iter().find(|it| it.kind == AlertKind::Errors);
        assert_eq!(errors.and_then(|it| it.notify.clone()), Some(vec!["ops".to_owned()]));
    }
}
