//! A binary without the feature `otlp` says so where it is asked for it.

use samovar_testkit::Process;

use crate::shop::{LIMIT, Served, Shop};

#[test]
fn whoever_asks_for_telemetry_is_told_that_there_is_none() {
    let shop = Shop::new();
    let mut command = shop.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/s3cret");
    let served = Served::of(Process::spawn(command).expect("it starts"));
    served.process.terminate().expect("it runs");
    served.process.wait_for_success(LIMIT).expect("a good end");
    let log = served.process.stderr();
    assert!(
        log.contains("OTEL_EXPORTER_OTLP_ENDPOINT") && log.contains("--features otlp"),
        "{log}"
    );
    assert!(!log.contains("s3cret"), "{log}");
}
