//! Which writes invalidate, and what.

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Request, StatusCode, request, response},
    routing::{any, post, put},
};
use samovar_cache::Tier;
use samovar_tower::{InvalidateLayer, Methods, Rules, Touch};

use crate::app::{App, menu_rules, said, send, write};

#[tokio::test]
async fn a_successful_write_is_seen_by_the_next_read() {
    let app = App::open().await;
    app.warm("roma", "menu").await;
    let router = app.router();
    let response = send(&router, write("/restaurants/roma/menu/pizza", "10")).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(said(&response), Some("yes"));
    assert_eq!(app.read("roma", "menu").await, (11, Tier::Computed));
    assert!(app.is_cached("roma", "menu").await);
}

#[tokio::test]
async fn a_redirect_after_a_form_is_a_success() {
    let app = App::open().await;
    app.warm("roma", "menu/pizza").await;
    let form = Request::post("/restaurants/roma/form/pizza").body(Body::from("7")).expect("sound");
    let response = send(&app.router(), form).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(said(&response), Some("yes"));
    assert_eq!(app.read("roma", "menu/pizza").await, (8, Tier::Computed));
}

#[tokio::test]
async fn a_failed_write_leaves_what_is_cached_and_its_response_alone() {
    let app = App::open().await;
    app.warm("roma", "menu").await;
    let router = app.router();
    let path = "/restaurants/roma/menu/pizza";
    let mut failing = write(path, "10");
    failing.headers_mut().insert("fail", HeaderValue::from_static("1"));
    for (request, status) in [
        (write("/restaurants/roma/menu/soup", "10"), StatusCode::NOT_FOUND),
        (write(path, "much"), StatusCode::UNPROCESSABLE_ENTITY),
        (failing, StatusCode::INTERNAL_SERVER_ERROR),
    ] {
        let response = send(&router, request).await;
        assert_eq!(response.status(), status);
        assert_eq!(said(&response), None, "{status}");
        assert!(app.is_cached("roma", "menu").await, "{status}");
    }
}

#[tokio::test]
async fn a_panic_passes_through_and_nothing_is_invalidated() {
    let app = App::open().await;
    app.warm("roma", "menu").await;
    let layer = InvalidateLayer::new(menu_rules(), app.cache.clone());
    let router = app.routes(layer.clone());
    let mut request = write("/restaurants/roma/menu/pizza", "10");
    request.headers_mut().insert("panic", HeaderValue::from_static("1"));
    let ended = tokio::spawn(async move { send(&router, request).await }).await;
    assert!(ended.expect_err("it panics").is_panic());
    layer.idle().await;
    assert!(app.is_cached("roma", "menu").await);
}

#[tokio::test]
async fn only_what_depends_on_it_is_touched() {
    let app = App::open().await;
    for (restaurant, part) in [
        ("roma", "menu"),
        ("roma", "menu/pizza"),
        ("roma", "menu/pasta"),
        ("roma", "tables"),
        ("napoli", "menu"),
        ("napoli", "menu/pizza"),
    ] {
        app.warm(restaurant, part).await;
    }
    send(&app.router(), write("/restaurants/roma/menu/pizza", "10")).await;
    assert!(!app.is_cached("roma", "menu").await);
    assert!(!app.is_cached("roma", "menu/pizza").await);
    assert!(app.is_cached("roma", "menu/pasta").await);
    assert!(app.is_cached("roma", "tables").await);
    assert!(app.is_cached("napoli", "menu").await, "another tenant's");
    assert!(app.is_cached("napoli", "menu/pizza").await, "another tenant's");
}

#[tokio::test]
async fn a_value_that_cannot_be_in_a_tag_invalidates_the_broader_tag() {
    let app = App::open().await;
    app.warm("caffè nero", "menu/two").await;
    app.warm("caffè nero", "tables").await;
    let path = "/restaurants/caff%C3%A8%20nero/menu/two%20words";
    let response = send(&app.router(), write(path, "10")).await;
    assert_eq!(said(&response), Some("yes"));
    assert_eq!(app.read("caffè nero", "menu/two").await, (10, Tier::Computed));
    assert!(app.is_cached("caffè nero", "tables").await);
}

