//! Spans: what there is of them, how they nest, where they come from and where they lead.

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use samovar_testkit::{Receiver, RedisServer};
use serde_json::json;

use super::{
    API_KEY,
    collector::{Collector, Exported, number, text},
    serve, start,
};
use crate::{
    application::Application,
    http::{get, post, send},
    shop::{LIMIT, Served, Shop},
};

const SALES: &str = "/v1/widgets/sales?tenant=north&channel=p4r4meter";
/// Of whoever asks.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Ends well, and has exported these.
fn ended(served: &Served, collector: &Collector) -> Vec<Exported> {
    served.process.terminate().expect("it runs");
    served.process.wait_for_success(LIMIT).expect("a good end");
    collector.rest()
}

fn spans(exported: &[Exported]) -> Vec<&Span> {
    exported.iter().flat_map(|it| &it.spans).collect()
}

fn under<'s>(spans: &[&'s Span], parent: &Span, name: &str) -> &'s Span {
    let is_it = |it: &&&Span| it.parent_span_id == parent.span_id && it.name == name;
    let found: Vec<_> = spans.iter().filter(is_it).collect();
    assert_eq!(found.len(), 1, "{name} under {}: {spans:#?}", parent.name);
    assert_eq!(found[0].trace_id, parent.trace_id);
    found[0]
}

#[test]
fn a_cold_read_a_hit_and_a_job_nest_and_tell_no_secret() {
    let (collector, application) = (Collector::start(Vec::new()), Application::start("200 OK"));
    let shop = application.shop("[access]\nmode = \"tokens\"");
    let made = shop.json(&["token", "create", "--role", "admin", "--name", "desk"]);
    let token = made["token"].as_str().expect("a token");
    let resource = [("OTEL_SERVICE_NAME", "shop"), ("OTEL_RESOURCE_ATTRIBUTES", "zone=a%2Cb")];
    let served = serve(&shop, &collector, &resource);
    let authorization = format!("authorization: Bearer {token}");
    let traceparent = format!("traceparent: 00-{TRACE}-{CALLER}-01");
    let cold = get(&served.address, SALES, &[&authorization, &traceparent]);
    assert_eq!(cold.header("samovar-tier"), "computed");
    let hit = get(&served.address, SALES, &[&authorization]);
    assert_eq!(hit.header("samovar-tier"), "local");
    let nothing = get(&served.address, "/v1/nothing/s3cret-path", &[&authorization]);
    assert_eq!(nothing.status, 404);
    let payload: serde_json::Value = serde_json::from_str(&application.payload(7)).expect("JSON");
    let job = json!({ "kind": "http", "payload": payload, "queue": "high" }).to_string();
    let headers = [&*authorization, "content-type: application/json"];
    let pushed = send(&served.address, "POST /v1/jobs", &headers, &job).answer();
    assert_eq!(pushed.status, 201);
    let id = pushed.json()["id"].as_str().expect("an id").to_owned();
    let posted = application.next();

    let exported = ended(&served, &collector);
    let all = spans(&exported);
    let of_caller: Vec<_> = all.iter().filter(|it| hex(&it.trace_id) == TRACE).collect();
    assert_eq!(of_caller.len(), 3, "{of_caller:#?}");
    let request = of_caller.iter().find(|it| it.name == "GET /v1/widgets/{name}");
    let request = request.expect("a request");
    assert_eq!(hex(&request.parent_span_id), CALLER);
    assert_eq!(request.kind(), SpanKind::Server);
    assert_eq!(text(&request.attributes, "http.route"), "/v1/widgets/{name}");
    assert_eq!(text(&request.attributes, "http.request.method"), "GET");
    assert_eq!(number(&request.attributes, "http.response.status_code"), 200);
    let read = under(&all, request, "read");
    assert_eq!(text(&read.attributes, "samovar.widget"), "sales");
    assert_eq!(text(&read.attributes, "samovar.tier"), "computed");
    assert_eq!(text(&read.attributes, "samovar.state"), "fresh");
    let compute = under(&all, read, "compute");
    assert_eq!(text(&compute.attributes, "db.system.name"), "sqlite");
    assert_eq!(text(&compute.attributes, "samovar.source"), "shop");
    assert_eq!(text(&compute.attributes, "samovar.outcome"), "done");
    assert_eq!(number(&compute.attributes, "samovar.queries"), 1);
    assert_eq!(number(&compute.attributes, "samovar.rows"), 0, "no order has this channel");
    for (inner, outer) in [(compute, read), (read, *request)] {
        assert!(inner.start_time_unix_nano >= outer.start_time_unix_nano);
        assert!(outer.end_time_unix_nano >= inner.end_time_unix_nano);
    }

    let others = || all.iter().filter(|it| hex(&it.trace_id) != TRACE);
    let is_hit = |it: &&&Span| it.name == request.name && it.parent_span_id.is_empty();
    let again = others().find(is_hit).expect("a trace of its own");
    let read = under(&all, again, "read");
    assert_eq!(text(&read.attributes, "samovar.tier"), "local");
    let refused = others().find(|it| number_or(it, "http.response.status_code") == 404);
    let refused = refused.expect("a request");
    assert_eq!(refused.name, "GET", "what is no route names nothing");
    assert_eq!(text(&refused.attributes, "error.type"), "unknown_route");
    let is_job = |it: &&&Span| it.name == "job http";
    let job = others().find(is_job).expect("a job");
    assert!(job.parent_span_id.is_empty());
    assert_eq!(text(&job.attributes, "samovar.job.id"), id);
    assert_eq!(text(&job.attributes, "samovar.job.queue"), "high");
    assert_eq!(text(&job.attributes, "samovar.job.outcome"), "done");
    assert_eq!(number(&job.attributes, "samovar.job.attempt"), 1);
    let told = format!("traceparent: 00-{}-{}-01", hex(&job.trace_id), hex(&job.span_id));
    assert!(posted.head.contains(&told), "{told} in {}", posted.head);

    for exported in &exported {
        assert_eq!(exported.api_key, API_KEY);
        assert_eq!(text(&exported.resource.attributes, "service.name"), "shop");
        assert_eq!(text(&exported.resource.attributes, "zone"), "a,b");
        let raw = String::from_utf8_lossy(&exported.raw);
        let secrets = [API_KEY, token, "p4r4meter", "s3cr3t", "s3cret-path", "jobs/x"];
        for secret in secrets {
            assert!(!raw.contains(secret), "{secret} in {raw}");
        }
    }
    let log = served.process.stderr();
    assert!(log.contains("spans are exported") && !log.contains(API_KEY), "{log}");
}

