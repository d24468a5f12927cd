//! What was changed is invalidated.

use std::time::Duration;

use samovar_cache::{ChangeError, How, Subject, Tag, TagError};
use samovar_widgets::nearest;

use crate::engine::Engine;

/// Longer than this nobody plans to spread a recomputation.
const LONGEST_SPREAD: Duration = Duration::from_secs(24 * 3600);

/// What changed, as somebody outside says it. Everything that is named is invalidated.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Whose readings; all tenants' where it is missing, and only global tags can be named then.
    pub tenant: Option<String>,
    pub tags: Vec<String>,
    pub widget: Option<String>,
    /// A freshness class.
    pub class: Option<String>,
    /// Marks readings stale at once and spreads their recomputation over this time.
    pub over: Duration,
    pub cause: String,
}

/// Why nothing was invalidated, or not everything: repeating is safe.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ChangeFailure {
    #[error("nothing is named: say which tags, widget or class")]
    Nothing,
    #[error("there is no tenant `{id}`")]
    UnknownTenant { id: String },
    #[error("there is no widget `{name}`")]
    UnknownWidget { name: String, nearest: Option<String> },
    #[error("there is no freshness class `{name}`")]
    UnknownClass { name: String, nearest: Option<String> },
    #[error("a recomputation is spread over a day at most")]
    TooLong,
    #[error(transparent)]
    Tag(#[from] TagError),
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl Engine {
    /// When this returns, what is computed from data of before the call is not served as fresh.
    pub async fn invalidate(&self, change: &Change) -> Result<(), ChangeFailure> {
        let owned = |text: &str| text.to_owned();
        let tenant = match &change.tenant {
            None => None,
            Some(id) => Some(
                self.0
                    .tenants
                    .get(id)
                    .map(|member| &member.tenant)
                    .ok_or_else(|| ChangeFailure::UnknownTenant { id: id.clone() })?,
            ),
        };
        let tags: Vec<Tag> = change.tags.iter().map(|tag| tag.parse()).collect::<Result<_, _>>()?;
        let mut subjects = Vec::new();
        if !tags.is_empty() {
            subjects.push(Subject::Tags(&tags));
        }
        if let Some(name) = &change.widget {
            let widgets = &self.0.widgets;
            if !widgets.contains_key(name) {
                let nearest = nearest(name, widgets.keys().map(String::as_str)).map(owned);
                return Err(ChangeFailure::UnknownWidget { name: name.clone(), nearest });
            }
            subjects.push(Subject::Widget(name));
        }
        if let Some(name) = &change.class {
            let classes = &self.0.classes;
            if !classes.contains(name) {
                let nearest = nearest(name, classes.names()).map(owned);
                return Err(ChangeFailure::UnknownClass { name: name.clone(), nearest });
            }
            subjects.push(Subject::Class(name));
        }
        if subjects.is_empty() {
            return Err(ChangeFailure::Nothing);
        }
        if change.over > LONGEST_SPREAD {
            return Err(ChangeFailure::TooLong);
        }
        let how = How { over: change.over, cause: change.cause.clone() };
        for subject in &subjects {
            self.0.cache.invalidate(subject, tenant, &how).await?;
        }
        Ok(())
    }
}
