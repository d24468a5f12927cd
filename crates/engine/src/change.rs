//! What was changed is invalidated; what should not be seen any more is cleared.

use std::time::Duration;

use samovar_cache::{
    ChangeError, CleanedUp, ClearedBy, How, KeyError, Pattern, StoreError, Subject, Tag, TagError,
};
use samovar_widgets::nearest;
use serde::Serialize;

use crate::{ReadFailure, engine::Engine, tenants::NoTenant};

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

impl Change {
    /// Whether a tag of it is every tenant's.
    pub fn is_global(tags: &[String]) -> bool {
        tags.iter().any(|tag| tag.parse().is_ok_and(|tag: Tag| tag.is_global()))
    }
}

/// What is not to be served any more, not even marked stale.
#[derive(Clone, Debug, Default)]
pub struct Clearing {
    /// Whose readings; all tenants' where it is missing.
    pub tenant: Option<String>,
    pub widget: Option<String>,
    /// Of the widget's parameters, its range among them: only this reading then.
    pub params: Vec<(String, String)>,
    /// Of keys as shown.
    pub pattern: Option<String>,
    /// Whatever there is.
    pub all: bool,
    pub cause: String,
}

/// What a clearing came down to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cleared {
    Reading { tenant: String, key: String },
    Widget { widget: String, tenant: Option<String> },
    Tenant { tenant: String },
    Everything,
}

/// Why nothing was changed, or not everything: repeating is safe.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ChangeFailure {
    #[error("nothing is named: say which tags, widget or class")]
    Nothing,
    #[error("nothing is named: say which widget, tenant or pattern, or all")]
    NothingToClear,
    #[error("parameters are of a widget: say which")]
    ParamsWithoutWidget,
    #[error("a pattern names its readings by itself: leave the widget and its parameters out")]
    PatternAndWidget,
    #[error(transparent)]
    Tenant(#[from] NoTenant),
    #[error("there is no freshness class `{name}`")]
    UnknownClass { name: String, nearest: Option<String> },
    #[error("a recomputation is spread over a day at most")]
    TooLong,
    #[error(transparent)]
    Pattern(#[from] KeyError),
    #[error(transparent)]
    Reading(#[from] ReadFailure),
    #[error(transparent)]
    Tag(#[from] TagError),
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl Engine {
    /// When this returns, what is computed from data of before the call is not served as fresh.
    pub async fn invalidate(&self, change: &Change) -> Result<(), ChangeFailure> {
        let member = match &change.tenant {
            None => None,
            Some(id) => Some(self.0.member(id).await?),
        };
        let tenant = member.as_ref().map(|member| &member.tenant);
        let tags: Vec<Tag> = change.tags.iter().map(|tag| tag.parse()).collect::<Result<_, _>>()?;
        let mut subjects = Vec::new();
        if !tags.is_empty() {
            subjects.push(Subject::Tags(&tags));
        }
        if let Some(name) = &change.widget {
            let names = self.0.names_of(self.0.served(name)?);
            subjects.extend(names.into_iter().map(Subject::Widget));
        }
        if let Some(name) = &change.class {
            let classes = &self.0.classes;
            if !classes.contains(name) {
                let nearest = nearest(name, classes.names()).map(str::to_owned);
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

    /// When this returns, what was computed before is not served any more. Says what that was.
    pub async fn clear(&self, clearing: &Clearing) -> Result<Vec<Cleared>, ChangeFailure> {
        let Clearing { tenant, widget, params, pattern, all, cause } = clearing;
        let how = How { over: Duration::ZERO, cause: cause.clone() };
        let member = match tenant {
            None => None,
            Some(id) => Some(self.0.member(id).await?),
        };
        let of = member.as_ref().map(|member| &member.tenant);
        let cache = &self.0.cache;
        if let Some(pattern) = pattern {
            if widget.is_some() || !params.is_empty() {
                return Err(ChangeFailure::PatternAndWidget);
            }
            let cleared = cache.clear_pattern(&Pattern::new(pattern)?, of, &how).await?;
            return Ok(cleared.into_iter().map(Cleared::from).collect());
        }
        match widget {
            Some(widget) if params.is_empty() => {
                for name in self.0.names_of(self.0.served(widget)?) {
                    cache.clear(&Subject::Widget(name), of, &how).await?;
                }
                Ok(vec![Cleared::Widget { widget: widget.clone(), tenant: tenant.clone() }])
            }
            Some(widget) => self.clear_readings(widget, tenant.as_deref(), params).await,
            None if !params.is_empty() => Err(ChangeFailure::ParamsWithoutWidget),
            None if tenant.is_none() && !all => Err(ChangeFailure::NothingToClear),
            None => {
                cache.clear(&Subject::Everything, of, &how).await?;
                let cleared = tenant.clone().map(|tenant| Cleared::Tenant { tenant });
                Ok(vec![cleared.unwrap_or(Cleared::Everything)])
            }
        }
    }

    /// One reading of each tenant that is meant.
    async fn clear_readings(
        &self,
        widget: &str,
        tenant: Option<&str>,
        params: &[(String, String)],
    ) -> Result<Vec<Cleared>, ChangeFailure> {
        let tenants: Vec<String> = match tenant {
            Some(tenant) => vec![tenant.to_owned()],
            None => self.0.members().await?.keys().cloned().collect(),
        };
        let mut cleared = Vec::new();
        for tenant in tenants {
            let reading = self.0.bind(widget, &tenant, params.to_vec()).await?;
            let (pairs, tags) = (reading.pairs(), || reading.tags());
            let borrowed = reading.borrow(&pairs, &tags);
            self.0.cache.clear_reading(&borrowed).await?;
            let key = self.0.cache.key_of(&borrowed).map_err(ChangeError::from)?;
            cleared.push(Cleared::Reading { tenant, key });
        }
        Ok(cleared)
    }

    /// Removes expired entries and the leases of dead processes, or only lists what would go.
    pub async fn clean_up(
        &self,
        expired: bool,
        leases: bool,
        dry_run: bool,
    ) -> Result<CleanedUp, StoreError> {
        self.0.cache.clean_up(expired, leases, dry_run).await
    }
}

impl From<ClearedBy> for Cleared {
    fn from(by: ClearedBy) -> Self {
        match by {
            ClearedBy::Key { tenant, key } => Cleared::Reading { tenant, key },
            ClearedBy::Widget { widget, tenant } => Cleared::Widget { widget, tenant },
        }
    }
}