fn number_or(span: &Span, key: &str) -> i64 {
    let is_there = span.attributes.iter().any(|it| it.key == key);
    if is_there { number(&span.attributes, key) } else { 0 }
}

#[test]
fn a_compute_that_fails_and_a_board_that_is_read_say_so_and_nothing_of_their_data() {
    let collector = Collector::start(Vec::new());
    let shop = Shop::new();
    let board = "[board.all]\ntitle = \"All\"\nwidgets = [\"sales\", \"log\"]\n[tenants]";
    shop.change_config("[tenants]", board);
    let loud = [("OTEL_METRICS_EXPORTER", "none"), ("RUST_LOG", "trace")];
    let served = serve(&shop, &collector, &loud);
    assert_eq!(get(&served.address, "/v1/widgets/broken?tenant=north", &[]).status, 503);
    assert_eq!(get(&served.address, "/v1/boards/all?tenant=north", &[]).status, 200);
    let exported = ended(&served, &collector);
    assert!(exported.iter().all(|it| it.metrics.is_empty()), "nobody asked for metrics");
    let all = spans(&exported);
    let failed = all.iter().find(|it| number_or(it, "http.response.status_code") == 503);
    let failed = failed.expect("a request");
    let read = under(&all, failed, "read");
    let compute = under(&all, read, "compute");
    assert_eq!(text(&compute.attributes, "samovar.outcome"), "failed");
    for span in [failed, &read, &compute] {
        let status = span.status.as_ref().expect("a status");
        assert_eq!((status.code(), &*status.message), (StatusCode::Error, ""), "{}", span.name);
    }
    let request = all.iter().find(|it| it.name == "GET /v1/boards/{name}").expect("a request");
    let board = under(&all, request, "board");
    assert_eq!(text(&board.attributes, "samovar.board"), "all");
    let computes = all.iter().filter(|it| it.parent_span_id == board.span_id);
    let rows: i64 = computes.map(|it| number(&it.attributes, "samovar.rows")).sum();
    assert_eq!(rows, 2 + 50, "channels, and orders of the tenant");
    let raw: Vec<u8> = exported.iter().flat_map(|it| it.raw.clone()).collect();
    let raw = String::from_utf8_lossy(&raw);
    assert!(!raw.contains("malformed") && !raw.contains("a note that repeats"), "{raw}");
    let log = served.process.stderr();
    assert!(
        !log.contains("compute{") && !log.contains("samovar.widget"),
        "spans are no part of it"
    );
}

