//! Every route, asked by everybody, about his own tenant, another, one that there is not, and none.
//!
//! The table of routes is the server's own, so that none is left out; what should come of each
//! request is worked out from its row alone.

use samovar_access::Role;
use samovar_engine::WarmUp;
use samovar_server::{Least, RouteShown, Server, TenantIn};
use serde_json::{Value, json};

use super::{
    asking::Answer,
    server::{PASSWORD, Shop},
};

/// Whoever asks.
#[derive(Debug)]
struct Asker {
    role: Option<Role>,
    /// To `north`.
    is_bound: bool,
    token: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    North,
    South,
    /// A tenant that there is not.
    Nowhere,
    /// None is named.
    All,
}

#[derive(Debug, PartialEq, Eq)]
enum Expected {
    LetIn,
    Code(u16, &'static str),
}

const ABOUT: [About; 4] = [About::North, About::South, About::Nowhere, About::All];

/// What there is to be found, of each tenant and of nobody.
struct Found {
    batches: [String; 3],
    jobs: [String; 3],
}

impl Asker {
    fn is_stranger(&self) -> bool {
        self.role.is_none() && self.token.is_some()
    }
}

impl Found {
    async fn push(shop: &Shop) -> Self {
        let batch = async |tenants: &[&str]| {
            let tenants = tenants.iter().map(|it| (*it).to_owned()).collect();
            let warm_up = WarmUp { tenants, ..WarmUp::default() };
            shop.engine.warm(&warm_up).await.expect("pushed").batch
        };
        let job = async |tenant: Option<&str>| shop.push_job(tenant).await;
        Self {
            batches: [
                batch(&["north"]).await,
                batch(&["south"]).await,
                batch(&["north", "south"]).await,
            ],
            jobs: [job(Some("north")).await, job(Some("south")).await, job(None).await],
        }
    }

    fn of(all: &[String; 3], about: About) -> &str {
        match about {
            About::North => &all[0],
            About::South => &all[1],
            About::Nowhere => "00000000000000ff",
            About::All => &all[2],
        }
    }

    fn batch(&self, about: About) -> &str {
        Self::of(&self.batches, about)
    }

    fn job(&self, about: About) -> &str {
        Self::of(&self.jobs, about)
    }
}

impl About {
    fn tenant(self) -> Option<&'static str> {
        match self {
            About::North => Some("north"),
            About::South => Some("south"),
            About::Nowhere => Some("nowhere"),
            About::All => None,
        }
    }
}

