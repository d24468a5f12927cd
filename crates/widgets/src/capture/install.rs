//! What has to be in a database against what is there, and what makes the one of the other.

use serde::Serialize;

use super::{
    connection::{Connection, Place},
    dialect::{BETWEEN, Dialect, Found, Table, Wanted},
};
use crate::{CaptureDefinition, SourceError, SourceKind, limits};

/// Puts the outbox and the triggers of some captures into their source, takes them away, looks at them.
#[derive(Debug)]
pub struct Installer {
    pub(super) connection: Connection,
    pub(super) dialect: Dialect,
    pub(super) captures: Vec<CaptureDefinition>,
}

/// What is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Installed {
    pub outbox: OutboxFigures,
    pub parts: Vec<Part>,
    /// Changes that triggers do not see.
    pub blind: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutboxFigures {
    pub name: String,
    pub exists: bool,
    /// Counted no further than to [`limits::OUTBOX_BACKLOG`].
    pub rows: usize,
    pub oldest_ms: Option<u64>,
}

/// A trigger, or a function of PostgreSQL that triggers run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    pub name: String,
    /// Its table.
    pub on: Option<String>,
    /// None, where none is declared any more.
    pub capture: Option<String>,
    pub standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Installed,
    Missing,
    /// It does something else than what is declared now.
    OutOfDate,
    Disabled,
    NotDeclared,
}

/// Why nothing is installed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InstallError {
    #[error("the capture `{capture}` is of `{table}`, and there is no such table")]
    NoTable { capture: String, table: String },
    #[error("the capture `{capture}` is of `{table}`, which is {what}")]
    Other { capture: String, table: String, what: String },
    #[error("the capture `{capture}` names `{column}`, and `{table}` has no such column")]
    NoColumn { capture: String, table: String, column: String, nearest: Option<String> },
    #[error("there is no schema in which an outbox can be made")]
    NoSchema,
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl InstallError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            InstallError::NoTable { .. } => {
                "write its name as it stands in the database, with its schema where it needs one: \
                 sales.orders"
                    .to_owned()
            }
            InstallError::NoColumn { nearest: Some(nearest), .. } => {
                format!("did you mean `{nearest}`?")
            }
            InstallError::NoSchema => {
                "say where: a database in the url, or a search_path for its user".to_owned()
            }
            InstallError::Source(SourceError::Timeout { .. }) => {
                "somebody may hold a lock on the table: try again when it is quiet".to_owned()
            }
            InstallError::Source(_) => {
                "who installs needs the right to create tables and triggers: name him with --url, or \
                 give what `samovar capture sql` prints to who may"
                    .to_owned()
            }
            InstallError::NoColumn { .. } | InstallError::Other { .. } => return None,
        })
    }
}

/// All that there is to know before anything is done.
struct Look {
    schema: String,
    exists: bool,
    tables: Vec<Table>,
    wanted: Vec<Wanted>,
    found: Vec<Found>,
}

impl Installer {
    pub(super) async fn open(
        place: &Place,
        dialect: Dialect,
        captures: Vec<CaptureDefinition>,
    ) -> Result<Self, SourceError> {
        Ok(Self { connection: place.connect().await?, dialect, captures })
    }

