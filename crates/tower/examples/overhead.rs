//! What the layer adds to a request: run with `--release`, prints nanoseconds per request.
//!
//! The service answers at once and the target does nothing, so what is left is the layer.
#![expect(clippy::print_stdout, reason = "its output is the result")]

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
};

use http::{Method, Request, Response};
use samovar_clock::Clock;
use samovar_tower::{Change, InvalidateLayer, Rules, Target, TargetError, Touch, limits};
use tower::{Layer, Service};

const REQUESTS: u32 = 1_000_000;
const ROUNDS: usize = 5;

#[derive(Clone)]
struct Nobody;

impl Target for Nobody {
    async fn invalidate(&self, _: &Change) -> Result<(), TargetError> {
        Ok(())
    }
}

#[derive(Clone)]
struct AtOnce;

impl Service<Request<()>> for AtOnce {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        black_box(request);
        ready(Ok(Response::new(())))
    }
}

fn rules(count: usize) -> Rules {
    (0..count).fold(Rules::new(), |rules, rule| {
        let path = format!("/api/v1/restaurants/{{restaurant}}/things{rule}/{{item}}");
        let touch = Touch::tags([format!("things{rule}/{{item}}")]).tenant("{restaurant}");
        rules.on(Method::PUT, &path, touch).expect("a sound rule")
    })
}

/// The best of some rounds: what disturbs only ever adds.
async fn nanoseconds(
    mut service: impl Service<Request<()>, Response = Response<()>, Error = Infallible>,
    method: Method,
    path: &'static str,
) -> f64 {
    let clock = Clock::System;
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let began = clock.now();
        for _ in 0..REQUESTS {
            let request = Request::builder().method(method.clone()).uri(path).body(());
            let request = request.expect("a sound request");
            black_box(service.call(request).await.expect("infallible"));
        }
        let each = clock.now().since(began).as_nanos() as f64 / f64::from(REQUESTS);
        best = best.min(each);
    }
    best
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let few = InvalidateLayer::new(rules(8), Nobody);
    let many = InvalidateLayer::new(rules(limits::RULES), Nobody);
    let other = "/api/v1/restaurants/roma/orders/17";
    let first = "/api/v1/restaurants/roma/things0/17";
    let bare = nanoseconds(AtOnce, Method::PUT, other).await;
    println!("without the layer                {bare:7.0} ns");
    for (name, layer, method, path) in [
        ("a read, 8 rules                 ", &few, Method::GET, first),
        ("a write that matches none of 8  ", &few, Method::PUT, other),
        ("a write that matches none of max", &many, Method::PUT, other),
        ("a write that matches one of 8   ", &few, Method::PUT, first),
        ("a write that matches one of max ", &many, Method::PUT, first),
    ] {
        let with = nanoseconds(layer.layer(AtOnce), method, path).await;
        println!("{name} {with:7.0} ns, {:5.0} ns more", with - bare);
    }
}