#[tokio::test]
async fn reading_never_invalidates() {
    let app = App::open().await;
    app.warm("roma", "menu").await;
    let touch = Touch::tags(["menu"]).tenant("{restaurant}");
    let rules = Rules::new().on(Methods::writes(), "/restaurants/{restaurant}/{*rest}", touch);
    let layer = InvalidateLayer::new(rules.expect("sound"), app.cache.clone());
    let router = Router::new()
        .route("/restaurants/{restaurant}/menu/{item}", any(async || "done"))
        .layer(layer);
    let ask = async |method: Method| {
        let request = Request::builder().method(method).uri("/restaurants/roma/menu/pizza");
        send(&router, request.body(Body::empty()).expect("sound")).await
    };
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE] {
        let response = ask(method.clone()).await;
        assert_eq!((response.status(), said(&response)), (StatusCode::OK, None), "{method}");
        assert!(app.is_cached("roma", "menu").await, "{method}");
    }
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        assert_eq!(said(&ask(method.clone()).await), Some("yes"), "{method}");
        assert!(!app.is_cached("roma", "menu").await, "{method}");
    }
}

#[tokio::test]
async fn all_rules_that_match_apply() {
    let app = App::open().await;
    let path = "/restaurants/{restaurant}/menu/{item}";
    let rules = Rules::new()
        .on(Method::PUT, path, Touch::tags(["menu/{item}"]).tenant("{restaurant}"))
        .and_then(|rules| {
            let touch = Touch::new().tag("prices").tenant("{restaurant}");
            rules.on(Methods::writes(), "/restaurants/{*rest}", touch.tenant("roma"))
        })
        .and_then(|rules| rules.on(Method::PUT, path, Touch::tags(["deliveries"]).tenant("napoli")))
        .and_then(|rules| rules.on(Method::POST, path, Touch::tags(["tables"]).tenant("roma")));
    let router = app.routes(InvalidateLayer::new(rules.expect("sound"), app.cache.clone()));
    for (restaurant, part) in [
        ("roma", "menu"),
        ("roma", "prices"),
        ("roma", "tables"),
        ("napoli", "deliveries"),
        ("napoli", "menu"),
    ] {
        app.warm(restaurant, part).await;
    }
    let response = send(&router, write("/restaurants/roma/menu/pizza", "10")).await;
    assert_eq!(said(&response), Some("yes"));
    assert!(!app.is_cached("roma", "menu").await);
    assert!(!app.is_cached("roma", "prices").await);
    assert!(!app.is_cached("napoli", "deliveries").await);
    assert!(app.is_cached("roma", "tables").await, "the rule is about another method");
    assert!(app.is_cached("napoli", "menu").await);
}

#[tokio::test]
async fn widgets_and_classes_are_touched_for_one_tenant_or_for_all() {
    let app = App::open().await;
    let class = "medium";
    for (touch, others_stay) in [
        (Touch::new().widget("menu").tenant("roma"), true),
        (Touch::new().class(class).tenant("roma"), true),
        (Touch::new().widget("menu"), false),
        (Touch::new().class(class), false),
        (Touch::new().widget("another"), true),
    ] {
        let rules = Rules::new().on(Method::PUT, "/restaurants/{*rest}", &touch).expect("sound");
        let router = app.routes(InvalidateLayer::new(rules, app.cache.clone()));
        app.warm("roma", "menu").await;
        app.warm("napoli", "menu").await;
        let response = send(&router, write("/restaurants/roma/menu/pizza", "10")).await;
        assert_eq!(said(&response), Some("yes"));
        let is_another = format!("{touch:?}").contains("another");
        assert_eq!(app.is_cached("roma", "menu").await, is_another, "{touch:?}");
        assert_eq!(app.is_cached("napoli", "menu").await, others_stay, "{touch:?}");
    }
}

/// Set by a layer outside, or by a handler.
#[derive(Clone)]
struct Account(String);

