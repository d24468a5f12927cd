//! Queries are compared with what their widgets declare, and shown to their databases.

use std::{collections::BTreeMap, path::Path};

use jiff::Timestamp;
use samovar_clock::Clock;
use samovar_widgets::{
    Bound, CaptureDefinition, Definitions, IncludeDefinition, Located, Names, Prepared, Problem,
    Query, Related, Scan, Selection, Source, SourceError, SourceKind, TimeForm, Whose,
    WidgetDefinition, check_prepared, check_text, is_cut,
};

use super::{Ask, Opened, severity, way_to};

/// The sources, and which of them could not be asked.
pub(super) struct Databases<'d> {
    opened: Opened<'d>,
    ask: Ask,
    now: Timestamp,
    away: BTreeMap<&'d str, SourceError>,
}

/// A query that was prepared: its columns are known where its database could be asked.
struct Known {
    query: Query,
    prepared: Option<Prepared>,
}

impl<'d> Databases<'d> {
    pub(super) fn open(
        definitions: &'d Definitions,
        folder: &Path,
        clock: &Clock,
        ask: Ask,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut opened = Opened::new();
        for source in &definitions.sources {
            match Source::open(source, folder, clock.clone()) {
                Ok(open) => drop(opened.insert(source.name.as_str(), (open, source))),
                Err(error) => {
                    let hint = "write it like sqlite://shop.db, postgres://user@host/shop or \
                                mysql://user@host/shop";
                    problems.push(Problem::new(source.url.line, error).hint(hint));
                }
            }
        }
        let now = Timestamp::from_millisecond(clock.wall().as_millis());
        Self { opened, ask, now: now.unwrap_or(Timestamp::UNIX_EPOCH), away: BTreeMap::new() }
    }

    pub(super) fn source(&self, name: &str) -> Option<&Source> {
        self.opened.get(name).map(|(source, _)| source)
    }

    /// Plans are made for the days that are asked for most.
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    pub(super) fn times(&self, name: &str) -> TimeForm {
        self.opened.get(name).map_or(TimeForm::default(), |(_, definition)| definition.times)
    }

    /// How many it may have.
    pub(super) fn connections(&self, name: &str) -> usize {
        self.opened.get(name).map_or(1, |(_, definition)| definition.connections)
    }

    /// Each source that could not be asked is told once, not for each of its widgets.
    pub(super) fn away(&self) -> impl Iterator<Item = Problem> {
        self.away.iter().filter_map(|(name, error)| {
            let (_, definition) = self.opened.get(name)?;
            let problem = Problem::new(definition.url.line, error).hint(way_to(definition));
            Some(Problem { severity: severity(self.ask, definition.url.value.kind()), ..problem })
        })
    }

    /// The query of the tenants.
    pub(super) async fn check_tenants(
        &mut self,
        source: &str,
        text: &Located<String>,
    ) -> Result<Query, Vec<Problem>> {
        let names = Names { params: &[], ranges: false, whose: Whose::Tenants };
        let mut warnings = Vec::new();
        let known = self.check(source, text, names, &[], &mut warnings).await?;
        if let Some(prepared) = &known.prepared
            && prepared.columns.iter().all(|column| column.name != "id")
        {
            let problem = Problem::new(text.line, "the query of the tenants gives no `id`");
            return Err(vec![problem.hint("select id, name and time_zone: only id is needed")]);
        }
        Ok(known.query)
    }

    /// The query of a rollup, which is asked for one stretch of time after another.
    pub(super) async fn check_rollup(
        &mut self,
        source: &str,
        text: &Located<String>,
        columns: &[String],
        problems: &mut Vec<Problem>,
    ) -> Option<Query> {
        let names = Names { params: &[], ranges: true, whose: Whose::Widget };
        let tenant = ("tenant".to_owned(), Bound::Text("1".to_owned()));
        let ends = ["from", "to"].map(|name| (name.to_owned(), Bound::Time(self.now)));
        let sample: Vec<_> = std::iter::once(tenant).chain(ends).collect();
        let known = self.check(source, text, names, &sample, problems).await;
        let known = known.map_err(|found| problems.extend(found)).ok()?;
        let before = problems.len();
        for name in ["tenant", "from", "to"] {
            if known.query.params().all(|(used, _)| used != name) {
                let reason = format!("the query of the rollup does not use `:{name}`");
                let hint = "ask for one tenant and one stretch of time: where tenant_id = :tenant and \
                            at >= :from and at < :to";
                problems.push(Problem::new(text.line, reason).hint(hint));
            }
        }
        if let Some(prepared) = &known.prepared {
            for column in columns {
                let column = Located { value: column.clone(), line: text.line };
                check_column(&column, prepared, "the query of the rollup", problems);
            }
        }
        (problems.len() == before).then_some(known.query)
    }

