//! What the server would do for a query: which tables it would read as a whole.

use serde_json::Value as Json;
use tokio_postgres::Client;

use super::{Failure, Parameter, form::Raw};
use crate::source::{SMALL_TABLE, Scan};

/// Tables that are looked at; a query that scans more has enough to be told.
const MOST_TABLES: usize = 20;

/// Without running the query.
pub(super) async fn scans(
    client: &Client,
    query: &str,
    parameters: &[Parameter<'_>],
) -> Result<Vec<Scan>, Failure> {
    // Verbose for the schemas of the tables.
    let explained = format!("explain (verbose, format json) {query}");
    let Some(plan) = explain(client, &explained, parameters).await? else {
        return Ok(Vec::new());
    };
    let mut steps = Vec::new();
    collect(&plan, &mut steps);
    let mut scans = Vec::new();
    for step in steps.into_iter().take(MOST_TABLES) {
        let rows = rows_of(client, &step).await?;
        if rows > SMALL_TABLE {
            scans.push(step.told(rows));
        }
    }
    Ok(scans)
}

/// A step that reads a whole table.
#[derive(Debug, PartialEq)]
struct Step {
    schema: String,
    table: String,
    filter: Option<String>,
}

impl Step {
    fn told(self, rows: u64) -> Scan {
        let table = match self.schema.as_str() {
            "public" => self.table,
            schema => format!("{schema}.{}", self.table),
        };
        let filter = self.filter.map(|filter| format!(", filter: {filter}")).unwrap_or_default();
        let plan = format!("Seq Scan on {table} (about {rows} rows){filter}");
        Scan { table, plan }
    }
}

/// As the server estimates it, also for a table it has never counted.
async fn rows_of(client: &Client, step: &Step) -> Result<u64, Failure> {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let (schema, table) = (quoted(&step.schema), quoted(&step.table));
    let explain_all = format!("explain (format json) select from only {schema}.{table}");
    let plan = explain(client, &explain_all, &[]).await?;
    Ok(plan.and_then(|plan| plan["Plan Rows"].as_f64()).map_or(0, |rows| rows as u64))
}

/// The topmost step.
async fn explain(
    client: &Client,
    statement: &str,
    parameters: &[Parameter<'_>],
) -> Result<Option<Json>, Failure> {
    let statement = client.prepare(statement).await?;
    let parameters: Vec<_> = parameters.iter().map(|it| it as _).collect();
    let rows = client.query(&statement, &parameters).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let Raw(text) = row.try_get(0)?;
    let mut plan: Json = serde_json::from_slice(text.unwrap_or_default()).unwrap_or_default();
    Ok(plan.pointer_mut("/0/Plan").map(Json::take))
}

/// Each table once, in the order of the plan.
fn collect(plan: &Json, steps: &mut Vec<Step>) {
    if plan["Node Type"] == "Seq Scan"
        && let Some(table) = plan["Relation Name"].as_str()
    {
        let text = |name: &str| plan[name].as_str().map(str::to_owned);
        let schema = text("Schema").unwrap_or_default();
        let step = Step { schema, table: table.to_owned(), filter: text("Filter") };
        if !steps.iter().any(|it| (&it.schema, &it.table) == (&step.schema, &step.table)) {
            steps.push(step);
        }
    }
    for part in plan["Plans"].as_array().into_iter().flatten() {
        collect(part, steps);
    }
}
