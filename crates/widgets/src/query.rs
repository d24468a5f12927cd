//! The SQL of a widget: one statement that only reads, with parameters by name.

use std::{
    collections::HashMap,
    ops::{ControlFlow, Range},
    sync::Arc,
};

use sqlparser::{
    ast::{self, Expr, SetExpr, Statement, TableFactor, Visit, Visitor},
    dialect::{Dialect, MySqlDialect, PostgreSqlDialect, SQLiteDialect},
    parser::Parser,
    tokenizer::{Location, Token, TokenWithSpan, Tokenizer},
};

use crate::{Bound, SourceKind};

/// A query that was looked at. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Query(Arc<Parsed>);

#[derive(Debug)]
struct Parsed {
    text: String,
    /// Where each parameter is named, and by which name, in the order of the text.
    named: Vec<(Range<usize>, String)>,
    /// Tables that go by another name in it: that name, and theirs.
    aliases: Vec<(String, String)>,
}

/// What a query cannot be, and the line of its text, counted from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub line: usize,
    pub reason: String,
    pub hint: &'static str,
}

/// How a database writes the place of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Places {
    /// `?`, one for each use of a parameter.
    Question,
    /// `$1`, one for each parameter, so that two expressions with it are the same expression.
    Dollar,
}

/// A query with a place for each value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rendered<'b> {
    pub(crate) text: String,
    /// In the order of the places.
    pub(crate) values: Vec<&'b Bound>,
}

/// Functions that wait, lock, or reach beyond the tables, also in a transaction that only reads.
const REACHES_BEYOND: [&str; 16] = [
    "benchmark",
    "dblink",
    "get_lock",
    "load_extension",
    "load_file",
    "lo_export",
    "lo_import",
    "pg_cancel_backend",
    "pg_notify",
    "pg_read_binary_file",
    "pg_read_file",
    "pg_reload_conf",
    "pg_terminate_backend",
    "release_lock",
    "set_config",
    "setval",
];
/// Of functions that come in several kinds.
const REACHES_BEYOND_PREFIXES: [&str; 3] = ["dblink_", "pg_advisory_", "pg_try_advisory_"];

const ONE_SELECT: &str = "a widget's query is one SELECT";

impl Query {
    /// # Errors
    /// Every reason why it cannot be a widget's query.
    pub fn parse(kind: SourceKind, text: &str) -> Result<Self, Vec<Mistake>> {
        let dialect: &dyn Dialect = match kind {
            SourceKind::Sqlite => &SQLiteDialect {},
            SourceKind::Postgres => &PostgreSqlDialect {},
            SourceKind::MySql => &MySqlDialect {},
        };
        if kind == SourceKind::MySql {
            no_executable_comments(text)?;
        }
        let tokens = Tokenizer::new(dialect, text).tokenize_with_location().map_err(|error| {
            let line = (error.location.line as usize).saturating_sub(1);
            vec![Mistake { line, reason: error.message, hint: "correct the SQL" }]
        })?;
        let mut mistakes = Vec::new();
        let named = parameters(text, &tokens, &mut mistakes);
        let aliases = only_reads(dialect, &tokens, &mut mistakes);
        mistakes.sort_by_key(|mistake| mistake.line);
        let parsed = Parsed { text: text.to_owned(), named, aliases };
        if mistakes.is_empty() { Ok(Self(Arc::new(parsed))) } else { Err(mistakes) }
    }

    /// As written.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The names of its parameters with the line of each use, counted from 0.
    pub fn params(&self) -> impl Iterator<Item = (&str, usize)> {
        let line = |at: usize| self.0.text[..at].bytes().filter(|byte| *byte == b'\n').count();
        self.0.named.iter().map(move |(range, name)| (name.as_str(), line(range.start)))
    }

    /// The table that goes by this name in the query.
    pub(crate) fn table_called<'n>(&'n self, name: &'n str) -> &'n str {
        let alias = self.0.aliases.iter().find(|(alias, _)| alias == name);
        alias.map_or(name, |(_, table)| table)
    }

