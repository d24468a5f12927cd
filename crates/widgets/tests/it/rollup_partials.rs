//! Partials: merged in any order they are the same bytes, bytes written once are read forever, and
//! no bytes do harm. What cannot be folded is told, and what is shown has one form.

use std::{fs, path::PathBuf, sync::Arc};

use proptest::prelude::*;
use samovar_clock::Random;
use samovar_widgets::{
    Answer, Bundled, Definitions, Document, Fold, Partial, Range, Rollup, Row, Rows, Slot,
    SourceError, TimeForm, Value, decode_bundle, encode_bundle, limits, plan,
};

const HEAD: &str = "[tenants]\nlist = [{ id = \"north\" }]\n[source.shop]\n\
                    url = \"sqlite://shop.db\"\n[rollup.orders]\nsource = \"shop\"\n\
                    query = \"select 1\"\n\
                    unnest.items = { column = \"items\", fields = [\"sku\", \"qty\"] }\n";
const DIMENSIONS: &str = "dimensions = [\"channel\", \"items.sku\"]\n";
const MEASURES: [(&str, &str); 12] = [
    ("orders", "\"count\""),
    ("revenue", "{ sum = \"total\" }"),
    ("mean", "{ average = \"total * 2\" }"),
    ("least", "{ min = \"total\" }"),
    ("last", "{ max = \"note\" }"),
    ("notes", "{ distinct = \"note\" }"),
    ("spread", "{ quantiles = \"total\" }"),
    ("heavy", "{ top = \"note\", by = \"total\", keep = 60 }"),
    ("units", "{ sum = \"items.qty\" }"),
    ("elements", "{ count = \"items\" }"),
    ("skus", "{ distinct = \"items.sku\" }"),
    ("products", "{ top = \"items.sku\", by = \"items.qty\", keep = 60 }"),
];
const NAMES: [&str; 5] = ["received_at", "channel", "total", "note", "items"];

fn definitions(
    unit: &str,
    dimensions: &str,
    measures: &[(&str, &str)],
    widgets: &str,
) -> Definitions {
    let measures: Vec<_> = measures.iter().map(|(name, it)| format!("{name} = {it}")).collect();
    let text = format!(
        "{HEAD}partition = {{ by = \"{unit}\", at = \"received_at\" }}\n{dimensions}\
         measures = {{ {} }}\n{widgets}[widget.any]\nrollup = \"orders\"\nshow = \"totals\"\n\
         measures = [\"{}\"]\nranges = [\"7d\"]\n",
        measures.join(", "),
        MEASURES[0].0,
    );
    let document = Document::parse(&text).expect("it is TOML");
    Definitions::read(&mut document.root())
}

fn rollup(unit: &str, dimensions: &str, measures: &[(&str, &str)]) -> Arc<Rollup> {
    definitions(unit, dimensions, measures, "").rollups.remove(0).rollup
}

fn slots(range: &str, rollup: &Rollup) -> Vec<Slot> {
    let Ok(Range::Between(dates)) = range.parse() else { panic!("{range}") };
    plan(dates, rollup.unit(), &jiff::tz::TimeZone::UTC)
}

type Order = [Value<'static>; 5];

fn text(text: impl Into<String>) -> Value<'static> {
    Value::Text(text.into().into())
}

fn fold(
    rollup: &Arc<Rollup>,
    slots: &[Slot],
    orders: &[Order],
) -> Result<Vec<Vec<u8>>, SourceError> {
    let mut fold = Fold::new(rollup.clone(), slots.to_vec(), TimeForm::Text);
    let names = NAMES.map(str::to_owned);
    fold.columns(&names)?;
    for order in orders {
        fold.row(&Row::of_values(&names, &order.to_vec()))?;
    }
    Ok(fold.finish().into_iter().map(|it| it.bytes).collect())
}

fn decoded(rollup: &Rollup, bytes: &[u8]) -> Partial {
    Partial::decode(rollup, bytes).expect("as written")
}

/// Of a few days of November, all kinds of values among them.
fn order(random: &Random) -> Order {
    let below = |bound| random.below(bound);
    let (day, second) = (below(9) + 1, below(60));
    let at = format!("2026-11-{day:02} {:02}:07:{second:02}", below(24));
    let total = match below(6) {
        0 => Value::Null,
        1 => Value::Integer(below(2000) as i64 - 500),
        2 => Value::Decimal(format!("{}.{:02}", below(900), below(100)).into()),
        3 => text("12.5"),
        4 => Value::Float(1e-300 * below(9) as f64),
        _ => Value::Float(below(1000) as f64 / 7.0 - 40.0),
    };
    let note = if below(5) == 0 { Value::Null } else { text(format!("note {}", below(50))) };
    let channel = match below(4) {
        0 => Value::Null,
        1 => Value::Integer(7),
        _ => text(format!("channel {}", below(3))),
    };
    let item = |_| format!("{{\"sku\":\"s{}\",\"qty\":{}.5}}", below(40), below(9));
    let items: Vec<_> = (0..below(4)).map(item).collect();
    [text(at), channel, total, note, text(format!("[{}]", items.join(",")))]
}

