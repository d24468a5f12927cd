//! Clients that go away before they have their response.

use std::time::Duration;

use axum::{Router, http::StatusCode};
use samovar_cache::Tier;
use samovar_clock::Clock;
use samovar_tower::{InvalidateLayer, limits};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{
    app::{App, menu_rules, send, until, write},
    target::{Mood, Moody, manual},
};

const SLOW: &str = "/restaurants/roma/slow/pizza";

/// A request whose handler has committed and not yet answered.
async fn committed(app: &App, router: &Router) -> JoinHandle<()> {
    let before = *app.shop.committed.borrow();
    let router = router.clone();
    let request = tokio::spawn(async move { drop(send(&router, write(SLOW, "10")).await) });
    until("a commit", || *app.shop.committed.borrow() > before).await;
    request
}

async fn go_away(request: JoinHandle<()>) {
    request.abort();
    assert!(request.await.expect_err("it was aborted").is_cancelled());
}

#[tokio::test]
async fn a_client_that_goes_away_while_it_is_invalidated_changes_nothing() {
    let app = App::open().await;
    app.warm("roma", "menu").await;
    let target = Moody::new(&app.cache, Mood::Silent);
    let layer = InvalidateLayer::new(menu_rules(), target.clone()).cancel_when_dropped();
    let router = app.routes(layer.clone());
    let sending = router.clone();
    let request = tokio::spawn(async move {
        drop(send(&sending, write("/restaurants/roma/menu/pizza", "10")).await);
    });
    target.until_tried(1).await;
    go_away(request).await;
    assert_eq!(layer.in_background(), 1);
    assert!(app.is_cached("roma", "menu").await);
    target.mood.send_replace(Mood::Well);
    layer.idle().await;
    assert_eq!(app.read("roma", "menu").await, (11, Tier::Computed));
}

#[tokio::test]
async fn a_request_runs_on_without_its_client_and_its_success_is_invalidated() {
    let app = App::open().await;
    app.warm("roma", "menu").await;
    let layer = InvalidateLayer::new(menu_rules(), app.cache.clone());
    let request = committed(&app, &app.routes(layer.clone())).await;
    go_away(request).await;
    assert_eq!(layer.in_background(), 1);
    app.shop.answer.send_replace(Some(StatusCode::OK));
    layer.idle().await;
    assert_eq!(app.read("roma", "menu").await, (11, Tier::Computed));
}

#[tokio::test]
async fn a_request_that_runs_on_and_fails_is_not_invalidated() {
    let app = App::open().await;
    app.warm("roma", "menu").await;
    let layer = InvalidateLayer::new(menu_rules(), app.cache.clone());
    let request = committed(&app, &app.routes(layer.clone())).await;
    go_away(request).await;
    app.shop.answer.send_replace(Some(StatusCode::CONFLICT));
    layer.idle().await;
    assert!(app.is_cached("roma", "menu").await);
}

#[tokio::test]
async fn a_request_does_not_run_on_for_ever() {
    let app = App::open().await;
    app.warm("roma", "menu").await;
    let (manual, clock) = manual();
    let layer = InvalidateLayer::new(menu_rules(), app.cache.clone()).clock(clock);
    let request = committed(&app, &app.routes(layer.clone())).await;
    go_away(request).await;
    until("a limit", || manual.next_deadline().is_some()).await;
    manual.advance(limits::FINISH_WITHIN);
    layer.idle().await;
    assert_eq!(app.shop.answer.receiver_count(), 0, "the handler is gone");
    assert!(app.is_cached("roma", "menu").await);
}

/// The time that a request may run on is that of its handler: an invalidation that begins at its
/// very end is not cut short.
#[tokio::test]
async fn an_invalidation_is_not_cut_short_by_the_time_for_running_on() {
    let app = App::open().await;
    app.warm("roma", "menu").await;
    let (manual, clock) = manual();
    let target = Moody::new(&app.cache, Mood::Silent);
    let layer = InvalidateLayer::new(menu_rules(), target.clone())
        .clock(clock)
        .finish_within(Duration::from_secs(1));
    let request = committed(&app, &app.routes(layer.clone())).await;
    go_away(request).await;
    until("a limit", || manual.next_deadline().is_some()).await;
    app.shop.answer.send_replace(Some(StatusCode::OK));
    target.until_tried(1).await;
    manual.advance(Duration::from_secs(1));
    // The task that was woken has its turn.
    tokio::task::yield_now().await;
    target.mood.send_replace(Mood::Well);
    layer.idle().await;
    assert_eq!(target.tried(), 1);
    assert_eq!(app.read("roma", "menu").await, (11, Tier::Computed));
}

#[tokio::test]
async fn a_request_can_be_cancelled_with_its_client() {
    let app = App::open().await;
    app.warm("roma", "menu").await;
    let layer = InvalidateLayer::new(menu_rules(), app.cache.clone()).cancel_when_dropped();
    let request = committed(&app, &app.routes(layer.clone())).await;
    go_away(request).await;
    assert_eq!(layer.in_background(), 0);
    assert_eq!(app.shop.answer.receiver_count(), 0, "the handler is gone");
    assert!(app.is_cached("roma", "menu").await);
}

#[tokio::test]
async fn a_request_that_has_not_begun_is_forgotten() {
    let app = App::open().await;
    let layer = InvalidateLayer::new(menu_rules(), app.cache.clone());
    let mut router = app.routes(layer.clone());
    drop(tower::Service::call(&mut router, write(SLOW, "10")));
    assert_eq!(layer.in_background(), 0);
    assert_eq!(*app.shop.committed.borrow(), 0);
}

#[tokio::test]
async fn too_many_requests_do_not_run_on() {
    let app = App::open().await;
    let layer = InvalidateLayer::new(menu_rules(), app.cache.clone()).clock(Clock::System);
    let router = app.routes(layer.clone());
    for _ in 0..limits::RUNNING_ON {
        go_away(committed(&app, &router).await).await;
    }
    assert_eq!(layer.in_background(), limits::RUNNING_ON);
    go_away(committed(&app, &router).await).await;
    assert_eq!(layer.in_background(), limits::RUNNING_ON);
    app.shop.answer.send_replace(Some(StatusCode::CONFLICT));
    layer.idle().await;
}

#[tokio::test]
async fn a_connection_that_is_cut_after_the_commit_still_invalidates() {
    let app = App::open().await;
    app.warm("roma", "menu").await;
    let layer = InvalidateLayer::new(menu_rules(), app.cache.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let server = tokio::spawn(axum::serve(listener, app.routes(layer.clone())).into_future());
    let mut client = TcpStream::connect(address).await.expect("connected");
    let request = format!("PUT {SLOW} HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\n10");
    client.write_all(request.as_bytes()).await.expect("sent");
    until("a commit", || *app.shop.committed.borrow() == 1).await;
    drop(client);
    until("the server to notice", || layer.in_background() == 1).await;
    app.shop.answer.send_replace(Some(StatusCode::OK));
    layer.idle().await;
    assert_eq!(app.read("roma", "menu").await, (11, Tier::Computed));
    server.abort();
}