    /// With places for the values of `bindings`; what is not bound is null.
    pub(crate) fn render<'b>(
        &self,
        places: Places,
        bindings: &'b [(String, Bound)],
    ) -> Rendered<'b> {
        let mut text = String::with_capacity(self.0.text.len() + 16);
        let mut values: Vec<&Bound> = Vec::new();
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let mut end = 0;
        for (range, name) in &self.0.named {
            text.push_str(&self.0.text[end..range.start]);
            end = range.end;
            let bound = bindings.iter().find(|(bound, _)| bound == name).map(|(_, value)| value);
            let Some(bound) = bound else {
                text.push_str("null");
                continue;
            };
            let each = match bound {
                Bound::List(list) if list.is_empty() => {
                    text.push_str("null");
                    continue;
                }
                Bound::List(list) => list.as_slice(),
                one => std::slice::from_ref(one),
            };
            for (index, value) in each.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                let known = match (places, bound) {
                    (Places::Dollar, Bound::List(_)) | (Places::Question, _) => None,
                    (Places::Dollar, _) => numbers.get(name.as_str()).copied(),
                };
                let number = known.unwrap_or_else(|| {
                    values.push(value);
                    numbers.insert(name, values.len());
                    values.len()
                });
                match places {
                    Places::Question => text.push('?'),
                    Places::Dollar => text.push_str(&format!("${number}")),
                }
            }
        }
        text.push_str(&self.0.text[end..]);
        Rendered { text, values }
    }
}

/// What stands in such a comment is a part of the query for some servers and versions, and for
/// nobody else: what is judged here must be what the server reads. Also in a text, because where
/// texts begin and end is what such a comment can change.
fn no_executable_comments(text: &str) -> Result<(), Vec<Mistake>> {
    let found = ["/*!", "/*M!"].into_iter().find_map(|it| text.find(it).map(|at| (it, at)));
    let Some((comment, at)) = found else { return Ok(()) };
    let line = text[..at].matches('\n').count();
    let reason = format!("`{comment}` begins a comment that servers may execute");
    let hint = "write its content without the comment, or leave it out; in a text, take it apart";
    Err(vec![Mistake { line, reason, hint }])
}

/// A colon and a word without anything between them is a parameter.
fn parameters(
    text: &str,
    tokens: &[TokenWithSpan],
    mistakes: &mut Vec<Mistake>,
) -> Vec<(Range<usize>, String)> {
    let offsets = Offsets::of(text);
    let mut named = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        match (&token.token, tokens.get(index + 1)) {
            (Token::Colon, Some(next)) if token.span.end == next.span.start => {
                if let Token::Word(word) = &next.token
                    && word.quote_style.is_none()
                {
                    let range = offsets.at(token.span.start)..offsets.at(next.span.end);
                    named.push((range, word.value.clone()));
                }
            }
            (Token::Placeholder(written), _) => mistakes.push(Mistake {
                line: line_of(token),
                reason: format!("`{written}` cannot be bound"),
                hint: "write parameters like :tenant",
            }),
            _ => {}
        }
    }
    named
}

fn line_of(token: &TokenWithSpan) -> usize {
    (token.span.start.line as usize).saturating_sub(1)
}

/// From lines and characters to bytes.
struct Offsets<'t> {
    text: &'t str,
    lines: Vec<usize>,
}

impl<'t> Offsets<'t> {
    fn of(text: &'t str) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { text, lines: std::iter::once(0).chain(starts.map(|(at, _)| at + 1)).collect() }
    }

    fn at(&self, location: Location) -> usize {
        let line = self.lines[(location.line as usize).saturating_sub(1)];
        let column = (location.column as usize).saturating_sub(1);
        let rest = &self.text[line..];
        line + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at)
    }
}

