//! MySQL and MariaDB: triggers by row, each of which is one statement, so that any client can create it.

use super::{Column, Dialect, Found, Rows, Table, Wanted, cell, literal, quoted};
use crate::{CaptureDefinition, SourceKind, limits};

const KIND: SourceKind = SourceKind::MySql;

pub(super) const BLIND: &str = "TRUNCATE TABLE, and partitions that are truncated or exchanged: delete \
                                rows, or invalidate by hand";
pub(super) const AGE: &str =
    "timestampdiff(microsecond, written_at, current_timestamp(3)) div 1000";

const HAPPENED: [(&str, &[&str]); 3] =
    [("insert", &["NEW"]), ("update", &["OLD", "NEW"]), ("delete", &["OLD"])];

pub(super) fn find_outbox(dialect: &Dialect) -> String {
    let name = literal(KIND, &dialect.outbox);
    format!(
        "select database(), (select count(*) from information_schema.tables \
         where table_schema = database() and table_name = {name})"
    )
}

pub(super) fn describe(table: &str) -> String {
    let (schema, name) = match table.split_once('.') {
        Some((schema, name)) => (literal(KIND, schema), name),
        None => ("database()".to_owned(), table),
    };
    let name = literal(KIND, name);
    format!(
        "select t.table_schema, t.table_name, t.table_type, c.column_name, c.data_type \
         from information_schema.tables t join information_schema.columns c \
         on c.table_schema = t.table_schema and c.table_name = t.table_name \
         where t.table_schema = {schema} and t.table_name = {name} order by c.ordinal_position"
    )
}

pub(super) fn read_table(rows: &Rows) -> Result<Option<Table>, String> {
    let Some(first) = rows.first() else { return Ok(None) };
    if cell(first, 2) == "VIEW" {
        return Err("a view: capture the tables it reads".to_owned());
    }
    Ok(Some(Table::of_rows(first, rows)))
}

/// Those of another outbox of the same name, in another database, are not ours.
pub(super) fn find(dialect: &Dialect, schema: &str) -> String {
    let begins = literal(KIND, &format!("{}{}", dialect.outbox, super::BETWEEN));
    let outbox = literal(KIND, &dialect.outbox_in(schema));
    let schema = literal(KIND, schema);
    format!(
        "select trigger_name, event_object_schema, event_object_table, action_statement \
         from information_schema.triggers where left(trigger_name, length({begins})) = {begins} \
         and (trigger_schema = {schema} or instr(action_statement, {outbox}) > 0) order by 1"
    )
}

pub(super) fn read_found(rows: &Rows) -> Vec<Found> {
    let found = rows.iter().map(|row| {
        let (name, schema) = (cell(row, 0), cell(row, 1));
        let remove = format!("drop trigger {}.{}", quoted(KIND, schema), quoted(KIND, name));
        Found {
            name: name.to_owned(),
            on: format!("{schema}.{}", cell(row, 2)),
            text: cell(row, 3).to_owned(),
            is_enabled: true,
            remove,
        }
    });
    found.collect()
}

pub(super) fn create_outbox(dialect: &Dialect, schema: &str) -> Vec<String> {
    vec![format!(
        "create table if not exists {} (\n  id bigint unsigned not null auto_increment primary key,\n  \
         capture varchar(64) not null,\n  data mediumtext,\n  \
         written_at timestamp(3) not null default current_timestamp(3)\n) \
         engine = InnoDB default character set utf8mb4",
        dialect.outbox_in(schema)
    )]
}

pub(super) fn wanted(
    dialect: &Dialect,
    schema: &str,
    capture: &CaptureDefinition,
    table: &Table,
) -> Vec<Wanted> {
    let outbox = dialect.outbox_in(schema);
    let of_capture = literal(KIND, &capture.name.value);
    let wanted = HAPPENED.iter().map(|(happened, rows)| {
        let name = dialect.name(capture, happened);
        let rows: Vec<String> =
            rows.iter().map(|row| table.object(row, capture, recorded)).collect();
        // One row, whatever moved: rows that are counted beforehand hold no lock on the numbers.
        let text = format!(
            "insert into {outbox} (capture, data) values ({of_capture}, json_array({}))",
            rows.join(", ")
        );
        let create = format!(
            "create trigger {}.{} after {happened} on {} for each row {text}",
            quoted(KIND, &table.schema),
            quoted(KIND, &name),
            table.quoted(KIND)
        );
        Wanted {
            capture: capture.name.value.clone(),
            name,
            on: table.shown(),
            text,
            create,
            replaces: false,
        }
    });
    wanted.collect()
}

/// A name and a value that is the same whatever a session is set to, and of which JSON can be made.
fn recorded(row: &str, column: &Column) -> String {
    let name = literal(KIND, &column.name);
    let value = format!("{row}.{}", quoted(KIND, &column.name));
    let most = limits::CAPTURED_CHARS;
    let value = match column.of_type.to_ascii_lowercase().as_str() {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "float"
        | "double" | "date" | "datetime" | "year" | "time" => value,
        // It would be told by the clock of whoever writes.
        "timestamp" => format!("unix_timestamp({value})"),
        "bit" => format!("cast({value} as unsigned)"),
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => {
            format!("hex(left({value}, {most}))")
        }
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set"
        | "json" | "uuid" | "inet4" | "inet6" => format!("left({value}, {most})"),
        // Such as places on a map: none of them is a part of a tag.
        _ => "null".to_owned(),
    };
    format!("{name}, {value}")
}

/// What cascades of foreign keys change.
pub(super) fn find_blind(table: &Table) -> String {
    let (schema, name) = (literal(KIND, &table.schema), literal(KIND, &table.name));
    format!(
        "select concat('what the foreign key ', constraint_name, ' does to ', table_name, ' when rows \
         of ', referenced_table_name, ' change') from information_schema.referential_constraints \
         where constraint_schema = {schema} and table_name = {name} \
         and not (update_rule in ('RESTRICT', 'NO ACTION') and delete_rule in ('RESTRICT', 'NO ACTION')) \
         order by constraint_name"
    )
}

/// Names of the right are known to the whole server.
pub(super) fn lead(outbox: &str) -> String {
    let name = literal(KIND, outbox);
    format!("select get_lock(concat('samovar.', sha1(concat(database(), '.', {name}))), 0)")
}

pub(super) fn data() -> &'static str {
    "data"
}
