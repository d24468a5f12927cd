//! A reading is bound, and read through the cache.

use std::{collections::BTreeMap, sync::Arc};

use samovar_cache::{Answer, ReadError, Tag, TagError};
use samovar_widgets::{SourceError, nearest};
use serde::Serialize;

use crate::engine::{Engine, Served};

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReadFailure {
    #[error("there is no widget `{name}`")]
    UnknownWidget { name: String, nearest: Option<String> },
    #[error("there is no tenant `{id}`")]
    UnknownTenant { id: String },
    #[error("the widget has no parameter `{name}`")]
    UnknownParam { name: String, nearest: Option<String> },
    #[error("the parameter `{name}` is given twice")]
    RepeatedParam { name: String },
    #[error("the parameter `{name}` is missing and has no default")]
    MissingParam { name: String },
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What is computed: everything that a widget's query needs and its answer repeats.
#[derive(Debug)]
struct Compute {
    served: Arc<Served>,
    tenant: String,
    params: BTreeMap<String, String>,
    value_limit: u64,
}

impl Engine {
    /// The answer of a widget for a tenant. Parameters that are not given take their defaults.
    pub async fn read(
        &self,
        widget: &str,
        tenant: &str,
        given: Vec<(String, String)>,
    ) -> Result<Answer, ReadFailure> {
        let served = self.0.widgets.get(widget).ok_or_else(|| {
            let known = self.0.widgets.keys().map(String::as_str);
            let nearest = nearest(widget, known).map(str::to_owned);
            ReadFailure::UnknownWidget { name: widget.to_owned(), nearest }
        })?;
        let member = self.0.tenants.get(tenant);
        let member = member.ok_or_else(|| ReadFailure::UnknownTenant { id: tenant.to_owned() })?;
        let params = bind(served, given)?;
        let pairs: Vec<_> = params.iter().map(|(name, value)| (&**name, &**value)).collect();
        let tags = || fill_tags(served, &params);
        let reading = served
            .widget
            .reading(&member.tenant)
            .params(&pairs)
            .tags_from(&tags)
            .zone(&member.zone);
        let compute = Compute {
            served: served.clone(),
            tenant: tenant.to_owned(),
            params: params.clone(),
            value_limit: self.0.value_limit,
        };
        Ok(self.0.cache.get_or_compute(&reading, || compute.run()).await?)
    }
}

/// Every parameter of the widget with its value.
fn bind(
    served: &Served,
    given: Vec<(String, String)>,
) -> Result<BTreeMap<String, String>, ReadFailure> {
    let known = || served.entry.params.iter().map(|param| param.name.value.as_str());
    let mut bound = BTreeMap::new();
    for (name, value) in given {
        if known().all(|known| known != name) {
            let nearest = nearest(&name, known().chain(["tenant"])).map(str::to_owned);
            return Err(ReadFailure::UnknownParam { name, nearest });
        }
        if bound.contains_key(&name) {
            return Err(ReadFailure::RepeatedParam { name });
        }
        bound.insert(name, value);
    }
    for param in &served.entry.params {
        let name = &param.name.value;
        if !bound.contains_key(name) {
            let default = param.default.clone();
            let value = default.ok_or_else(|| ReadFailure::MissingParam { name: name.clone() })?;
            bound.insert(name.clone(), value);
        }
    }
    Ok(bound)
}

fn fill_tags(served: &Served, params: &BTreeMap<String, String>) -> Result<Vec<Tag>, TagError> {
    let value = |name: &str| params.get(name).map_or("", String::as_str);
    served.entry.tags.iter().map(|template| template.fill(value)).collect()
}

impl Compute {
    /// `{"widget","tenant","params","data"}`, encoded once: these are the bytes that are stored
    /// and sent.
    async fn run(self) -> Result<Vec<u8>, SourceError> {
        #[derive(Serialize)]
        struct Head<'a> {
            widget: &'a str,
            tenant: &'a str,
            params: &'a BTreeMap<String, String>,
        }
        let Compute { served, tenant, params, value_limit } = self;
        let entry = &served.entry;
        let head = Head { widget: &entry.name, tenant: &tenant, params: &params };
        let mut body = serde_json::to_vec(&head).expect("texts always encode");
        body.pop();
        body.extend(b",\"data\":");
        let mut bindings: Vec<_> = params.into_iter().collect();
        bindings.push(("tenant".to_owned(), tenant));
        let query = entry.query.clone();
        let mut body = entry.source.append_rows(query, bindings, body, value_limit).await?;
        body.push(b'}');
        Ok(body)
    }
}
