//! Targets that are away, slow, or refuse.

use std::{sync::Arc, time::Duration};

use axum::{Router, http::StatusCode};
use samovar_cache::Tier;
use samovar_clock::ManualClock;
use samovar_tower::{InvalidateLayer, limits};

use crate::{
    app::{App, menu_rules, said, send, write},
    target::{Mood, Moody, manual, while_time_goes_on},
};

struct Case {
    app: App,
    target: Moody,
    layer: InvalidateLayer<Moody>,
    router: Router,
    clock: Arc<ManualClock>,
}

impl Case {
    async fn open(mood: Mood) -> Self {
        let app = App::open().await;
        app.warm("roma", "menu").await;
        let target = Moody::new(&app.cache, mood);
        let (manual, clock) = manual();
        let layer = InvalidateLayer::new(menu_rules(), target.clone()).clock(clock);
        let router = app.routes(layer.clone());
        Self { app, target, layer, router, clock: manual }
    }

    /// A write that cannot be invalidated at once, and how long it waited.
    async fn write_in_vain(&self, item: &str) -> Duration {
        let began = self.clock.now();
        let request = write(&format!("/restaurants/roma/menu/{item}"), "10");
        let response =
            while_time_goes_on(&self.target, &self.clock, send(&self.router, request)).await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT, "the write has happened");
        assert_eq!(said(&response), Some("no"));
        self.clock.now().since(began)
    }
}

#[tokio::test]
async fn a_target_that_is_away_for_a_moment_is_tried_again_before_the_response() {
    let case = Case::open(Mood::Away).await;
    let request = write("/restaurants/roma/menu/pizza", "10");
    let router = case.router.clone();
    let answer = tokio::spawn(async move { send(&router, request).await });
    case.target.until_tried(1).await;
    case.target.mood.send_replace(Mood::Well);
    let response = while_time_goes_on(&case.target, &case.clock, answer).await.expect("an answer");
    assert_eq!(said(&response), Some("yes"));
    assert_eq!(case.app.read("roma", "menu").await, (11, Tier::Computed));
}

#[tokio::test]
async fn what_could_not_be_done_at_once_lands_later() {
    let case = Case::open(Mood::Away).await;
    let waited = case.write_in_vain("pizza").await;
    assert_eq!(waited, limits::QUICK_PAUSE * 3, "two pauses between three tries");
    assert!(case.app.is_cached("roma", "menu").await, "nobody knows yet");
    assert_eq!(case.layer.in_background(), 1);
    case.target.mood.send_replace(Mood::Well);
    while_time_goes_on(&case.target, &case.clock, case.layer.idle()).await;
    assert_eq!(case.app.read("roma", "menu").await, (11, Tier::Computed));
}

#[tokio::test]
async fn a_silent_target_holds_up_one_response_for_the_patience_and_later_ones_hardly() {
    let case = Case::open(Mood::Silent).await;
    assert_eq!(case.write_in_vain("pizza").await, limits::PATIENCE);
    assert_eq!(case.write_in_vain("pasta").await, limits::PATIENCE_WHILE_AWAY);
    assert_eq!(case.layer.in_background(), 2);
    case.target.mood.send_replace(Mood::Well);
    while_time_goes_on(&case.target, &case.clock, case.layer.idle()).await;
    assert_eq!(case.app.read("roma", "menu").await, (20, Tier::Computed));
    // It is well again, and is waited for as before.
    case.target.mood.send_replace(Mood::Silent);
    assert_eq!(case.write_in_vain("pizza").await, limits::PATIENCE);
}

#[tokio::test]
async fn a_change_waits_once_however_often_it_is_asked_for() {
    let case = Case::open(Mood::Away).await;
    for _ in 0..5 {
        case.write_in_vain("pizza").await;
    }
    assert_eq!(case.layer.in_background(), 1);
    case.write_in_vain("pasta").await;
    assert_eq!(case.layer.in_background(), 2);
}

/// A try that began before a write does not speak for it: the target may have done it before the
/// write was committed.
#[tokio::test]
async fn a_change_that_is_asked_for_while_it_is_tried_is_tried_again() {
    let case = Case::open(Mood::Silent).await;
    case.write_in_vain("pizza").await;
    case.target.until_tried(2).await;
    case.write_in_vain("pizza").await;
    assert_eq!((case.target.tried(), case.layer.in_background()), (3, 1));
    case.target.mood.send_replace(Mood::Well);
    // Time stands still, so the second try ends well and not by its limit.
    case.layer.idle().await;
    assert_eq!(case.target.tried(), 4);
}

#[tokio::test]
async fn the_background_gives_up_in_the_end() {
    let case = Case::open(Mood::Away).await;
    case.write_in_vain("pizza").await;
    let began = case.clock.now();
    while_time_goes_on(&case.target, &case.clock, case.layer.idle()).await;
    let tried_for = case.clock.now().since(began);
    let longest = limits::RETRY_FOR + limits::LONGEST_PAUSE;
    assert!((limits::RETRY_FOR..=longest).contains(&tried_for), "{tried_for:?}");
    assert!(case.app.is_cached("roma", "menu").await);
    // The next change starts the background again.
    case.write_in_vain("pizza").await;
    case.target.mood.send_replace(Mood::Well);
    while_time_goes_on(&case.target, &case.clock, case.layer.idle()).await;
    assert!(!case.app.is_cached("roma", "menu").await);
}

#[tokio::test]
async fn a_target_that_refuses_is_not_asked_again() {
    let case = Case::open(Mood::Refusing).await;
    assert_eq!(case.write_in_vain("pizza").await, Duration::ZERO);
    assert_eq!((case.target.tried(), case.layer.in_background()), (1, 0));
}

#[tokio::test]
async fn more_changes_than_may_wait_are_refused() {
    let case = Case::open(Mood::Away).await;
    case.app.shop.add_items("roma", limits::WAITING_CHANGES + 1);
    for item in 0..=limits::WAITING_CHANGES {
        case.write_in_vain(&format!("item-{item}")).await;
    }
    assert_eq!(case.layer.in_background(), limits::WAITING_CHANGES);
    case.target.mood.send_replace(Mood::Well);
    while_time_goes_on(&case.target, &case.clock, case.layer.idle()).await;
}

#[tokio::test]
async fn a_target_that_panics_in_the_background_does_not_end_it_for_good() {
    let case = Case::open(Mood::Away).await;
    case.write_in_vain("pizza").await;
    case.target.mood.send_replace(Mood::Panicking);
    let tried = case.target.tried();
    while_time_goes_on(&case.target, &case.clock, case.target.until_tried(tried + 1)).await;
    case.target.mood.send_replace(Mood::Away);
    case.write_in_vain("pasta").await;
    case.target.mood.send_replace(Mood::Well);
    while_time_goes_on(&case.target, &case.clock, case.layer.idle()).await;
    assert!(!case.app.is_cached("roma", "menu").await);
}