fn orders(seed: u64, count: usize) -> Vec<Order> {
    let random = Random::seeded(seed);
    (0..count).map(|_| order(&random)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn merged_in_any_order_partials_are_the_same_bytes(
        seed in any::<u64>(),
        count in 0usize..150,
        parts in prop::collection::vec(0usize..6, 150),
        order in Just((0..6).collect::<Vec<usize>>()).prop_shuffle(),
        joint in 1usize..6,
    ) {
        let rollup = rollup("month", DIMENSIONS, &MEASURES);
        let slots = slots("2026-11-01..2026-11-30", &rollup);
        let orders = orders(seed, count);
        let partial = |orders: &[Order]| decoded(&rollup, &fold(&rollup, &slots, orders).expect("it folds")[0]);
        let whole = partial(&orders).encode(&rollup);
        let of = |part: usize| -> Vec<Order> {
            let mine = orders.iter().zip(&parts).filter(|(_, it)| **it == part);
            mine.map(|(order, _)| order.clone()).collect()
        };
        // Some are merged among themselves first.
        let merged = |parts: &[usize]| {
            let mut merged = Partial::empty(&rollup);
            parts.iter().for_each(|part| merged.merge(&rollup, &partial(&of(*part))));
            merged
        };
        let (left, right) = order.split_at(joint);
        let mut all = merged(left);
        all.merge(&rollup, &merged(right));
        prop_assert_eq!(&all.encode(&rollup), &whole);
        let mut other = merged(right);
        other.merge(&rollup, &merged(left));
        prop_assert_eq!(&other.encode(&rollup), &whole);
        prop_assert_eq!(&decoded(&rollup, &whole).encode(&rollup), &whole);
    }

    #[test]
    fn no_bytes_do_harm(
        seed in 0u64..20,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        any in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let rollup = rollup("month", DIMENSIONS, &MEASURES);
        let slots = slots("2026-11-01..2026-11-30", &rollup);
        let mut bytes = fold(&rollup, &slots, &orders(seed, 30)).expect("it folds").remove(0);
        let header = bytes[..9].to_vec();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let short = bytes[..cut.index(bytes.len())].to_vec();
        for bytes in [bytes, short, [header, any.clone()].concat(), any] {
            if let Ok(read) = Partial::decode(&rollup, &bytes) {
                let mut merged = read.clone();
                merged.merge(&rollup, &read);
                decoded(&rollup, &merged.encode(&rollup));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_bundle_is_read_as_it_was_written_and_no_bytes_of_one_do_harm(
        kept in prop::collection::btree_map(0usize..31, (any::<u32>(), 0usize..40), 0..31),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        any in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let rollup = rollup("day", DIMENSIONS, &MEASURES);
        let bytes = [7; 40];
        let bundled: Vec<Bundled<'_>> = kept.iter().map(|(place, (left, length))| {
            let left = std::time::Duration::from_millis((*left).into());
            Bundled { place: *place, left, bytes: &bytes[..*length] }
        }).collect();
        let mut written = encode_bundle(&rollup, 31, &bundled);
        prop_assert_eq!(decode_bundle(&rollup, 31, &written), Ok(bundled));
        let header = written[..10].to_vec();
        let short = written[..cut.index(written.len())].to_vec();
        for (place, byte) in changes {
            let place = place.index(written.len());
            written[place] = byte;
        }
        for bytes in [written, short, [header, any.clone()].concat(), any] {
            if let Ok(read) = decode_bundle(&rollup, 31, &bytes) {
                prop_assert!(read.windows(2).all(|pair| pair[0].place < pair[1].place));
                prop_assert!(read.iter().all(|it| it.place < 31));
            }
        }
    }
}

#[test]
fn a_bundle_of_something_else_is_none() {
    let of = rollup("day", DIMENSIONS, &MEASURES);
    let slots = slots("2026-11-01..2026-11-01", &of);
    let partial = fold(&of, &slots, &orders(3, 20)).expect("it folds").remove(0);
    let bundled = [Bundled { place: 3, left: std::time::Duration::ZERO, bytes: &partial }];
    let bundle = encode_bundle(&of, 30, &bundled);
    assert_eq!(decode_bundle(&of, 30, &bundle), Ok(bundled.to_vec()));
    assert!(decode_bundle(&of, 31, &bundle).is_err(), "another calendar");
    assert!(decode_bundle(&rollup("day", "", &MEASURES), 30, &bundle).is_err());
    assert!(decode_bundle(&of, 30, &partial).is_err() && Partial::decode(&of, &bundle).is_err());
    let backwards = [Bundled { place: 4, ..bundled[0] }, bundled[0]];
    assert!(decode_bundle(&of, 30, &encode_bundle(&of, 30, &backwards)).is_err());
}

/// Written once with `SAMOVAR_GOLDEN=write`, and read ever after: what caches hold must stay legible,
/// or [`Rollup::fingerprint`] must change.
#[test]
fn bytes_that_were_written_once_are_written_and_read_again() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let one = |measure: &(&'static str, &'static str)| (measure.0, "", vec![*measure], 200);
    let mut all: Vec<_> = MEASURES.iter().map(one).collect();
    all.push(("whole", DIMENSIONS, MEASURES.to_vec(), 60));
    all.push(("empty", DIMENSIONS, MEASURES.to_vec(), 0));
    all.push(("many_notes", "", vec![("many", "{ distinct = \"items.sku\" }")], 0));
    for (name, dimensions, measures, count) in all {
        let rollup = rollup("month", dimensions, &measures);
        let slots = slots("2026-11-01..2026-11-30", &rollup);
        let mut orders = orders(5, count);
        if name == "many_notes" {
            // More than are counted one by one.
            let items: Vec<_> = (0..3000).map(|it| format!("{{\"sku\":{it}}}")).collect();
            orders = self::orders(5, 1);
            orders[0][4] = text(format!("[{}]", items.join(",")));
        }
        let bytes = fold(&rollup, &slots, &orders).expect("it folds").remove(0);
        let file = folder.join(format!("{name}.bin"));
        if std::env::var("SAMOVAR_GOLDEN").is_ok_and(|it| it == "write") {
            fs::create_dir_all(&folder).and_then(|()| fs::write(&file, &bytes)).expect("written");
        }
        let golden = fs::read(&file).expect("it is there");
        assert!(bytes == golden, "{name} is written differently now");
        assert!(decoded(&rollup, &golden).encode(&rollup) == golden, "{name}");
    }
}

#[test]
fn rows_in_any_order_fold_to_the_same_bytes_and_others_are_passed_over() {
    let rollup = rollup("hour", DIMENSIONS, &MEASURES);
    let slots = slots("2026-11-02..2026-11-08", &rollup);
    let mut orders = orders(1, 800);
    let shuffled = fold(&rollup, &slots, &orders).expect("it folds");
    let at = |order: &Order| match &order[0] {
        Value::Text(at) => at.to_string(),
        _ => String::new(),
    };
    orders.sort_by_key(at);
    assert!(fold(&rollup, &slots, &orders).expect("it folds") == shuffled);
    orders.retain(|it| at(it).as_str() >= "2026-11-02" && at(it).as_str() < "2026-11-09");
    orders.push([Value::Null, Value::Null, Value::Null, Value::Null, Value::Null]);
    assert!(fold(&rollup, &slots, &orders).expect("it folds") == shuffled);
    // One slot in the middle takes the same as among all.
    let one = fold(&rollup, &slots[50..51], &orders).expect("it folds");
    assert!(one[0] == shuffled[50]);
}

#[test]
fn what_cannot_be_folded_is_told_with_its_column() {
    let rollup = rollup("month", DIMENSIONS, &MEASURES);
    let slots = slots("2026-11-01..2026-11-30", &rollup);
    let good = || orders(2, 1).remove(0);
    let failure = |column: usize, value: Value<'static>| {
        let mut order = good();
        order[column] = value;
        fold(&rollup, &slots, &[order]).map(drop).expect_err("it is wrong").to_string()
    };
    for (column, value, expected) in [
        (0, text("soon"), "column `received_at` holds no time in a form that is known"),
        (2, text("much"), "column `total` holds a text that is no number"),
        (3, Value::Json("{}".into()), "column `note` holds JSON"),
        (1, Value::Bytes(vec![1].into()), "column `channel` holds bytes"),
        (1, text("x".repeat(1025)), "column `channel` holds a text that is too long to group by"),
        (4, text("[{\"sku\":1,}]"), "column `items` holds a text that is no JSON"),
        (4, text("{}"), "column `items` holds JSON that is no list"),
        (4, text("[[]]"), "column `items` holds a list of something else than objects"),
        (4, text("[{\"qty\":\"x\"}]"), "column `items.qty` holds a text that is no number"),
        (4, Value::Integer(1), "column `items` holds something else than a JSON list"),
    ] {
        assert_eq!(failure(column, value), format!("{expected}: convert it in the query"));
    }
    let mut fold_of = Fold::new(rollup.clone(), slots.clone(), TimeForm::Text);
    let missing = fold_of.columns(&["received_at".to_owned()]).expect_err("columns are missing");
    assert_eq!(missing.to_string(), "the query has no column `items`");
    let many = |index: usize| {
        let mut order = good();
        order[1] = text(format!("channel {index}"));
        order[4] = Value::Null;
        order
    };
    let orders: Vec<_> = (0..=limits::GROUPS_PER_PARTIAL).map(many).collect();
    assert!(fold(&rollup, &slots, &orders[1..]).is_ok());
    let error = fold(&rollup, &slots, &orders).expect_err("too many").to_string();
    let expected = "the dimensions have more than 10000 combinations in one partition, mostly of \
                    `channel`: group it in the query, or leave it out";
    assert_eq!(error, expected);
}

