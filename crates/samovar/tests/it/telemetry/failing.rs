//! Collectors that are away, refuse or hang: nobody who asks for a widget notices.

use std::net::TcpListener;

use samovar_testkit::{receiver::Answer, wait};

use super::{API_KEY, collector::Collector, serve};
use crate::{
    http::get,
    shop::{LIMIT, Served, Shop},
};

const SALES: &str = "/v1/widgets/sales?tenant=north";

fn read(served: &Served) {
    assert_eq!(get(&served.address, SALES, &[]).status, 200);
}

/// What it has said by its good end, which is not long in coming.
fn ended(served: &Served) -> String {
    served.process.terminate().expect("it runs");
    served.process.wait_for_success(LIMIT).expect("a good end");
    let log = served.process.stderr();
    assert!(!log.contains(API_KEY) && !log.contains("panicked"), "{log}");
    log
}

fn told(served: &Served, what: &str) {
    let said = || served.process.stderr().contains(what).then_some(());
    wait::until(LIMIT, what, said).expect("it says so");
}

#[test]
fn a_collector_that_is_away_is_told_of_once() {
    let shop = Shop::new();
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/s3cret-path", nobody.local_addr().expect("an address"));
    drop(nobody);
    let collector = Collector::start(Vec::new());
    let away = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*url),
        ("OTEL_METRICS_EXPORTER", "none"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "1"),
    ];
    let served = serve(&shop, &collector, &away);
    read(&served);
    told(&served, "spans are not exported");
    for _ in 0..20 {
        read(&served);
    }
    let log = ended(&served);
    // Once when it happened, once at the end for all that came later.
    assert!(log.matches("spans are not exported").count() <= 2, "{log}");
    assert!(!log.contains("s3cret-path"), "{log}");
}

#[test]
fn a_collector_that_fails_for_a_while_gets_what_it_has_missed() {
    let shop = Shop::new();
    let later = Answer::Status("503 Later\r\nretry-after: 0".to_owned());
    let collector = Collector::start(vec![later.clone(), later]);
    let served = serve(&shop, &collector, &[("OTEL_METRICS_EXPORTER", "none")]);
    read(&served);
    let (first, second, third) = (collector.next(), collector.next(), collector.next());
    assert_eq!(first.raw, second.raw, "the same again");
    assert_eq!(first.raw, third.raw, "until it is taken");
    assert!(!ended(&served).contains("not exported"));
}

#[test]
fn what_a_collector_refuses_is_counted_and_not_sent_again() {
    let shop = Shop::new();
    let collector = Collector::start(vec![Answer::Status("500 Oh".to_owned())]);
    let served = serve(&shop, &collector, &[("OTEL_METRICS_EXPORTER", "none")]);
    read(&served);
    let first = collector.next();
    told(&served, "the collector answered with 500");
    read(&served);
    assert_ne!(collector.next().raw, first.raw);
    assert!(ended(&served).contains("spans are exported again"));
}

#[test]
fn spans_beyond_the_queue_are_dropped_while_a_collector_hangs_and_counted() {
    let shop = Shop::new();
    let collector = Collector::start(vec![Answer::Silence]);
    let little = [
        ("OTEL_METRICS_EXPORTER", "none"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "1"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "3000"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "1"),
    ];
    let served = serve(&shop, &collector, &little);
    read(&served);
    // It answers nothing to this one, which is given up after a while.
    collector.next();
    for _ in 0..5 {
        read(&served);
    }
    told(&served, "spans are exported again");
    let log = ended(&served);
    let again = log.lines().find(|line| line.contains("exported again")).expect("a line");
    let lost = again.split("lost=").nth(1).and_then(|it| it.trim().parse::<u64>().ok());
    assert!(lost.is_some_and(|lost| lost > 0), "{again}");
}

#[test]
fn a_collector_that_hangs_holds_up_neither_requests_nor_the_end() {
    let shop = Shop::new();
    let collector = Collector::start(vec![Answer::Silence; 1000]);
    let served = serve(&shop, &collector, &[("OTEL_METRIC_EXPORT_INTERVAL", "10")]);
    read(&served);
    collector.next();
    read(&served);
    let log = ended(&served);
    assert!(log.contains("telemetry is given up"), "{log}");
}

#[test]
fn a_variable_that_is_wrong_is_told_without_what_it_holds() {
    let shop = Shop::new();
    let collector = Collector::start(Vec::new());
    let wrong = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key-k3y-of-the-collector"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
    ];
    let served = serve(&shop, &collector, &wrong);
    read(&served);
    let log = ended(&served);
    assert!(log.contains("OTEL_EXPORTER_OTLP_HEADERS") && log.contains("has no `=`"), "{log}");
    assert!(collector.rest().is_empty(), "nothing is sent without its headers");
}
