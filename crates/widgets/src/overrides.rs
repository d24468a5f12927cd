//! Keys that variables of the environment set: `SAMOVAR_CACHE__MEMORY=512MB` is `memory` in `[cache]`,
//! whatever the file says.
//!
//! What is wrong with one is told like a mistake of the file, on a line behind its last one that stands
//! for the variable.

use std::borrow::Cow;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::Problem;

const PREFIX: &str = "SAMOVAR_";
/// Between the parts of a path. Names with none of these are not of this kind: other programs set some
/// like `SAMOVAR_PORT` for whoever talks to this one.
const SEPARATOR: &str = "__";

/// Variables that set keys, each on a line of its own behind those of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Of the file, the empty one at its end among them.
    lines: usize,
    variables: Vec<(String, String)>,
}

impl Overrides {
    /// Those of `environment` that set keys of the file with this text.
    pub fn of(environment: impl IntoIterator<Item = (String, String)>, text: &str) -> Self {
        let is_path = |name: &str| {
            name.strip_prefix(PREFIX).is_some_and(|path| path.trim_matches('_').contains(SEPARATOR))
        };
        let variables = environment.into_iter().filter(|(name, _)| is_path(name));
        let mut variables: Vec<_> = variables.collect();
        // A section goes before what is in it.
        variables.sort();
        Self { lines: 1 + text.matches('\n').count(), variables }
    }

    /// The variable that a line stands for.
    fn name(&self, line: usize) -> Option<&str> {
        let place = line.checked_sub(self.lines + 1)?;
        self.variables.get(place).map(|(name, _)| name.as_str())
    }

    /// Says of each problem whether a variable is to blame.
    pub fn blame(&self, problems: &mut [Problem]) {
        for problem in problems {
            problem.variable = self.name(problem.line).map(str::to_owned);
        }
    }

    /// Puts all of them in, each at a place of its own behind `end`, that of the file.
    pub(crate) fn put_into<'t>(
        &'t self,
        root: &mut DeTable<'t>,
        end: usize,
    ) -> Result<(), Vec<Problem>> {
        let put = |(place, (name, value)): (usize, &'t (String, String))| {
            let line = self.lines + 1 + place;
            let put = put(root, name, value, end + 1 + place);
            put.err().map(|(reason, hint)| Problem::new(line, reason).hint(hint))
        };
        let problems: Vec<_> = self.variables.iter().enumerate().filter_map(put).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// The line of what was put in behind the end of the file.
    pub(crate) fn line(&self, behind: usize) -> usize {
        self.lines + 1 + behind
    }
}

/// Where the key lies, and what goes there; else what is wrong with the variable, and what to do.
fn put<'t>(
    root: &mut DeTable<'t>,
    name: &str,
    value: &'t str,
    at: usize,
) -> Result<(), (String, String)> {
    let path = name.strip_prefix(PREFIX).unwrap_or(name).split(SEPARATOR);
    let parts: Vec<String> = path.map(str::to_ascii_lowercase).collect();
    let Some((key, sections)) = parts.split_last().filter(|_| !parts.iter().any(String::is_empty))
    else {
        let hint = format!("a path is written like {PREFIX}CACHE__LEASE__TIMEOUT");
        return Err(("its name is no path to a key".to_owned(), hint));
    };
    let value = read(value, at)?;
    let mut table = root;
    for section in sections {
        let key = take_key(table, section, at);
        let inner = table.entry(key).or_insert_with(|| spanned(at, DeValue::Table(DeTable::new())));
        let DeValue::Table(inner) = inner.get_mut() else {
            let reason = format!("`{section}` is a key, and nothing lies below it");
            return Err((reason, "name a section of the file, and a key in it".to_owned()));
        };
        table = inner;
    }
    let key = take_key(table, key, at);
    table.remove(&key);
    table.insert(key, value);
    Ok(())
}

/// As it is written in the file, where it is: names of variables are in capitals.
fn take_key<'t>(table: &DeTable<'t>, part: &str, at: usize) -> Spanned<Cow<'t, str>> {
    let written = table.keys().find(|key| key.get_ref().eq_ignore_ascii_case(part));
    let written = written.map(|key| key.get_ref().clone());
    spanned(at, written.unwrap_or_else(|| Cow::Owned(part.to_owned())))
}

/// A list, a table, a text in quotes, a number or a truth is written as in the file. Everything else is
/// a text and needs no quotes.
fn read(text: &str, at: usize) -> Result<Spanned<DeValue<'_>>, (String, String)> {
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err(("its value is no UTF-8".to_owned(), "set it to a text".to_owned()));
    }
    match DeValue::parse(text) {
        Ok(value) => Ok(placed(value.into_inner(), at)),
        Err(_) if !text.starts_with(['[', '{', '"', '\'']) => {
            Ok(spanned(at, DeValue::String(Cow::Borrowed(text))))
        }
        Err(_) => {
            let hint = "write a list [\"a\", \"b\"], a table { a = 1, b = 2 } and a text plain";
            Err(("its value is not written as in the file".to_owned(), hint.to_owned()))
        }
    }
}

/// With everything in it at the same place.
fn placed(mut value: DeValue<'_>, at: usize) -> Spanned<DeValue<'_>> {
    match &mut value {
        DeValue::Array(values) => {
            for one in values.iter_mut() {
                *one = placed(std::mem::replace(one.get_mut(), DeValue::Boolean(false)), at);
            }
        }
        DeValue::Table(table) => {
            let pairs = std::mem::take(table).into_iter();
            let pairs = pairs.map(|(key, value)| {
                (spanned(at, key.into_inner()), placed(value.into_inner(), at))
            });
            *table = pairs.collect();
        }
        _ => {}
    }
    spanned(at, value)
}

fn spanned<T>(at: usize, value: T) -> Spanned<T> {
    Spanned::new(at..at, value)
}
