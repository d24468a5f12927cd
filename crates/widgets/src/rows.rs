//! Rows on their way out of a source, and the JSON they become.

use crate::{Bound, Limits, SourceError, Value, value::write_text};

/// What becomes of the rows of one query, row by row: nothing else keeps them.
pub trait Rows: Send + 'static {
    /// The names of the columns, before the first row.
    fn columns(&mut self, names: &[String]) -> Result<(), SourceError>;

    fn row(&mut self, row: &Row<'_>) -> Result<(), SourceError>;
}

/// One row. Values are taken out of the source's own form when they are asked for.
pub struct Row<'r> {
    columns: &'r [String],
    cells: &'r dyn Cells,
}

/// A row in the form of its source.
pub(crate) trait Cells {
    /// # Errors
    /// What it is that has no form here, like "text that is not UTF-8".
    fn cell(&self, index: usize) -> Result<Value<'_>, String>;
}

/// Values that are in memory already.
impl Cells for Vec<Value<'_>> {
    fn cell(&self, index: usize) -> Result<Value<'_>, String> {
        Ok(self[index].borrowed())
    }
}

impl<'r> Row<'r> {
    /// One that comes from no source. There are as many values as columns.
    pub fn of_values(columns: &'r [String], values: &'r Vec<Value<'r>>) -> Self {
        Self { columns, cells: values }
    }

    pub(crate) fn new(columns: &'r [String], cells: &'r dyn Cells) -> Self {
        Self { columns, cells }
    }

    /// How many values it has.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    pub fn get(&self, index: usize) -> Result<Value<'_>, SourceError> {
        let column = || self.columns[index].clone();
        self.cells.cell(index).map_err(|found| SourceError::Type { column: column(), found })
    }

    /// What identifies other rows; `None` is null.
    pub(crate) fn key(&self, index: usize) -> Result<Option<Bound>, SourceError> {
        let no_key = |found: &str| SourceError::Type {
            column: self.columns[index].clone(),
            found: found.to_owned(),
        };
        self.get(index)?.to_key().map_err(no_key)
    }
}

impl std::fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let values = (0..self.width()).map(|index| self.cells.cell(index));
        f.debug_map().entries(self.columns.iter().zip(values)).finish()
    }
}

/// Writes rows as JSON objects, which end up separated by commas.
#[derive(Debug)]
pub(crate) struct Objects {
    /// Of each column: its name as JSON with a colon, and whether its texts are documents.
    columns: Vec<(String, bool)>,
    json_columns: Vec<String>,
    rows_left: usize,
    limits: Limits,
    /// Of the limit, what others have taken already.
    bytes_taken: u64,
}

impl Objects {
    /// `json_columns` are those whose texts are JSON.
    pub(crate) fn new(json_columns: &[String], limits: Limits, bytes_taken: u64) -> Self {
        Self {
            columns: Vec::new(),
            json_columns: json_columns.to_vec(),
            rows_left: limits.rows,
            limits,
            bytes_taken,
        }
    }

    pub(crate) fn begin(&mut self, names: &[String]) -> Result<(), SourceError> {
        if let Some(missing) = self.json_columns.iter().find(|it| !names.contains(it)) {
            return Err(SourceError::NoColumn { column: missing.clone() });
        }
        let column = |name: &String| {
            let mut key = Vec::new();
            write_text(name, &mut key);
            key.push(b':');
            let key = String::from_utf8(key).expect("JSON is UTF-8");
            (key, self.json_columns.contains(name))
        };
        self.columns = names.iter().map(column).collect();
        Ok(())
    }

    /// Counts a row of the query, whether or not it is written.
    pub(crate) fn count(&mut self) -> Result<(), SourceError> {
        let limit = self.limits.rows;
        let left = self.rows_left.checked_sub(1);
        self.rows_left = left.ok_or(SourceError::TooManyRows { limit })?;
        Ok(())
    }

    /// Appends `{"column":value,...}`.
    pub(crate) fn write(&self, row: &Row<'_>, json: &mut Vec<u8>) -> Result<(), SourceError> {
        json.push(b'{');
        for (index, (key, is_json)) in self.columns.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            json.extend(key.as_bytes());
            match row.get(index)? {
                Value::Text(text) if *is_json => match serde_json::from_str(&text) {
                    Ok::<&serde_json::value::RawValue, _>(sound) => {
                        json.extend(sound.get().as_bytes());
                    }
                    Err(_) => {
                        let column = row.columns[index].clone();
                        let found = "a text that is no JSON".to_owned();
                        return Err(SourceError::Type { column, found });
                    }
                },
                value => value.write_json(json),
            }
            if self.bytes_taken + json.len() as u64 > self.limits.bytes {
                return Err(SourceError::TooManyBytes { limit: self.limits.bytes });
            }
        }
        json.push(b'}');
        Ok(())
    }
}
