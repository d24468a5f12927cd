//! Metrics: the same as at `/metrics`, of whatever is served.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data, number_data_point};

use super::{
    collector::{Collector, text},
    serve,
};
use crate::{
    http::get,
    metrics::Exposition,
    shop::{LIMIT, Shop},
};

/// The next export of metrics in which this holds.
fn metrics(collector: &Collector, is_so: impl Fn(&[Metric]) -> bool) -> Vec<Metric> {
    loop {
        let metrics = collector.next().metrics;
        if is_so(&metrics) {
            return metrics;
        }
    }
}

/// How often a widget was computed for a reader.
fn misses(metrics: &[Metric], widget: &str) -> Option<i64> {
    let reads = metrics.iter().find(|it| it.name == "samovar_reads_total")?;
    let Some(Data::Sum(sum)) = &reads.data else { panic!("{reads:?}") };
    let is_it =
        |labels: &[_]| text(labels, "widget") == widget && text(labels, "tier") == "computed";
    let point = sum.data_points.iter().find(|it| is_it(&it.attributes))?;
    match point.value {
        Some(number_data_point::Value::AsInt(count)) => Some(count),
        other => panic!("{other:?}"),
    }
}

#[test]
fn metrics_are_those_of_prometheus_also_when_other_definitions_are_served() {
    let collector = Collector::start(Vec::new());
    let shop = Shop::new();
    let often = [("OTEL_METRIC_EXPORT_INTERVAL", "50"), ("OTEL_TRACES_EXPORTER", "none")];
    let served = serve(&shop, &collector, &often);
    assert_eq!(get(&served.address, "/v1/widgets/sales?tenant=north", &[]).status, 200);
    let exported = metrics(&collector, |it| misses(it, "sales") == Some(1));
    let exposition = Exposition::read(&served.address);
    let names: BTreeSet<_> = exported.iter().map(|it| it.name.clone()).collect();
    assert_eq!(names, exposition.families());
    for metric in &exported {
        let kind = match &metric.data {
            Some(Data::Sum(sum)) if sum.is_monotonic => "counter",
            Some(Data::Gauge(_)) => "gauge",
            Some(Data::Histogram(_)) => "histogram",
            other => panic!("{other:?}"),
        };
        assert_eq!(exposition.kind(&metric.name), kind, "{}", metric.name);
        let is_time = metric.name.contains("seconds");
        assert_eq!(metric.unit == "s", is_time, "{}", metric.name);
    }
    let took = exported.iter().find(|it| it.name == "samovar_compute_seconds");
    let Some(Data::Histogram(took)) = took.and_then(|it| it.data.clone()) else { panic!() };
    let is_sales = |it: &&_| {
        let point: &opentelemetry_proto::tonic::metrics::v1::HistogramDataPoint = it;
        text(&point.attributes, "widget") == "sales"
    };
    let point = took.data_points.iter().find(is_sales).expect("a histogram");
    assert_eq!((point.count, point.bucket_counts.iter().sum::<u64>()), (1, 1));
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    assert!(point.sum.is_some_and(|sum| sum > 0.0));

    let total = "[widget.total]\nsource = \"shop\"\n\
                 query = \"select count(*) as n from orders where tenant = :tenant\"\n[widget.sales]\n";
    shop.change_config("[widget.sales]\n", total);
    served.process.reload().expect("it runs");
    metrics(&collector, |it| misses(it, "total").is_some());
    assert_eq!(get(&served.address, "/v1/widgets/total?tenant=north", &[]).status, 200);
    served.process.terminate().expect("it runs");
    served.process.wait_for_success(LIMIT).expect("a good end");
    let last = collector.rest().pop().expect("the end is exported");
    assert_eq!(misses(&last.metrics, "total"), Some(1));
}
