//! `/metrics`: well formed, bounded, and what the Grafana dashboard shows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{http::get, shop::Shop};

/// Families with their kinds, and series (name and labels) with their values.
pub(crate) struct Exposition {
    kinds: BTreeMap<String, String>,
    series: BTreeMap<String, f64>,
}

impl Exposition {
    /// Every line is read; one that is not understood, or comes twice, fails.
    pub(crate) fn read(address: &str) -> Self {
        let answer = get(address, "/metrics", &[]);
        assert_eq!(answer.status, 200);
        assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
        let (mut kinds, mut series) = (BTreeMap::new(), BTreeMap::new());
        let mut helped = BTreeSet::new();
        for line in String::from_utf8(answer.body).expect("text").lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (family, text) = help.split_once(' ').expect("a help");
                assert!(!text.is_empty() && helped.insert(family.to_owned()), "{line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (family, kind) = kind.split_once(' ').expect("a kind");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(helped.contains(family), "{line}");
                assert!(kinds.insert(family.to_owned(), kind.to_owned()).is_none(), "{line}");
            } else {
                let (name, value) = line.rsplit_once(' ').expect("a value");
                let value = value.parse().expect("a number");
                check_labels(name);
                let family = family_of(name, &kinds);
                assert!(kinds.contains_key(&family), "no kind: {line}");
                assert!(series.insert(name.to_owned(), value).is_none(), "twice: {line}");
            }
        }
        Self { kinds, series }
    }

    fn names(&self) -> Vec<&String> {
        self.series.keys().collect()
    }

    /// Those that have samples.
    #[cfg(feature = "otlp")]
    pub(crate) fn families(&self) -> BTreeSet<String> {
        self.series.keys().map(|name| family_of(name, &self.kinds)).collect()
    }

    #[cfg(feature = "otlp")]
    pub(crate) fn kind(&self, family: &str) -> &str {
        &self.kinds[family]
    }
}

fn family_of(series: &str, kinds: &BTreeMap<String, String>) -> String {
    let name = series.split('{').next().expect("a name");
    let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| {
        let family = name.strip_suffix(end)?;
        (kinds.get(family).map(String::as_str) == Some("histogram")).then(|| family.to_owned())
    });
    of_histogram.unwrap_or_else(|| name.to_owned())
}

fn check_labels(series: &str) {
    let Some((_, labels)) = series.split_once('{') else { return };
    for label in labels.trim_end_matches('}').split(',') {
        let (name, value) = label.split_once('=').expect("a label");
        let known = ["widget", "tier", "state", "source", "queue", "alert", "le"];
        assert!(known.contains(&name), "{series}");
        assert!(value.len() > 2 && value.starts_with('"') && value.ends_with('"'), "{series}");
    }
}

#[test]
fn series_follow_from_the_configuration_and_not_from_what_is_asked() {
    let shop = Shop::new();
    let database = shop.database();
    database.execute("create table tenants (id text)", []).expect("a table");
    let ten_thousand =
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 10000)
                        insert into tenants select 't' || i from n";
    database.execute(ten_thousand, []).expect("tenants");
    shop.change_config(
        "list = [{ id = \"north\" }, { id = \"south\" }]",
        "source = \"shop\"\nquery = \"select id from tenants\"",
    );
    let served = shop.serve();
    let read = |path: &str| get(&served.address, path, &[]).status;
    // A breath, so that what exists from the first read on exists.
    assert_eq!(read("/v1/widgets/sales?tenant=t1"), 200);
    let before = Exposition::read(&served.address);
    assert!(before.series.len() < 400, "{}", before.series.len());
    for tenant in 1..200 {
        assert_eq!(read(&format!("/v1/widgets/sales?tenant=t{tenant}&channel=c{tenant}")), 200);
        assert_eq!(read(&format!("/v1/widgets/w{tenant}?tenant=t1&x{tenant}=%00")), 404);
        assert_eq!(read(&format!("/v1/boards/b{tenant}?tenant=t{tenant}")), 404);
    }
    let after = Exposition::read(&served.address);
    assert_eq!(after.names(), before.names());
    let misses = "samovar_reads_total{widget=\"sales\",tier=\"computed\",state=\"fresh\"}";
    assert_eq!(after.series[misses] - before.series[misses], 199.0);
    let count = "samovar_compute_seconds_count{widget=\"sales\"}";
    let open = "samovar_compute_seconds_bucket{widget=\"sales\",le=\"+Inf\"}";
    assert_eq!((after.series[count], after.series[open]), (200.0, 200.0));
    assert!(after.series["samovar_compute_seconds_sum{widget=\"sales\"}"] > 0.0);
}

#[test]
fn the_dashboard_shows_what_there_is() {
    let shop = Shop::new();
    let served = shop.serve();
    assert_eq!(get(&served.address, "/v1/widgets/sales?tenant=north", &[]).status, 200);
    let exposed = Exposition::read(&served.address);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/grafana.json");
    let text = std::fs::read_to_string(file).expect("deploy/grafana.json");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let queries = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let mut shown = 0;
    for query in queries {
        let query = query["expr"].as_str().expect("a query");
        let words = query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        for name in words.filter(|it| it.starts_with("samovar_") || it.starts_with("process_")) {
            // Of a Redis only.
            let is_of_redis = ["samovar_store_bytes", "samovar_store_limit_bytes"].contains(&name);
            let known = exposed.kinds.contains_key(&family_of(name, &exposed.kinds));
            assert!(known || is_of_redis, "{name} in {query}");
            shown += 1;
        }
    }
    assert!(shown > 20, "{shown}");
}
