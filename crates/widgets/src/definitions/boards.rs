//! Pages of widgets.

use super::{check_name, check_widget, read_title};
use crate::{Located, Section, limits};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardDefinition {
    pub name: Located<String>,
    /// The name, where none is given.
    pub title: String,
    /// In the order of their tiles.
    pub widgets: Vec<Located<String>>,
    /// All tiles are computed anew when they are not of one moment.
    pub agree: bool,
}

pub(super) fn read(
    name: Located<String>,
    mut section: Section<'_>,
    known: &[String],
) -> Option<BoardDefinition> {
    const EXAMPLE: &str = "widgets = [\"sales\", \"stock\"]";
    check_name(&name, &section);
    let title = read_title(&mut section, &name.value);
    let widgets = section.required_texts("widgets", 1..=limits::WIDGETS_PER_BOARD, EXAMPLE);
    widgets.iter().flatten().for_each(|widget| check_widget(widget, known, &section));
    let agree = section.flag("agree").is_some_and(|it| it.value);
    section.finish();
    Some(BoardDefinition { name, title, widgets: widgets?, agree })
}
