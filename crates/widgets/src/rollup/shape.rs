//! What a rollup folds, resolved: columns by their place, measures by what they are of.

use std::fmt;

use super::{
    Expression, PartitionUnit,
    distinct::hash_bytes,
    short,
    state::{Kind, Wanted},
};
use crate::nearest;

/// The checked form of a rollup's section, made by [`crate::Definitions::read`].
#[derive(Clone, Debug)]
pub struct Rollup {
    pub(super) unit: PartitionUnit,
    /// Those that are read. The first has the time of a row.
    pub(super) columns: Vec<String>,
    pub(super) lists: Vec<List>,
    /// What is folded of rows, and then of the elements of each list.
    pub(super) tables: Vec<Table>,
    fingerprint: u64,
}

/// A column with a JSON list.
#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) name: String,
    pub(super) column: usize,
    pub(super) fields: Vec<String>,
}

/// Measures of the same things, by the same dimensions.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// Those of rows come first, and are the same in each table.
    pub(super) dimensions: Vec<Dimension>,
    /// Each that is needed once.
    pub(super) expressions: Vec<Expression<Place>>,
    written: Vec<String>,
    pub(super) measures: Vec<Measure>,
}

#[derive(Clone, Debug)]
pub(super) struct Dimension {
    pub(super) name: String,
    pub(super) place: Place,
}

#[derive(Clone, Debug)]
pub(super) struct Measure {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) of: Operand,
    /// The weight of a top, by its place among the expressions.
    pub(super) by: usize,
    /// What it is of, as it is written.
    pub(super) written: String,
}

/// Where a value is: among the columns, or among the fields of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Column(usize),
    Field(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    /// The row or the element itself.
    Each,
    Value(Place),
    /// By its place among the expressions.
    Number(usize),
}

/// What cannot be folded, and what to do instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    pub(crate) hint: String,
}

fn refuse<T>(reason: impl Into<String>, hint: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { reason: reason.into(), hint: hint.into() })
}

/// Raised when what is folded, or how it is written, changes its meaning.
const FOLDING: u64 = 1;

impl Rollup {
    pub fn unit(&self) -> PartitionUnit {
        self.unit
    }

    /// The columns that its query has to have.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Changes with everything that makes its partials different. It belongs into their keys, beside
    /// the tenant and the tenant's time zone.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    pub(crate) fn measures(&self) -> impl Iterator<Item = &str> {
        let measures = self.tables.iter().flat_map(|table| &table.measures);
        measures.map(|measure| measure.name.as_str())
    }

    pub(crate) fn dimensions(&self) -> impl Iterator<Item = &str> {
        let dimensions = self.tables.iter().flat_map(|table| &table.dimensions);
        dimensions.map(|dimension| dimension.name.as_str())
    }

    /// Its table, and its place in it.
    pub(crate) fn measure(&self, name: &str) -> Option<(usize, usize)> {
        let place = |table: &Table| table.measures.iter().position(|it| it.name == name);
        let mut tables = self.tables.iter().enumerate();
        tables.find_map(|(index, table)| Some((index, place(table)?)))
    }

    pub(crate) fn kind(&self, (table, measure): (usize, usize)) -> Kind {
        self.tables[table].measures[measure].kind
    }

    pub(crate) fn dimension(&self, table: usize, name: &str) -> Option<usize> {
        self.tables[table].dimensions.iter().position(|it| it.name == name)
    }

    /// The one that a parameter filters by: it is called as in answers.
    pub(crate) fn filtered(&self, table: usize, param: &str) -> Option<usize> {
        self.tables[table].dimensions.iter().position(|it| short(&it.name) == param)
    }

    pub(super) fn written(&self, (table, measure): (usize, usize)) -> &str {
        &self.tables[table].measures[measure].written
    }

    /// For errors.
    pub(super) fn name_of(&self, table: usize, place: Place) -> String {
        match place {
            Place::Column(column) => self.columns[column].clone(),
            Place::Field(field) => {
                let list = &self.lists[table - 1];
                format!("{}.{}", list.name, list.fields[field])
            }
        }
    }
}

/// How it is put together: lists first, then dimensions, then measures.
impl Rollup {
    pub(crate) fn new(unit: PartitionUnit, at: &str) -> Self {
        let (columns, tables) = (vec![at.to_owned()], vec![Table::default()]);
        Self { unit, columns, lists: Vec::new(), tables, fingerprint: 0 }
    }

    pub(crate) fn add_list(&mut self, name: &str, column: &str, fields: Vec<String>) {
        let (name, column) = (name.to_owned(), self.column(column));
        self.lists.push(List { name, column, fields });
        self.tables.push(Table::default());
    }

    pub(crate) fn add_dimension(&mut self, name: &str) -> Result<(), Refusal> {
        let (table, place) = self.resolve(name)?;
        self.tables[table].dimensions.push(Dimension { name: name.to_owned(), place });
        Ok(())
    }

