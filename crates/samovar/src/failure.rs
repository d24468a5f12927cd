//! How a command ends when it does not succeed.

use std::{fmt, path::Path, process::ExitCode};

use samovar_widgets::Problem;

#[derive(Debug)]
pub(crate) enum Failure {
    /// The configuration is not right. Nothing was started.
    Problems { file: String, problems: Vec<Problem> },
    /// The engine refused, in the words of the API.
    Refused { error: serde_json::Value },
    /// The command was called in a way that cannot be carried out.
    Use(String),
    /// It did not go well, as its answer has told.
    Said,
    /// A check found problems, and has told them.
    Found,
    /// What was being done, and why it failed.
    Failed(anyhow::Error),
}

impl Failure {
    pub(crate) fn problems(file: &Path, problems: Vec<Problem>) -> Self {
        Self::Problems { file: file.display().to_string(), problems }
    }

    pub(crate) fn failed(
        doing: impl fmt::Display + Send + Sync + 'static,
        error: impl Into<anyhow::Error>,
    ) -> Self {
        Self::Failed(error.into().context(doing))
    }

    /// 2, wrong use, is what the command line's parser ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Failed(_) | Failure::Refused { .. } | Failure::Said => ExitCode::from(1),
            Failure::Use(_) => ExitCode::from(2),
            Failure::Problems { .. } | Failure::Found => ExitCode::from(3),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Failed(error) => write!(f, "samovar: {error:#}"),
            Failure::Said | Failure::Found => Ok(()),
            Failure::Use(message) => write!(f, "samovar: {message}"),
            Failure::Refused { error } => {
                let error = &error["error"];
                write!(f, "samovar: {}", error["message"].as_str().unwrap_or("refused"))?;
                error["hint"].as_str().map_or(Ok(()), |hint| write!(f, "\n    {hint}"))
            }
            Failure::Problems { file, problems } => {
                for problem in problems {
                    tell(f, file, problem)?;
                }
                write!(f, "{}", counted(problems))
            }
        }
    }
}

/// What others have named or answered may hold anything, and a terminal obeys some of it.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

/// One problem as it is printed: where, what, and what to do.
pub(crate) fn tell(out: &mut impl fmt::Write, file: &str, problem: &Problem) -> fmt::Result {
    let Problem { line, variable, reason, hint, .. } = problem;
    let warning = if problem.is_error() { "" } else { "warning: " };
    match variable {
        Some(variable) => writeln!(out, "{variable}: {warning}{reason}")?,
        None => writeln!(out, "{file}:{line}: {warning}{reason}")?,
    }
    hint.iter().try_for_each(|hint| writeln!(out, "    {hint}"))
}

/// `2 problems, 1 warning`
pub(crate) fn counted(problems: &[Problem]) -> String {
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    let count = |count: usize, what| match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        _ => Some(format!("{count} {what}s")),
    };
    let counts = [count(errors, "problem"), count(problems.len() - errors, "warning")];
    counts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