#[test]
fn a_top_that_lets_go_says_by_how_much_it_can_be_off() {
    let keep = [("products", "{ top = \"items.sku\", by = \"items.qty\", keep = 20 }")];
    let rollup = rollup("day", "", &keep);
    let slots = slots("2026-11-01..2026-11-04", &rollup);
    let random = Random::seeded(8);
    let mut exact = std::collections::HashMap::new();
    let mut make = |day: usize| {
        let mut item = |_| {
            let sku = random.below(3000) * random.below(3000) / 3000;
            let qty = 1 + random.below(3000) / (sku + 1);
            *exact.entry(format!("s{sku}")).or_insert(0) += qty;
            format!("{{\"sku\":\"s{sku}\",\"qty\":{qty}}}")
        };
        let items: Vec<_> = (0..5000).map(&mut item).collect();
        let at = text(format!("2026-11-{day:02} 12:00:00"));
        [at, Value::Null, Value::Null, Value::Null, text(format!("[{}]", items.join(",")))]
    };
    let orders: Vec<Order> = (1..=4).map(&mut make).collect();
    let widget = "[widget.top]\nrollup = \"orders\"\nshow = \"top\"\nmeasures = [\"products\"]\n\
                  ranges = [\"7d\"]\n";
    let definitions = definitions("day", "", &keep, widget);
    let shown = &definitions.rollup_widgets[0].shown;
    let mut answer = Answer::new(&rollup, shown, &[], &slots);
    for (slot, bytes) in slots.iter().zip(fold(&rollup, &slots, &orders).expect("it folds")) {
        answer.add(slot, &decoded(&rollup, &bytes));
    }
    let mut json = Vec::new();
    answer.write(None, &mut json);
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    let error = json["error"].as_f64().expect("a number");
    let rows = json["rows"].as_array().expect("rows");
    let total: u64 = exact.values().sum();
    assert!(error > 0.0 && error < total as f64 / 20.0 && rows.len() == 10, "{error} of {total}");
    for row in rows {
        let exact = exact[row["sku"].as_str().expect("a text")] as f64;
        let off = (row["products"].as_f64().expect("a number") - exact).abs();
        assert!(off <= error, "{row} is {exact}, more than {error} away");
    }
}