#[test]
fn a_compute_that_is_given_up_has_failed() {
    let (collector, shop) = (Collector::start(Vec::new()), Shop::new());
    let broken =
        "query = \"select json_extract(note, '$.x') as x from orders where :tenant <> ''\"";
    let endless = "compute_limit = \"50ms\"\nquery = \"with recursive n(i) as (select 1 union all select i \
                   + 1 from n) select max(i) as n from n where :tenant <> ''\"";
    shop.change_config(broken, endless);
    let served = serve(&shop, &collector, &[]);
    assert_eq!(get(&served.address, "/v1/widgets/broken?tenant=north", &[]).status, 503);
    let exported = ended(&served, &collector);
    let all = spans(&exported);
    let compute = all.iter().find(|it| it.name == "compute").expect("a compute");
    assert_eq!(text(&compute.attributes, "samovar.outcome"), "failed");
    assert_eq!(compute.status.as_ref().map(|it| it.code()), Some(StatusCode::Error));
}

#[test]
fn whoever_decided_against_a_trace_is_believed_and_a_sampler_decides_about_others() {
    let collector = Collector::start(Vec::new());
    let shop = Shop::new();
    let sampler = [("OTEL_TRACES_SAMPLER", "parentbased_always_off")];
    let served = serve(&shop, &collector, &sampler);
    let ask = |flags: &str| {
        let traceparent = format!("traceparent: 00-{TRACE}-{CALLER}-{flags}");
        assert_eq!(get(&served.address, SALES, &[&traceparent]).status, 200);
    };
    ask("00");
    assert_eq!(get(&served.address, SALES, &[]).status, 200);
    ask("01");
    let exported = ended(&served, &collector);
    let requests: Vec<_> =
        spans(&exported).into_iter().filter(|it| it.kind() == SpanKind::Server).collect();
    assert_eq!(requests.len(), 1, "{requests:#?}");
    assert_eq!(hex(&requests[0].trace_id), TRACE);
}

#[test]
fn an_alert_says_of_which_span_it_is() {
    let (collector, application) =
        (Collector::start(Vec::new()), Application::start_closed("200 OK"));
    let receiver = Receiver::start(Vec::new()).expect("it listens");
    let alert = format!(
        "[workers]\nslots = 1\n[webhook.ops]\nurl = \"{}/s3cret-hook\"\nsecret = \"long-enough\"\n\
         [alert.queue_wait]\nabove = \"1ms\"\nfor = \"0s\"",
        receiver.url()
    );
    let shop = application.shop(&alert);
    let served = serve(&shop, &collector, &[]);
    // The second waits for the first.
    for order in [1, 2] {
        let payload: serde_json::Value =
            serde_json::from_str(&application.payload(order)).expect("JSON");
        let job = json!({ "kind": "http", "payload": payload });
        assert_eq!(post(&served.address, "/v1/jobs", &job).status, 201);
    }
    let told = receiver.next(LIMIT).expect("an alert");
    application.open();
    let exported = ended(&served, &collector);
    let all = spans(&exported);
    let expected = |it: &&&Span| {
        format!("00-{}-{}-01", hex(&it.trace_id), hex(&it.span_id)) == told.headers["traceparent"]
    };
    let hook = all.iter().find(expected).expect("the span of the webhook");
    assert_eq!((&*hook.name, hook.kind()), ("webhook", SpanKind::Client));
    assert_eq!(text(&hook.attributes, "samovar.webhook"), "ops");
    assert_eq!(text(&hook.attributes, "samovar.alert"), "queue_wait");
    let raw: Vec<u8> = exported.iter().flat_map(|it| it.raw.clone()).collect();
    let raw = String::from_utf8_lossy(&raw);
    assert!(!raw.contains("s3cret-hook") && !raw.contains("long-enough"), "{raw}");
}

#[test]
fn a_worker_exports_its_attempts_and_metrics_and_a_command_that_ends_nothing() {
    let (collector, application) = (Collector::start(Vec::new()), Application::start("200 OK"));
    let redis = RedisServer::builder().config("appendonly yes").start().expect("a Redis");
    let store = format!("[store]\nkind = \"redis\"\nurl = \"{}\"", redis.url());
    let shop = application.shop(&store);
    let payload = application.payload(1);
    let push = ["jobs", "push", "http", "--payload", &payload];
    let pushed = start(&shop, &push, &collector, &[]);
    pushed.wait_for_success(LIMIT).expect("it is pushed");
    assert!(collector.rest().is_empty(), "only processes that last export");
    let worker = start(&shop, &["work"], &collector, &[]);
    worker.hear("working on ", LIMIT).expect("it works");
    let posted = application.next();
    worker.terminate().expect("it runs");
    worker.wait_for_success(LIMIT).expect("a good end");
    let exported = collector.rest();
    let all = spans(&exported);
    let job = all.iter().find(|it| it.name == "job http").expect("a job");
    assert_eq!(text(&job.attributes, "samovar.job.outcome"), "done");
    assert!(posted.head.contains(&hex(&job.span_id)), "{}", posted.head);
    let metrics = exported.iter().flat_map(|it| &it.metrics);
    let names: Vec<_> = metrics.map(|it| &*it.name).collect();
    assert!(names.contains(&"samovar_worker_slots"), "{names:?}");
}
