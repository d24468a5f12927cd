//! Figures become lines that fit a screen. Nothing here knows a terminal.

use std::cmp::{Ordering, Reverse};

use serde_json::json;

use super::{
    super::{bytes, duration, share, table},
    figures::{Figures, Widget},
};

/// Slow computes that are shown.
const SLOW: usize = 5;
/// Widgets are shown at least, however low the screen is.
const LEAST_WIDGETS: usize = 3;
const KEYS: &str = "q quit   sort by: r reads  h hits  c computes  e errors  n name";

pub(super) struct Line {
    pub(super) text: String,
    pub(super) is_heading: bool,
}

pub(super) struct View<'a> {
    pub(super) order: Order,
    pub(super) size: Size,
    /// Somebody can press them.
    pub(super) has_keys: bool,
    /// Why the figures are old.
    pub(super) trouble: Option<&'a str>,
}

#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// Which widgets come first.
#[derive(Clone, Copy, Default)]
pub(super) enum Order {
    /// Those that are read the most now.
    #[default]
    Reads,
    /// Those that are found the least.
    Hits,
    Computes,
    Errors,
    Name,
}

impl Order {
    pub(super) fn of(key: u8) -> Option<Self> {
        match key {
            b'r' => Some(Order::Reads),
            b'h' => Some(Order::Hits),
            b'c' => Some(Order::Computes),
            b'e' => Some(Order::Errors),
            b'n' => Some(Order::Name),
            _ => None,
        }
    }

    fn compare(self, one: &Widget, other: &Widget) -> Ordering {
        let hits = |it: &Widget| it.hit_rate.unwrap_or(f64::INFINITY);
        let reads = |it: &Widget| it.reads_per_s.unwrap_or(0.0);
        let by_reads = || reads(other).total_cmp(&reads(one)).then(other.reads.cmp(&one.reads));
        let first = match self {
            Order::Reads => by_reads(),
            Order::Hits => hits(one).total_cmp(&hits(other)),
            Order::Computes => Reverse(one.computes).cmp(&Reverse(other.computes)),
            Order::Errors => Reverse(one.errors).cmp(&Reverse(other.errors)),
            Order::Name => Ordering::Equal,
        };
        first.then_with(|| one.name.cmp(&other.name))
    }
}

/// Where there is too little room, widgets are left out, and counted.
pub(super) fn frame(seen: &Figures, view: &View<'_>) -> Vec<Line> {
    let mut lines = summary(seen);
    if let Some(trouble) = view.trouble {
        let trouble = trouble.lines().next().unwrap_or_default();
        lines.push(heading(format!("these figures are old: {trouble}")));
    }
    let below = spaced([queues(seen), workers(seen), slow(seen)]);
    // Its heading, an empty line in front of it, and the keys with theirs.
    let rows = view.size.rows.saturating_sub(lines.len() + below.len() + 4);
    lines.push(plain(String::new()));
    lines.extend(widgets(seen, view.order, rows.max(LEAST_WIDGETS)));
    lines.extend(below);
    lines.truncate(view.size.rows.saturating_sub(2));
    if view.has_keys {
        lines.extend([plain(String::new()), plain(KEYS.to_owned())]);
    }
    for line in &mut lines {
        // Names and errors may hold anything.
        let printable = line.text.chars().filter(|char| !char.is_control());
        line.text = printable.take(view.size.columns).collect();
    }
    lines
}

/// An empty line in front of each part that has any.
fn spaced(parts: [Vec<Line>; 3]) -> Vec<Line> {
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    parts.flat_map(|part| std::iter::once(plain(String::new())).chain(part)).collect()
}

fn summary(seen: &Figures) -> Vec<Line> {
    let Figures { memory, store, .. } = seen;
    let health =
        seen.health.map_or("nothing was read yet".to_owned(), |it| format!("{it:.0} of 100"));
    let connected = if store.connected { "connected" } else { "NOT CONNECTED" };
    let keys = store.keys.map(|keys| format!(", {keys} keys")).unwrap_or_default();
    vec![
        heading(format!(
            "health {health}   hits {}   reads {}   computes {}   errors {}",
            share(&json!(seen.hit_rate)),
            rate(seen.reads_per_s),
            rate(seen.computes_per_s),
            rate(seen.errors_per_s),
        )),
        plain(format!(
            "memory {} of {} in {} entries   store {}, {connected}{keys}",
            bytes(&json!(memory.bytes)),
            bytes(&json!(memory.capacity_bytes)),
            memory.entries,
            store.kind,
        )),
    ]
}

