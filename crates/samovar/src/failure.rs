//! How a command ends when it does not succeed.

use std::{fmt, path::Path, process::ExitCode};

use samovar_widgets::Problem;

#[derive(Debug)]
pub(crate) enum Failure {
    /// The configuration is not right. Nothing was started.
    Problems { file: String, problems: Vec<Problem> },
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
            Failure::Failed(_) => ExitCode::from(1),
            Failure::Problems { .. } => ExitCode::from(3),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Failed(error) => write!(f, "samovar: {error:#}"),
            Failure::Problems { file, problems } => {
                for Problem { line, reason, hint } in problems {
                    writeln!(f, "{file}:{line}: {reason}")?;
                    if let Some(hint) = hint {
                        writeln!(f, "    {hint}")?;
                    }
                }
                let count = problems.len();
                write!(f, "{count} problem{}", if count == 1 { "" } else { "s" })
            }
        }
    }
}
