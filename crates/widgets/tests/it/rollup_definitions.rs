//! Rollups and the widgets over them: what is written is read, and each mistake is told.

use samovar_widgets::{PartitionUnit, SeriesBy, Show, Shown};

use crate::definitions::{problems, read};

const ROLLUP: &str = r#"
[tenants]
list = [{ id = "north" }]
[source.shop]
url = "sqlite://shop.db"
[rollup.order_days]
source = "shop"
query = "select 1"
tag = "orders/{day}"
partition = { by = "day", at = "received_at" }
unnest.items = { column = "items", fields = ["sku", "qty", "price"] }
dimensions = ["channel", "items.sku"]
[rollup.order_days.measures]
orders = "count"
revenue = { sum = "total" }
spread = { quantiles = "total" }
units = { sum = "items.qty" }
products = { top = "items.sku", by = "items.qty * items.price", keep = 50 }
[widget.days]
title = "Days"
rollup = "order_days"
show = "series"
by = "weekday"
measures = ["revenue", "orders"]
compare = "previous"
ranges = ["7d", "30d"]
params.channel = { default = "all", values = "select distinct channel from orders" }
freshness = "statistics"
"#;

#[test]
fn a_rollup_and_a_widget_over_it_are_read() {
    let definitions = read(ROLLUP);
    let [rollup] = &definitions.rollups[..] else { panic!("a rollup") };
    assert_eq!((rollup.source.as_str(), rollup.query.line), ("shop", 8));
    assert_eq!(rollup.tag.as_ref().map(|it| it.value.as_str()), Some("orders/{day}"));
    let columns = ["received_at", "items", "channel", "total"];
    assert_eq!(rollup.rollup.columns(), columns);
    assert_eq!(rollup.rollup.unit(), PartitionUnit::Day);
    assert!(definitions.widgets.is_empty());
    let [days] = &definitions.rollup_widgets[..] else { panic!("a widget") };
    let shown = Shown {
        show: Show::Series(SeriesBy::Weekday),
        measures: vec!["revenue".to_owned(), "orders".to_owned()],
        compare: true,
        quantiles: vec![0.5, 0.95, 0.99],
    };
    assert_eq!((&days.shown, days.title.as_str(), days.ranges.len()), (&shown, "Days", 2));
    let filters = |value: &str| days.filters(&[("channel".to_owned(), value.to_owned())]).len();
    assert_eq!((filters("all"), filters("web")), (0, 1));
    // Whatever makes partials different makes another rollup of it.
    let print = |from: &str, to: &str| {
        assert!(ROLLUP.contains(from), "{from}");
        read(&ROLLUP.replace(from, to)).rollups[0].rollup.fingerprint()
    };
    let mut prints: Vec<u64> = [
        ("orders", "orders"),
        ("sum = \"total\"", "sum = \"total * 2\""),
        ("keep = 50", "keep = 51"),
        ("select 1", "select 2"),
        ("by = \"day\"", "by = \"hour\""),
        ("[\"channel\", ", "[\"channel\", \"city\", "),
        ("spread = { q", "spread = { distinct = \"total\" }\nmore = { q"),
    ]
    .map(|(from, to)| print(from, to))
    .to_vec();
    assert_eq!(print("orders/{day}", "orders"), prints[0]);
    prints.sort_unstable();
    prints.dedup();
    assert_eq!(prints.len(), 7);
}

