//! PostgreSQL: triggers by statement with transition tables, a function for each capture.

use super::{Column, Dialect, Found, Rows, Table, Wanted, cell, literal, quoted};
use crate::{CaptureDefinition, SourceKind, limits};

const KIND: SourceKind = SourceKind::Postgres;

pub(super) const BLIND: &str = "what a session writes with session_replication_role = replica, as \
                                logical replication and some restores do";
pub(super) const AGE: &str = "(extract(epoch from clock_timestamp() - written_at) * 1000)::bigint";
/// With what the database itself is asked for the right to lead: a number of ours, and one of the outbox.
const LEAD: i32 = 1_396_788_559;

/// What happened, and the names of rows as they were and as they are.
const HAPPENED: [(&str, &str); 4] = [
    ("insert", "referencing new table as samovar_new "),
    ("update", "referencing old table as samovar_old new table as samovar_new "),
    ("delete", "referencing old table as samovar_old "),
    ("truncate", ""),
];

/// These are the same in JSON whatever a session is set to. All others go as texts.
const KEPT: [&str; 13] = [
    "bool",
    "int2",
    "int4",
    "int8",
    "float4",
    "float8",
    "numeric",
    "date",
    "time",
    "timetz",
    "timestamp",
    "timestamptz",
    "oid",
];

pub(super) fn find_outbox(dialect: &Dialect) -> String {
    let name = literal(KIND, &quoted(KIND, &dialect.outbox));
    format!(
        "select coalesce(n.nspname, current_schema()), (c.oid is not null)::int from (select 1) as one \
         left join pg_class c on c.oid = to_regclass({name}) \
         left join pg_namespace n on n.oid = c.relnamespace"
    )
}

pub(super) fn describe(table: &str) -> String {
    let parts: Vec<String> = table.split('.').map(|part| quoted(KIND, part)).collect();
    let name = literal(KIND, &parts.join("."));
    format!(
        "select n.nspname, c.relname, c.relkind, a.attname, coalesce(b.typname, t.typname) \
         from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped \
         join pg_type t on t.oid = a.atttypid \
         left join pg_type b on t.typtype = 'd' and b.oid = t.typbasetype \
         where c.oid = to_regclass({name}) order by a.attnum"
    )
}

pub(super) fn read_table(rows: &Rows) -> Result<Option<Table>, String> {
    let Some(first) = rows.first() else { return Ok(None) };
    match cell(first, 2) {
        "r" | "p" => {}
        "v" => return Err("a view: capture the tables it reads".to_owned()),
        "m" => return Err("a materialized view: capture the tables it reads".to_owned()),
        _ => return Err("no table of this database".to_owned()),
    }
    Ok(Some(Table::of_rows(first, rows)))
}

pub(super) fn find(dialect: &Dialect, schema: &str) -> String {
    let schema = literal(KIND, schema);
    let begins = literal(KIND, &format!("{}{}", dialect.outbox, super::BETWEEN));
    format!(
        "select t.tgname, tn.nspname, c.relname, p.proname::text, (t.tgenabled in ('O', 'A'))::int \
         from pg_trigger t join pg_class c on c.oid = t.tgrelid \
         join pg_namespace tn on tn.oid = c.relnamespace \
         join pg_proc p on p.oid = t.tgfoid join pg_namespace n on n.oid = p.pronamespace \
         where not t.tgisinternal and n.nspname = {schema} and starts_with(t.tgname, {begins}) \
         union all select p.proname, n.nspname, null, p.prosrc, 1 \
         from pg_proc p join pg_namespace n on n.oid = p.pronamespace \
         where n.nspname = {schema} and starts_with(p.proname, {begins}) and p.pronargs = 0 \
         order by 3 nulls last, 1"
    )
}

pub(super) fn read_found(rows: &Rows) -> Vec<Found> {
    let found = rows.iter().map(|row| {
        let (name, schema) = (cell(row, 0), cell(row, 1));
        let owner = |name| format!("{}.{}", quoted(KIND, schema), quoted(KIND, name));
        let (on, remove) = match row.get(2).and_then(Option::as_deref) {
            Some(table) => {
                let remove = format!("drop trigger {} on {}", quoted(KIND, name), owner(table));
                (format!("{schema}.{table}"), remove)
            }
            None => (String::new(), format!("drop function {}()", owner(name))),
        };
        let (text, is_enabled) = (cell(row, 3).to_owned(), cell(row, 4) == "1");
        Found { name: name.to_owned(), on, text, is_enabled, remove }
    });
    found.collect()
}

