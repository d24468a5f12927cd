//! What becomes of MariaDB's values, type by type.

use samovar_testkit::MariaDbServer;

use crate::mysql::{open, rows};

/// A column of the type with the value in it, and its JSON.
const COLUMNS: &[(&str, &str, &str)] = &[
    ("tinyint", "-128", "-128"),
    ("tinyint", "127", "127"),
    ("tinyint unsigned", "255", "255"),
    ("tinyint", "null", "null"),
    ("boolean", "true", "1"),
    ("smallint", "-32768", "-32768"),
    ("smallint", "32767", "32767"),
    ("smallint unsigned", "65535", "65535"),
    ("mediumint", "-8388608", "-8388608"),
    ("mediumint", "8388607", "8388607"),
    ("mediumint unsigned", "16777215", "16777215"),
    ("int", "-2147483648", "-2147483648"),
    ("int", "2147483647", "2147483647"),
    ("int unsigned", "4294967295", "4294967295"),
    ("int(8) zerofill", "42", "42"),
    ("bigint", "-9223372036854775808", "\"-9223372036854775808\""),
    ("bigint", "9223372036854775807", "\"9223372036854775807\""),
    ("bigint", "9007199254740991", "9007199254740991"),
    ("bigint", "-9007199254740992", "\"-9007199254740992\""),
    ("bigint unsigned", "0", "0"),
    ("bigint unsigned", "9223372036854775808", "\"9223372036854775808\""),
    ("bigint unsigned", "18446744073709551615", "\"18446744073709551615\""),
    ("float", "0.1", "0.1"),
    ("float", "-3.4028234e38", "-3.4028235e+38"),
    ("float", "1.1754944e-38", "1.1754944e-38"),
    ("float", "16777216", "16777216.0"),
    ("float(7,2)", "12345.67", "12345.67"),
    ("double", "0.1", "0.1"),
    ("double", "1.7976931348623157e308", "1.7976931348623157e+308"),
    ("double", "-2.2250738585072014e-308", "-2.2250738585072014e-308"),
    ("double", "0.30000000000000004", "0.30000000000000004"),
    ("decimal(10,2)", "-12.5", "-12.50"),
    ("decimal(10,2)", "0", "0.00"),
    ("decimal(15,0)", "999999999999999", "999999999999999"),
    ("decimal(16,0)", "9999999999999999", "\"9999999999999999\""),
    (
        "decimal(65,30)",
        "99999999999999999999999999999999999.999999999999999999999999999999",
        "\"99999999999999999999999999999999999.999999999999999999999999999999\"",
    ),
    (
        "decimal(38,38)",
        "0.00000000000000000000000000000000000001",
        "0.00000000000000000000000000000000000001",
    ),
    ("decimal(8,2) zerofill", "12.3", "12.30"),
    ("date", "'1000-01-01'", "\"1000-01-01\""),
    ("date", "'9999-12-31'", "\"9999-12-31\""),
    ("date", "'2024-02-29'", "\"2024-02-29\""),
    ("date", "'0000-00-00'", "\"0000-00-00\""),
    ("date", "'2026-11-00'", "\"2026-11-00\""),
    ("datetime", "'2026-11-21 09:30:00'", "\"2026-11-21T09:30:00\""),
    ("datetime", "'2026-11-21 00:00:00'", "\"2026-11-21T00:00:00\""),
    ("datetime(3)", "'2026-11-21 09:30:00.12'", "\"2026-11-21T09:30:00.120\""),
    ("datetime(3)", "'2026-11-21 09:30:00'", "\"2026-11-21T09:30:00.000\""),
    ("datetime(6)", "'1000-01-01 00:00:00.000001'", "\"1000-01-01T00:00:00.000001\""),
    ("datetime(6)", "'9999-12-31 23:59:59.999999'", "\"9999-12-31T23:59:59.999999\""),
    ("datetime", "'0000-00-00 00:00:00'", "\"0000-00-00T00:00:00\""),
    ("timestamp null", "'1970-01-01 00:00:01'", "\"1970-01-01T00:00:01Z\""),
    ("timestamp(6) null", "'2038-01-19 03:14:07.999999'", "\"2038-01-19T03:14:07.999999Z\""),
    ("timestamp null", "'2026-03-29 02:30:00'", "\"2026-03-29T02:30:00Z\""),
    ("timestamp null", "0", "\"0000-00-00T00:00:00Z\""),
    ("timestamp null", "null", "null"),
    ("time", "'00:00:00'", "\"00:00:00\""),
    ("time", "'09:30:05'", "\"09:30:05\""),
    ("time", "'-838:59:59'", "\"-838:59:59\""),
    ("time(6)", "'838:59:59.999999'", "\"838:59:59.999999\""),
    ("time(2)", "'-00:00:00.25'", "\"-00:00:00.25\""),
    ("time(1)", "'25:00:00'", "\"25:00:00.0\""),
    ("year", "1901", "1901"),
    ("year", "2155", "2155"),
    ("year", "0", "0"),
    ("char(5)", "'ab '", "\"ab\""),
    ("varchar(20)", "'zw\u{f6}lf \u{1f375} \"'", "\"zw\u{f6}lf \u{1f375} \\\"\""),
    ("varchar(20)", "''", "\"\""),
    ("varchar(20) character set latin1", "'M\u{fc}ller \u{20ac}'", "\"M\u{fc}ller \u{20ac}\""),
    ("varchar(20) character set ucs2", "'\u{4e2d}\u{6587}'", "\"\u{4e2d}\u{6587}\""),
    ("varchar(20) character set utf8mb4 collate utf8mb4_bin", "'Bin'", "\"Bin\""),
    ("tinytext", "'t'", "\"t\""),
    ("text", "'a\\nb'", "\"a\\nb\""),
    ("longtext", "'l'", "\"l\""),
    ("json", "'{\"a\": [1, null]}'", "\"{\\\"a\\\": [1, null]}\""),
    ("binary(3)", "x'01'", "\"AQAA\""),
    ("varbinary(4)", "x'fffefdfc'", "\"//79/A==\""),
    ("varbinary(4)", "x''", "\"\""),
    ("tinyblob", "x'00ff10'", "\"AP8Q\""),
    ("blob", "'text'", "\"dGV4dA==\""),
    ("longblob", "x'ff'", "\"/w==\""),
    ("bit(1)", "b'1'", "1"),
    ("bit(10)", "b'1000000001'", "513"),
    (
        "bit(64)",
        "b'1111111111111111111111111111111111111111111111111111111111111111'",
        "\"18446744073709551615\"",
    ),
    ("enum('small', 'l\u{e4}rge')", "'l\u{e4}rge'", "\"l\u{e4}rge\""),
    ("set('a', 'b', 'c')", "'c,a'", "\"a,c\""),
    ("set('a', 'b', 'c')", "''", "\"\""),
    ("uuid", "'123e4567-e89b-12d3-a456-426655440000'", "\"123e4567-e89b-12d3-a456-426655440000\""),
    ("inet6", "'2001:db8::ff00:42:8329'", "\"2001:db8::ff00:42:8329\""),
    ("inet4", "'255.0.0.1'", "\"255.0.0.1\""),
];

