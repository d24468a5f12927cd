//! The text in which Prometheus reads metrics (format 0.0.4).

use std::fmt::{Arguments, Write};

use crate::families::{Family, Figure, Kind, Sample};

pub(crate) fn write(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families {
        let (name, help, kind) = (family.name, family.help, kind(family.kind));
        line(&mut text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
        for sample in &family.samples {
            write_sample(&mut text, name, sample);
        }
    }
    text
}

fn write_sample(text: &mut String, name: &str, Sample { labels, figure }: &Sample) {
    match figure {
        Figure::Whole(value) => line(text, format_args!("{name}{} {value}", shown(labels, None))),
        Figure::Real(value) => line(text, format_args!("{name}{} {value}", shown(labels, None))),
        Figure::Histogram { bounds_us, counts, sum_us } => {
            let mut all = 0;
            for (index, count) in counts.iter().enumerate() {
                all += count;
                let bound = bounds_us.get(index).map(|us| seconds(*us).to_string());
                let bound = bound.unwrap_or_else(|| "+Inf".to_owned());
                let labels = shown(labels, Some(&bound));
                line(text, format_args!("{name}_bucket{labels} {all}"));
            }
            let labels = shown(labels, None);
            line(text, format_args!("{name}_sum{labels} {}", seconds(*sum_us)));
            line(text, format_args!("{name}_count{labels} {all}"));
        }
    }
}

fn line(text: &mut String, line: Arguments<'_>) {
    writeln!(text, "{line}").expect("memory takes everything");
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    }
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

/// `bound` is that of a bucket.
fn shown(labels: &[(&'static str, String)], bound: Option<&str>) -> String {
    let escape =
        |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels = labels.iter().map(|(name, value)| (*name, value.as_str()));
    let labels = labels.chain(bound.map(|bound| ("le", bound)));
    let labels: Vec<_> =
        labels.map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
    if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::Families;

    #[test]
    fn buckets_add_up_and_labels_are_escaped() {
        let mut families = Families::default();
        families.begin("a_seconds", Kind::Histogram, "Waited.");
        families.histogram(&[("widget", "a\"b\\\n")], &[100, 2_500_000], &[1, 0, 2], 7_000_000);
        families.single("b", Kind::Gauge, "Left.", 0.5);
        families.single("c_total", Kind::Counter, "Made.", 7u64);
        let said = write(&families.all());
        let label = "widget=\"a\\\"b\\\\\\n\"";
        let expected = format!(
            "# HELP a_seconds Waited.\n# TYPE a_seconds histogram\n\
             a_seconds_bucket{{{label},le=\"0.0001\"}} 1\na_seconds_bucket{{{label},le=\"2.5\"}} 1\n\
             a_seconds_bucket{{{label},le=\"+Inf\"}} 3\n\
             a_seconds_sum{{{label}}} 7\na_seconds_count{{{label}}} 3\n\
             # HELP b Left.\n# TYPE b gauge\nb 0.5\n# HELP c_total Made.\n# TYPE c_total counter\nc_total 7\n"
        );
        assert_eq!(said, expected);
    }
}
