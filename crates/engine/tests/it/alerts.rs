//! Alerts over real readings, told to a real server, by a clock that is moved by hand.

use std::{sync::Arc, time::Duration};

use samovar_clock::{Clock, ManualClock};
use samovar_engine::{
    AlertKind, AlertSettings, AlertShown, Alerting, Firing, SIGNATURE, SIGNED_AT, Signed, Webhook,
};
use samovar_testkit::{
    Receiver,
    receiver::{Answer, Post},
    wait,
};
use serde_json::Value;

use crate::desk::{Desk, PATIENCE, clock_at};

const SECRET: &str = "s3cr3t-s3cr3t";
const DEFINITIONS: &str = r#"
[tenants]
list = [{ id = "north" }]
[source.shop]
url = "sqlite://shop.db"
[widget.total]
source = "shop"
query = "select sum(total) as total from orders where :tenant <> '' and :least <> ''"
params.least = { default = "0" }
[event.told]
invalidates = ["global:alerts"]
# What a webhook signs, a hook takes.
[hook.own]
event = "told"
secret = "s3cr3t-s3cr3t"
header = "Samovar-Signature"
prefix = "sha256="
timestamp = "Samovar-Timestamp"
"#;
const SCHEMA: &str = "create table orders (total integer); insert into orders values (7);";

async fn desk() -> (Desk, Arc<ManualClock>) {
    let clock = clock_at("2026-11-19T12:00:00Z");
    (Desk::open_at(DEFINITIONS, SCHEMA, Clock::Manual(clock.clone())).await, clock)
}

/// Only this alert, at once.
fn only(kind: AlertKind, webhooks: Vec<Webhook>) -> AlertSettings {
    let mut settings = AlertSettings { webhooks, ..AlertSettings::default() };
    settings.rules.iter_mut().for_each(|it| it.is_on = it.kind == kind);
    settings.rules.iter_mut().for_each(|it| it.lasts = Duration::from_secs(4));
    settings
}

fn start(desk: &Desk, settings: AlertSettings) -> Alerting {
    start_after(desk, settings, Firing::default())
}

fn start_after(desk: &Desk, settings: AlertSettings, before: Firing) -> Alerting {
    desk.engine.start_alerting(settings, "here-1".to_owned(), None, before).expect("it starts")
}

fn webhook(name: &str, receiver: &Receiver) -> Webhook {
    let url = format!("{}/{name}/s3cret-path", receiver.url());
    let (url, secret) = (url.parse().expect("a URL"), SECRET.parse().expect("long enough"));
    Webhook { name: name.to_owned(), url, secret }
}

fn shown(desk: &Desk, kind: AlertKind) -> Option<AlertShown> {
    desk.engine.alerts().alerts.into_iter().find(|it| it.name == kind.name())
}

/// Lets time pass until the alert is in this state.
async fn until(desk: &Desk, clock: &ManualClock, kind: AlertKind, state: &str, step: u64) {
    let is_so = async || {
        clock.advance(Duration::from_secs(step));
        shown(desk, kind).filter(|it| it.state == state).map(drop)
    };
    wait::until_async(PATIENCE, state, is_so).await.expect("it comes");
}

/// Reads of what nobody has read before.
async fn miss(desk: &Desk, readings: std::ops::Range<u32>) {
    for least in readings {
        Box::pin(desk.read("total", &[("least", &least.to_string())])).await;
    }
}

struct Headers<'p>(&'p Post);

impl Signed for Headers<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.0.headers.get(name).map(String::as_str)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hit_rate_that_falls_is_told_once_and_once_that_it_is_over() {
    let receiver = Receiver::start(Vec::new()).expect("it listens");
    let (desk, clock) = desk().await;
    let alerting = start(&desk, only(AlertKind::HitRate, vec![webhook("ops", &receiver)]));
    // A first look, from which is counted.
    until(&desk, &clock, AlertKind::HitRate, "fine", 0).await;
    miss(&desk, 0..19).await;
    clock.advance(Duration::from_secs(58));
    until(&desk, &clock, AlertKind::HitRate, "fine", 2).await;
    let few = shown(&desk, AlertKind::HitRate).expect("one of each");
    assert_eq!(few.value, None, "of nineteen reads nothing is said");
    miss(&desk, 100..125).await;
    until(&desk, &clock, AlertKind::HitRate, "firing", 2).await;
    let firing = shown(&desk, AlertKind::HitRate).expect("one of each");
    assert!(firing.value.is_some_and(|it| it < 50.0), "{firing:?}");
    // All of those reads were more than five minutes ago then.
    until(&desk, &clock, AlertKind::HitRate, "fine", 20).await;

    for state in ["firing", "resolved"] {
        let post = receiver.next(PATIENCE).expect("it is told");
        let body: Value = serde_json::from_slice(&post.body).expect("it is JSON");
        assert_eq!((&body["alert"], &body["state"]), (&"hit_rate".into(), &state.into()));
        assert_eq!((&body["instance"], &body["threshold"]), (&"here-1".into(), &90.0.into()));
        assert_eq!(post.path, "/ops/s3cret-path");
        assert!(post.headers.contains_key(SIGNED_AT) && post.headers.contains_key(SIGNATURE));
        assert!(!format!("{post:?}").contains(SECRET));
    }
    assert!(receiver.try_next().is_none(), "told twice");
    let webhooks = desk.engine.alerts().webhooks;
    assert_eq!((webhooks[0].sent, webhooks[0].failed, webhooks[0].waiting), (2, 0, 0));
    assert_eq!(webhooks[0].to, receiver.url(), "the path may be a secret");
    alerting.stop().await;
    assert!(!desk.engine.alerts().watching);
}

