//! What is said to each kind of database: pure text, made of names and numbers.

mod mysql;
mod postgres;
mod sqlite;

use std::time::Duration;

use crate::{CaptureDefinition, SourceKind};

/// How one outbox is spoken of in one kind of database.
#[derive(Clone, Debug)]
pub(super) struct Dialect {
    pub(super) kind: SourceKind,
    pub(super) outbox: String,
    /// Whether triggers wake the process up that reads the outbox.
    pub(super) notify: bool,
}

/// A table as its database describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// None in SQLite.
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    /// Those of each key that no two rows share. Only SQLite has to know.
    pub(super) unique: Vec<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    /// In the words of the database.
    pub(super) of_type: String,
}

/// A trigger or a function that has to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) capture: String,
    pub(super) name: String,
    /// Its table; nothing for a function.
    pub(super) on: String,
    /// As the catalogue of the database tells it.
    pub(super) text: String,
    pub(super) create: String,
    /// Whether it takes the place of another one of its name.
    pub(super) replaces: bool,
}

/// One that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) on: String,
    pub(super) text: String,
    pub(super) is_enabled: bool,
    pub(super) remove: String,
}

/// What came of a question, whatever the database: values as texts.
pub(super) type Rows = Vec<Vec<Option<String>>>;

/// Between the parts of a name. Neither an outbox nor a capture has it in its own.
pub(super) const BETWEEN: char = '$';

/// Runs what this kind of database has.
macro_rules! of_kind {
    ($dialect:expr, $function:ident($($argument:expr),*)) => {
        match $dialect.kind {
            SourceKind::Postgres => postgres::$function($($argument),*),
            SourceKind::MySql => mysql::$function($($argument),*),
            SourceKind::Sqlite => sqlite::$function($($argument),*),
        }
    };
}

impl Dialect {
    /// One row with the schema of the outbox, where it would be, and whether it is there.
    pub(super) fn find_outbox(&self) -> String {
        of_kind!(self, find_outbox(self))
    }

    /// Rows for [`Dialect::read_table`]; none where there is no such table.
    pub(super) fn describe(&self, table: &str) -> String {
        of_kind!(self, describe(table))
    }

    /// # Errors
    /// What it is, if it is no table.
    pub(super) fn read_table(&self, rows: &Rows) -> Result<Option<Table>, String> {
        of_kind!(self, read_table(rows))
    }

    /// Rows for [`Dialect::read_found`].
    pub(super) fn find(&self, schema: &str) -> String {
        of_kind!(self, find(self, schema))
    }

    /// Triggers first, so that nothing is removed that another one needs.
    pub(super) fn read_found(&self, rows: &Rows) -> Vec<Found> {
        of_kind!(self, read_found(rows))
    }

    pub(super) fn create_outbox(&self, schema: &str) -> Vec<String> {
        of_kind!(self, create_outbox(self, schema))
    }

    pub(super) fn drop_outbox(&self, schema: &str) -> String {
        format!("drop table {}", self.outbox_in(schema))
    }

    pub(super) fn wanted(
        &self,
        schema: &str,
        capture: &CaptureDefinition,
        table: &Table,
    ) -> Vec<Wanted> {
        of_kind!(self, wanted(self, schema, capture, table))
    }

    /// Records that anything may have changed.
    pub(super) fn mark(&self, schema: &str, capture: &str) -> String {
        let (outbox, capture) = (self.outbox_in(schema), literal(self.kind, capture));
        format!("insert into {outbox} (capture) values ({capture})")
    }

    /// A row for each thing that changes a table and is not seen.
    pub(super) fn find_blind(&self, table: &Table) -> String {
        of_kind!(self, find_blind(table))
    }

