//! Who is told what has changed.

use std::future::Future;

use samovar_cache::{Cache, ChangeError, How, Subject, Tag, limits::TAGS_PER_CALL};

use crate::change::Change;

/// Who invalidates: a [`Cache`] of this process, or a [`Remote`](crate::Remote) Samovar.
///
/// When the future ends well, no later read serves what was computed before as fresh. Dropping it
/// may leave the change done or not; it is then asked for again, which must be safe.
pub trait Target: Clone + Send + Sync + 'static {
    fn invalidate(&self, change: &Change) -> impl Future<Output = Result<(), TargetError>> + Send;
}

/// Why a target has not invalidated, or does not know whether it has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It may work later; repeating is safe.
    #[error("the target is away: {0}")]
    Away(String),
    /// It will not work later either.
    #[error("the target refuses: {0}")]
    Refused(String),
}

impl Target for Cache {
    async fn invalidate(&self, change: &Change) -> Result<(), TargetError> {
        let tenant = change.tenant.as_ref();
        let how = How { cause: change.cause.clone(), ..How::default() };
        let tags: Vec<Tag> = change.tags().cloned().collect();
        let tags = tags.chunks(TAGS_PER_CALL).map(Subject::Tags);
        let widgets = change.widgets().map(Subject::Widget);
        let classes = change.classes().map(Subject::Class);
        let mut outcome = Ok(());
        for subject in tags.chain(widgets).chain(classes) {
            let done = Cache::invalidate(self, &subject, tenant, &how).await;
            outcome = both(outcome, done.map_err(TargetError::from));
        }
        outcome
    }
}

impl From<ChangeError> for TargetError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Store(error) => TargetError::Away(error.to_string()),
            error => TargetError::Refused(error.to_string()),
        }
    }
}

/// All parts of a change are tried: what can be invalidated is. What may work later decides whether
/// it is tried again.
pub(crate) fn both(
    one: Result<(), TargetError>,
    other: Result<(), TargetError>,
) -> Result<(), TargetError> {
    match (one, other) {
        (Err(TargetError::Refused(_)), Err(away @ TargetError::Away(_))) => Err(away),
        (one, other) => one.and(other),
    }
}
