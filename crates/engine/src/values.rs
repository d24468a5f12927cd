//! The values that a parameter can have, where a query says which: for choosing, and for warming. A
//! value that came since is taken all the same.

use std::{collections::BTreeMap, sync::Arc};

use samovar_cache::{Cache, Definition, DefinitionError, ReadError, Tag, Widget};
use samovar_widgets::{Query, Row, Rows, SourceError, Value, Values};

use crate::{
    Member, ReadFailure,
    engine::{Engine, Inner, Served},
    reading::InvalidReading,
};

/// By widget and parameter.
#[derive(Debug, Default)]
pub(crate) struct Listings(BTreeMap<(String, String), Arc<Listing>>);

#[derive(Debug)]
struct Listing {
    served: Arc<Served>,
    query: Query,
    widget: Widget,
    /// The source's own.
    tag: Tag,
}

/// A list of more is of no use to anybody.
const MOST_VALUES: usize = 1000;

impl Listings {
    pub(crate) fn declare(
        widgets: &BTreeMap<String, Arc<Served>>,
        cache: &Cache,
    ) -> Result<Self, DefinitionError> {
        let mut listings = BTreeMap::new();
        for served in widgets.values() {
            for (param, query) in &served.entry.listings {
                let entry = &served.entry;
                let version = crate::catalogue::hashed(&[
                    entry.source.identity(),
                    &entry.name,
                    param,
                    query.text(),
                ]);
                let name = format!("values.{version}");
                let freshness = served.widget.freshness().clone();
                let definition = Definition::new(&name)
                    .key(&format!("values:{}:{param}:{{tenant}}", entry.name))
                    .version(&version)
                    .freshness(freshness);
                let widget = cache.declare(definition)?;
                let tag = Tag::new(&entry.source_name).expect("names of sources are tags");
                let (served, query) = (served.clone(), query.clone());
                let listing = Listing { served, query, widget, tag };
                listings.insert((entry.name.clone(), param.clone()), Arc::new(listing));
            }
        }
        Ok(Self(listings))
    }

    /// What the lists of a source are called in the cache.
    pub(crate) fn names_of<'s>(&'s self, source: &'s str) -> impl Iterator<Item = &'s str> {
        let of_source = self.0.values().filter(move |it| it.served.entry.source_name == source);
        of_source.map(|listing| listing.widget.name())
    }
}

impl Engine {
    /// What a parameter of a widget can be for a tenant; `None` where anything goes.
    pub async fn values(
        &self,
        widget: &str,
        param: &str,
        tenant: &str,
    ) -> Result<Option<Vec<String>>, ReadFailure> {
        let served = self.0.served(widget)?;
        let params = &served.entry.params;
        let Some(definition) = params.iter().find(|it| it.name.value == param) else {
            let known = params.iter().map(|it| it.name.value.as_str());
            let nearest = samovar_widgets::nearest(param, known).map(str::to_owned);
            let name = param.to_owned();
            return Err(InvalidReading::UnknownParam { name, nearest }.into());
        };
        let member = self.0.member(tenant).await?;
        match &definition.values {
            None => Ok(None),
            Some(Values::List(values)) => Ok(Some(values.clone())),
            Some(Values::Query(_)) => Ok(Some(self.0.list_of(widget, param, &member).await?)),
        }
    }
}

impl Inner {
    /// Of a parameter that has a query.
    pub(crate) async fn list_of(
        self: &Arc<Self>,
        widget: &str,
        param: &str,
        member: &Member,
    ) -> Result<Vec<String>, ReadError> {
        self.list(&self.listings.0[&(widget.to_owned(), param.to_owned())], member).await
    }

    async fn list(
        self: &Arc<Self>,
        listing: &Arc<Listing>,
        member: &Member,
    ) -> Result<Vec<String>, ReadError> {
        let tags = [listing.tag.clone()];
        let reading = listing.widget.reading(&member.tenant).tags(&tags);
        let (wanted, tenant) = (listing.clone(), member.tenant.as_str().to_owned());
        let compute = move || async move {
            let mut snapshot = wanted.served.entry.source.snapshot().await?;
            let tenant = [("tenant".to_owned(), samovar_widgets::Bound::Text(tenant))];
            let first = snapshot.read(&wanted.query, &tenant, First::default()).await?;
            Ok::<_, SourceError>(serde_json::to_vec(&first.values).expect("texts always encode"))
        };
        let answer = self.cache.get_or_compute(&reading, compute).await?;
        let bytes = answer.bytes().map_err(ReadError::from)?;
        serde_json::from_slice(&bytes).map_err(|error| ReadError::Typed(error.to_string()))
    }
}

/// The first column, as texts, without what is null.
#[derive(Debug, Default)]
struct First {
    values: Vec<String>,
}

impl Rows for First {
    fn columns(&mut self, _: &[String]) -> Result<(), SourceError> {
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), SourceError> {
        if self.values.len() == MOST_VALUES {
            return Err(SourceError::TooManyRows { limit: MOST_VALUES });
        }
        let value = match row.get(0)? {
            Value::Null => return Ok(()),
            Value::Text(text) | Value::Decimal(text) | Value::Json(text) => text.into_owned(),
            Value::Boolean(truth) => truth.to_string(),
            Value::Integer(number) => number.to_string(),
            Value::Unsigned(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Bytes(_) => {
                let found = "bytes".to_owned();
                return Err(SourceError::Type { column: "the first".to_owned(), found });
            }
        };
        self.values.push(value);
        Ok(())
    }
}