/// As when other definitions are served.
#[tokio::test(flavor = "multi_thread")]
async fn what_fires_goes_on_with_whoever_looks_next_and_what_waited_is_sent() {
    let away = Answer::Status("503 Away".to_owned());
    let receiver = Receiver::start(vec![away]).expect("it listens");
    let (desk, clock) = desk().await;
    let settings = || only(AlertKind::HitRate, vec![webhook("ops", &receiver)]);
    let before = start(&desk, settings());
    until(&desk, &clock, AlertKind::HitRate, "fine", 0).await;
    miss(&desk, 0..25).await;
    until(&desk, &clock, AlertKind::HitRate, "firing", 2).await;
    let since = shown(&desk, AlertKind::HitRate).expect("one of each").since_ms;
    let state = |post: Post| {
        let body: Value = serde_json::from_slice(&post.body).expect("it is JSON");
        (body["state"].as_str().expect("a text").to_owned(), body["since_ms"].as_i64())
    };
    let firing = ("firing".to_owned(), Some(since));
    // It is to be sent again, which takes a moment of the clock.
    assert_eq!(state(receiver.next(PATIENCE).expect("a try")), firing);
    let handed = before.stop().await;
    let _next = start_after(&desk, settings(), handed);
    let again = wait::until_async(PATIENCE, "the second try", async || {
        clock.advance(Duration::from_secs(1));
        receiver.try_next()
    });
    assert_eq!(state(again.await.expect("it is sent")), firing);
    until(&desk, &clock, AlertKind::HitRate, "fine", 20).await;
    let over = receiver.next(PATIENCE).expect("it is told");
    assert_eq!(state(over), ("resolved".to_owned(), Some(since)));
    assert!(receiver.try_next().is_none(), "told twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_is_signed_as_a_hook_would_ask_for_it() {
    let receiver = Receiver::start(Vec::new()).expect("it listens");
    let (desk, clock) = desk().await;
    let _alerting =
        start(&desk, only(AlertKind::StoreUnreachable, vec![webhook("ops", &receiver)]));
    until(&desk, &clock, AlertKind::StoreUnreachable, "fine", 0).await;
    desk.cache.close().await;
    until(&desk, &clock, AlertKind::StoreUnreachable, "firing", 2).await;
    let post = receiver.next(PATIENCE).expect("told although the store is away");
    assert!(desk.engine.is_signed("own", &Headers(&post), &post.body));
    let mut other = post.clone();
    other.body.push(b' ');
    assert!(!desk.engine.is_signed("own", &Headers(&other), &other.body));
    clock.advance(Duration::from_secs(3600));
    assert!(!desk.engine.is_signed("own", &Headers(&post), &post.body), "an hour later");
}

/// One that fails for a while, one that sends elsewhere, one that never answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_tried_again_and_holds_up_no_other() {
    let status = |text: &str| Answer::Status(text.to_owned());
    let fails = Receiver::start(vec![status("500 Oh"), status("429 Slower")]).expect("it listens");
    let elsewhere = format!("302 Found\r\nlocation: {}/elsewhere", fails.url());
    let moved = Receiver::start(vec![status(&elsewhere)]).expect("it listens");
    let hangs = Receiver::start(vec![Answer::Silence]).expect("it listens");
    let (desk, clock) = desk().await;
    let webhooks =
        vec![webhook("hangs", &hangs), webhook("fails", &fails), webhook("moved", &moved)];
    let alerting = start(&desk, only(AlertKind::StoreUnreachable, webhooks));
    until(&desk, &clock, AlertKind::StoreUnreachable, "fine", 0).await;
    desk.cache.close().await;
    until(&desk, &clock, AlertKind::StoreUnreachable, "firing", 2).await;
    hangs.next(PATIENCE).expect("it was told");
    let are_done = async || {
        clock.advance(Duration::from_secs(1));
        let webhooks = desk.engine.alerts().webhooks;
        (webhooks[1].sent == 1 && webhooks[2].failed == 1).then_some(webhooks)
    };
    let webhooks = wait::until_async(PATIENCE, "the others", are_done).await.expect("they end");
    assert_eq!(webhooks[0].waiting, 1, "it still hangs");
    let tries: Vec<Post> = (0..3).map(|_| fails.next(PATIENCE).expect("a try")).collect();
    assert!(fails.try_next().is_none(), "nobody is sent elsewhere");
    let of = |name: &str| tries.iter().map(|it| it.headers[name].as_str()).collect::<Vec<_>>();
    let deliveries = of("samovar-delivery");
    assert!(deliveries.iter().all(|it| *it == deliveries[0]), "it is the same each time");
    assert_ne!(of(SIGNATURE)[0], of(SIGNATURE)[2], "signed anew");
    let error = webhooks[2].last_error.as_deref();
    assert_eq!(error, Some("it was answered with 302 Found"));
    // Without a wait for the one that hangs.
    alerting.stop().await;
}