/// Each change of what is right, and what is said about it.
#[test]
fn mistakes_in_rollups_are_told_with_a_way_out() {
    let mut wrong = Vec::new();
    for (from, to, expected) in [
        (
            "source = \"shop\"\nquery",
            "source = \"shp\"\nquery",
            "7: there is no source `shp` (did you mean `shop`?)",
        ),
        (
            "at = \"received_at\" }",
            "}",
            "10: [rollup.order_days.partition] needs `at` (write it like at = \"received_at\")",
        ),
        (
            "by = \"day\", at",
            "by = \"week\", at",
            "10: `by` in [rollup.order_days.partition] is `week` (choose one of \"hour\", \"day\", \
             \"month\")",
        ),
        (
            "orders/{day}",
            "orders/{hour}/web",
            "9: `tag` in [rollup.order_days] names `{hour}`, and its partitions are longer (name \
             what is as long as a partition, or end the tag with it)",
        ),
        (
            "orders/{day}",
            "orders/{day}/{hour}",
            "9: `tag` in [rollup.order_days] names `{hour}`, and its partitions are longer (name \
             what is as long as a partition, or end the tag with it)",
        ),
        (
            "orders/{day}",
            "orders/{days}",
            "9: `tag` in [rollup.order_days] has no `{days}` (did you mean `day`?)",
        ),
        (
            "orders/{day}",
            "orders/{day",
            "9: `tag` in [rollup.order_days] has a { without a } (close it: {day})",
        ),
        (
            "\"channel\", \"items.sku\"]",
            "\"channel\", \"item.sku\"]",
            "12: `dimensions` in [rollup.order_days]: `item.sku` is of a list that is not unnested \
             (did you mean `items.sku`?)",
        ),
        (
            "\"items.sku\"]",
            "\"items.colour\"]",
            "12: `dimensions` in [rollup.order_days]: `items.colour` is no field of unnest.items (add \
             it to the fields of unnest.items)",
        ),
        (
            "\"items.sku\"]",
            "\"items\"]",
            "12: `dimensions` in [rollup.order_days]: `items` is a list (name a field of its \
             elements, like items.sku)",
        ),
        (
            "\"items.sku\"]",
            "\"total + 1\"]",
            "12: `dimensions` in [rollup.order_days]: `total + 1` is neither a column nor a field \
             (name a column, or a field like \"items.sku\"; compute in the query)",
        ),
        (
            "\"items.sku\"]",
            "\"sku\", \"items.sku\"]",
            "12: `dimensions` in [rollup.order_days]: `items.sku` and `sku` have one name in answers \
             (rename one of them in the query)",
        ),
        (
            "orders = \"count\"",
            "orders = \"cuont\"",
            "14: the measure `orders` is `cuont` (did you mean `count`?)",
        ),
        (
            "orders = \"count\"",
            "orders = 1",
            "14: `orders` in [rollup.order_days.measures] is a number (write it like { sum = \
             \"total\" })",
        ),
        (
            "orders = \"count\"",
            "channel = \"count\"\norders = \"count\"",
            "14: the measure `channel` is called like `channel` (rename it: answers name both)",
        ),
        (
            "orders = \"count\"",
            "orders = \"count\"\nday = \"count\"",
            "15: a measure cannot be called `day` (answers call something else so: rename it)",
        ),
        (
            "{ sum = \"total\" }",
            "{ sum = \"total\", min = \"total\" }",
            "15: the measure `revenue` is both `sum` and `min` (make two measures of it)",
        ),
        (
            "{ sum = \"total\" }",
            "{ total = \"total\" }",
            "15: the measure `revenue` does not say what it is (write it like { sum = \"total\" }, \
             with one of count, sum, min, max, average, distinct, quantiles, top)",
        ),
        (
            "{ sum = \"total\" }",
            "{ sum = \"total *\" }",
            "15: `sum` in [rollup.order_days.measures.revenue] ends too early (write columns, fields \
             like items.qty and numbers, with + - * / between them)",
        ),
        (
            "{ sum = \"total\" }",
            "{ sum = \"items\" }",
            "15: `sum` in [rollup.order_days.measures.revenue]: `items` is a list (name a field of \
             its elements, like items.sku)",
        ),
        (
            "{ sum = \"total\" }",
            "{ sum = \"total\", keep = 5 }",
            "15: unknown key `keep` in [rollup.order_days.measures.revenue] (known here: sum)",
        ),
        (
            "top = \"items.sku\"",
            "top = \"items.qty * 2\"",
            "18: `top` in [rollup.order_days.measures.products]: `top` is of one column or field \
             (write top = \"sku\")",
        ),
        (
            ", by = \"items.qty * items.price\"",
            "",
            "18: [rollup.order_days.measures.products] needs `by` (write it like by = \"items.qty * \
             items.price\")",
        ),
        (
            "keep = 50",
            "keep = 0",
            "18: `keep` in [rollup.order_days.measures.products] is 0 (write a number between 1 and \
             10000)",
        ),
        (
            "rollup = \"order_days\"",
            "rollup = \"order_day\"",
            "21: there is no rollup `order_day` (did you mean `order_days`?)",
        ),
        (
            "show = \"series\"",
            "show = \"serie\"",
            "22: `show` in [widget.days] is `serie` (did you mean `series`?)",
        ),
        (
            "show = \"series\"\n",
            "show = \"series\"\nsource = \"shop\"\nquery = \"select 1\"\n",
            "23: `source` in [widget.days] has no use beside `rollup` (remove it: the rollup has \
             one)|24: `query` in [widget.days] has no use beside `rollup` (remove it: the rollup has \
             one)",
        ),
        (
            "by = \"weekday\"",
            "by = \"hour\"",
            "23: `by` in [widget.days] is `hour`, finer than the partitions of the rollup (choose \
             something coarser, or partition it finer)",
        ),
        (
            "by = \"weekday\"",
            "by = \"channel\"",
            "23: `by` in [widget.days] is `channel` (a series is by hour, day, month or weekday)",
        ),
        (
            "[\"revenue\", \"orders\"]",
            "[\"revenues\", \"products\"]",
            "24: the rollup has no measure `revenues` (did you mean `revenue`?)|24: `measures` in \
             [widget.days] lists the top `products` (give it a widget of its own with show = \"top\")",
        ),
        (
            "compare = \"previous\"",
            "top = 5",
            "25: `top` in [widget.days] has no use here (it limits a breakdown or a top: remove it)",
        ),
        (
            "compare = \"previous\"",
            "quantiles = [0.5]",
            "25: `quantiles` in [widget.days] has no use here (show a measure of quantiles, or remove \
             it)",
        ),
        (
            "ranges = [\"7d\", \"30d\"]",
            "ranges = []",
            "26: `ranges` in [widget.days] lists nothing (list one: a rollup is cut by time)",
        ),
        (
            "params.channel = { default = \"all\", values = \"select distinct channel from orders\" }",
            "params.chanel = { default = \"all\" }",
            "27: the parameter `chanel` is no dimension (did you mean `channel`?)",
        ),
        (
            "params.channel = { default = \"all\", values = \"select distinct channel from orders\" }",
            "params.sku = { default = \"all\" }",
            "27: the parameter `sku` does not filter `revenue` (a dimension of a list cuts only \
             measures of its elements: choose another one of the two)",
        ),
        (
            "show = \"series\"\nby = \"weekday\"",
            "show = \"breakdown\"\nby = \"items.sku\"",
            "23: `by` in [widget.days] is `items.sku`, by which `revenue` is not cut (a dimension of a \
             list cuts only measures of its elements: choose another one of the two)|23: `by` in \
             [widget.days] is `items.sku`, by which `orders` is not cut (a dimension of a list cuts \
             only measures of its elements: choose another one of the two)",
        ),
        (
            "show = \"series\"\nby = \"weekday\"",
            "show = \"breakdown\"",
            "22: [widget.days] needs `by` (name a dimension of the rollup: by = \"channel\")",
        ),
        (
            "show = \"series\"\nby = \"weekday\"",
            "show = \"heatmap\"",
            "24: `compare` in [widget.days] has no use in a heat map (show totals, a series or a \
             breakdown to compare)|22: `show` in [widget.days] is `heatmap`, of a rollup without \
             hours (partition the rollup by hour)",
        ),
        (
            "show = \"series\"\nby = \"weekday\"",
            "show = \"top\"",
            "23: `measures` in [widget.days] lists `revenue`, which is no top (list a measure like { \
             top = ... })|23: `measures` in [widget.days] lists `orders`, which is no top (list a \
             measure like { top = ... })|23: `measures` in [widget.days] lists more than one (show \
             one top in each widget)",
        ),
    ] {
        assert!(ROLLUP.contains(from), "{from}");
        let found = problems(&ROLLUP.replacen(from, to, 1));
        let mut expected: Vec<&str> = expected.split('|').filter(|it| !it.is_empty()).collect();
        let line = |it: &&str| it.split(':').next().and_then(|it| it.parse::<usize>().ok());
        expected.sort_by_key(line);
        if found != expected {
            wrong.push((to, found, expected));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let two_lists = ROLLUP
        .replace("unnest.items", "unnest.paid = { fields = [\"sum\"] }\nunnest.items")
        .replace("sum = \"items.qty\"", "sum = \"items.qty * paid.sum\"");
    let found = problems(&two_lists);
    let expected = "18: `sum` in [rollup.order_days.measures.units]: `paid.sum` is of another list \
                    than what stands before it (a measure folds the elements of one list)";
    assert_eq!(found, [expected]);
    let idle = ROLLUP.replace("units = { sum = \"items.qty\" }\nproducts = { top = \"items.sku\", by = \"items.qty * items.price\", keep = 50 }\n", "");
    let expected = "12: the dimension `items.sku` cuts nothing: no measure is of its list (add a \
                    measure like { count = \"items\" }, or remove the dimension)";
    assert_eq!(problems(&idle), [expected]);
}