    /// What is never seen in this kind of database.
    pub(super) fn always_blind(&self) -> &'static str {
        match self.kind {
            SourceKind::Postgres => postgres::BLIND,
            SourceKind::MySql => mysql::BLIND,
            SourceKind::Sqlite => sqlite::BLIND,
        }
    }

    /// Rows of the outbox: id, capture, data, and their age in milliseconds; only those that lie there
    /// for so long.
    pub(super) fn take(&self, most: usize, lying: Duration) -> String {
        self.rows_with(of_kind!(self, data()), most, lying)
    }

    /// The same without what is in them.
    pub(super) fn take_many(&self, most: usize, lying: Duration) -> String {
        self.rows_with("null", most, lying)
    }

    fn rows_with(&self, data: &str, most: usize, lying: Duration) -> String {
        let (outbox, age) = (self.quoted(&self.outbox), self.age());
        let lying = match lying.as_millis() {
            0 => String::new(),
            ms => format!(" where {age} >= {ms}"),
        };
        format!("select id, capture, {data}, {age} from {outbox}{lying} order by id limit {most}")
    }

    /// One row: how many there are, counted no further than to `most`, and the age of the oldest.
    pub(super) fn count(&self, most: usize) -> String {
        let (outbox, age) = (self.quoted(&self.outbox), self.age());
        format!(
            "select count(*), max(age) from (select {age} as age from {outbox} order by id limit {most}) \
             as oldest"
        )
    }

    pub(super) fn remove(&self, ids: &[i64]) -> String {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        format!("delete from {} where id in ({})", self.quoted(&self.outbox), ids.join(","))
    }

    /// One row: whether this session applies what the outbox has. `None` where there is no such right.
    pub(super) fn lead(&self) -> Option<String> {
        match self.kind {
            SourceKind::Postgres => Some(postgres::lead(&self.outbox)),
            SourceKind::MySql => Some(mysql::lead(&self.outbox)),
            SourceKind::Sqlite => None,
        }
    }

    /// Milliseconds since a row was written.
    fn age(&self) -> &'static str {
        match self.kind {
            SourceKind::Postgres => postgres::AGE,
            SourceKind::MySql => mysql::AGE,
            SourceKind::Sqlite => sqlite::AGE,
        }
    }

    fn quoted(&self, name: &str) -> String {
        quoted(self.kind, name)
    }

    fn outbox_in(&self, schema: &str) -> String {
        match schema {
            "" => self.quoted(&self.outbox),
            schema => format!("{}.{}", self.quoted(schema), self.quoted(&self.outbox)),
        }
    }

    /// Of what belongs to a capture.
    fn name(&self, capture: &CaptureDefinition, what: &str) -> String {
        let (outbox, capture) = (&self.outbox, &capture.name.value);
        match what {
            "" => format!("{outbox}{BETWEEN}{capture}"),
            what => format!("{outbox}{BETWEEN}{capture}{BETWEEN}{what}"),
        }
    }
}

impl Table {
    /// A row for each column: its schema and its name in front, what it is, and the column.
    fn of_rows(first: &[Option<String>], rows: &Rows) -> Self {
        let column = |row: &Vec<_>| Column {
            name: cell(row, 3).to_owned(),
            of_type: cell(row, 4).to_owned(),
        };
        let (schema, name) = (cell(first, 0).to_owned(), cell(first, 1).to_owned());
        Self { schema, name, columns: rows.iter().map(column).collect(), unique: Vec::new() }
    }

    /// What is recorded of a row, as JSON.
    fn object(
        &self,
        row: &str,
        capture: &CaptureDefinition,
        recorded: impl Fn(&str, &Column) -> String,
    ) -> String {
        let columns = self.recorded(capture).map(|column| recorded(row, column));
        format!("json_object({})", columns.collect::<Vec<_>>().join(", "))
    }

    /// As people write it.
    pub(super) fn shown(&self) -> String {
        match self.schema.as_str() {
            "" => self.name.clone(),
            schema => format!("{schema}.{}", self.name),
        }
    }

    fn quoted(&self, kind: SourceKind) -> String {
        let name = quoted(kind, &self.name);
        match self.schema.as_str() {
            "" => name,
            schema => format!("{}.{name}", quoted(kind, schema)),
        }
    }

    /// Columns that a capture records, as the table has them. They were looked for before.
    fn recorded<'t>(&'t self, capture: &'t CaptureDefinition) -> impl Iterator<Item = &'t Column> {
        let names = capture.columns.iter().map(|column| &column.value);
        names.filter_map(|name| self.columns.iter().find(|column| column.name == *name))
    }
}

fn quoted(kind: SourceKind, name: &str) -> String {
    match kind {
        SourceKind::MySql => format!("`{}`", name.replace('`', "``")),
        SourceKind::Postgres | SourceKind::Sqlite => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// A text in a statement. MySQL takes a backslash for something else, so that it is doubled there.
fn literal(kind: SourceKind, text: &str) -> String {
    let text = text.replace('\'', "''");
    match kind {
        SourceKind::MySql => format!("'{}'", text.replace('\\', "\\\\")),
        SourceKind::Postgres | SourceKind::Sqlite => format!("'{text}'"),
    }
}

/// The columns of a row that came of a question.
fn cell(row: &[Option<String>], index: usize) -> &str {
    row.get(index).and_then(Option::as_deref).unwrap_or_default()
}
