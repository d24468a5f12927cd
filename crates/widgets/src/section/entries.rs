//! Tables in which a value is a word or a table of its own.

use super::Section;
use crate::{Located, Problem};

/// What stands under one name.
#[derive(Debug)]
pub(crate) enum Entry<'a> {
    Word(String),
    Table(Section<'a>),
}

impl<'a> Section<'a> {
    /// The entries of the table `key` by their names.
    pub(crate) fn entries(
        &mut self,
        key: &'static str,
        example: &str,
    ) -> Vec<(Located<String>, Entry<'a>)> {
        let Some(outer) = self.section(key) else { return Vec::new() };
        let mut entries = Vec::new();
        for (name, value) in outer.table {
            let line = self.document.line(&name.span());
            let name = Located { value: name.get_ref().to_string(), line };
            let path = format!("{}.{}", outer.path, name.value);
            let entry = match value.get_ref().as_str() {
                Some(word) => Some(Entry::Word(word.to_owned())),
                None if value.get_ref().is_table() => {
                    outer.enter(path, value, value.span()).map(Entry::Table)
                }
                None => {
                    let found = super::name_of(value.get_ref());
                    let reason = format!("`{}` in {} is {found}", name.value, outer.title);
                    self.note(Problem::new(line, reason).hint(format!("write it like {example}")));
                    None
                }
            };
            entries.extend(entry.map(|entry| (name, entry)));
        }
        entries
    }
}
