//! Whether an event tells of every change of what a rollup folds, as far as tags can say.

use samovar_widgets::{EventTag, PartitionUnit, TagPart};

/// A piece of a tag between slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Text(String),
    Year,
    Month,
    Day,
    Hour,
    /// Filled in from data, at least in part.
    Filled,
}

/// An event that names the partials themselves, what lies above them, or whatever lies below them:
/// they depend on all of that. One that names a certain part below them tells only of that part.
pub(crate) fn covers(event: &EventTag, rollup: &str) -> bool {
    if event.is_global() {
        return false;
    }
    let (event, rollup) = (segments(&event.parts), segments_of(rollup));
    let shared = event.len().min(rollup.len());
    let is_below = |segment: &Segment| !matches!(segment, Segment::Text(_));
    event[..shared] == rollup[..shared]
        && !event[..shared].contains(&Segment::Filled)
        && event[shared..].iter().all(is_below)
}

/// Of the tag of a rollup, in which only dates are filled in.
fn segments_of(tag: &str) -> Vec<Segment> {
    let dates = [
        ("{month}", PartitionUnit::Month),
        ("{day}", PartitionUnit::Day),
        ("{hour}", PartitionUnit::Hour),
    ];
    let mut segments = Vec::new();
    for text in tag.split('/') {
        match dates.iter().find(|(placeholder, _)| *placeholder == text) {
            Some((_, unit)) => segments.extend(dated(*unit)),
            None => segments.push(Segment::Text(text.to_owned())),
        }
    }
    segments
}

fn segments(parts: &[TagPart]) -> Vec<Segment> {
    let mut segments = vec![Segment::Text(String::new())];
    for part in parts {
        match part {
            TagPart::Text(text) => {
                let mut pieces = text.split('/');
                let first = pieces.next().unwrap_or_default();
                match segments.last_mut() {
                    Some(Segment::Text(open)) => open.push_str(first),
                    Some(last) if !first.is_empty() => *last = Segment::Filled,
                    _ => {}
                }
                segments.extend(pieces.map(|piece| Segment::Text(piece.to_owned())));
            }
            // A date is whole segments; with something before it in the first one it is none that a
            // rollup has.
            TagPart::Date(unit) => match segments.pop() {
                Some(Segment::Text(open)) if open.is_empty() => segments.extend(dated(*unit)),
                _ => segments.push(Segment::Filled),
            },
            TagPart::Field(_) => {
                segments.pop();
                segments.push(Segment::Filled);
            }
        }
    }
    segments
}

fn dated(unit: PartitionUnit) -> Vec<Segment> {
    let all = [Segment::Year, Segment::Month, Segment::Day, Segment::Hour];
    let count = match unit {
        PartitionUnit::Month => 2,
        PartitionUnit::Day => 3,
        PartitionUnit::Hour => 4,
    };
    all[..count].to_vec()
}

#[cfg(test)]
mod tests {
    use samovar_widgets::Located;

    use super::*;

    fn tag(text: &str) -> EventTag {
        let mut parts = Vec::new();
        for piece in text.split_inclusive('}') {
            let (before, name) = piece.split_once('{').unwrap_or((piece, ""));
            if !before.is_empty() {
                parts.push(TagPart::Text(before.to_owned()));
            }
            parts.extend(match name {
                "" => None,
                "month}" => Some(TagPart::Date(PartitionUnit::Month)),
                "day}" => Some(TagPart::Date(PartitionUnit::Day)),
                "hour}" => Some(TagPart::Date(PartitionUnit::Hour)),
                field => Some(TagPart::Field(field.trim_end_matches('}').to_owned())),
            });
        }
        EventTag { text: Located { value: text.to_owned(), line: 1 }, parts }
    }

    #[test]
    fn an_event_covers_what_it_names_what_lies_below_and_what_it_divides_further() {
        for (event, rollup, expected) in [
            ("orders/{day}", "orders/{day}", true),
            ("orders/{month}", "orders/{day}", true),
            ("orders/{hour}", "orders/{day}", true),
            ("orders/{day}/{channel}", "orders/{day}", true),
            ("orders", "orders/{day}", true),
            ("shop/orders/{day}", "shop/orders/{month}", true),
            ("shop", "shop/orders/{day}", true),
            ("orders/{id}", "orders", true),
            ("shop", "shop", true),
            ("orders/{id}", "orders/{day}", false),
            ("orders/refunds", "orders/{day}", false),
            ("orders/refunds", "orders", false),
            ("orders/{day}/refunds", "orders/{day}", false),
            ("order", "orders/{day}", false),
            ("{kind}/{day}", "orders/{day}", false),
            ("orders-{day}", "orders/{day}", false),
            ("orders/{day}-late", "orders/{day}", false),
            ("global:orders/{day}", "orders/{day}", false),
            ("calls/{day}", "orders/{day}", false),
        ] {
            assert_eq!(covers(&tag(event), rollup), expected, "{event} {rollup}");
        }
    }
}