/// Values that come from no column.
const EXPRESSIONS: &[(&str, &str)] = &[
    ("null", "null"),
    ("1 = 1", "1"),
    ("42", "42"),
    ("-1", "-1"),
    ("18446744073709551615", "\"18446744073709551615\""),
    ("1.50", "1.50"),
    ("1e0 / 3", "0.3333333333333333"),
    ("1 / 3", "0.3333"),
    ("1 / 0", "null"),
    ("'a' 'b'", "\"ab\""),
    ("concat(1, 'a')", "\"1a\""),
    ("x'ff'", "\"/w==\""),
    ("cast('a' as binary)", "\"YQ==\""),
    ("cast(x'68c3a9' as char character set utf8mb4)", "\"h\u{e9}\""),
    ("date('2026-02-28') + interval 1 day", "\"2026-03-01\""),
    ("from_unixtime(0)", "\"1970-01-01T00:00:00\""),
    ("timestamp('2026-01-02 03:04:05.678')", "\"2026-01-02T03:04:05.678\""),
    ("timediff('2026-01-03 00:00:00', '2026-01-01 00:00:01')", "\"47:59:59\""),
    ("cast('0000-00-00' as date)", "\"0000-00-00\""),
    ("sum(2)", "2"),
    ("avg(2)", "2.0000"),
    ("count(*)", "1"),
    ("json_object('a', 1)", "\"{\\\"a\\\": 1}\""),
    ("@@session.tx_isolation", "\"REPEATABLE-READ\""),
    ("@@session.tx_read_only", "1"),
    ("@@session.time_zone", "\"+00:00\""),
    ("@@session.sql_mode", "\"\""),
    ("@@session.max_statement_time", "30.0"),
    ("@@session.character_set_results", "\"utf8mb4\""),
];

#[tokio::test]
async fn every_type_has_its_json() {
    let server = MariaDbServer::start().expect("a server");
    let columns = COLUMNS.iter().enumerate();
    let columns: Vec<_> = columns.map(|(index, (kind, ..))| format!("c{index} {kind}")).collect();
    let values: Vec<_> = COLUMNS.iter().map(|(_, value, _)| *value).collect();
    let fill = format!(
        "set sql_mode = '', time_zone = '+00:00'; create table t ({}); insert into t values ({})",
        columns.join(", "),
        values.join(", ")
    );
    server.execute(&fill).expect("a table");
    let source = open(&server.url(), "");
    let mut wrong = Vec::new();
    for (index, (kind, value, json)) in COLUMNS.iter().enumerate() {
        let found = rows(&source, &format!("select c{index} as v from t")).await;
        if found != Ok(format!("{{\"rows\":[{{\"v\":{json}}}]}}")) {
            wrong.push(format!("{kind} {value}: {found:?}"));
        }
    }
    for (sql, json) in EXPRESSIONS {
        let found = rows(&source, &format!("select {sql} as v")).await;
        if found != Ok(format!("{{\"rows\":[{{\"v\":{json}}}]}}")) {
            wrong.push(format!("{sql}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
