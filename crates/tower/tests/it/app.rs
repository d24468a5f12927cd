//! An application with a menu in SQLite, and a cached widget that shows it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, Method, Request, StatusCode},
    response::{IntoResponse, Redirect, Response},
    routing::{post, put},
};
use rusqlite::Connection;
use samovar_cache::{Cache, Definition, Tag, Tenant, Tier, Widget};
use samovar_testkit::wait;
use samovar_tower::{InvalidateLayer, Rules, Target, Touch};
use tokio::sync::watch;
use tower::ServiceExt;

/// For conditions that come true in milliseconds unless something is wrong.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) struct App {
    pub(crate) cache: Cache,
    pub(crate) shop: Shop,
    menu: Widget,
    _folder: tempfile::TempDir,
}

/// What handlers share.
#[derive(Clone)]
pub(crate) struct Shop {
    db: Arc<Mutex<Connection>>,
    /// Handlers of `/slow` that have committed.
    pub(crate) committed: watch::Sender<usize>,
    /// What they answer then, as soon as it is known.
    pub(crate) answer: watch::Sender<Option<StatusCode>>,
}

impl App {
    pub(crate) async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::builder().open(folder.path()).await.expect("a cache");
        let menu = cache.declare(Definition::new("menu").key("menu:{tenant}:{part}"));
        let db = Connection::open(folder.path().join("shop.db")).expect("a database");
        db.execute_batch(
            "create table items (restaurant text, name text, price int);
             insert into items values ('roma', 'pizza', 1), ('roma', 'pasta', 1),
                                      ('napoli', 'pizza', 1), ('caffè nero', 'two words', 1);",
        )
        .expect("a menu");
        let db = Arc::new(Mutex::new(db));
        let (committed, answer) = (watch::Sender::new(0), watch::Sender::new(None));
        let shop = Shop { db, committed, answer };
        Self { cache, shop, menu: menu.expect("sound"), _folder: folder }
    }

    /// The application inside of the layer.
    pub(crate) fn routes(&self, layer: InvalidateLayer<impl Target>) -> Router {
        Router::new()
            .route("/restaurants/{restaurant}/menu/{item}", put(set_price).get(show))
            .route("/restaurants/{restaurant}/form/{item}", post(post_form))
            .route("/restaurants/{restaurant}/slow/{item}", put(set_slowly))
            .with_state(self.shop.clone())
            .layer(layer)
    }

    /// With the usual rules, and the application's own cache.
    pub(crate) fn router(&self) -> Router {
        self.routes(InvalidateLayer::new(menu_rules(), self.cache.clone()))
    }

    /// The sum of a restaurant's prices, as the widget shows it, and where that came from. It
    /// depends on the tag `part`.
    pub(crate) async fn read(&self, restaurant: &str, part: &str) -> (i64, Tier) {
        let tenant = Tenant::new(restaurant).expect("sound");
        let tags = [Tag::new(part).expect("sound")];
        let params = [("part", part)];
        let reading = self.menu.reading(&tenant).params(&params).tags(&tags);
        let (shop, of) = (self.shop.clone(), restaurant.to_owned());
        let compute = async move || Ok::<_, std::io::Error>(shop.sum(&of).to_string());
        let answer = self.cache.get_or_compute(&reading, compute).await.expect("an answer");
        let bytes = answer.bytes().expect("sound");
        (String::from_utf8_lossy(&bytes).parse().expect("a number"), answer.tier())
    }

    /// After the first read the second one is answered from memory.
    pub(crate) async fn warm(&self, restaurant: &str, part: &str) {
        self.read(restaurant, part).await;
        assert_eq!(self.read(restaurant, part).await.1, Tier::Local);
    }

    pub(crate) async fn is_cached(&self, restaurant: &str, part: &str) -> bool {
        self.read(restaurant, part).await.1 == Tier::Local
    }
}

/// Each write to an item touches its tag.
pub(crate) fn menu_rules() -> Rules {
    let touch = Touch::tags(["menu/{item}"]).tenant("{restaurant}");
    ["menu", "form", "slow"].into_iter().fold(Rules::new(), |rules, route| {
        let path = format!("/restaurants/{{restaurant}}/{route}/{{item}}");
        rules.on([Method::PUT, Method::POST], &path, &touch).expect("sound")
    })
}

pub(crate) fn write(path: &str, price: &str) -> Request<Body> {
    Request::put(path).body(Body::from(price.to_owned())).expect("sound")
}

pub(crate) async fn send(router: &Router, request: Request<Body>) -> Response {
    router.clone().oneshot(request).await.expect("infallible")
}

/// What the layer says in a response.
pub(crate) fn said(response: &Response) -> Option<&str> {
    let value = response.headers().get("samovar-invalidated")?;
    Some(value.to_str().expect("plain text"))
}

pub(crate) async fn until(what: &str, check: impl Fn() -> bool) {
    wait::until_async(SOON, what, async || check().then_some(())).await.expect(what);
}

impl Shop {
    fn sum(&self, restaurant: &str) -> i64 {
        let db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        let query = "select sum(price) from items where restaurant = ?1";
        db.query_row(query, [restaurant], |row| row.get(0)).expect("a sum")
    }

    pub(crate) fn add_items(&self, restaurant: &str, count: usize) {
        let mut db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        let all = db.transaction().expect("a transaction");
        for item in 0..count {
            let name = format!("item-{item}");
            all.execute("insert into items values (?1, ?2, 0)", (restaurant, name)).expect("a row");
        }
        all.commit().expect("a commit");
    }

    fn set(&self, restaurant: &str, item: &str, price: i64) -> usize {
        let db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        let query = "update items set price = ?3 where restaurant = ?1 and name = ?2";
        db.execute(query, (restaurant, item, price)).expect("an update")
    }
}

async fn set_price(
    State(shop): State<Shop>,
    Path((restaurant, item)): Path<(String, String)>,
    headers: HeaderMap,
    price: String,
) -> StatusCode {
    if headers.contains_key("panic") {
        panic!("as the test asked for");
    }
    if headers.contains_key("fail") {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    let Ok(price) = price.parse() else { return StatusCode::UNPROCESSABLE_ENTITY };
    match shop.set(&restaurant, &item, price) {
        0 => StatusCode::NOT_FOUND,
        _ => StatusCode::NO_CONTENT,
    }
}

async fn show() -> &'static str {
    "a menu"
}

/// As forms do it: a redirect to where the new state is shown.
async fn post_form(
    State(shop): State<Shop>,
    Path((restaurant, item)): Path<(String, String)>,
    price: String,
) -> Response {
    shop.set(&restaurant, &item, price.parse().expect("a price"));
    Redirect::to("/").into_response()
}

/// Commits, and answers when the test says so.
async fn set_slowly(
    State(shop): State<Shop>,
    Path((restaurant, item)): Path<(String, String)>,
    price: String,
) -> StatusCode {
    shop.set(&restaurant, &item, price.parse().expect("a price"));
    let mut answer = shop.answer.subscribe();
    shop.committed.send_modify(|count| *count += 1);
    let answer = answer.wait_for(Option::is_some).await.expect("the test lives");
    answer.expect("just seen")
}