/// A request that does what its route is for.
fn example(route: &RouteShown, about: About, there: &Found) -> (String, Option<Value>) {
    let tenant = about.tenant();
    let tenants: Vec<&str> = tenant.into_iter().collect();
    let uri = |path: &str| match (route.tenant, tenant) {
        (TenantIn::Query, Some(tenant)) => format!("{path}?tenant={tenant}"),
        _ => path.to_owned(),
    };
    match (route.method, route.path) {
        ("GET", "/v1/widgets/{name}") => (uri("/v1/widgets/total"), None),
        ("GET", "/v1/widgets/{name}/values/{param}") => {
            (uri("/v1/widgets/total/values/channel"), None)
        }
        ("GET", "/v1/boards/{name}") => (uri("/v1/boards/sales"), None),
        ("GET", "/v1/stream") => {
            let readings = tenant.map(|it| format!("?reading=total%3Ftenant%3D{it}"));
            (format!("/v1/stream{}", readings.unwrap_or_default()), None)
        }
        ("GET", "/v1/why/{name}") => (uri("/v1/why/total"), None),
        ("GET", "/v1/cache/stats/{name}") => (uri("/v1/cache/stats/total"), None),
        ("GET", "/v1/batches/{id}") => (format!("/v1/batches/{}", there.batch(about)), None),
        ("POST", "/v1/batches/{id}/cancel") => {
            (format!("/v1/batches/{}/cancel", there.batch(about)), None)
        }
        ("GET" | "DELETE", "/v1/jobs/{id}") => (format!("/v1/jobs/{}", there.job(about)), None),
        ("POST", "/v1/jobs/{id}/retry") => (format!("/v1/jobs/{}/retry", there.job(about)), None),
        ("POST", "/v1/jobs/{id}/cancel") => (format!("/v1/jobs/{}/cancel", there.job(about)), None),
        ("POST", "/v1/jobs") => {
            let body = json!({ "kind": "http", "payload": {}, "tenant": tenant });
            (uri("/v1/jobs"), Some(body))
        }
        ("POST", path @ ("/v1/jobs/retry" | "/v1/jobs/flush")) => {
            (uri(path), Some(json!({ "tenants": tenants, "dry_run": true })))
        }
        ("POST", "/v1/jobs/prune") => (uri("/v1/jobs/prune"), Some(json!({ "older_than": "7d" }))),
        ("GET", "/v1/queues/{queue}") => (uri("/v1/queues/low"), None),
        ("POST", "/v1/queues/{queue}/pause") => (uri("/v1/queues/low/pause"), None),
        ("POST", "/v1/queues/{queue}/resume") => (uri("/v1/queues/low/resume"), None),
        ("POST", "/v1/queues/{queue}/clear") => {
            (uri("/v1/queues/low/clear"), Some(json!({ "tenants": tenants })))
        }
        ("POST", "/v1/workers/{worker}/drain") => (uri("/v1/workers/nobody/drain"), None),
        ("POST", "/v1/workers/{worker}/restart") => (uri("/v1/workers/nobody/restart"), None),
        ("POST", "/v1/workers/restart") => (uri("/v1/workers/restart"), None),
        ("POST", "/v1/schedules/{schedule}/run") => (uri("/v1/schedules/nothing/run"), None),
        ("POST", "/v1/events") => {
            (uri("/v1/events"), Some(json!({ "name": "order.created", "tenant": tenant })))
        }
        ("POST", "/v1/hooks/{name}") => (uri("/v1/hooks/shop"), Some(json!({ "shop": tenant }))),
        ("POST", "/v1/invalidate") => {
            (uri("/v1/invalidate"), Some(json!({ "tenant": tenant, "widget": "total" })))
        }
        ("POST", "/v1/clear") => {
            (uri("/v1/clear"), Some(json!({ "tenant": tenant, "widget": "total" })))
        }
        ("POST", "/v1/warm") => (uri("/v1/warm"), Some(json!({ "tenants": tenants }))),
        ("POST", "/v1/cleanup") => (uri("/v1/cleanup"), Some(json!({ "dry_run": true }))),
        ("POST", "/v1/verify") => (uri("/v1/verify"), Some(json!({ "sample": 1 }))),
        ("POST", "/v1/sessions") => {
            (uri("/v1/sessions"), Some(json!({ "user": "anna", "password": PASSWORD })))
        }
        ("POST", "/v1/sessions/current/password") => {
            let body = json!({ "current": "wrong", "password": "also wrong enough" });
            (uri("/v1/sessions/current/password"), Some(body))
        }
        ("POST", "/v1/tokens") => {
            let body = json!({ "role": "viewer", "tenants": tenants, "expires": "1h" });
            (uri("/v1/tokens"), Some(body))
        }
        ("DELETE", "/v1/tokens/{id}") => (uri("/v1/tokens/00000000000000ff"), None),
        ("POST", "/v1/users") => {
            let body = json!({ "name": "zoe", "role": "viewer", "password": "short" });
            (uri("/v1/users"), Some(body))
        }
        ("DELETE", "/v1/users/{name}") => (uri("/v1/users/nobody"), None),
        ("POST", "/v1/users/{name}/password") => {
            (uri("/v1/users/nobody/password"), Some(json!({ "password": "long enough" })))
        }
        ("GET" | "DELETE", path) if !path.contains('{') => (uri(path), None),
        other => panic!("{other:?} has no example here: give it one"),
    }
}

fn expected(route: &RouteShown, asker: &Asker, about: About) -> Expected {
    let Least::Role(least) = route.least else { return Expected::LetIn };
    let Some(role) = asker.role else {
        let code = if asker.is_stranger() { "invalid_token" } else { "unauthorized" };
        return Expected::Code(401, code);
    };
    if role < least {
        return Expected::Code(403, "forbidden");
    }
    let is_own = !asker.is_bound || about == About::North;
    match route.tenant {
        TenantIn::Query if !is_own && about != About::All => {
            Expected::Code(403, "forbidden_tenant")
        }
        TenantIn::Body | TenantIn::All if !is_own => Expected::Code(403, "forbidden_tenant"),
        TenantIn::Found if !is_own && route.path.starts_with("/v1/jobs") => {
            Expected::Code(404, "unknown_job")
        }
        TenantIn::Found if !is_own => Expected::Code(404, "unknown_batch"),
        _ => Expected::LetIn,
    }
}

fn found(answer: &Answer, expected: &Expected) -> Expected {
    let (status, code) = (answer.status.as_u16(), answer.code());
    match *expected {
        Expected::Code(_, named) if code == named => Expected::Code(status, named),
        _ => match code.as_str() {
            "unauthorized" => Expected::Code(status, "unauthorized"),
            "invalid_token" => Expected::Code(status, "invalid_token"),
            "forbidden" => Expected::Code(status, "forbidden"),
            "forbidden_tenant" => Expected::Code(status, "forbidden_tenant"),
            "internal" => Expected::Code(status, "internal"),
            "too_many_attempts" => Expected::Code(status, "too_many_attempts"),
            _ => Expected::LetIn,
        },
    }
}

