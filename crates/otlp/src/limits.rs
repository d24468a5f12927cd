//! Every limit of what is exported, and what happens at it.

use std::{ops::RangeInclusive, time::Duration};

/// Spans that wait, unless `OTEL_BSP_MAX_QUEUE_SIZE` says otherwise. More are dropped, counted and told.
pub const QUEUE: u64 = 2048;
pub const QUEUES: RangeInclusive<u64> = 1..=1_000_000;
/// Spans of one request, unless `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` says otherwise; never more than wait.
pub const BATCH: u64 = 512;
/// How long a span waits for others, unless `OTEL_BSP_SCHEDULE_DELAY` says otherwise.
pub const DELAY_MS: u64 = 5000;
/// How long the same spans are tried, unless `OTEL_BSP_EXPORT_TIMEOUT` says otherwise. Then they are lost.
pub const TRIED_MS: u64 = 30_000;
/// How long the collector may take to answer, unless `OTEL_EXPORTER_OTLP_TIMEOUT` says otherwise.
pub const ANSWER_MS: u64 = 10_000;
/// How often metrics are exported, unless `OTEL_METRIC_EXPORT_INTERVAL` says otherwise.
pub const INTERVAL_MS: u64 = 60_000;
/// How long reading and exporting them may take, unless `OTEL_METRIC_EXPORT_TIMEOUT` says otherwise.
pub const METRICS_MS: u64 = 30_000;
/// What each of these times can be set to, in milliseconds.
pub const TIMES_MS: RangeInclusive<u64> = 1..=3_600_000;
/// Attributes of the resource, and headers. More: none of them is taken.
pub const PAIRS: usize = 100;
/// Pauses before the same spans are sent again: the first, doubled each time up to the last. A collector
/// that says how long to wait is believed up to the last.
pub const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(16)];
/// Failures in between are told together.
pub const TELL_AGAIN: Duration = Duration::from_secs(60);
/// Bytes of an answer of the collector that are read. In more there is nothing to be understood.
pub const ANSWER_BYTES: usize = 64 << 10;
/// How long the end of the process waits for what is still to be exported. Then it is lost.
pub const END: Duration = Duration::from_secs(5);
