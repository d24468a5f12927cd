//! A reading is bound, and read through the cache.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use samovar_cache::{Answer, ReadError, Tag, TagError};
use samovar_widgets::{Bound, Dates, InvalidRange, Range, SourceError, Values, nearest};
use serde::Serialize;

use crate::{
    Member,
    engine::{Engine, Served},
};

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
    #[error("`{value}` is none of the values of the parameter `{name}`")]
    UnknownValue { name: String, value: String, nearest: Option<String> },
    #[error(transparent)]
    Range(#[from] InvalidRange),
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What is computed: everything that a widget's query needs and its answer repeats.
#[derive(Debug)]
struct Compute {
    served: Arc<Served>,
    tenant: String,
    params: BTreeMap<String, String>,
    /// Of the range, for queries that are cut by it.
    cuts: Vec<(String, Bound)>,
    value_limit: u64,
}

impl Engine {
    /// The answer of a widget for a tenant. Parameters that are not given take their defaults.
    pub async fn read(
        &self,
        widget: &str,
        tenant: &str,
        mut given: Vec<(String, String)>,
    ) -> Result<Answer, ReadFailure> {
        let served = self.0.widgets.get(widget).ok_or_else(|| {
            let known = self.0.widgets.keys().map(String::as_str);
            let nearest = nearest(widget, known).map(str::to_owned);
            ReadFailure::UnknownWidget { name: widget.to_owned(), nearest }
        })?;
        let member = self.0.tenants.get(tenant);
        let member = member.ok_or_else(|| ReadFailure::UnknownTenant { id: tenant.to_owned() })?;
        let dates = self.dates(served, member, &mut given)?;
        let mut params = bind(served, given)?;
        if let Some(dates) = dates {
            params.insert(RANGE.to_owned(), dates.to_string());
        }
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
            cuts: dates.map_or_else(Vec::new, |dates| cuts(dates, member)),
            value_limit: self.0.value_limit,
        };
        Ok(self.0.cache.get_or_compute(&reading, || compute.run()).await?)
    }

    /// Takes the range out of what was given.
    fn dates(
        &self,
        served: &Served,
        member: &Member,
        given: &mut Vec<(String, String)>,
    ) -> Result<Option<Dates>, ReadFailure> {
        let Some(default) = served.entry.ranges.first() else { return Ok(None) };
        let named = given.iter().position(|(name, _)| name == RANGE);
        let range = match named {
            Some(index) => given.remove(index).1.parse::<Range>()?,
            None => *default,
        };
        let now = Timestamp::from_millisecond(self.0.clock.wall().as_millis());
        Ok(Some(range.dates(now.unwrap_or(Timestamp::UNIX_EPOCH), &member.zone)))
    }
}

/// The parameter of widgets that are cut by time; its value becomes dates before anything is made of it,
/// so that `7d` of today and the same seven days are one reading.
const RANGE: &str = "range";

fn cuts(dates: Dates, member: &Member) -> Vec<(String, Bound)> {
    let (from, to) = dates.instants(&member.zone);
    let day = |date: jiff::civil::Date| Bound::Text(date.to_string());
    let cuts = [
        ("from", Bound::Time(from)),
        ("to", Bound::Time(to)),
        ("first_day", day(dates.first())),
        ("last_day", day(dates.last())),
    ];
    cuts.map(|(name, bound)| (name.to_owned(), bound)).to_vec()
}

/// Every parameter of the widget with its value.
fn bind(
    served: &Served,
    given: Vec<(String, String)>,
) -> Result<BTreeMap<String, String>, ReadFailure> {
    let range = (!served.entry.ranges.is_empty()).then_some(RANGE);
    let known = || {
        let params = served.entry.params.iter().map(|param| param.name.value.as_str());
        params.chain(range)
    };
    let mut bound = BTreeMap::new();
    for (name, value) in given {
        if known().all(|known| known != name) {
            let nearest = nearest(&name, known().chain(["tenant"])).map(str::to_owned);
            return Err(ReadFailure::UnknownParam { name, nearest });
        }
        // The first one is taken already.
        if name == RANGE || bound.contains_key(&name) {
            return Err(ReadFailure::RepeatedParam { name });
        }
        check_value(served, &name, &value)?;
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

fn check_value(served: &Served, name: &str, value: &str) -> Result<(), ReadFailure> {
    let param = served.entry.params.iter().find(|param| param.name.value == name);
    let Some(Values::List(values)) = param.and_then(|param| param.values.as_ref()) else {
        return Ok(());
    };
    if values.iter().any(|known| known == value) {
        return Ok(());
    }
    let nearest = nearest(value, values.iter().map(String::as_str)).map(str::to_owned);
    // It may be as long as a request.
    let value = value.chars().take(80).collect();
    Err(ReadFailure::UnknownValue { name: name.to_owned(), value, nearest })
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
        let Compute { served, tenant, params, cuts, value_limit } = self;
        let entry = &served.entry;
        let head = Head { widget: &entry.name, tenant: &tenant, params: &params };
        let mut body = serde_json::to_vec(&head).expect("texts always encode");
        body.pop();
        body.extend(b",\"data\":");
        let mut bindings = cuts;
        let texts = params.into_iter().chain([("tenant".to_owned(), tenant)]);
        bindings.extend(texts.map(|(name, text)| (name, Bound::Text(text))));
        let query = entry.query.clone();
        let mut body = entry.source.append_rows(query, bindings, body, value_limit).await?;
        body.push(b'}');
        Ok(body)
    }
}