/// What the parser does not understand, the database may: it is the last to judge, and lets nothing
/// write either. Then only the first word is looked at here.
///
/// Gives the aliases of tables.
fn only_reads(
    dialect: &dyn Dialect,
    tokens: &[TokenWithSpan],
    mistakes: &mut Vec<Mistake>,
) -> Vec<(String, String)> {
    let mut add = |line, reason: &str| {
        mistakes.push(Mistake { line, reason: reason.to_owned(), hint: ONE_SELECT });
    };
    let mut parser = Parser::new(dialect).with_tokens_with_locations(tokens.to_vec());
    let Ok(statements) = parser.parse_statements() else {
        let first = tokens.iter().find(|token| !matches!(token.token, Token::Whitespace(_)));
        let reads = first.is_some_and(|first| match &first.token {
            Token::Word(word) => ["select", "with", "values", "table"]
                .iter()
                .any(|reads| word.value.eq_ignore_ascii_case(reads)),
            other => *other == Token::LParen,
        });
        if !reads {
            add(first.map_or(0, line_of), "the query does not begin with select");
        }
        return Vec::new();
    };
    let mut aliases = Vec::new();
    match statements.as_slice() {
        [] => add(0, "the query is empty"),
        [Statement::Query(query)] => {
            let _ = query.visit(&mut Reads { found: &mut add, aliases: &mut aliases });
        }
        [_] => add(0, "the query is no select"),
        [_, _, ..] => add(0, "the query is more than one statement"),
    }
    aliases
}

struct Reads<'f, F> {
    found: &'f mut F,
    aliases: &'f mut Vec<(String, String)>,
}

impl<F: FnMut(usize, &str)> Visitor for Reads<'_, F> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        if !query.locks.is_empty() {
            (self.found)(0, "the query locks rows");
        }
        if writes(&query.body) {
            (self.found)(0, "the query writes");
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &ast::Select) -> ControlFlow<()> {
        if select.into.is_some() {
            (self.found)(0, "the query writes its rows somewhere");
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, alias: Some(alias), .. } = factor
            && let Some(table) = name.0.last()
        {
            let bare = |text: String| text.trim_matches(['"', '`']).to_owned();
            self.aliases.push((alias.name.value.clone(), bare(table.to_string())));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && let Some(part) = function.name.0.last()
        {
            let name = part.to_string().trim_matches(['"', '`']).to_ascii_lowercase();
            let beyond = REACHES_BEYOND.contains(&name.as_str())
                || REACHES_BEYOND_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
            if beyond {
                (self.found)(0, &format!("`{name}` does more than read"));
            }
        }
        ControlFlow::Continue(())
    }
}

