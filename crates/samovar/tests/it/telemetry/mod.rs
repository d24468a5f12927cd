//! Spans and metrics of real processes, as a collector reads them.

mod collector;
mod failing;
mod metrics;
mod spans;

use samovar_testkit::Process;

use self::collector::Collector;
use crate::shop::{Served, Shop};

/// Of the collector: it stands in nothing that is exported, and in no log.
const API_KEY: &str = "k3y-of-the-collector";

/// A server that exports to a collector, soon, and with more in its environment.
fn serve(shop: &Shop, collector: &Collector, more: &[(&str, &str)]) -> Served {
    Served::of(start(shop, &["serve", "--listen", "127.0.0.1:0"], collector, more))
}

fn start(shop: &Shop, arguments: &[&str], collector: &Collector, more: &[(&str, &str)]) -> Process {
    let mut command = shop.command(arguments);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    command.env("OTEL_EXPORTER_OTLP_HEADERS", format!("x-api-key={API_KEY}"));
    command.env("OTEL_BSP_SCHEDULE_DELAY", "10");
    command.envs(more.iter().copied());
    Process::spawn(command).expect("it starts")
}
