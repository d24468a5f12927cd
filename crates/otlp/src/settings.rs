//! What the environment says of telemetry, by the variables of the OpenTelemetry specification. Nothing is
//! exported where no endpoint is named. A mistake ends no process: what cannot be done as it is asked for
//! is left out, and told.

use std::time::Duration;

use reqwest::{
    Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};

use crate::{
    limits,
    post::Destination,
    sampler::Sampler,
    variables::{Mistake, Variables, pairs},
};

/// What is exported, how, and to where.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub(crate) spans: Option<SpanSettings>,
    pub(crate) metrics: Option<MetricSettings>,
    /// Names and values that say whose they are.
    pub(crate) resource: Vec<(String, String)>,
}

/// Which process it is, where the environment says nothing else.
#[derive(Clone, Debug)]
pub struct Service {
    pub version: &'static str,
    /// Another one for each process.
    pub instance: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SpanSettings {
    pub(crate) to: Destination,
    pub(crate) sampler: Sampler,
    /// That may wait.
    pub(crate) queue: usize,
    pub(crate) batching: Batching,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Batching {
    pub(crate) most: usize,
    pub(crate) delay: Duration,
    /// How long the same are tried.
    pub(crate) tried: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MetricSettings {
    pub(crate) to: Destination,
    pub(crate) interval: Duration,
    /// For one export.
    pub(crate) most: Duration,
}

impl Settings {
    /// The first variable that asks for an export, unless another one forbids it.
    pub fn asked_for(find: &dyn Fn(&str) -> Option<String>) -> Option<&'static str> {
        let variables = Variables::new(find);
        let endpoints = [
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        ];
        let is_disabled =
            variables.text("OTEL_SDK_DISABLED").is_some_and(|it| it.eq_ignore_ascii_case("true"));
        let named = endpoints.into_iter().find(|name| variables.text(name).is_some());
        named.filter(|_| !is_disabled)
    }

    /// `None` where nothing is to be exported. `find` looks a variable up.
    pub fn read(
        find: &dyn Fn(&str) -> Option<String>,
        service: &Service,
    ) -> (Option<Self>, Vec<Mistake>) {
        if Self::asked_for(find).is_none() {
            return (None, Vec::new());
        }
        let mut variables = Variables::new(find);
        match variables.text("OTEL_SDK_DISABLED").as_deref() {
            None | Some("false" | "False" | "FALSE") => {}
            Some(_) => variables.mistake(
                "OTEL_SDK_DISABLED",
                "it is neither true nor false",
                "say true, and nothing is exported",
            ),
        }
        let spans = spans(&mut variables);
        let metrics = metrics(&mut variables);
        let resource = resource(&mut variables, service);
        let settings = Self { spans, metrics, resource };
        let is_any = settings.spans.is_some() || settings.metrics.is_some();
        (is_any.then_some(settings), variables.mistakes)
    }
}

fn spans(variables: &mut Variables<'_>) -> Option<SpanSettings> {
    let to = destination(variables, "TRACES", "v1/traces")?;
    let queue = variables.number("OTEL_BSP_MAX_QUEUE_SIZE", limits::QUEUE, limits::QUEUES);
    let most = limits::BATCH.min(queue);
    let most = variables.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", most, 1..=queue);
    let batching = Batching {
        most: most as usize,
        delay: variables.time("OTEL_BSP_SCHEDULE_DELAY", limits::DELAY_MS),
        tried: variables.time("OTEL_BSP_EXPORT_TIMEOUT", limits::TRIED_MS),
    };
    Some(SpanSettings { to, sampler: sampler(variables), queue: queue as usize, batching })
}

fn metrics(variables: &mut Variables<'_>) -> Option<MetricSettings> {
    const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    let to = destination(variables, "METRICS", "v1/metrics")?;
    if variables.text(TEMPORALITY).is_some_and(|it| !it.eq_ignore_ascii_case("cumulative")) {
        let reason = "only `cumulative` is known";
        variables.mistake(TEMPORALITY, reason, "sums and histograms are cumulative");
    }
    let interval = variables.time("OTEL_METRIC_EXPORT_INTERVAL", limits::INTERVAL_MS);
    let most = variables.time("OTEL_METRIC_EXPORT_TIMEOUT", limits::METRICS_MS);
    Some(MetricSettings { to, interval, most })
}

/// `None` where nothing of this kind is to be exported, or cannot be.
fn destination(variables: &mut Variables<'_>, signal: &str, path: &str) -> Option<Destination> {
    let exporter = format!("OTEL_{signal}_EXPORTER");
    if let Some(named) = variables.text(&exporter) {
        let names: Vec<_> = named.split(',').map(str::trim).collect();
        if names.iter().any(|name| !matches!(*name, "otlp" | "none")) {
            variables.mistake(&exporter, "only `otlp` and `none` are known", "name one of them");
        }
        if !names.contains(&"otlp") {
            return None;
        }
    }
    let (name, text) = variables.of_signal(signal, "ENDPOINT")?;
    let is_sound = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    let Some(mut url) = Url::parse(&text).ok().filter(is_sound) else {
        let hint = "write it like http://127.0.0.1:4318; nothing is exported there";
        variables.mistake(&name, "it is no URL of http or https", hint);
        return None;
    };
    // The endpoint of all is where the paths of each begin.
    if name == "OTEL_EXPORTER_OTLP_ENDPOINT" {
        let below = format!("{}/{path}", url.path().trim_end_matches('/'));
        url.set_path(&below);
    }
    if let Some((name, protocol)) = variables.of_signal(signal, "PROTOCOL")
        && protocol != "http/protobuf"
    {
        let hint = "name the collector's endpoint for `http/protobuf`, on port 4318 as a rule, and \
                    say so here; nothing is exported there";
        variables.mistake(&name, "only `http/protobuf` is spoken", hint);
        return None;
    }
    let headers = headers(variables, signal)?;
    let answer = match variables.of_signal(signal, "TIMEOUT") {
        Some((name, _)) => variables.time(&name, limits::ANSWER_MS),
        None => Duration::from_millis(limits::ANSWER_MS),
    };
    for unknown in ["CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"] {
        if let Some((name, _)) = variables.of_signal(signal, unknown) {
            let hint = "let the system trust the collector, or put a proxy in between";
            variables.mistake(&name, "it is not read", hint);
        }
    }
    if let Some((name, coding)) = variables.of_signal(signal, "COMPRESSION")
        && coding != "none"
    {
        variables.mistake(&name, "only `none` is known", "nothing is compressed");
    }
    Some(Destination { url, headers, answer })
}

/// `None` where they cannot be sent: without them the collector is not to be asked.
fn headers(variables: &mut Variables<'_>, signal: &str) -> Option<HeaderMap> {
    let Some((name, text)) = variables.of_signal(signal, "HEADERS") else {
        return Some(HeaderMap::new());
    };
    let parse = || {
        let mut headers = HeaderMap::new();
        for (index, (name, value)) in pairs(&text)?.into_iter().enumerate() {
            let place = index + 1;
            let name = HeaderName::try_from(name)
                .map_err(|_| format!("the name of pair {place} is none of a header"))?;
            let mut value = HeaderValue::try_from(value)
                .map_err(|_| format!("the value of pair {place} cannot be sent"))?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        Ok::<_, String>(headers)
    };
    let wrong = |reason: String| {
        let hint = "write it like name=value,name=value; nothing is exported without it";
        variables.mistake(&name, &reason, hint);
    };
    parse().map_err(wrong).ok()
}

fn sampler(variables: &mut Variables<'_>) -> Sampler {
    const NAME: &str = "OTEL_TRACES_SAMPLER";
    const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
    let Some(name) = variables.text(NAME) else { return Sampler::default() };
    let ratio = match variables.text(ARGUMENT).filter(|_| name.ends_with("traceidratio")) {
        None => 1.0,
        Some(text) => match text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)) {
            Some(ratio) => ratio,
            None => {
                variables.mistake(ARGUMENT, "it is no number from 0 to 1", "1 is taken");
                1.0
            }
        },
    };
    Sampler::named(&name, ratio).unwrap_or_else(|| {
        let hint = "take always_on, always_off, traceidratio, or parentbased_ and one of these; \
                    parentbased_always_on is taken";
        variables.mistake(NAME, "there is no sampler of this name", hint);
        Sampler::default()
    })
}

fn resource(variables: &mut Variables<'_>, service: &Service) -> Vec<(String, String)> {
    const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
    let own = [
        ("service.name", "samovar"),
        ("service.version", service.version),
        ("service.instance.id", &service.instance),
        ("telemetry.sdk.name", "samovar"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
    ];
    let mut resource: Vec<_> = own.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut set = |name: String, value: String| match resource.iter_mut().find(|it| it.0 == name) {
        Some(before) => before.1 = value,
        None => resource.push((name, value)),
    };
    match variables.text(ATTRIBUTES).map_or(Ok(Vec::new()), |text| pairs(&text)) {
        Ok(pairs) => pairs.into_iter().for_each(|(name, value)| set(name, value)),
        Err(reason) => {
            let hint = "write it like name=value,name=value; none of them is taken";
            variables.mistake(ATTRIBUTES, &reason, hint);
        }
    }
    if let Some(name) = variables.text("OTEL_SERVICE_NAME") {
        set("service.name".to_owned(), name);
    }
    resource
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c.example:4318/base/");

    fn read(variables: &[(&str, &str)]) -> (Option<Settings>, Vec<Mistake>) {
        let find = |name: &str| {
            let found = variables.iter().rev().find(|(it, _)| *it == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let service = Service { version: "1.2.3", instance: "host-7".to_owned() };
        Settings::read(&find, &service)
    }

    fn sound(variables: &[(&str, &str)]) -> Settings {
        let (settings, mistakes) = read(variables);
        assert_eq!(mistakes, []);
        settings.expect("something is exported")
    }

    #[test]
    fn without_an_endpoint_nothing_is_exported() {
        let disabled = [ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")];
        let elsewhere =
            [ENDPOINT, ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_METRICS_EXPORTER", "none")];
        let empty = [("OTEL_EXPORTER_OTLP_ENDPOINT", " "), ("OTEL_TRACES_SAMPLER", "wrong")];
        for variables in [&disabled[..], &elsewhere, &empty, &[]] {
            assert_eq!(read(variables), (None, Vec::new()), "{variables:?}");
        }
    }

    #[test]
    fn what_is_said_of_one_kind_counts_more_than_what_is_said_of_all() {
        let settings = sound(&[
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://m.example/as-it-is"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1, b = x%20y"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "c=3"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "70"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "80"),
        ]);
        let (spans, metrics) = (settings.spans.expect("spans"), settings.metrics.expect("metrics"));
        assert_eq!(spans.to.url.as_str(), "http://c.example:4318/base/v1/traces");
        assert_eq!(metrics.to.url.as_str(), "https://m.example/as-it-is");
        assert_eq!(spans.to.headers.len(), 1);
        assert_eq!(metrics.to.headers["b"], "x y");
        let answers = [spans.to.answer, metrics.to.answer];
        assert_eq!(answers, [Duration::from_millis(70), Duration::from_millis(80)]);
        assert!(!format!("{metrics:?}").contains("x y"), "{metrics:?}");
    }

    #[test]
    fn the_resource_says_whose_it_is() {
        let find = |settings: &Settings, name: &str| {
            settings.resource.iter().find(|it| it.0 == name).map(|it| it.1.clone())
        };
        let settings = sound(&[ENDPOINT]);
        assert_eq!(find(&settings, "service.name").as_deref(), Some("samovar"));
        assert_eq!(find(&settings, "service.version").as_deref(), Some("1.2.3"));
        let named = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=shop,zone=a%2Cb");
        let settings = sound(&[ENDPOINT, named]);
        assert_eq!(find(&settings, "service.name").as_deref(), Some("shop"));
        assert_eq!(find(&settings, "zone").as_deref(), Some("a,b"));
        let settings = sound(&[ENDPOINT, named, ("OTEL_SERVICE_NAME", "till")]);
        assert_eq!(find(&settings, "service.name").as_deref(), Some("till"));
    }

    #[test]
    fn sampler_and_queue_are_taken() {
        let settings = sound(&[
            ENDPOINT,
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
        ]);
        let spans = settings.spans.expect("spans");
        assert_eq!(spans.sampler, Sampler { is_parent_based: false, ratio: 0.25 });
        assert_eq!((spans.queue, spans.batching.most), (100, 100));
        assert_eq!(settings.metrics.expect("metrics").interval, Duration::from_millis(500));
    }

    /// Each variable is wrong by itself, is named, and what it holds is not told.
    #[test]
    fn mistakes_are_told_and_what_they_leave_is_done() {
        for (variable, value, spans, metrics) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "s3cret:4318", false, false),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://s3cret", false, false),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "s3cret", false, true),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc-s3cret", false, false),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json", true, false),
            ("OTEL_EXPORTER_OTLP_HEADERS", "s3cret", false, false),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,=s3cret", false, false),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=s3cret", false, false),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=s3cret%0A", false, true),
            ("OTEL_TRACES_EXPORTER", "s3cret", false, true),
            ("OTEL_METRICS_EXPORTER", "otlp,s3cret", true, true),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "s3cret", true, true),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "s3cret", true, true),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/s3cret", true, true),
            ("OTEL_TRACES_SAMPLER", "s3cret", true, true),
            ("OTEL_RESOURCE_ATTRIBUTES", "s3cret", true, true),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0", true, true),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2049", true, true),
            ("OTEL_BSP_SCHEDULE_DELAY", "-1", true, true),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1.5", true, true),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta", true, true),
            ("OTEL_SDK_DISABLED", "s3cret", true, true),
        ] {
            let (settings, mistakes) = read(&[ENDPOINT, (variable, value)]);
            let told: Vec<_> = mistakes.iter().map(|it| &*it.variable).collect();
            assert!(
                !told.is_empty() && told.iter().all(|it| *it == variable),
                "{variable} {told:?}"
            );
            assert!(!format!("{mistakes:?}").contains("s3cret"), "{mistakes:?}");
            let has = |settings: &Settings| (settings.spans.is_some(), settings.metrics.is_some());
            assert_eq!(
                settings.as_ref().map_or((false, false), has),
                (spans, metrics),
                "{variable}={value}"
            );
        }
        let ratio =
            [ENDPOINT, ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "1.5")];
        assert_eq!(read(&ratio).1.len(), 1);
    }
}