fn widgets(seen: &Figures, order: Order, rows: usize) -> Vec<Line> {
    let mut widgets: Vec<&Widget> = seen.widgets.iter().collect();
    widgets.sort_by(|one, other| order.compare(one, other));
    // The last row says how many are left out.
    let shown = if widgets.len() > rows { rows - 1 } else { widgets.len() };
    let row = |it: &&Widget| {
        vec![
            it.name.clone(),
            rate(it.reads_per_s),
            it.reads.to_string(),
            share(&json!(it.hit_rate)),
            it.stale.to_string(),
            it.computes.to_string(),
            it.errors.to_string(),
            duration(&json!(it.read_p99_ms)),
            duration(&json!(it.compute_p99_ms)),
        ]
    };
    let names = [
        "widget",
        "now",
        "reads",
        "hits",
        "stale",
        "computes",
        "errors",
        "read p99",
        "compute p99",
    ];
    let mut lines = rows_of(&names, widgets[..shown].iter().map(row));
    if shown < widgets.len() {
        lines.push(plain(format!(" and {} more", widgets.len() - shown)));
    }
    lines
}

fn queues(seen: &Figures) -> Vec<Line> {
    let row = |it: &super::figures::Queue| {
        let paused = if it.paused { " (paused)" } else { "" };
        vec![
            format!("{}{paused}", it.name),
            it.waiting.to_string(),
            it.running.to_string(),
            it.failed.to_string(),
            rate(it.done_per_s),
            duration(&json!(it.oldest_waiting_ms)),
        ]
    };
    let names = ["queue", "waiting", "running", "failed", "done", "oldest waits"];
    rows_of(&names, seen.queues.iter().map(row))
}

fn workers(seen: &Figures) -> Vec<Line> {
    let row = |it: &super::figures::Worker| {
        let memory = (bytes(&json!(it.used_bytes)), bytes(&json!(it.budget_bytes)));
        vec![
            it.name.clone(),
            it.state.to_owned(),
            format!("{} of {}", it.slots, it.most_slots),
            it.jobs.to_string(),
            format!("{} of {}", memory.0, memory.1),
        ]
    };
    rows_of(&["worker", "state", "slots", "jobs", "memory"], seen.workers.iter().map(row))
}

fn slow(seen: &Figures) -> Vec<Line> {
    let row = |it: &super::figures::Slow| {
        let became = it.error.clone().unwrap_or_else(|| "done".to_owned());
        vec![it.widget.clone(), it.tenant.clone(), duration(&json!(it.took_ms)), became]
    };
    rows_of(&["slow compute", "tenant", "took", "became"], seen.slow.iter().take(SLOW).map(row))
}