/// Rows come and go all the time: they are cleaned up soon, however few they are.
pub(super) fn create_outbox(dialect: &Dialect, schema: &str) -> Vec<String> {
    vec![format!(
        "create table if not exists {} (\n  id bigint generated always as identity primary key,\n  \
         capture text not null,\n  data jsonb,\n  \
         written_at timestamptz not null default clock_timestamp()\n) with (\
         autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)",
        dialect.outbox_in(schema)
    )]
}

pub(super) fn wanted(
    dialect: &Dialect,
    schema: &str,
    capture: &CaptureDefinition,
    table: &Table,
) -> Vec<Wanted> {
    let of_capture = &capture.name.value;
    let function = dialect.name(capture, "");
    let body = body(dialect, schema, capture, table);
    let owned = format!("{}.{}", quoted(KIND, schema), quoted(KIND, &function));
    // Whoever may write to the table needs no right on the outbox, and nobody can put functions or
    // operators of his own in the way.
    let create = format!(
        "create or replace function {owned}() returns trigger language plpgsql security definer \
         set search_path = pg_catalog, pg_temp as $samovar${body}$samovar$"
    );
    let mut wanted = vec![Wanted {
        capture: of_capture.clone(),
        name: function.clone(),
        on: String::new(),
        text: body,
        create,
        replaces: true,
    }];
    wanted.extend(HAPPENED.iter().map(|(happened, rows)| {
        let name = dialect.name(capture, happened);
        let create = format!(
            "create trigger {} after {happened} on {} {rows}for each statement execute function \
             {owned}()",
            quoted(KIND, &name),
            table.quoted(KIND)
        );
        Wanted {
            capture: of_capture.clone(),
            name,
            on: table.shown(),
            text: function.clone(),
            create,
            replaces: false,
        }
    }));
    wanted
}

fn body(dialect: &Dialect, schema: &str, capture: &CaptureDefinition, table: &Table) -> String {
    let outbox = dialect.outbox_in(schema);
    let name = literal(KIND, &capture.name.value);
    let columns: Vec<String> = table.recorded(capture).map(|it| quoted(KIND, &it.name)).collect();
    let columns = columns.join(", ");
    let recorded: Vec<String> = table.recorded(capture).map(recorded).collect();
    let recorded = format!("jsonb_build_object({})", recorded.join(", "));
    let insert = |rows: &str| {
        format!(
            "    insert into {outbox} (capture, data)\n      \
             select distinct {name}::text, {recorded} from {rows};\n"
        )
    };
    let moved = format!(
        "(select {columns} from samovar_old union all select {columns} from samovar_new) as moved"
    );
    let notify = match dialect.notify {
        true => {
            let channel = literal(KIND, &dialect.outbox);
            format!("  if found then perform pg_notify({channel}, ''); end if;\n")
        }
        false => String::new(),
    };
    format!(
        "\nbegin\n  if tg_op = 'INSERT' then\n{}  elsif tg_op = 'UPDATE' then\n{}  \
         elsif tg_op = 'DELETE' then\n{}  else\n    insert into {outbox} (capture) values ({name});\n  \
         end if;\n{notify}  return null;\nend\n",
        insert("samovar_new"),
        insert(&moved),
        insert("samovar_old"),
    )
}

/// A name and a value.
fn recorded(column: &Column) -> String {
    let name = literal(KIND, &column.name);
    let value = quoted(KIND, &column.name);
    match KEPT.contains(&column.of_type.as_str()) {
        true => format!("{name}, {value}"),
        false => format!("{name}, left({value}::text, {})", limits::CAPTURED_CHARS),
    }
}

pub(super) fn find_blind(table: &Table) -> String {
    let name = literal(KIND, &table.quoted(KIND));
    let shown = literal(KIND, &table.shown());
    format!(
        "select 'what is written straight into ' || i.inhrelid::regclass || ', a part of ' || {shown} \
         from pg_inherits i where i.inhparent = {name}::regclass order by 1"
    )
}

pub(super) fn lead(outbox: &str) -> String {
    let name = literal(KIND, outbox);
    format!("select pg_try_advisory_lock({LEAD}, hashtext({name}))::int")
}

pub(super) fn data() -> &'static str {
    "data"
}