async fn askers(shop: &Shop) -> Vec<Asker> {
    let stranger = samovar_access::Secret::draw(samovar_access::SecretKind::Token);
    let stranger = stranger.exposed().to_owned();
    let mut askers = vec![Asker { role: None, is_bound: false, token: None }];
    for role in Role::ALL {
        for tenants in [&[][..], &["north"]] {
            let is_bound = !tenants.is_empty();
            if role == Role::Admin && is_bound {
                continue;
            }
            let token = Some(shop.token(role, tenants).await);
            askers.push(Asker { role: Some(role), is_bound, token });
        }
    }
    // The last: whoever else comes from its address and is not known yet is held up with it.
    askers.push(Asker { role: None, is_bound: false, token: Some(stranger) });
    askers
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_let_in_to_what_is_his_and_to_nothing_else() {
    let shop = Shop::closed().await;
    shop.user("anna", Role::Viewer, &[]).await;
    let (askers, there) = (askers(&shop).await, Found::push(&shop).await);
    for tenant in ["north", "south"] {
        shop.engine.read("total", tenant, Vec::new()).await.expect("read");
    }
    let routes = Server::routes();
    let mut wrong = Vec::new();
    let mut cases = 0;
    for asker in &askers {
        let mut asking = shop.asking().await;
        for route in &routes {
            let mut told = Vec::new();
            for about in ABOUT {
                let (uri, body) = example(route, about, &there);
                let token = asker.token.as_deref();
                let answer = asking.ask(route.method, &uri, token, body.as_ref()).await;
                cases += 1;
                let expected = expected(route, asker, about);
                // Whoever presents what is none too often is held up, and let in as little.
                let found = match answer.code().as_str() {
                    "too_many_attempts" if asker.is_stranger() && answer.status == 429 => {
                        match expected {
                            Expected::Code(_, code) => Expected::Code(401, code),
                            Expected::LetIn => Expected::LetIn,
                        }
                    }
                    _ => found(&answer, &expected),
                };
                if found != expected {
                    let (method, role) = (route.method, asker.role);
                    wrong.push(format!("{method} {uri} by {role:?}, bound {}, about {about:?}: {found:?} instead of {expected:?}", asker.is_bound));
                }
                if asker.is_bound && answer.text().contains("south") {
                    wrong.push(format!("{} {uri} shows south to who may not see it", route.method));
                }
                if [About::South, About::Nowhere].contains(&about) {
                    told.push((answer.status, answer.body));
                }
            }
            // Whether there is such a tenant shows in nothing.
            let is_hidden = asker.is_bound || asker.role.is_none();
            let [one, other] = told.try_into().expect("two");
            let named = [TenantIn::Query, TenantIn::Body].contains(&route.tenant);
            if is_hidden && named && asker.role.is_some() && one != other {
                wrong
                    .push(format!("{} {} tells which tenants there are", route.method, route.path));
            }
        }
    }
    println!("{cases} cases: {} routes, {} askers, {}", routes.len(), askers.len(), ABOUT.len());
    assert_eq!(cases, routes.len() * askers.len() * ABOUT.len());
    assert!(wrong.is_empty(), "{} of {cases}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_route_is_open_by_accident() {
    let open: Vec<_> = Server::routes()
        .into_iter()
        .filter(|route| route.least == Least::Anyone)
        .map(|route| (route.method, route.path))
        .collect();
    let known = [
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/sign-in"),
        ("GET", "/openapi.json"),
        ("POST", "/v1/hooks/{name}"),
        ("POST", "/v1/sessions"),
    ];
    assert_eq!(open, known);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_tenants_of_one_call_are_each_looked_at() {
    let shop = Shop::closed().await;
    let owner = shop.token(Role::Owner, &["north"]).await;
    let mut asking = shop.asking().await;
    let event = |tenant: &str| json!({ "name": "order.created", "tenant": tenant });
    for (uri, body) in [
        ("/v1/warm", json!({ "tenants": ["north", "south"] })),
        ("/v1/events", json!({ "events": [event("north"), event("south")] })),
        ("/v1/events", json!({ "events": [event("north"), { "name": "order.created" }] })),
        ("/v1/invalidate", json!({ "tenant": "north", "tags": ["orders", "global:rates"] })),
        ("/v1/invalidate", json!({ "tenant": "south", "tags": [] })),
        ("/v1/clear", json!({ "all": true })),
        ("/v1/clear", json!({ "pattern": "widget:*" })),
        ("/v1/clear", json!({ "tenant": null, "widget": "total" })),
    ] {
        let answer = asking.ask("POST", uri, Some(&owner), Some(&body)).await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (403, "forbidden_tenant"), "{body}");
    }
    for query in [
        "tenant=south",
        "tenant=%73outh",
        "%74enant=south",
        "tenant=north&tenant=south",
        "tenant=south&tenant=north",
        "tenant=north%20",
        "tenant=",
    ] {
        let uri = format!("/v1/widgets/total?{query}");
        let answer = asking.ask("GET", &uri, Some(&owner), None).await;
        assert!([400, 403].contains(&answer.status.as_u16()), "{query}: {}", answer.status);
    }
    let own = asking.ask("GET", "/v1/widgets/total?%74enant=n%6Frth", Some(&owner), None).await;
    assert_eq!(own.status, 200);
}