/// Nothing, where there are no rows.
fn rows_of(names: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Vec<Line> {
    // A row is one line, whatever stands in it.
    let printable = |cell: String| cell.chars().filter(|char| !char.is_control()).collect();
    let rows: Vec<Vec<String>> = rows.map(|row| row.into_iter().map(printable).collect()).collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let text = table(names, rows);
    let line =
        |(place, text): (usize, &str)| Line { text: text.to_owned(), is_heading: place == 0 };
    text.lines().enumerate().map(line).collect()
}

/// `12.5/s`
fn rate(per_second: Option<f64>) -> String {
    match per_second {
        None => "-".to_owned(),
        Some(rate) if rate >= 100.0 => format!("{rate:.0}/s"),
        Some(rate) => format!("{rate:.1}/s"),
    }
}

fn plain(text: String) -> Line {
    Line { text, is_heading: false }
}

fn heading(text: String) -> Line {
    Line { text, is_heading: true }
}

#[cfg(test)]
mod tests {
    use super::{
        super::figures::{Memory, Queue, Slow, Store, Worker},
        *,
    };

    fn widget(name: &str, reads_per_s: f64, hit_rate: f64, computes: u64) -> Widget {
        Widget {
            name: name.to_owned(),
            reads_per_s: Some(reads_per_s),
            hit_rate: Some(hit_rate),
            reads: 10,
            stale: 0,
            computes,
            errors: 0,
            read_p99_ms: Some(0.25),
            compute_p99_ms: None,
        }
    }

    fn seen() -> Figures {
        Figures {
            health: Some(98.4),
            hit_rate: Some(0.991),
            reads_per_s: Some(120.0),
            computes_per_s: None,
            errors_per_s: Some(0.0),
            memory: Memory { bytes: 3 << 20, capacity_bytes: 256 << 20, entries: 7 },
            store: Store { kind: "embedded".to_owned(), connected: true, keys: Some(12) },
            widgets: vec![
                widget("calm", 0.5, 0.5, 9),
                widget("busy", 100.0, 0.99, 2),
                widget("third", 0.0, 0.9, 5),
                widget("a", 0.0, 1.0, 0),
                widget("b", 0.0, 1.0, 0),
            ],
            queues: vec![Queue {
                name: "low".to_owned(),
                paused: true,
                waiting: 3,
                running: 1,
                failed: 2,
                done_per_s: Some(2.0),
                oldest_waiting_ms: Some(61_000),
            }],
            workers: vec![Worker {
                name: "w-1".to_owned(),
                state: "works",
                slots: 1,
                most_slots: 4,
                jobs: 1,
                used_bytes: 1 << 20,
                budget_bytes: 512 << 20,
            }],
            slow: vec![Slow {
                widget: "busy".to_owned(),
                tenant: "\u{1b}[31mred\nblue".to_owned(),
                took_ms: 1500,
                error: None,
            }],
        }
    }

    fn drawn(order: Order, columns: usize, rows: usize, trouble: Option<&str>) -> Vec<String> {
        let view = View { order, size: Size { columns, rows }, has_keys: true, trouble };
        frame(&seen(), &view).into_iter().map(|line| line.text).collect()
    }

    fn names(lines: &[String]) -> Vec<&str> {
        let rows = lines.iter().skip_while(|line| !line.trim().starts_with("widget")).skip(1);
        rows.map_while(|line| line.split_whitespace().next()).collect()
    }

    #[test]
    fn everything_is_on_a_large_screen() {
        let lines = drawn(Order::Reads, 120, 40, None);
        let all = lines.join("\n");
        for part in [
            "health 98 of 100   hits 99.1 %   reads 120/s   computes -   errors 0.0/s",
            "memory 3.0 MB of 256.0 MB in 7 entries   store embedded, connected, 12 keys",
            "low (paused)",
            "1 of 4",
            "61.0 s",
            "1.5 s",
            KEYS,
        ] {
            assert!(all.contains(part), "{part}:\n{all}");
        }
        assert!(!all.contains('\u{1b}') && all.contains("[31mredblue"), "no more than letters");
        assert_eq!(names(&lines), ["busy", "calm", "a", "b", "third"]);
    }

    #[test]
    fn widgets_come_in_the_order_of_the_key() {
        let order = |key| names(&drawn(Order::of(key).expect("one"), 120, 40, None)).join(" ");
        assert_eq!(order(b'h'), "calm third busy a b");
        assert_eq!(order(b'c'), "calm third busy a b");
        assert_eq!(order(b'n'), "a b busy calm third");
        assert_eq!(order(b'e'), "a b busy calm third");
        assert!(Order::of(b'x').is_none());
    }

    #[test]
    fn a_small_screen_is_never_overrun() {
        for (columns, rows) in [(20, 10), (80, 20), (1, 1), (0, 0), (200, 16)] {
            let lines = drawn(Order::Reads, columns, rows, Some("the server\nis away"));
            assert!(lines.len() <= rows.max(2), "{} lines of {rows}", lines.len());
            assert!(lines.iter().all(|line| line.chars().count() <= columns), "{lines:?}");
        }
        let lines = drawn(Order::Reads, 80, 18, None);
        assert_eq!(names(&lines)[..2], ["busy", "calm"]);
        assert!(lines.iter().any(|line| line == " and 3 more"), "{lines:?}");
    }

    #[test]
    fn old_figures_say_that_they_are_old() {
        let lines = drawn(Order::Reads, 120, 40, Some("samovar: it is away\n    a hint"));
        assert_eq!(lines[2], "these figures are old: samovar: it is away");
    }
}