    /// Of rows, where `of` is nothing.
    pub(crate) fn add_measure(
        &mut self,
        name: &str,
        wanted: Wanted,
        of: Option<&Expression<String>>,
        by: Option<&Expression<String>>,
    ) -> Result<(), Refusal> {
        let mut written = of.map(ToString::to_string).unwrap_or_default();
        let list = of.and_then(Expression::name).and_then(|name| self.list(name));
        if let (Some(list), Wanted::Count) = (list, wanted) {
            let (kind, of) = (Kind::Count, Operand::Each);
            let measure = Measure { name: name.to_owned(), kind, of, by: 0, written };
            self.tables[list + 1].measures.push(measure);
            return Ok(());
        }
        let mut table = 0;
        for part in of.into_iter().chain(by) {
            part.map(&mut |name| {
                let (of, _) = self.resolve(name)?;
                if table != 0 && of != 0 && of != table {
                    let reason = format!("`{name}` is of another list than what stands before it");
                    return refuse(reason, "a measure folds the elements of one list");
                }
                table = table.max(of);
                Ok(())
            })?;
        }
        let of = match of {
            None => Operand::Each,
            Some(Expression::Name(name)) if wanted.takes_values() => {
                Operand::Value(self.resolve(name)?.1)
            }
            Some(of) if !matches!(wanted, Wanted::Top { .. }) => {
                Operand::Number(self.expression(table, of)?)
            }
            Some(_) => return refuse("`top` is of one column or field", "write top = \"sku\""),
        };
        let by = match by {
            Some(by) => {
                written = format!("{written} by {by}");
                self.expression(table, by)?
            }
            None => 0,
        };
        let (name, kind) = (name.to_owned(), wanted.kind());
        self.tables[table].measures.push(Measure { name, kind, of, by, written });
        Ok(())
    }

    /// A dimension of elements cuts only measures of elements: where there are none of its list it
    /// cuts nothing.
    pub(crate) fn idle_dimension(&self) -> Option<&str> {
        let mut idle = self.tables.iter().filter(|table| table.measures.is_empty());
        idle.find_map(|table| {
            let is_row = std::ptr::eq(table, &raw const self.tables[0]);
            table.dimensions.first().filter(|_| !is_row).map(|it| it.name.as_str())
        })
    }

    /// `said` is whatever else partials depend on.
    pub(crate) fn finish(mut self, said: &[&str]) -> Self {
        let (rows, lists) = self.tables.split_first_mut().expect("the table of rows is there");
        for table in lists {
            table.dimensions.splice(0..0, rows.dimensions.iter().cloned());
        }
        self.fingerprint = hash_bytes(self.description(said).as_bytes(), FOLDING);
        self
    }

    /// All that partials depend on, in words that do not change with the code.
    fn description(&self, said: &[&str]) -> String {
        let unit = match self.unit {
            PartitionUnit::Hour => "hour",
            PartitionUnit::Day => "day",
            PartitionUnit::Month => "month",
        };
        let mut parts = vec![format!("{unit} of {}", self.columns[0])];
        for list in &self.lists {
            let (name, column) = (&list.name, &self.columns[list.column]);
            parts.push(format!("list {name} in {column}: {}", list.fields.join(" ")));
        }
        for table in &self.tables {
            parts.push("table".to_owned());
            parts.extend(table.dimensions.iter().map(|it| format!("dimension {}", it.name)));
            let measure = |it: &Measure| format!("{} {} {}", it.name, it.kind.word(), it.written);
            parts.extend(table.measures.iter().map(measure));
        }
        parts.extend(said.iter().map(ToString::to_string));
        parts.join("\n")
    }

    fn list(&self, name: &str) -> Option<usize> {
        self.lists.iter().position(|list| list.name == name)
    }

    fn column(&mut self, name: &str) -> usize {
        let known = self.columns.iter().position(|column| column == name);
        known.unwrap_or_else(|| {
            self.columns.push(name.to_owned());
            self.columns.len() - 1
        })
    }

    fn expression(
        &mut self,
        table: usize,
        expression: &Expression<String>,
    ) -> Result<usize, Refusal> {
        let written = expression.to_string();
        if let Some(known) = self.tables[table].written.iter().position(|it| *it == written) {
            return Ok(known);
        }
        let resolved = expression.map(&mut |name| self.resolve(name).map(|(_, place)| place))?;
        let table = &mut self.tables[table];
        table.written.push(written);
        table.expressions.push(resolved);
        Ok(table.expressions.len() - 1)
    }

    /// Its table, and where its values are.
    fn resolve(&mut self, name: &str) -> Result<(usize, Place), Refusal> {
        let Some((list, field)) = name.split_once('.') else {
            let of_list = |list: &&List| list.name == name || self.columns[list.column] == name;
            let Some(list) = self.lists.iter().find(of_list) else {
                return Ok((0, Place::Column(self.column(name))));
            };
            let (list, field) = (&list.name, &list.fields[0]);
            let hint = format!("name a field of its elements, like {list}.{field}");
            return refuse(format!("`{name}` is a list"), hint);
        };
        let Some(index) = self.list(list) else {
            let known = self.lists.iter().map(|it| it.name.as_str());
            let hint = match nearest(list, known) {
                Some(meant) => format!("did you mean `{meant}.{field}`?"),
                None => format!(
                    "declare it: unnest.{list} = {{ column = \"{list}\", fields = [\"{field}\"] }}"
                ),
            };
            return refuse(format!("`{name}` is of a list that is not unnested"), hint);
        };
        let fields = &self.lists[index].fields;
        let Some(place) = fields.iter().position(|it| it == field) else {
            let hint = match nearest(field, fields.iter().map(String::as_str)) {
                Some(meant) => format!("did you mean `{list}.{meant}`?"),
                None => format!("add it to the fields of unnest.{list}"),
            };
            return refuse(format!("`{name}` is no field of unnest.{list}"), hint);
        };
        Ok((index + 1, Place::Field(place)))
    }
}

/// Expressions are told apart by their places.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Column(column) => write!(f, "column {column}"),
            Place::Field(field) => write!(f, "field {field}"),
        }
    }
}