const WIDGETS: &str = r#"
[widget.a_totals]
show = "totals"
measures = ["orders", "revenue", "spread"]
quantiles = [0.5]
compare = "previous"
[widget.b_days]
show = "series"
measures = ["orders", "revenue"]
compare = "previous"
[widget.c_hours]
show = "series"
by = "hour"
measures = ["orders"]
[widget.d_months]
show = "series"
by = "month"
measures = ["orders", "last"]
[widget.e_weekdays]
show = "series"
by = "weekday"
measures = ["orders"]
[widget.f_heat]
show = "heatmap"
measures = ["orders"]
[widget.g_channels]
show = "breakdown"
by = "channel"
top = 1
measures = ["revenue", "units"]
[widget.h_skus]
show = "breakdown"
by = "items.sku"
measures = ["units"]
params.channel = { default = "all" }
params.sku = { default = "all" }
[widget.i_top]
show = "top"
top = 1
measures = ["products"]
compare = "previous"
"#;

#[test]
fn what_is_shown_has_one_form() {
    let widgets = WIDGETS.replace("show =", "rollup = \"orders\"\nranges = [\"7d\"]\nshow =");
    let definitions = definitions("hour", DIMENSIONS, &MEASURES, &widgets);
    let rollup = &definitions.rollups[0].rollup;
    let (now, before) =
        (slots("2026-11-03..2026-11-04", rollup), slots("2026-11-01..2026-11-02", rollup));
    let order = |at: &str, channel: Value<'static>, total: &'static str, items: &str| {
        [text(at), channel, Value::Decimal(total.into()), text("n"), text(items)]
    };
    let orders = [
        order("2026-11-02 10:00:00", text("web"), "5.00", "[{\"sku\":\"a\",\"qty\":1}]"),
        order("2026-11-03 10:00:00", text("web"), "1.50", "[{\"sku\":\"a\",\"qty\":2}]"),
        order("2026-11-03 11:30:00", text("till"), "2.25", "[{\"sku\":\"b\",\"qty\":9}]"),
        order("2026-11-03 11:59:59", Value::Null, "0.10", "[]"),
    ];
    let filtered = |index: usize, param: &str, value: &str| {
        let widget = &definitions.rollup_widgets[index];
        let filters = widget.filters(&[(param.to_owned(), value.to_owned())]);
        let mut answers = Vec::new();
        for slots in [&now, &before] {
            let mut answer = Answer::new(rollup, &widget.shown, &filters, slots);
            for (slot, bytes) in slots.iter().zip(fold(rollup, slots, &orders).expect("it folds")) {
                answer.add(slot, &decoded(rollup, &bytes));
            }
            answers.push(answer);
        }
        let mut json = Vec::new();
        answers[0].write(widget.shown.compare.then_some(&answers[1]), &mut json);
        String::from_utf8(json).expect("UTF-8")
    };
    let answer = |index: usize, channel: &str| filtered(index, "channel", channel);
    let names = definitions.rollup_widgets.iter().map(|it| it.name.value.as_str());
    assert_eq!(names.collect::<Vec<_>>()[..2], ["a_totals", "any"]);
    let shown: Vec<_> = (0..10).filter(|it| *it != 1).map(|it| answer(it, "all")).collect();
    assert_eq!(
        shown[0],
        r#"{"totals":{"orders":3,"revenue":3.85,"spread":{"0.5":1.5078125}},"previous":{"orders":1,"revenue":5.00,"spread":{"0.5":5.0}}}"#
    );
    assert_eq!(
        shown[1],
        r#"{"rows":[{"day":"2026-11-03","orders":3,"revenue":3.85,"previous":{"orders":0,"revenue":null}},{"day":"2026-11-04","orders":0,"revenue":null,"previous":{"orders":1,"revenue":5.00}}]}"#
    );
    let hours: serde_json::Value = serde_json::from_str(&shown[2]).expect("JSON");
    assert_eq!(hours["rows"].as_array().map(Vec::len), Some(48));
    assert_eq!(hours["rows"][11].to_string(), r#"{"hour":"2026-11-03T11","orders":2}"#);
    assert_eq!(shown[3], r#"{"rows":[{"month":"2026-11","orders":3,"last":"n"}]}"#);
    assert!(shown[4].starts_with(r#"{"rows":[{"weekday":1,"orders":0},{"weekday":2,"orders":3},"#));
    let heat: serde_json::Value = serde_json::from_str(&shown[5]).expect("JSON");
    assert_eq!(heat["rows"].as_array().map(Vec::len), Some(168));
    assert_eq!(heat["rows"][24 + 11].to_string(), r#"{"hour":11,"orders":2,"weekday":2}"#);
    assert_eq!(
        shown[6],
        r#"{"rows":[{"channel":"till","revenue":2.25,"units":9}],"other":{"revenue":1.60,"units":2}}"#
    );
    assert_eq!(shown[7], r#"{"rows":[{"sku":"b","units":9},{"sku":"a","units":2}]}"#);
    assert_eq!(
        shown[8],
        r#"{"rows":[{"sku":"b","products":9,"previous":{"products":null}}],"error":0}"#
    );
    assert_eq!(answer(8, "web"), r#"{"rows":[{"sku":"a","units":2}]}"#);
    assert_eq!(answer(8, "nobody"), r#"{"rows":[]}"#);
    // One of a list filters by the name that it has in answers.
    assert_eq!(filtered(8, "sku", "b"), r#"{"rows":[{"sku":"b","units":9}]}"#);
}