#[tokio::test]
async fn the_tenant_comes_from_where_the_rule_says() {
    let app = App::open().await;
    let in_request = |head: &request::Parts| {
        head.extensions.get::<Account>().map(|Account(tenant)| tenant.clone())
    };
    let in_response = |head: &response::Parts| {
        head.extensions.get::<Account>().map(|Account(tenant)| tenant.clone())
    };
    let touch = || Touch::tags(["orders"]);
    let rules = Rules::new()
        .on(Method::POST, "/header", touch().tenant_header("X-Tenant"))
        .and_then(|it| it.on(Method::POST, "/request", touch().tenant_from_request(in_request)))
        .and_then(|it| it.on(Method::POST, "/response", touch().tenant_from_response(in_response)));
    // Only the handler looks the tenant up.
    let order = async |headers: HeaderMap| {
        let tenant = headers.get("x-tenant").and_then(|value| value.to_str().ok());
        axum::Extension(Account(tenant.unwrap_or_default().to_owned()))
    };
    let signed_in = async |mut request: Request<Body>, next: axum::middleware::Next| {
        if let Some(tenant) = request.headers().get("x-tenant").cloned() {
            let tenant = tenant.to_str().expect("plain text").to_owned();
            request.extensions_mut().insert(Account(tenant));
        }
        next.run(request).await
    };
    let router = Router::new()
        .route("/header", post(async || "done"))
        .route("/request", post(async || "done"))
        .route("/response", post(order))
        .layer(InvalidateLayer::new(rules.expect("sound"), app.cache.clone()))
        .layer(axum::middleware::from_fn(signed_in));
    for path in ["/header", "/request", "/response"] {
        app.warm("roma", "orders").await;
        app.warm("napoli", "orders").await;
        let order = Request::post(path).header("x-tenant", "roma").body(Body::empty());
        let response = send(&router, order.expect("sound")).await;
        assert_eq!(said(&response), Some("yes"), "{path}");
        assert!(!app.is_cached("roma", "orders").await, "{path}");
        assert!(app.is_cached("napoli", "orders").await, "{path}");
        // Nobody's tenant is guessed, and nobody is told that all is well.
        let order = Request::post(path).body(Body::empty()).expect("sound");
        let response = send(&router, order).await;
        assert_eq!((response.status(), said(&response)), (StatusCode::OK, Some("no")), "{path}");
        assert!(app.is_cached("napoli", "orders").await, "{path}");
    }
}

#[tokio::test]
async fn what_a_success_is_can_be_said() {
    let app = App::open().await;
    app.warm("roma", "menu").await;
    let layer = InvalidateLayer::new(menu_rules(), app.cache.clone())
        .succeeded(|head| head.status == StatusCode::NOT_FOUND);
    let router = app.routes(layer);
    let response = send(&router, write("/restaurants/roma/menu/pizza", "1")).await;
    assert_eq!((response.status(), said(&response)), (StatusCode::NO_CONTENT, None));
    assert!(app.is_cached("roma", "menu").await);
    let response = send(&router, write("/restaurants/roma/menu/soup", "1")).await;
    assert_eq!((response.status(), said(&response)), (StatusCode::NOT_FOUND, Some("yes")));
    assert!(!app.is_cached("roma", "menu").await);
}

#[tokio::test]
async fn around_nested_routers_rules_see_the_whole_path() {
    let app = App::open().await;
    app.warm("roma", "menu").await;
    let inner = Router::new().route("/{restaurant}/menu/{item}", put(async || "done"));
    let nested = Router::new().nest("/api", Router::new().nest("/restaurants", inner));
    let touch = Touch::tags(["menu/{item}"]).tenant("{restaurant}");
    let rules = Rules::new().on(Method::PUT, "/api/restaurants/{restaurant}/menu/{item}", touch);
    let layer = InvalidateLayer::new(rules.expect("sound"), app.cache.clone());
    let router = nested.layer(layer);
    let response = send(&router, write("/api/restaurants/roma/menu/pizza?x=1", "1")).await;
    assert_eq!(said(&response), Some("yes"));
    assert!(!app.is_cached("roma", "menu").await);
}
