//! The layer is a tower citizen: any body, readiness of the service it calls, errors as they are.

use std::{
    future::{Ready, ready},
    task::{Context, Poll},
};

use axum::http::{Method, Request, Response};
use samovar_tower::{InvalidateLayer, Rules, Touch};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};

use crate::{app::App, target::Mood, target::Moody};

fn layer(app: &App) -> (InvalidateLayer<Moody>, Moody) {
    let rules = Rules::new().on(Method::POST, "/orders", Touch::tags(["orders"]).tenant("roma"));
    let target = Moody::new(&app.cache, Mood::Well);
    (InvalidateLayer::new(rules.expect("sound"), target.clone()), target)
}

fn order<B>(body: B) -> Request<B> {
    Request::post("/orders").body(body).expect("sound")
}

#[tokio::test]
async fn bodies_are_of_any_type_and_extensions_stay() {
    let app = App::open().await;
    let (layer, _) = layer(&app);
    /// Neither cloneable nor a body of anything.
    struct Own(Vec<u8>);
    let service = service_fn(async |request: Request<Own>| {
        let tip = request.extensions().get::<u32>().copied();
        Ok::<_, std::io::Error>(Response::new((request.into_body().0.len(), tip)))
    });
    let mut request = order(Own(vec![0; 7]));
    request.extensions_mut().insert(3_u32);
    let response = layer.layer(service).oneshot(request).await.expect("no error");
    assert_eq!(response.headers()["samovar-invalidated"], "yes");
    assert_eq!(response.into_body(), (7, Some(3)));
}

#[tokio::test]
async fn an_error_of_the_service_passes_through_and_nothing_is_invalidated() {
    let app = App::open().await;
    let (layer, target) = layer(&app);
    let service = service_fn(async |_: Request<()>| Err::<Response<()>, _>("broken".to_owned()));
    assert_eq!(layer.layer(service).oneshot(order(())).await.expect_err("broken"), "broken");
    assert_eq!(target.tried(), 0);
}

/// A service that insists on being asked whether it is ready, each clone for itself.
#[derive(Debug, Default)]
struct Picky {
    is_ready: bool,
}

impl Clone for Picky {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<()>> for Picky {
    type Response = Response<()>;
    type Error = std::io::Error;
    type Future = Ready<Result<Response<()>, std::io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called although it was not ready");
        ready(Ok(Response::new(())))
    }
}

#[tokio::test]
async fn the_service_that_was_ready_is_the_one_that_is_called() {
    let app = App::open().await;
    let (layer, target) = layer(&app);
    let mut service = layer.layer(ConcurrencyLimitLayer::new(1).layer(Picky::default()));
    for request in [order(()), order(()), Request::new(())] {
        // A clone of a service that is ready is not ready itself.
        let mut clone = service.clone();
        service.ready().await.expect("ready").call(request).await.expect("no error");
        clone.ready().await.expect("ready").call(order(())).await.expect("no error");
    }
    assert_eq!(target.tried(), 5);
}

#[tokio::test]
async fn clones_that_share_a_limit_are_all_answered() {
    let app = App::open().await;
    let (layer, _) = layer(&app);
    let service = ConcurrencyLimitLayer::new(1).layer(layer.layer(Picky::default()));
    let answers = [0; 20].map(|_| service.clone().oneshot(order(())));
    for answer in answers {
        assert_eq!(answer.await.expect("no error").headers()["samovar-invalidated"], "yes");
    }
}