    /// Only looks.
    pub async fn status(&mut self) -> Result<Installed, InstallError> {
        let look = self.look().await?;
        let mut blind = Vec::new();
        for table in &look.tables {
            let rows = self.connection.rows(&self.dialect.find_blind(table)).await?;
            blind.extend(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()));
        }
        blind.push(self.dialect.always_blind().to_owned());
        blind.dedup();
        let (mut rows, mut oldest_ms) = (0, None);
        if look.exists {
            let counted = self.connection.rows(&self.dialect.count(limits::OUTBOX_BACKLOG)).await?;
            (rows, oldest_ms) = super::outbox::read_count(&counted);
        }
        let name = self.dialect.outbox.clone();
        let outbox = OutboxFigures { name, exists: look.exists, rows, oldest_ms };
        Ok(Installed { outbox, parts: parts(&self.dialect, &look.wanted, &look.found), blind })
    }

    /// What [`Installer::install`] would do now.
    pub async fn statements(&mut self) -> Result<Vec<String>, InstallError> {
        let look = self.look().await?;
        Ok(installing(&self.dialect, &look))
    }

    /// What [`Installer::uninstall`] would do now.
    pub async fn statements_to_uninstall(&mut self) -> Result<Vec<String>, InstallError> {
        let look = self.find().await?;
        Ok(uninstalling(&self.dialect, &look))
    }

    /// Whatever is missing or out of date. When it returns, each change that is committed from now on is
    /// recorded; what changed while a trigger was not there counts as changed.
    pub async fn install(&mut self) -> Result<Installed, InstallError> {
        let statements = self.statements().await?;
        self.run(&statements).await?;
        self.status().await
    }

    /// Nothing is left.
    pub async fn uninstall(&mut self) -> Result<Vec<String>, InstallError> {
        let statements = self.statements_to_uninstall().await?;
        self.run(&statements).await?;
        Ok(statements)
    }

    /// All or nothing, where the database can do that with tables and triggers. MySQL cannot: what
    /// failed there is done by installing again.
    async fn run(&mut self, statements: &[String]) -> Result<(), SourceError> {
        let (begin, end) = match self.dialect.kind {
            SourceKind::Postgres => (Some("begin"), Some("commit")),
            SourceKind::Sqlite => (Some("begin immediate"), Some("commit")),
            SourceKind::MySql => (None, None),
        };
        if statements.is_empty() {
            return Ok(());
        }
        let all = begin.into_iter().chain(statements.iter().map(String::as_str)).chain(end);
        for statement in all {
            if let Err(error) = self.connection.run(statement).await {
                if begin.is_some() {
                    // Closing the connection would do the same.
                    let _ = self.connection.run("rollback").await;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// What is there, whatever is declared.
    async fn find(&mut self) -> Result<Look, InstallError> {
        let rows = self.connection.rows(&self.dialect.find_outbox()).await?;
        let row = rows.first().map(Vec::as_slice).unwrap_or_default();
        let [Some(schema), exists] = row else { return Err(InstallError::NoSchema) };
        let (schema, exists) = (schema.clone(), exists.as_deref() == Some("1"));
        let rows = self.connection.rows(&self.dialect.find(&schema)).await?;
        let found = self.dialect.read_found(&rows);
        Ok(Look { schema, exists, tables: Vec::new(), wanted: Vec::new(), found })
    }

    async fn look(&mut self) -> Result<Look, InstallError> {
        let mut look = self.find().await?;
        for capture in &self.captures {
            let name = || (capture.name.value.clone(), capture.table.value.clone());
            let rows = self.connection.rows(&self.dialect.describe(&capture.table.value)).await?;
            let table = self.dialect.read_table(&rows).map_err(|what| {
                let (capture, table) = name();
                InstallError::Other { capture, table, what }
            })?;
            let table = table.ok_or_else(|| {
                let (capture, table) = name();
                InstallError::NoTable { capture, table }
            })?;
            let known = || table.columns.iter().map(|column| column.name.as_str());
            let mut columns = capture.columns.iter().map(|column| &column.value);
            if let Some(column) = columns.find(|column| known().all(|it| it != column.as_str())) {
                let nearest = crate::nearest(column, known()).map(str::to_owned);
                let ((capture, table), column) = (name(), column.clone());
                return Err(InstallError::NoColumn { capture, table, column, nearest });
            }
            look.wanted.extend(self.dialect.wanted(&look.schema, capture, &table));
            look.tables.push(table);
        }
        Ok(look)
    }
}

/// The one of `found` that is meant.
fn counterpart<'f>(wanted: &Wanted, found: &'f [Found]) -> Option<&'f Found> {
    found.iter().find(|found| found.name == wanted.name && found.on == wanted.on)
}

fn standing(wanted: &Wanted, found: &[Found]) -> Standing {
    match counterpart(wanted, found) {
        None => Standing::Missing,
        Some(found) if found.text != wanted.text => Standing::OutOfDate,
        Some(found) if !found.is_enabled => Standing::Disabled,
        Some(_) => Standing::Installed,
    }
}

fn is_wanted(found: &Found, wanted: &[Wanted]) -> bool {
    wanted.iter().any(|wanted| found.name == wanted.name && found.on == wanted.on)
}

fn parts(dialect: &Dialect, wanted: &[Wanted], found: &[Found]) -> Vec<Part> {
    let on = |on: &String| Some(on.clone()).filter(|on| !on.is_empty());
    let declared = wanted.iter().map(|it| Part {
        name: it.name.clone(),
        on: on(&it.on),
        capture: Some(it.capture.clone()),
        standing: standing(it, found),
    });
    let others = found.iter().filter(|it| !is_wanted(it, wanted)).map(|it| Part {
        name: it.name.clone(),
        on: on(&it.on),
        capture: captured(dialect, &it.name),
        standing: Standing::NotDeclared,
    });
    declared.chain(others).collect()
}

/// Of which capture it was.
fn captured(dialect: &Dialect, name: &str) -> Option<String> {
    let rest = name.strip_prefix(&dialect.outbox)?.strip_prefix(BETWEEN)?;
    rest.split(BETWEEN).next().map(str::to_owned)
}

fn installing(dialect: &Dialect, look: &Look) -> Vec<String> {
    let mut statements = Vec::new();
    if !look.exists {
        statements.extend(dialect.create_outbox(&look.schema));
    }
    let others = look.found.iter().filter(|it| !is_wanted(it, &look.wanted));
    statements.extend(others.map(|it| it.remove.clone()));
    let mut changed: Vec<&str> = Vec::new();
    for wanted in &look.wanted {
        let standing = standing(wanted, &look.found);
        if standing == Standing::Installed {
            continue;
        }
        if let Some(found) = counterpart(wanted, &look.found).filter(|_| !wanted.replaces) {
            statements.push(found.remove.clone());
        }
        statements.push(wanted.create.clone());
        if changed.last() != Some(&wanted.capture.as_str()) {
            changed.push(&wanted.capture);
        }
    }
    statements.extend(changed.iter().map(|capture| dialect.mark(&look.schema, capture)));
    statements
}

fn uninstalling(dialect: &Dialect, look: &Look) -> Vec<String> {
    let mut statements: Vec<String> = look.found.iter().map(|it| it.remove.clone()).collect();
    if look.exists {
        statements.push(dialect.drop_outbox(&look.schema));
    }
    statements
}
