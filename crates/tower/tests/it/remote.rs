//! A Samovar in another process, played by a small server that speaks its wire format.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, header},
    routing::post,
};
use samovar_cache::{Cache, How, Subject, Tag, Tenant, Tier};
use samovar_testkit::port::PortLease;
use samovar_tower::{Change, InvalidateLayer, Remote, Rules, Target, TargetError, Touch, What};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::app::{App, menu_rules, said, send, write};

#[derive(Clone)]
struct Samovar {
    cache: Cache,
    heard: Arc<Mutex<Vec<String>>>,
}

/// As the server has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    tenant: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    widget: Option<String>,
    class: Option<String>,
}

const TOKEN: &str = "smv_test";

async fn invalidate(
    State(samovar): State<Samovar>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Json<Value>) {
    if headers.get(header::AUTHORIZATION).is_none_or(|it| it != &format!("Bearer {TOKEN}")) {
        let error = json!({"error": {"code": "unauthorized", "message": "no valid token"}});
        return (StatusCode::UNAUTHORIZED, Json(error));
    }
    assert_eq!(headers[header::CONTENT_TYPE], "application/json");
    let text = String::from_utf8(body.to_vec()).expect("UTF-8");
    let input: Input = serde_json::from_str(&text).expect("the input of POST /v1/invalidate");
    samovar.heard.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    let Input { tenant, tags, widget, class } = input;
    let tenant = tenant.map(|id| Tenant::new(&id).expect("sound"));
    let tags: Vec<Tag> = tags.iter().map(|tag| tag.parse().expect("sound")).collect();
    let subjects = [
        (!tags.is_empty()).then_some(Subject::Tags(&tags)),
        widget.as_deref().map(Subject::Widget),
        class.as_deref().map(Subject::Class),
    ];
    for subject in subjects.iter().flatten() {
        let done = samovar.cache.invalidate(subject, tenant.as_ref(), &How::default()).await;
        done.expect("invalidated");
    }
    (StatusCode::OK, Json(json!({"invalidated": {}})))
}

impl Samovar {
    fn new(cache: &Cache) -> Self {
        Self { cache: cache.clone(), heard: Arc::default() }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn serve(&self, address: SocketAddr) -> (String, JoinHandle<std::io::Result<()>>) {
        let listener = TcpListener::bind(address).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let router = Router::new().route("/v1/invalidate", post(invalidate));
        let router = router.with_state(self.clone());
        (url, tokio::spawn(axum::serve(listener, router).into_future()))
    }

    async fn start(cache: &Cache) -> (Self, Remote) {
        let samovar = Self::new(cache);
        let (url, _) = samovar.serve(([127, 0, 0, 1], 0).into()).await;
        let remote = Remote::new(&url).and_then(|remote| remote.token(TOKEN));
        (samovar, remote.expect("sound"))
    }
}

#[tokio::test]
async fn a_write_is_told_in_one_call_and_seen_by_the_next_read() {
    let app = App::open().await;
    app.warm("roma", "menu").await;
    let (samovar, remote) = Samovar::start(&app.cache).await;
    let router = app.routes(InvalidateLayer::new(menu_rules(), remote));
    let response = send(&router, write("/restaurants/roma/menu/pizza", "10")).await;
    assert_eq!(said(&response), Some("yes"));
    assert_eq!(app.read("roma", "menu").await, (11, Tier::Computed));
    assert_eq!(samovar.heard(), [r#"{"tenant":"roma","tags":["menu/pizza"]}"#]);
}

#[tokio::test]
async fn widgets_classes_and_global_tags_are_told_as_well() {
    let app = App::open().await;
    let (samovar, remote) = Samovar::start(&app.cache).await;
    let touch = Touch::tags(["global:rates"]).widget("menu").widget("tables").class("live");
    let rules = Rules::new().on(Method::PUT, "/restaurants/{*rest}", touch).expect("sound");
    let router = app.routes(InvalidateLayer::new(rules, remote));
    app.warm("roma", "menu").await;
    let response = send(&router, write("/restaurants/roma/menu/pizza", "10")).await;
    assert_eq!(said(&response), Some("yes"));
    assert!(!app.is_cached("roma", "menu").await);
    assert_eq!(
        samovar.heard(),
        [r#"{"tags":["global:rates"],"widget":"menu","class":"live"}"#, r#"{"widget":"tables"}"#]
    );
}

#[tokio::test]
async fn a_wrong_token_is_told_and_not_tried_again() {
    let app = App::open().await;
    app.warm("roma", "menu").await;
    let (samovar, remote) = Samovar::start(&app.cache).await;
    let layer = InvalidateLayer::new(menu_rules(), remote.token("smv_old").expect("sound"));
    let router = app.routes(layer.clone());
    let response = send(&router, write("/restaurants/roma/menu/pizza", "10")).await;
    assert_eq!((response.status(), said(&response)), (StatusCode::NO_CONTENT, Some("no")));
    assert_eq!((layer.in_background(), samovar.heard().len()), (0, 0));
    assert!(app.is_cached("roma", "menu").await);
}

#[tokio::test]
async fn a_samovar_that_comes_back_hears_what_it_missed() {
    let app = App::open().await;
    app.warm("roma", "menu").await;
    let port = PortLease::take().expect("a port");
    let address = port.address();
    let remote = Remote::new(&format!("http://{address}")).and_then(|it| it.token(TOKEN));
    let layer = InvalidateLayer::new(menu_rules(), remote.expect("sound"));
    let router = app.routes(layer.clone());
    let response = send(&router, write("/restaurants/roma/menu/pizza", "10")).await;
    assert_eq!((response.status(), said(&response)), (StatusCode::NO_CONTENT, Some("no")));
    assert!(app.is_cached("roma", "menu").await);
    let samovar = Samovar::new(&app.cache);
    samovar.serve(address).await;
    layer.idle().await;
    assert_eq!(samovar.heard().len(), 1);
    assert_eq!(app.read("roma", "menu").await, (11, Tier::Computed));
}

#[tokio::test]
async fn answers_are_told_apart_by_whether_they_may_change() {
    let answer = |status: StatusCode| async move { (status, "as the test asked for") };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let mut router = Router::new()
        .route("/silent/v1/invalidate", post(async || std::future::pending::<()>().await));
    for status in [200, 204, 302, 400, 401, 403, 404, 408, 422, 429, 500, 502, 503] {
        let status = StatusCode::from_u16(status).expect("sound");
        let path = format!("/{}/v1/invalidate", status.as_u16());
        router = router.route(&path, post(move || answer(status)));
    }
    tokio::spawn(axum::serve(listener, router).into_future());
    let tag = What::Tag(Tag::new("orders").expect("sound"));
    let change = Change::new(Tenant::new("roma").ok(), vec![tag], "test");
    let ask = async |path: &str| {
        let remote = Remote::new(&format!("{url}/{path}")).expect("sound");
        remote.timeout(Duration::from_millis(500)).invalidate(&change).await
    };
    for status in ["200", "204"] {
        assert_eq!(ask(status).await, Ok(()), "{status}");
    }
    for status in ["302", "400", "401", "403", "404", "422"] {
        let Err(TargetError::Refused(reason)) = ask(status).await else { panic!("{status}") };
        assert!(reason.contains(status) && reason.contains("as the test"), "{reason}");
    }
    for status in ["408", "429", "500", "502", "503"] {
        let Err(TargetError::Away(reason)) = ask(status).await else { panic!("{status}") };
        assert!(reason.contains(status) && reason.contains("as the test"), "{reason}");
    }
    assert!(matches!(ask("silent").await, Err(TargetError::Away(_))));
}