    /// That there is such a table, with such columns.
    pub(super) async fn check_capture(
        &mut self,
        capture: &CaptureDefinition,
        problems: &mut Vec<Problem>,
    ) {
        let Some(source) = self.source(&capture.source) else { return };
        let Located { value: table, line } = &capture.table;
        let text = Located { value: captured_columns(source.kind(), capture), line: *line };
        let names = Names { params: &[], ranges: false, whose: Whose::Tenants };
        // All rows are never asked for.
        let mut scans = Vec::new();
        let found = self.check(&capture.source, &text, names, &[], &mut scans).await.err();
        problems.extend(found.into_iter().flatten().map(|problem| {
            let reason = format!("`{table}` cannot be captured: {}", problem.reason);
            let hint = "name a table and its columns as they stand in the database";
            Problem { reason, ..problem }.hint(hint)
        }));
    }

    /// The query that lists the values of a parameter.
    pub(super) async fn check_values(
        &mut self,
        source: &str,
        text: &Located<String>,
        sample: &[(String, Bound)],
        problems: &mut Vec<Problem>,
    ) -> Option<Query> {
        let names = Names { params: &[], ranges: false, whose: Whose::Values };
        let checked = self.check(source, text, names, sample, problems).await;
        checked.map(|known| known.query).map_err(|found| problems.extend(found)).ok()
    }

    /// The queries of a widget. `None` where something is wrong with them.
    pub(super) async fn check_selection(
        &mut self,
        widget: &WidgetDefinition,
        sample: &[(String, Bound)],
        problems: &mut Vec<Problem>,
    ) -> Option<Selection> {
        let params: Vec<&str> = widget.params.iter().map(|it| it.name.value.as_str()).collect();
        let ranges = !widget.ranges.is_empty();
        let names = Names { params: &params, ranges, whose: Whose::Widget };
        let before = problems.len();
        let main = self.check(&widget.source, &widget.query, names, sample, problems).await;
        let main = main.map_err(|found| problems.extend(found)).ok();
        let columns = main.as_ref().and_then(|main| main.prepared.as_ref());
        check_json(&widget.json, columns, problems);
        let wanted = Wanted { source: &widget.source, names, sample };
        let columns = columns.cloned();
        let related =
            self.check_includes(&widget.includes, &wanted, columns.as_ref(), problems).await;
        let (main, related) = (main?, related?);
        let json = widget.json.iter().map(|it| it.value.clone()).collect();
        let selection = Selection { query: main.query, json, one: widget.one, related };
        // What is wrong with a query hides which names it uses.
        if problems[before..].iter().any(Problem::is_error) {
            return None;
        }
        let unused = check_use(widget, &selection);
        let is_right = unused.is_empty();
        problems.extend(unused);
        is_right.then_some(selection)
    }

    async fn check_includes(
        &mut self,
        includes: &[IncludeDefinition],
        wanted: &Wanted<'_>,
        parent: Option<&Prepared>,
        problems: &mut Vec<Problem>,
    ) -> Option<Vec<Related>> {
        let mut related = Vec::new();
        for include in includes {
            related.push(Box::pin(self.check_include(include, wanted, parent, problems)).await);
        }
        related.into_iter().collect()
    }

    async fn check_include(
        &mut self,
        include: &IncludeDefinition,
        wanted: &Wanted<'_>,
        parent: Option<&Prepared>,
        problems: &mut Vec<Problem>,
    ) -> Option<Related> {
        let name = &include.name;
        if let Some(parent) = parent {
            check_column(&include.key, parent, "its parent", problems);
            if parent.columns.iter().any(|column| column.name == name.value) {
                let reason =
                    format!("the include `{}` is called like a column beside it", name.value);
                let hint = "give one of them another name";
                problems.push(Problem::new(name.line, reason).hint(hint));
            }
        }
        let mut sample = wanted.sample.to_vec();
        sample.push(("ids".to_owned(), Bound::List(vec![Bound::Integer(1)])));
        let names = Names { whose: Whose::Include, ..wanted.names };
        let checked = self.check(wanted.source, &include.query, names, &sample, problems).await;
        let known = checked.map_err(|found| problems.extend(found)).ok();
        let columns = known.as_ref().and_then(|known| known.prepared.clone());
        if let Some(columns) = &columns {
            check_column(&include.on, columns, "its query", problems);
        }
        check_json(&include.json, columns.as_ref(), problems);
        let below =
            self.check_includes(&include.includes, wanted, columns.as_ref(), problems).await;
        let (known, related) = (known?, below?);
        if known.query.params().all(|(name, _)| name != "ids") {
            let reason = format!("the query of the include `{}` does not use `:ids`", name.value);
            let hint =
                format!("ask for the rows of all parents: where {} in (:ids)", include.on.value);
            problems.push(Problem::new(include.query.line, reason).hint(hint));
            return None;
        }
        let json = include.json.iter().map(|it| it.value.clone()).collect();
        Some(Related {
            name: name.value.clone(),
            selection: Selection { query: known.query, json, one: include.one, related },
            key: include.key.value.clone(),
            on: include.on.value.clone(),
            limit: include.limit,
        })
    }

