//! The metrics of `/metrics`, under the same names, as messages of the protocol.

use std::{future::Future, time::Duration};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point::Value,
    },
    resource::v1::Resource,
};
use prost::{Message, bytes::Bytes};
use samovar_clock::Clock;
use samovar_server::{Family, Figure, Kind, Sample};
use tokio::sync::watch;

use crate::{
    loss::Loss,
    messages::{scope, text},
    post::Post,
    telemetry::stopped,
};

pub(crate) struct Exporting {
    pub(crate) interval: Duration,
    /// For one export.
    pub(crate) most: Duration,
    pub(crate) post: Post,
    pub(crate) resource: Resource,
    pub(crate) clock: Clock,
    pub(crate) loss: Loss,
    /// When the process began to count.
    pub(crate) since_ns: u64,
}

impl Exporting {
    /// Until it is told to stop, when what is counted by then is exported once more. What is not taken
    /// is not sent again: the next export says it as well.
    pub(crate) async fn run<F>(
        mut self,
        families: impl Fn() -> F + Send,
        stop: watch::Receiver<bool>,
    ) where
        F: Future<Output = Vec<Family>> + Send,
    {
        loop {
            let is_last = tokio::select! {
                biased;
                () = stopped(stop.clone()) => true,
                () = self.clock.sleep(self.interval) => false,
            };
            let export = self.export(families());
            match self.clock.timeout(self.most, export).await {
                Ok(Ok(())) => self.loss.arrived(),
                Ok(Err(error)) => self.loss.add(1, error),
                Err(_) => self.loss.add(1, "it took longer than OTEL_METRIC_EXPORT_TIMEOUT"),
            }
            if is_last {
                return self.loss.end();
            }
        }
    }

    async fn export(&self, families: impl Future<Output = Vec<Family>>) -> Result<(), String> {
        let times = Times { since_ns: self.since_ns, now_ns: self.clock.wall_nanos() };
        let message = request(families.await, times, self.resource.clone());
        let message = Bytes::from(message.encode_to_vec());
        let sent = self.post.send::<ExportMetricsServiceResponse>(message).await;
        let answer = sent.map_err(|error| error.to_string())?;
        match answer.partial_success.map_or(0, |it| it.rejected_data_points) {
            0 => Ok(()),
            refused => Err(format!("the collector refused {refused} of the samples")),
        }
    }
}

#[derive(Clone, Copy)]
struct Times {
    since_ns: u64,
    now_ns: u64,
}

fn request(families: Vec<Family>, times: Times, resource: Resource) -> ExportMetricsServiceRequest {
    // Of what is not declared there is nothing to say.
    let families = families.into_iter().filter(|family| !family.samples.is_empty());
    let metrics = families.map(|family| metric(family, times)).collect();
    let of_scope = ScopeMetrics { scope: Some(scope()), metrics, ..ScopeMetrics::default() };
    let of_resource = ResourceMetrics {
        resource: Some(resource),
        scope_metrics: vec![of_scope],
        ..ResourceMetrics::default()
    };
    ExportMetricsServiceRequest { resource_metrics: vec![of_resource] }
}

fn metric(family: Family, times: Times) -> Metric {
    let Family { name, kind, help, samples } = family;
    let cumulative = AggregationTemporality::Cumulative.into();
    let samples = samples.into_iter();
    let data = match kind {
        Kind::Gauge => {
            // What is so now has no beginning.
            let times = Times { since_ns: 0, ..times };
            let data_points = samples.filter_map(|it| number(&it, times)).collect();
            Data::Gauge(Gauge { data_points })
        }
        Kind::Counter => Data::Sum(Sum {
            data_points: samples.filter_map(|it| number(&it, times)).collect(),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        Kind::Histogram => Data::Histogram(Histogram {
            data_points: samples.filter_map(|it| histogram(it, times)).collect(),
            aggregation_temporality: cumulative,
        }),
    };
    Metric {
        name: name.to_owned(),
        description: help.to_owned(),
        unit: unit(name).to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

/// By the end of a name, in the units of UCUM.
fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    match name.rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        Some("ratio") => "1",
        _ => "",
    }
}

fn number(sample: &Sample, times: Times) -> Option<NumberDataPoint> {
    let value = match sample.figure {
        Figure::Whole(whole) => Value::AsInt(i64::try_from(whole).unwrap_or(i64::MAX)),
        Figure::Real(real) => Value::AsDouble(real),
        Figure::Histogram { .. } => return None,
    };
    Some(NumberDataPoint {
        attributes: sample.labels.iter().map(|(name, value)| text(name, value)).collect(),
        start_time_unix_nano: times.since_ns,
        time_unix_nano: times.now_ns,
        value: Some(value),
        ..NumberDataPoint::default()
    })
}

fn histogram(sample: Sample, times: Times) -> Option<HistogramDataPoint> {
    let Figure::Histogram { bounds_us, counts, sum_us } = sample.figure else { return None };
    Some(HistogramDataPoint {
        attributes: sample.labels.iter().map(|(name, value)| text(name, value)).collect(),
        start_time_unix_nano: times.since_ns,
        time_unix_nano: times.now_ns,
        count: counts.iter().sum(),
        sum: Some(sum_us as f64 / 1e6),
        explicit_bounds: bounds_us.iter().map(|us| *us as f64 / 1e6).collect(),
        bucket_counts: counts,
        ..HistogramDataPoint::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_that_names_end_in() {
        assert_eq!(unit("samovar_read_seconds"), "s");
        assert_eq!(unit("samovar_computed_bytes_total"), "By");
        assert_eq!(unit("samovar_hit_ratio"), "1");
        assert_eq!(unit("samovar_reads_total"), "");
        assert_eq!(unit("samovar_in_flight"), "");
    }

    #[test]
    fn a_histogram_keeps_its_buckets_and_a_counter_its_beginning() {
        let labels = vec![("widget", "sales".to_owned())];
        let figure = Figure::Histogram {
            bounds_us: &[100, 2_500_000],
            counts: vec![1, 0, 2],
            sum_us: 7_000_000,
        };
        let times = Times { since_ns: 3, now_ns: 9 };
        let samples = vec![Sample { labels: labels.clone(), figure }];
        let waited = Family { name: "a_seconds", kind: Kind::Histogram, help: "Waited.", samples };
        let Some(Data::Histogram(histogram)) = metric(waited, times).data else {
            panic!("a histogram")
        };
        let point = &histogram.data_points[0];
        assert_eq!(point.explicit_bounds, [0.0001, 2.5]);
        assert_eq!((&*point.bucket_counts, point.count), (&[1, 0, 2][..], 3));
        assert_eq!((point.sum, point.start_time_unix_nano), (Some(7.0), 3));

        let samples = vec![Sample { labels, figure: Figure::Whole(7) }];
        let made = Family { name: "b_total", kind: Kind::Counter, help: "Made.", samples };
        let Some(Data::Sum(sum)) = metric(made.clone(), times).data else { panic!("a sum") };
        assert!(sum.is_monotonic);
        assert_eq!(sum.data_points[0].start_time_unix_nano, 3);
        let left = Family { kind: Kind::Gauge, ..made };
        let Some(Data::Gauge(gauge)) = metric(left, times).data else { panic!("a gauge") };
        assert_eq!(gauge.data_points[0].start_time_unix_nano, 0);
        assert_eq!(gauge.data_points[0].value, Some(Value::AsInt(7)));
    }
}
