//! The text in which Prometheus reads metrics (format 0.0.4).

use std::fmt::{Display, Write};

/// Families of samples, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    text: String,
    family: &'static str,
}

/// Names and values that tell samples of one family apart.
pub(crate) type Labels<'a> = &'a [(&'static str, &'a str)];

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Exposition {
    /// Samples that follow belong to this family. Each is begun once.
    pub(crate) fn begin(&mut self, family: &'static str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.family = family;
        self.line(format_args!("# HELP {family} {help}\n# TYPE {family} {kind}"));
    }

    pub(crate) fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        let (family, labels) = (self.family, shown(labels));
        self.line(format_args!("{family}{labels} {value}"));
    }

    /// A family of one sample.
    pub(crate) fn single(
        &mut self,
        family: &'static str,
        kind: Kind,
        help: &str,
        value: impl Display,
    ) {
        self.begin(family, kind, help);
        self.sample(&[], value);
    }

    /// `counts` by the upper `bounds` of their buckets, in microseconds; the last has none.
    pub(crate) fn histogram(
        &mut self,
        labels: Labels<'_>,
        bounds_us: &[u64],
        counts: &[u64],
        sum_us: u64,
    ) {
        let family = self.family;
        let mut all = 0;
        for (index, count) in counts.iter().enumerate() {
            all += count;
            let bound = bounds_us.get(index).map(|us| seconds(*us).to_string());
            let bound = bound.unwrap_or_else(|| "+Inf".to_owned());
            let labels = shown(&[labels, &[("le", bound.as_str())]].concat());
            self.line(format_args!("{family}_bucket{labels} {all}"));
        }
        let labels = shown(labels);
        self.line(format_args!("{family}_sum{labels} {}", seconds(sum_us)));
        self.line(format_args!("{family}_count{labels} {all}"));
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("memory takes everything");
    }
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

fn shown(labels: Labels<'_>) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let escape =
        |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let label = |(name, value): &(&str, &str)| format!("{name}=\"{}\"", escape(value));
    format!("{{{}}}", labels.iter().map(label).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up_and_labels_are_escaped() {
        let mut exposition = Exposition::default();
        exposition.begin("a_seconds", Kind::Histogram, "Waited.");
        exposition.histogram(&[("widget", "a\"b\\\n")], &[100, 2_500_000], &[1, 0, 2], 7_000_000);
        let said = exposition.into_text();
        let label = "widget=\"a\\\"b\\\\\\n\"";
        let expected = format!(
            "# HELP a_seconds Waited.\n# TYPE a_seconds histogram\n\
             a_seconds_bucket{{{label},le=\"0.0001\"}} 1\na_seconds_bucket{{{label},le=\"2.5\"}} 1\n\
             a_seconds_bucket{{{label},le=\"+Inf\"}} 3\n\
             a_seconds_sum{{{label}}} 7\na_seconds_count{{{label}}} 3\n"
        );
        assert_eq!(said, expected);
    }
}