    /// One query: its text, then its database. Warnings go to `problems`.
    async fn check(
        &mut self,
        source: &str,
        text: &Located<String>,
        names: Names<'_>,
        sample: &[(String, Bound)],
        problems: &mut Vec<Problem>,
    ) -> Result<Known, Vec<Problem>> {
        let Some((name, (source, _))) = self.opened.get_key_value(source) else {
            // Its source is a mistake already.
            return Err(Vec::new());
        };
        let query = check_text(source, text, names)?;
        if self.ask == Ask::Nobody || self.away.contains_key(name) {
            return Ok(Known { query, prepared: None });
        }
        match check_prepared(source, &query, text.line, sample).await {
            Ok(prepared) => {
                let prepared = prepared?;
                problems.extend(prepared.scans.iter().map(|scan| warn_of(scan, text.line)));
                Ok(Known { query, prepared: Some(prepared) })
            }
            Err(error) => {
                self.away.insert(name, error);
                Ok(Known { query, prepared: None })
            }
        }
    }
}

/// A query of what is recorded of a table.
fn captured_columns(kind: SourceKind, capture: &CaptureDefinition) -> String {
    let quoted = |name: &str| match kind {
        SourceKind::MySql => format!("`{}`", name.replace('`', "``")),
        SourceKind::Postgres | SourceKind::Sqlite => format!("\"{}\"", name.replace('"', "\"\"")),
    };
    let table: Vec<String> = capture.table.value.split('.').map(quoted).collect();
    // With the table before it: alone, SQLite takes a name that it does not know for a text.
    let columns = capture.columns.iter().map(|column| format!("it.{}", quoted(&column.value)));
    let columns: Vec<String> = columns.collect();
    format!("select {} from {} as it", columns.join(", "), table.join("."))
}

/// What all queries of a widget have in common.
struct Wanted<'w> {
    source: &'w str,
    names: Names<'w>,
    sample: &'w [(String, Bound)],
}

fn warn_of(scan: &Scan, line: usize) -> Problem {
    let reason = format!("the query reads the whole table `{}`", scan.table);
    let hint = format!("an index on what it asks for would spare that. The plan: {}", scan.plan);
    Problem::warning(line, reason).hint(hint)
}

fn check_column(column: &Located<String>, of: &Prepared, whose: &str, problems: &mut Vec<Problem>) {
    let known = || of.columns.iter().map(|it| it.name.as_str());
    if known().all(|name| name != column.value) {
        let reason = format!("`{}` is no column of {whose}", column.value);
        let there = || format!("it gives {}", known().collect::<Vec<_>>().join(", "));
        problems.push(Problem::new(column.line, reason).meant(&column.value, known(), there));
    }
}

fn check_json(columns: &[Located<String>], of: Option<&Prepared>, problems: &mut Vec<Problem>) {
    let Some(of) = of else { return };
    for column in columns {
        check_column(column, of, "the query", problems);
    }
}

/// Parameters and ranges that no query uses.
fn check_use(widget: &WidgetDefinition, selection: &Selection) -> Vec<Problem> {
    let mut queries = Vec::new();
    collect(selection, &mut queries);
    let mut problems = Vec::new();
    for param in &widget.params {
        let name = &param.name.value;
        if queries.iter().all(|query| query.params().all(|(used, _)| used != name)) {
            let problem = Problem::new(
                param.name.line,
                format!("the query does not use the parameter `{name}`"),
            );
            problems.push(problem.hint(format!(
                "use `:{name}`, or remove it: each of its values would be computed and kept apart"
            )));
        }
    }
    if !widget.shared && selection.query.params().all(|(used, _)| used != "tenant") {
        let reason = "the query does not ask for `:tenant`: everybody would get the same rows";
        let hint = "write where tenant_id = :tenant, or say shared = true if that is meant";
        problems.push(Problem::new(widget.query.line, reason).hint(hint));
    }
    if !widget.ranges.is_empty() && !is_cut(&queries) {
        let reason = "the widget has ranges, and its query is not cut by them";
        let hint = "use at >= :from and at < :to, or day between :first_day and :last_day";
        problems.push(Problem::new(widget.query.line, reason).hint(hint));
    }
    problems
}

fn collect<'s>(selection: &'s Selection, into: &mut Vec<&'s Query>) {
    into.push(&selection.query);
    for related in &selection.related {
        collect(&related.selection, into);
    }
}