fn writes(body: &SetExpr) -> bool {
    matches!(body, SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [SourceKind; 3] = [SourceKind::Sqlite, SourceKind::Postgres, SourceKind::MySql];

    fn parse(kind: SourceKind, text: &str) -> Query {
        Query::parse(kind, text).unwrap_or_else(|mistakes| panic!("{text}: {mistakes:?}"))
    }

    fn reasons(kind: SourceKind, text: &str) -> Vec<String> {
        let mistakes = Query::parse(kind, text).map(drop).unwrap_err();
        mistakes.into_iter().map(|it| format!("{}: {}", it.line, it.reason)).collect()
    }

    #[test]
    fn parameters_are_found_where_they_are_and_nowhere_else() {
        let text = "select ':no', \"a:b\" -- :no\n, 'é' || :tenant /* :no */ from t\n\
                    where a >= :from and b in (:ids) and c = :tenant";
        for kind in ALL {
            let query = parse(kind, text);
            let params: Vec<_> = query.params().collect();
            assert_eq!(params, [("tenant", 1), ("from", 2), ("ids", 2), ("tenant", 2)], "{kind:?}");
        }
        let casts = parse(SourceKind::Postgres, "select a::text, b[1:2] from t where c = :c::int");
        assert_eq!(casts.params().collect::<Vec<_>>(), [("c", 0)]);
    }

    #[test]
    fn values_get_their_places() {
        let query =
            parse(SourceKind::MySql, "select 1 from t where a = :a and b in (:ids) or a=:a");
        let bindings = [
            ("ids".to_owned(), Bound::List(vec![Bound::Integer(3), Bound::Integer(4)])),
            ("a".to_owned(), Bound::Text("x".to_owned())),
        ];
        let rendered = query.render(Places::Question, &bindings);
        assert_eq!(rendered.text, "select 1 from t where a = ? and b in (?, ?) or a=?");
        let (x, three, four) = (Bound::Text("x".to_owned()), Bound::Integer(3), Bound::Integer(4));
        assert_eq!(rendered.values, [&x, &three, &four, &x]);
        let rendered = query.render(Places::Dollar, &bindings);
        assert_eq!(rendered.text, "select 1 from t where a = $1 and b in ($2, $3) or a=$1");
        assert_eq!(rendered.values, [&x, &three, &four]);
        let twice = parse(SourceKind::Postgres, "select :a where 1 in (:ids) or 2 in (:ids)");
        let rendered = twice.render(Places::Dollar, &bindings);
        assert_eq!(rendered.text, "select $1 where 1 in ($2, $3) or 2 in ($4, $5)");
        assert_eq!(rendered.values.len(), 5);
        let nobody = [("ids".to_owned(), Bound::List(vec![]))];
        let rendered = query.render(Places::Dollar, &nobody);
        assert_eq!(rendered.text, "select 1 from t where a = null and b in (null) or a=null");
        assert_eq!(rendered.values, Vec::<&Bound>::new());
    }

    #[test]
    fn what_only_reads_is_let_through() {
        for text in [
            "select 1",
            "select 1;",
            "with a as (select 1 as x) select x from a union all select 2",
            "values (1), (2)",
            "(select 1)",
            "select count(*) over (partition by a order by b) from t group by a, b having a > 1",
        ] {
            for kind in ALL {
                parse(kind, text);
            }
        }
        parse(SourceKind::Postgres, "select jsonb_path_query(a, '$.x[*]') from t");
        parse(SourceKind::Postgres, "select a->>'x', a @> '{}' from t where b ? 'c'");
        // The parser knows nothing of this: the database will.
        parse(SourceKind::Sqlite, "select 1 frobnicate the query in a new way");
    }

    #[test]
    fn whatever_does_more_than_read_is_refused() {
        for (text, reason) in [
            ("delete from t", "0: the query is no select"),
            ("insert into t values (1)", "0: the query is no select"),
            ("update t set a = 1", "0: the query is no select"),
            ("drop table t", "0: the query is no select"),
            ("begin", "0: the query is no select"),
            ("select 1; select 2", "0: the query is more than one statement"),
            ("", "0: the query is empty"),
            ("-- nothing\n", "0: the query is empty"),
            ("\nfrobnicate", "1: the query does not begin with select"),
            ("select * from t for update", "0: the query locks rows"),
            ("select a from (select * from t for update) s", "0: the query locks rows"),
            ("select\n?", "1: `?` cannot be bound"),
        ] {
            for kind in [SourceKind::Sqlite, SourceKind::MySql] {
                assert_eq!(reasons(kind, text), [reason], "{text}");
            }
        }
        for (text, reason) in [
            ("select * into copy from t", "0: the query writes its rows somewhere"),
            ("with gone as (delete from t returning *) select * from gone", "0: the query writes"),
            ("with a as (insert into t values (1) returning x) table a", "0: the query writes"),
            ("select pg_terminate_backend(1)", "0: `pg_terminate_backend` does more than read"),
            (
                "select pg_catalog.\"set_config\"('a', 'b', true)",
                "0: `set_config` does more than read",
            ),
            ("select pg_advisory_lock(1)", "0: `pg_advisory_lock` does more than read"),
            ("select $1", "0: `$1` cannot be bound"),
        ] {
            assert_eq!(reasons(SourceKind::Postgres, text), [reason], "{text}");
        }
        assert_eq!(reasons(SourceKind::Sqlite, "select 'open").len(), 1);
    }

    #[test]
    fn comments_that_mysql_executes_are_refused() {
        for (text, line, comment) in [
            ("select 1 /*!50000 , 2 */", 0, "/*!"),
            ("select 1\n/*M!100101 union select 2 */", 1, "/*M!"),
            ("select 1 /*! :tenant */", 0, "/*!"),
            ("select '\\'/*!'", 0, "/*!"),
        ] {
            let expected = format!("{line}: `{comment}` begins a comment that servers may execute");
            assert_eq!(reasons(SourceKind::MySql, text), [expected], "{text}");
        }
        parse(SourceKind::MySql, "select /*+ no_index(t) */ 1 /* ! */ from t");
        parse(SourceKind::Postgres, "select 1 /*! nothing to it */");
    }
}
