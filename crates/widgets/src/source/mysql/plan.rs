//! What a plan says of tables that are read as a whole.

use mysql_async::{Row, Value};

use super::super::{SMALL_TABLE, Scan};
use crate::Query;

/// One for each step of the plan that reads all of a table, or all of an index, that is not small.
pub(super) fn scans(query: &Query, steps: &[Row]) -> Vec<Scan> {
    let scan = |step: &Row| {
        let (name, access) = (field(step, "table")?, field(step, "type")?);
        let rows = field(step, "rows")?;
        let is_whole = access.eq_ignore_ascii_case("all") || access.eq_ignore_ascii_case("index");
        let is_large = rows.parse::<f64>().is_ok_and(|rows| rows > SMALL_TABLE as f64);
        // Results of other steps are called like `<derived2>`.
        if !is_whole || !is_large || name.starts_with('<') {
            return None;
        }
        let key = field(step, "key").map(|key| format!(" by {key}")).unwrap_or_default();
        let extra = field(step, "Extra").filter(|extra| !extra.is_empty());
        let extra = extra.map(|extra| format!(": {extra}")).unwrap_or_default();
        let plan = format!("{access} of {name}{key}, about {rows} rows{extra}");
        Some(Scan { table: query.table_called(&name).to_owned(), plan })
    };
    steps.iter().filter_map(scan).collect()
}

/// As text, whatever its type, which differs between servers.
fn field(step: &Row, name: &str) -> Option<String> {
    let index = step.columns_ref().iter().position(|it| it.name_str().eq_ignore_ascii_case(name));
    match step.as_ref(index?)? {
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::Int(number) => Some(number.to_string()),
        Value::UInt(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Double(number) => Some(number.to_string()),
        Value::NULL | Value::Date(..) | Value::Time(..) => None,
    }
}
