//! Invalidating and clearing.

use std::{future::Future, time::Duration};

use crate::{
    Tag, Tenant,
    cache::{Cache, Inner},
    key::{EntryKey, KeyError},
    limits,
    pattern::{Pattern, Resolved},
    shared::{Invalidate, Message, NewIds, StoreError},
    version::{Kind, Scope, VersionKey, changed_by, cut},
    widget::{Reading, ReadingError, Widget},
};

/// What an invalidation or a clearing is about.
#[derive(Clone, Debug)]
pub enum Subject<'a> {
    /// Readings that depend on any of these, on what lies below, or on a range above.
    Tags(&'a [Tag]),
    /// All readings of a widget, whatever its parameters.
    Widget(&'a str),
    /// All readings of a freshness class.
    Class(&'a str),
    Everything,
}

/// How an invalidation is carried out.
#[derive(Clone, Debug, Default)]
pub struct How {
    /// Marks readings stale at once and spreads their recomputation over this time.
    pub over: Duration,
    /// Shown by `why`.
    pub cause: String,
}

impl Cache {
    /// After this returns, no read on this node serves as fresh a value computed from data read
    /// before it was called; on connected nodes within the bus bound, on all others within the
    /// heartbeat bound. Old values may be served, marked stale, while new ones are made.
    ///
    /// `tenant` is whose readings are meant; `None` means all tenants' (for tags: only global
    /// ones can be named then).
    pub async fn invalidate(
        &self,
        subject: &Subject<'_>,
        tenant: Option<&Tenant>,
        how: &How,
    ) -> Result<(), ChangeError> {
        self.change(versions_of(subject, tenant)?, false, how).await
    }

    /// Like [`Cache::invalidate`], but old values are not served any more, not even marked stale.
    pub async fn clear(
        &self,
        subject: &Subject<'_>,
        tenant: Option<&Tenant>,
        how: &How,
    ) -> Result<(), ChangeError> {
        self.change(versions_of(subject, tenant)?, true, how).await
    }

    /// Clears one reading by its key. A value that is being computed for it is not kept.
    pub async fn clear_reading(&self, reading: &Reading<'_>) -> Result<(), ChangeError> {
        let mut key = String::new();
        reading.write_key(&self.0.clock, &mut key).map_err(ReadingError::from)?;
        self.drop_entry(&EntryKey::from_stored(&key)).await
    }

    /// Clears what matches a pattern of keys as shown. Keys are not indexed: a pattern that is
    /// narrower than one widget and tenant, but does not spell out a whole key, clears all of that
    /// widget and tenant. Says what was cleared.
    pub async fn clear_pattern(
        &self,
        pattern: &Pattern,
        tenant: Option<&Tenant>,
        how: &How,
    ) -> Result<Vec<ClearedBy>, ChangeError> {
        let mut cleared = Vec::new();
        for widget in self.widgets() {
            cleared.extend(self.clear_matching(&widget, pattern, tenant, how).await?);
        }
        Ok(cleared)
    }

    async fn clear_matching(
        &self,
        widget: &Widget,
        pattern: &Pattern,
        only: Option<&Tenant>,
        how: &How,
    ) -> Result<Option<ClearedBy>, ChangeError> {
        let outside = |tenant: &str| only.is_some_and(|only| only.as_str() != tenant);
        let name = widget.name();
        let tenant = match pattern.resolve(&widget.0.template, name) {
            Resolved::Nothing => return Ok(None),
            Resolved::Exact { tenant } | Resolved::OfTenant { tenant } if outside(&tenant) => {
                return Ok(None);
            }
            Resolved::Exact { tenant } => {
                let key = EntryKey::from_shown(&tenant, pattern.as_str());
                self.drop_entry(&key).await?;
                return Ok(Some(ClearedBy::Key { tenant, key: key.shown().to_owned() }));
            }
            Resolved::OfTenant { tenant } => Some(
                Tenant::new(&tenant)
                    .map_err(|_| KeyError::EmptyPattern)
                    .map_err(ReadingError::from)?,
            ),
            Resolved::OfAll => only.cloned(),
        };
        self.clear(&Subject::Widget(name), tenant.as_ref(), how).await?;
        let tenant = tenant.map(|tenant| tenant.as_str().to_owned());
        Ok(Some(ClearedBy::Widget { widget: name.to_owned(), tenant }))
    }

    async fn drop_entry(&self, key: &EntryKey) -> Result<(), ChangeError> {
        let (inner, key) = (self.0.clone(), key.clone());
        let dropping = async move {
            let done = inner.shared.drop_entry(&key).await;
            // Also when the store did not answer: it may have done it.
            inner.node.take_in(&Message::Dropped(key.as_str().to_owned()));
            done
        };
        Ok(self.to_its_end(Box::pin(dropping)).await?)
    }

    async fn change(
        &self,
        versions: Vec<VersionKey>,
        clear: bool,
        how: &How,
    ) -> Result<(), ChangeError> {
        let (inner, how) = (self.0.clone(), how.clone());
        let changing = async move {
            let (global, own): (Vec<_>, Vec<_>) =
                versions.into_iter().partition(VersionKey::is_global);
            let (global, own) = futures_util::join!(
                inner.change_scope(&global, clear, &how),
                inner.change_scope(&own, clear, &how)
            );
            global.and(own)
        };
        Ok(self.to_its_end(Box::pin(changing)).await?)
    }

    /// A caller that goes away leaves nothing half done: what the store does, this node knows.
    async fn to_its_end(
        &self,
        work: impl Future<Output = Result<(), StoreError>> + Send + 'static,
    ) -> Result<(), StoreError> {
        let ended = || Err(StoreError::Unanswered("the runtime has ended".to_owned()));
        self.0.to_its_end(work).await.unwrap_or_else(ended)
    }
}

impl Inner {
    /// Changes versions of one scope. When the store does not answer it may have done it or not:
    /// it is asked again, with new ids, because ids that came twice could make values valid that
    /// somebody else has invalidated in between.
    async fn change_scope(
        &self,
        versions: &[VersionKey],
        clear: bool,
        how: &How,
    ) -> Result<(), StoreError> {
        if versions.is_empty() {
            return Ok(());
        }
        let mut attempts = 1;
        loop {
            let changes: Vec<NewIds> = versions
                .iter()
                .map(|key| NewIds {
                    key: key.clone(),
                    change: self.random.id(),
                    clear: clear.then(|| self.random.id()),
                })
                .collect();
            let heard = changes
                .iter()
                .map(|new| (new.key.as_str().to_owned(), new.change, new.clear))
                .collect();
            let cause = cut(&how.cause).to_owned();
            let done =
                self.shared.invalidate(Invalidate { changes, spread: how.over, cause }).await;
            match done {
                Ok(()) => {
                    self.node.take_in(&Message::Changed(heard));
                    return Ok(());
                }
                // It may have been done, or may still be: asking costs little.
                Err(error) => {
                    versions.iter().for_each(|key| self.node.cells.doubt(key.as_str(), clear));
                    let again = matches!(error, StoreError::Unanswered(_));
                    if !again || attempts == limits::CHANGE_ATTEMPTS {
                        return Err(error);
                    }
                    attempts += 1;
                }
            }
        }
    }
}

fn versions_of(
    subject: &Subject<'_>,
    tenant: Option<&Tenant>,
) -> Result<Vec<VersionKey>, ChangeError> {
    let scope = tenant.map_or(Scope::Global, |tenant| Scope::Tenant(tenant.clone()));
    let kind = match subject {
        Subject::Everything => Kind::All,
        Subject::Widget(name) => Kind::Widget(name),
        Subject::Class(name) => Kind::Class(name),
        Subject::Tags(tags) => return tag_versions(tags, tenant),
    };
    Ok(vec![VersionKey::new(&scope, kind)])
}

fn tag_versions(tags: &[Tag], tenant: Option<&Tenant>) -> Result<Vec<VersionKey>, ChangeError> {
    if tags.len() > limits::TAGS_PER_CALL {
        let limit = limits::TAGS_PER_CALL;
        return Err(ReadingError::TooMany { count: tags.len(), limit }.into());
    }
    let mut versions = Vec::new();
    for tag in tags {
        versions.extend(
            changed_by(tag, tenant)
                .ok_or_else(|| ChangeError::NoTenant { tag: tag.to_string() })?,
        );
    }
    versions.sort();
    versions.dedup();
    Ok(versions)
}

/// What a pattern came down to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClearedBy {
    Key { tenant: String, key: String },
    Widget { widget: String, tenant: Option<String> },
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ChangeError {
    #[error(transparent)]
    Reading(#[from] ReadingError),
    #[error("tag `{tag}` belongs to a tenant: say which, or name a global tag (`global:{tag}`)")]
    NoTenant { tag: String },
    /// Repeating is safe. This node already treats what was named as changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
