//! Every type of PostgreSQL that has a form here keeps its value, to the last digit.

use samovar_testkit::PostgresServer;
use samovar_widgets::{Bound, Limits, SourceError};

use crate::postgres::{open, rows, select};

/// SQL, and the JSON of its value.
const VALUES: &[(&str, &str)] = &[
    ("null", "null"),
    ("null::int[]", "null"),
    ("true", "true"),
    ("false", "false"),
    ("'-32768'::int2", "-32768"),
    ("'32767'::int2", "32767"),
    ("'-2147483648'::int4", "-2147483648"),
    ("'2147483647'::int4", "2147483647"),
    ("9007199254740991::int8", "9007199254740991"),
    ("9007199254740992::int8", r#""9007199254740992""#),
    ("'-9223372036854775808'::int8", r#""-9223372036854775808""#),
    ("'9223372036854775807'::int8", r#""9223372036854775807""#),
    ("'4294967295'::oid", "4294967295"),
    ("'0.1'::float4", "0.1"),
    ("'-0'::float4", "-0.0"),
    ("'3.4028235e38'::float4", "3.4028235e+38"),
    ("'1e-45'::float4", "1e-45"),
    ("'16777217'::float4", "16777216.0"),
    ("'NaN'::float4", r#""NaN""#),
    ("'-Infinity'::float4", r#""-Infinity""#),
    ("'0.1'::float8", "0.1"),
    ("'1.7976931348623157e308'::float8", "1.7976931348623157e+308"),
    ("'5e-324'::float8", "5e-324"),
    ("'NaN'::float8", r#""NaN""#),
    ("'Infinity'::float8", r#""Infinity""#),
    ("'-Infinity'::float8", r#""-Infinity""#),
    ("0::numeric", "0"),
    ("1.50::numeric", "1.50"),
    ("'-0.000012'::numeric", "-0.000012"),
    ("100000000::numeric", "100000000"),
    ("120034.5::numeric(12,4)", "120034.5000"),
    ("999999999999999::numeric", "999999999999999"),
    ("9999999999999999::numeric", r#""9999999999999999""#),
    ("12345678901234567890.12345678901234567890", r#""12345678901234567890.12345678901234567890""#),
    ("'NaN'::numeric", r#""NaN""#),
    ("'Infinity'::numeric", r#""Infinity""#),
    ("'-Infinity'::numeric", r#""-Infinity""#),
    ("''::text", r#""""#),
    ("'zwölf \u{1f375} \" \\'::text", r#""zwölf 🍵 \" \\""#),
    ("chr(1) || chr(10)", r#""\u0001\n""#),
    ("'ab'::varchar(5)", r#""ab""#),
    ("'ab'::char(4)", r#""ab  ""#),
    ("'ab'::name", r#""ab""#),
    ("'a'::\"char\"", r#""a""#),
    ("''::\"char\"", r#""""#),
    ("'STRASSE'::citext", r#""STRASSE""#),
    ("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid", r#""a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11""#),
    (r#"'{"b": 1.50, "a": null}'::json"#, r#"{"b": 1.50, "a": null}"#),
    (r#"'{"b": 1.50, "a": [1, "x"]}'::jsonb"#, r#"{"a": [1, "x"], "b": 1.50}"#),
    ("'null'::jsonb", "null"),
    ("''::bytea", r#""""#),
    (r"'\x00ff10'::bytea", r#""AP8Q""#),
    ("'2026-11-21'::date", r#""2026-11-21""#),
    ("'2024-02-29'::date", r#""2024-02-29""#),
    ("'0001-01-01'::date", r#""0001-01-01""#),
    ("'0044-03-15 BC'::date", r#""0044-03-15 BC""#),
    ("'4714-11-24 BC'::date", r#""4714-11-24 BC""#),
    ("'5874897-12-31'::date", r#""5874897-12-31""#),
    ("'infinity'::date", r#""infinity""#),
    ("'-infinity'::date", r#""-infinity""#),
    ("'00:00:00'::time", r#""00:00:00""#),
    ("'23:59:59.999999'::time", r#""23:59:59.999999""#),
    ("'24:00:00'::time", r#""24:00:00""#),
    ("'09:30:00.5'::time", r#""09:30:00.5""#),
    ("'09:30:00+02'::timetz", r#""09:30:00+02:00""#),
    ("'24:00:00-15:59:59'::timetz", r#""24:00:00-15:59:59""#),
    ("'09:30:00.000001+00'::timetz", r#""09:30:00.000001+00:00""#),
    ("'2026-11-21 09:30:00.123456'::timestamp", r#""2026-11-21T09:30:00.123456""#),
    ("'2026-11-21 09:30:00'::timestamp", r#""2026-11-21T09:30:00""#),
    ("'1999-12-31 23:59:59.999999'::timestamp", r#""1999-12-31T23:59:59.999999""#),
    ("'4714-11-24 00:00:00 BC'::timestamp", r#""4714-11-24T00:00:00 BC""#),
    ("'294276-12-31 23:59:59.999999'::timestamp", r#""294276-12-31T23:59:59.999999""#),
    ("'infinity'::timestamp", r#""infinity""#),
    ("'-infinity'::timestamp", r#""-infinity""#),
    ("'2026-11-21 09:30:00+02'::timestamptz", r#""2026-11-21T07:30:00Z""#),
    ("'1969-12-31 23:59:59.999Z'::timestamptz", r#""1969-12-31T23:59:59.999Z""#),
    ("'0044-03-15 12:00:00+00 BC'::timestamptz", r#""0044-03-15T12:00:00Z BC""#),
    ("'294276-12-31 23:59:59.999999+00'::timestamptz", r#""294276-12-31T23:59:59.999999Z""#),
    ("'-infinity'::timestamptz", r#""-infinity""#),
    ("'0'::interval", r#""PT0S""#),
    ("'1 year 2 mons 3 days 04:05:06.789'::interval", r#""P1Y2M3DT4H5M6.789S""#),
    ("'-1 year 2 mons -3 days 04:05:06'::interval", r#""P-10M-3DT4H5M6S""#),
    ("'-00:00:00.000001'::interval", r#""PT-0.000001S""#),
    ("'178000000 years'::interval", r#""P178000000Y""#),
    ("'192.168.0.1'::inet", r#""192.168.0.1""#),
    ("'192.168.0.1/24'::inet", r#""192.168.0.1/24""#),
    ("'2001:db8::1'::inet", r#""2001:db8::1""#),
    ("'::ffff:1.2.3.4'::inet", r#""::ffff:1.2.3.4""#),
    ("'10.0.0.0/8'::cidr", r#""10.0.0.0/8""#),
    ("'10.1.2.3/32'::cidr", r#""10.1.2.3/32""#),
    ("'2001:db8::/32'::cidr", r#""2001:db8::/32""#),
    ("'08:00:2b:01:02:03'::macaddr", r#""08:00:2b:01:02:03""#),
    ("'08:00:2b:01:02:03:04:05'::macaddr8", r#""08:00:2b:01:02:03:04:05""#),
    ("'so-so'::mood", r#""so-so""#),
    ("'12.50'::price", "12.50"),
    ("'{}'::int[]", "[]"),
    ("'{1,null,-3}'::int[]", "[1,null,-3]"),
    ("'{{1,2},{3,4}}'::int8[]", "[[1,2],[3,4]]"),
    ("'{{{a},{\"\\\"\"}}}'::text[]", r#"[[["a"],["\""]]]"#),
    ("'[0:1]={9007199254740993,1}'::int8[]", r#"["9007199254740993",1]"#),
    ("'{1.50,NaN}'::numeric[]", r#"[1.50,"NaN"]"#),
    ("array['so-so', null]::mood[]", r#"["so-so",null]"#),
    ("array['{\"a\":1}']::jsonb[]", r#"[{"a": 1}]"#),
    ("array['2026-11-21', 'infinity']::date[]", r#"["2026-11-21","infinity"]"#),
    ("array[12.50]::price[]", "[12.50]"),
    ("'1 2 3'::int2vector", "[1,2,3]"),
];

/// Types without a form here, and what they are called.
const UNREADABLE: &[(&str, &str)] = &[
    ("'(1,2)'::point", "point"),
    ("array['(1,2)'::point]", "point[]"),
    ("'1.50'::money", "money"),
    ("'[1,5)'::int4range", "int4range"),
    ("'{[1,5)}'::int4multirange", "int4multirange"),
    ("row(1, 'a')", "record"),
    ("row(1, 2)::odd.pair", "odd.pair"),
    ("'\"a\"=>\"1\"'::hstore", "hstore"),
    ("'a b'::tsvector", "tsvector"),
    ("'101'::bit(3)", "bit"),
    // The server tells what a domain is made of, but not within an array.
    ("'(1,2)'::place", "point"),
    ("array['(1,2)'::place]", "place[]"),
];

const SETUP: &str = "create extension citext; create extension hstore; create schema odd;
    create type mood as enum ('good', 'so-so'); create domain price as numeric(10, 2);
    create domain place as point; create type odd.pair as (one int, two int)";

#[tokio::test]
async fn every_type_keeps_its_value() {
    let server = PostgresServer::start().expect("a server");
    server.execute(SETUP).expect("types");
    let source = open(&server.url(), "");
    for (sql, json) in VALUES {
        let expected = format!("{{\"rows\":[{{\"v\":{json}}}]}}");
        assert_eq!(rows(&source, &format!("select {sql} as v")).await, Ok(expected), "{sql}");
    }
    assert!(VALUES.len() >= 100, "{}", VALUES.len());
}

#[tokio::test]
async fn what_is_given_as_a_text_is_understood_when_it_comes_back() {
    let server = PostgresServer::start().expect("a server");
    server.execute(SETUP).expect("types");
    let source = open(&server.url(), "");
    let mut count = 0;
    for (sql, json) in VALUES {
        let Ok(text) = serde_json::from_str::<String>(json) else { continue };
        let Some((_, kind)) = sql.rsplit_once("::").filter(|(_, kind)| *kind != "bytea") else {
            continue;
        };
        let bindings = vec![("v".to_owned(), Bound::Text(text))];
        let same = select(&format!("select {sql} is not distinct from (:v)::{kind} as same"));
        let mut snapshot = source.snapshot().await.expect("a connection");
        let limits = Limits { rows: 1, bytes: 100 };
        let body = same.append(&mut snapshot, &bindings, limits, Vec::new()).await;
        let body = body.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(String::from_utf8_lossy(&body), r#"{"rows":[{"same":true}]}"#, "{sql}");
        count += 1;
    }
    assert!(count >= 50, "{count}");
}

#[tokio::test]
async fn decimals_have_no_largest_one() {
    let server = PostgresServer::start().expect("a server");
    let source = open(&server.url(), "");
    let large = format!("9{}", "0".repeat(131_071));
    let answer = rows(&source, &format!("select {large}::numeric as v")).await;
    assert_eq!(answer, Ok(format!("{{\"rows\":[{{\"v\":\"{large}\"}}]}}")));
    let small = format!("0.{}1", "0".repeat(16_382));
    let answer = rows(&source, &format!("select {small}::numeric as v")).await;
    assert_eq!(answer, Ok(format!("{{\"rows\":[{{\"v\":\"{small}\"}}]}}")));
}

#[tokio::test]
async fn types_without_a_form_are_noticed_before_and_when_they_are_read() {
    let server = PostgresServer::start().expect("a server");
    server.execute(SETUP).expect("types");
    let source = open(&server.url(), "");
    for (sql, name) in UNREADABLE {
        let selection = select(&format!("select 1 as a, {sql} as v"));
        let prepared = source.prepare(&selection.query, &[]).await.expect("prepared");
        let told: Vec<_> = prepared.columns.iter().map(|it| it.unreadable.as_deref()).collect();
        assert_eq!(told, [None, Some(*name)], "{sql}");
        let error = rows(&source, selection.query.text()).await.expect_err("no form");
        let found = format!("the type {name}");
        assert_eq!(error, SourceError::Type { column: "v".to_owned(), found }, "{sql}");
    }
}
