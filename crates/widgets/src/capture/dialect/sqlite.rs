//! SQLite: triggers by row. Only one transaction writes at a time, so that a change that says what a
//! waiting row says takes its place: under a new number, which nobody has read yet.

use super::{Column, Dialect, Found, Rows, Table, Wanted, cell, literal, quoted};
use crate::{CaptureDefinition, SourceKind, limits};

const KIND: SourceKind = SourceKind::Sqlite;

pub(super) const BLIND: &str = "rows that UPDATE OR REPLACE removes, unless whoever writes says pragma \
                                recursive_triggers = on";
pub(super) const AGE: &str =
    "cast((julianday('now') - julianday(written_at)) * 86400000 as integer)";

const HAPPENED: [(&str, &[&str]); 3] =
    [("insert", &["NEW"]), ("update", &["OLD", "NEW"]), ("delete", &["OLD"])];

pub(super) fn find_outbox(dialect: &Dialect) -> String {
    let name = literal(KIND, &dialect.outbox);
    format!(
        "select '', (select count(*) from sqlite_schema where type = 'table' and name = {name})"
    )
}

/// Its columns, and those of its unique keys, each key by its number.
pub(super) fn describe(table: &str) -> String {
    let name = literal(KIND, table);
    format!(
        "select s.name, s.type, c.name, null, c.cid from sqlite_schema s, pragma_table_info(s.name) c \
         where s.name = {name} collate nocase and s.type in ('table', 'view') \
         union all select s.name, s.type, i.name, l.seq, i.seqno \
         from sqlite_schema s, pragma_index_list(s.name) l, pragma_index_info(l.name) i \
         where s.name = {name} collate nocase and s.type = 'table' and l.\"unique\" and not l.partial \
         union all select s.name, s.type, c.name, -1, c.pk \
         from sqlite_schema s, pragma_table_info(s.name) c \
         where s.name = {name} collate nocase and s.type = 'table' and c.pk > 0 \
         and not exists (select 1 from pragma_index_list(s.name) l where l.origin = 'pk') order by 4, 5"
    )
}

pub(super) fn read_table(rows: &Rows) -> Result<Option<Table>, String> {
    let Some(first) = rows.first() else { return Ok(None) };
    if cell(first, 1) == "view" {
        return Err("a view: capture the tables it reads".to_owned());
    }
    let is_key = |row: &&Vec<Option<String>>| row[3].is_some();
    let columns = rows.iter().filter(|row| !is_key(row));
    let columns =
        columns.map(|row| Column { name: cell(row, 2).to_owned(), of_type: String::new() });
    let mut keys: Vec<(&str, Option<Vec<String>>)> = Vec::new();
    for row in rows.iter().filter(is_key) {
        // An expression has no name: rows are not found by it.
        let column = row[2].clone();
        match keys.iter_mut().find(|(number, _)| *number == cell(row, 3)) {
            Some((_, key)) => match (key.as_mut(), column) {
                (Some(key), Some(column)) => key.push(column),
                _ => *key = None,
            },
            None => keys.push((cell(row, 3), column.map(|column| vec![column]))),
        }
    }
    Ok(Some(Table {
        schema: String::new(),
        name: cell(first, 0).to_owned(),
        columns: columns.collect(),
        unique: keys.into_iter().filter_map(|(_, key)| key).collect(),
    }))
}

pub(super) fn find(dialect: &Dialect, _: &str) -> String {
    let begins = literal(KIND, &format!("{}{}", dialect.outbox, super::BETWEEN));
    format!(
        "select name, tbl_name, sql from sqlite_schema \
         where type = 'trigger' and substr(name, 1, length({begins})) = {begins} order by 1"
    )
}

pub(super) fn read_found(rows: &Rows) -> Vec<Found> {
    let found = rows.iter().map(|row| Found {
        name: cell(row, 0).to_owned(),
        on: cell(row, 1).to_owned(),
        text: cell(row, 2).to_owned(),
        is_enabled: true,
        remove: format!("drop trigger {}", quoted(KIND, cell(row, 0))),
    });
    found.collect()
}

