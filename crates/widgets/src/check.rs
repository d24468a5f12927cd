//! What is wrong with a query, told before anything is served: its text, the names it uses, and what
//! the database says of it.

use crate::{
    Bound, Located, Prepared, Problem, Query, Source, SourceError, nearest, selection::IDS,
};

/// What a query can refer to.
#[derive(Clone, Copy, Debug)]
pub struct Names<'n> {
    /// The parameters of its widget, besides the tenant.
    pub params: &'n [&'n str],
    /// Whether there are ranges to cut by.
    pub ranges: bool,
    pub whose: Whose,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Widget,
    /// It is given the keys of other rows.
    Include,
    /// Lists the values of a parameter for one tenant.
    Values,
    /// Lists the tenants.
    Tenants,
}

/// What a widget with ranges can cut its rows by: instants, the second one outside; or days of the
/// tenant, both inside.
pub const CUTS: [&str; 4] = ["from", "to", "first_day", "last_day"];

/// Reads the text of a query, and compares the names in it with those it can use.
///
/// # Errors
/// All that is wrong.
pub fn check_text(
    source: &Source,
    text: &Located<String>,
    names: Names<'_>,
) -> Result<Query, Vec<Problem>> {
    let query = Query::parse(source.kind(), &text.value).map_err(|mistakes| {
        let told = |it: crate::Mistake| Problem::new(text.line + it.line, it.reason).hint(it.hint);
        mistakes.into_iter().map(told).collect::<Vec<_>>()
    })?;
    let problems: Vec<Problem> = query
        .params()
        .filter_map(|(name, line)| check_name(name, names).map(|told| told(text.line + line)))
        .collect();
    if problems.is_empty() { Ok(query) } else { Err(problems) }
}

fn check_name(name: &str, names: Names<'_>) -> Option<impl FnOnce(usize) -> Problem> {
    let known = || {
        let cuts = CUTS.into_iter().filter(|_| names.ranges);
        let ids = (names.whose == Whose::Include).then_some(IDS);
        let tenant = (names.whose != Whose::Tenants).then_some("tenant");
        names.params.iter().copied().chain(cuts).chain(ids).chain(tenant)
    };
    if known().any(|known| known == name) {
        return None;
    }
    let mut reason = format!("the query uses `:{name}`, not a parameter");
    let hint = match names.whose {
        Whose::Tenants => "the query of the tenants has no parameters".to_owned(),
        Whose::Values => "the query of a parameter's values has `:tenant` alone".to_owned(),
        Whose::Widget if name == IDS => "it belongs into the query of an include".to_owned(),
        Whose::Widget | Whose::Include if CUTS.contains(&name) => {
            reason = format!("the query uses `:{name}`, and the widget has no ranges");
            "list them: ranges = [\"7d\", \"30d\"]".to_owned()
        }
        Whose::Widget | Whose::Include => match nearest(name, known()) {
            Some(meant) => format!("did you mean `:{meant}`?"),
            None => format!("declare it: params.{name} = {{ default = \"\" }}"),
        },
    };
    Some(move |line| Problem::new(line, reason).hint(hint))
}

/// Asks the database about a query.
///
/// # Errors
/// That nothing can be asked of it, which is no fault of the query.
pub async fn check_prepared(
    source: &Source,
    query: &Query,
    line: usize,
    sample: &[(String, Bound)],
) -> Result<Result<Prepared, Vec<Problem>>, SourceError> {
    let prepared = match source.prepare(query, sample).await {
        Ok(prepared) => prepared,
        Err(SourceError::Query { reason }) => {
            let reason = format!("the query cannot be prepared: {reason}");
            let hint = "correct the query, or what is in its source";
            return Ok(Err(vec![Problem::new(line, reason).hint(hint)]));
        }
        Err(away) => return Err(away),
    };
    let mut problems = Vec::new();
    let mut names: Vec<&str> = prepared.columns.iter().map(|it| it.name.as_str()).collect();
    names.sort_unstable();
    for pair in names.windows(2).filter(|pair| pair[0] == pair[1]) {
        let reason = format!("two columns are called `{}`", pair[0]);
        problems.push(Problem::new(line, reason).hint("name them apart with `as`"));
    }
    for column in &prepared.columns {
        if let Some(type_name) = &column.unreadable {
            let reason = format!("column `{}` has the type {type_name}", column.name);
            let hint = "it has no form in JSON: convert it in the query, to text for example";
            problems.push(Problem::new(line, reason).hint(hint));
        }
    }
    Ok(if problems.is_empty() { Ok(prepared) } else { Err(problems) })
}

/// Whether rows are cut by both ends of a range.
pub fn is_cut(queries: &[&Query]) -> bool {
    let uses = |name: &str| queries.iter().any(|query| query.params().any(|(it, _)| it == name));
    uses("from") && uses("to") || uses("first_day") && uses("last_day")
}
