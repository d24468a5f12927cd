//! What a range depends on: tags above those of all its partitions, and above little else, so that a
//! change of another month leaves it as it is.

use jiff::{ToSpan, civil::Date};

/// A reading may have more tags; each costs a look at some versions.
const MOST: usize = 8;

/// The segments of a rollup's tag in front of its dates.
pub(crate) fn root(template: &str) -> &str {
    let dates = template.split('/').position(|segment| segment.contains('{'));
    let Some(before) = dates else { return template };
    let end = template.split('/').take(before).map(|it| it.len() + 1).sum::<usize>();
    template[..end].trim_end_matches('/')
}

/// As days, months or years, whichever are few enough; at last all that there is.
pub(super) fn cover(template: &str, first: Date, last: Date) -> Vec<String> {
    let root = root(template);
    let dates = template[root.len()..].trim_start_matches('/').split('/').next().unwrap_or("");
    // Nothing finer than what the partials are tagged with.
    let by_day = matches!(dates, "{day}" | "{hour}");
    let by_month = by_day || dates == "{month}";
    let few = |from: Date, span: jiff::Span, name: &str| {
        let starts = from.series(span).take_while(|it| *it <= last).take(MOST + 1);
        let tags = starts.map(|it| format!("{root}/{}", it.strftime(name)));
        Some(tags.collect::<Vec<_>>()).filter(|tags| tags.len() <= MOST)
    };
    let days = || by_day.then(|| few(first, 1.day(), "%Y/%m/%d")).flatten();
    let months = || by_month.then(|| few(first.first_of_month(), 1.month(), "%Y/%m")).flatten();
    let years = || by_month.then(|| few(first.first_of_year(), 1.year(), "%Y")).flatten();
    days().or_else(months).or_else(years).unwrap_or_else(|| vec![root.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(template: &str, first: &str, last: &str) -> Vec<String> {
        cover(template, first.parse().expect("a date"), last.parse().expect("a date"))
    }

    #[test]
    fn a_range_depends_on_as_little_as_eight_tags_can_say() {
        for (template, first, last, tags) in [
            ("orders/{day}", "2026-11-20", "2026-11-20", &["orders/2026/11/20"][..]),
            (
                "orders/{hour}",
                "2026-10-31",
                "2026-11-01",
                &["orders/2026/10/31", "orders/2026/11/01"],
            ),
            ("a/b/{day}", "2026-10-22", "2026-11-20", &["a/b/2026/10", "a/b/2026/11"]),
            ("orders/{month}", "2026-11-20", "2026-11-20", &["orders/2026/11"]),
            ("orders/{day}", "2025-01-31", "2026-02-01", &["orders/2025", "orders/2026"]),
            ("orders/{day}", "2010-01-01", "2026-01-01", &["orders"]),
            ("orders/{day}/web", "2026-11-20", "2026-11-20", &["orders/2026/11/20"]),
            ("orders/of-{day}", "2026-11-20", "2026-11-20", &["orders"]),
            ("orders", "2026-11-20", "2026-11-20", &["orders"]),
        ] {
            assert_eq!(covered(template, first, last), tags, "{template} {first} {last}");
        }
    }
}