/// Numbers are never given twice: what is deleted by its number is what was read.
pub(super) fn create_outbox(dialect: &Dialect, _: &str) -> Vec<String> {
    let outbox = quoted(KIND, &dialect.outbox);
    let index = quoted(KIND, &format!("{}{}values", dialect.outbox, super::BETWEEN));
    vec![
        format!(
            "create table if not exists {outbox} (\n  id integer primary key autoincrement,\n  \
             capture text not null,\n  data text,\n  \
             written_at text not null default (strftime('%Y-%m-%d %H:%M:%f', 'now'))\n)"
        ),
        format!("create index if not exists {index} on {outbox} (capture, data)"),
    ]
}

pub(super) fn wanted(
    dialect: &Dialect,
    _: &str,
    capture: &CaptureDefinition,
    table: &Table,
) -> Vec<Wanted> {
    let make = |what: &str, when: &str, body: String| {
        let name = dialect.name(capture, what);
        // Upper case is how SQLite keeps it.
        let create = format!(
            "CREATE TRIGGER {} {when} on {} begin\n{body}end",
            quoted(KIND, &name),
            table.quoted(KIND)
        );
        Wanted {
            capture: capture.name.value.clone(),
            name,
            on: table.name.clone(),
            text: create.clone(),
            create,
            replaces: false,
        }
    };
    let happened = HAPPENED.iter().map(|(happened, rows)| {
        let rows: Vec<String> =
            rows.iter().map(|row| table.object(row, capture, recorded)).collect();
        let data = format!("json_array({})", rows.join(", "));
        make(happened, &format!("after {happened}"), record(dialect, capture, &data, ""))
    });
    // INSERT OR REPLACE removes rows of the same key, and fires no trigger for them.
    let replaced = table.unique.iter().map(|key| {
        let data = format!("json_array({})", table.object("was", capture, recorded));
        let same = |column: &String| {
            let column = quoted(KIND, column);
            format!("was.{column} = NEW.{column}")
        };
        let same: Vec<String> = key.iter().map(same).collect();
        let from = format!(" from {} as was where {}", table.quoted(KIND), same.join(" and "));
        record(dialect, capture, &data, &from)
    });
    let replaced: String = replaced.collect();
    let replaces = (!replaced.is_empty()).then(|| make("replace", "before insert", replaced));
    happened.chain(replaces).collect()
}

/// Two statements: what a statement that fires a trigger says of conflicts holds for those of the
/// trigger as well, and there is none that it could change here.
fn record(dialect: &Dialect, capture: &CaptureDefinition, data: &str, from: &str) -> String {
    let (outbox, capture) = (quoted(KIND, &dialect.outbox), literal(KIND, &capture.name.value));
    format!(
        "  delete from {outbox} where capture = {capture} and data = (select {data}{from});\n  \
         insert into {outbox} (capture, data) select {capture}, {data}{from};\n"
    )
}

/// A name and a value of which JSON can be made.
fn recorded(row: &str, column: &Column) -> String {
    let name = literal(KIND, &column.name);
    let value = format!("{row}.{}", quoted(KIND, &column.name));
    let most = limits::CAPTURED_CHARS;
    format!(
        "{name}, case typeof({value}) when 'text' then substr({value}, 1, {most}) \
         when 'blob' then hex(substr({value}, 1, {most})) else {value} end"
    )
}

pub(super) fn find_blind(table: &Table) -> String {
    let name = literal(KIND, &table.name);
    format!(
        "select 'rows that INSERT OR REPLACE removes by the unique index ' || l.name || ' of ' || {name} \
         from pragma_index_list({name}) l where l.\"unique\" and (l.partial or exists \
         (select 1 from pragma_index_info(l.name) i where i.name is null)) order by 1"
    )
}

/// Bytes that are no text are told from those that are later on.
pub(super) fn data() -> &'static str {
    "cast(data as blob)"
}
