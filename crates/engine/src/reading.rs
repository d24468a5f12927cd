//! A reading: a widget with every parameter bound, for one tenant.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{Timestamp, civil::Date};
use samovar_cache::{Reading, Tag, TagError};
use samovar_widgets::{
    Bound, Dates, InvalidRange, ParamDefinition, ParamType, Range, Values, nearest,
};

use crate::{Member, engine::Served, hot::Name};

/// It outlives the request that bound it.
#[derive(Clone, Debug)]
pub(crate) struct BoundReading {
    pub(crate) served: Arc<Served>,
    pub(crate) member: Arc<Member>,
    /// With the dates of its range.
    params: BTreeMap<String, String>,
    dates: Option<(Range, Dates)>,
}

/// The parameter of widgets that are cut by time; its value becomes dates before anything is made of
/// it, so that `7d` of today and the same seven days are one reading.
pub(crate) const RANGE: &str = "range";
/// In keys only: no parameter can be called so.
const ZONE: &str = "zone";

/// What was given cannot be bound.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidReading {
    #[error("the widget has no parameter `{name}`")]
    UnknownParam { name: String, nearest: Option<String> },
    #[error("the parameter `{name}` is given twice")]
    RepeatedParam { name: String },
    #[error("the parameter `{name}` is missing and has no default")]
    MissingParam { name: String },
    #[error("`{value}` is none of the values of the parameter `{name}`")]
    UnknownValue { name: String, value: String, nearest: Option<String> },
    #[error("the parameter `{name}` holds a character that no database takes")]
    Unbindable { name: String },
    #[error("the parameter `{name}` takes a value of type {kind}, like {}", kind.example())]
    WrongType { name: String, kind: ParamType },
    #[error(transparent)]
    Range(#[from] InvalidRange),
}

impl BoundReading {
    /// Parameters that are not given take their defaults.
    pub(crate) fn bind(
        served: Arc<Served>,
        member: Arc<Member>,
        mut given: Vec<(String, String)>,
        now: Timestamp,
    ) -> Result<Self, InvalidReading> {
        let dates = take_dates(&served, &member, &mut given, now)?;
        let mut params = bind(&served, given)?;
        if let Some((_, dates)) = dates {
            params.insert(RANGE.to_owned(), dates.to_string());
        }
        Ok(Self { served, member, params, dates })
    }

    /// Every parameter, as an answer repeats it.
    pub(crate) fn params(&self) -> &BTreeMap<String, String> {
        &self.params
    }

    /// What was given for it, in one form: the range by its name, so that it follows the calendar.
    pub(crate) fn given(&self) -> Vec<(String, String)> {
        let params = self.params.iter().filter(|(name, _)| *name != RANGE);
        let range = self.dates.map(|(range, _)| (RANGE.to_owned(), range.to_string()));
        params.map(|(name, value)| (name.clone(), value.clone())).chain(range).collect()
    }

    pub(crate) fn name(&self) -> Name {
        let (widget, tenant) = (self.widget().to_owned(), self.tenant().to_owned());
        Name::Widget { widget, tenant, given: self.given() }
    }

    pub(crate) fn dates(&self) -> Option<Dates> {
        self.dates.map(|(_, dates)| dates)
    }

    pub(crate) fn is_ranged(&self) -> bool {
        self.dates.is_some()
    }

    pub(crate) fn tenant(&self) -> &str {
        self.member.tenant.as_str()
    }

    pub(crate) fn widget(&self) -> &str {
        &self.served.entry.name
    }

    /// As the cache knows it, for as long as `look` takes.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&Reading<'_>) -> T) -> T {
        let pairs = self.pairs();
        let tags = || self.tags();
        look(&self.borrow(&pairs, &tags))
    }

    /// What tells it from other readings of its widget. Its days are cut by the zone of its tenant,
    /// which may be another one tomorrow.
    pub(crate) fn pairs(&self) -> Vec<(&str, &str)> {
        let zone = self.dates.map(|_| (ZONE, self.member.zone.iana_name().unwrap_or("fixed")));
        self.params.iter().map(|(name, value)| (&**name, &**value)).chain(zone).collect()
    }

    pub(crate) fn tags(&self) -> Result<Vec<Tag>, TagError> {
        if let Some(tags) = self.tags_of_partials() {
            return tags;
        }
        let value = |name: &str| self.params.get(name).map_or("", String::as_str);
        self.served.entry.tags.iter().map(|template| template.fill(value)).collect()
    }

    pub(crate) fn borrow<'a>(
        &'a self,
        pairs: &'a [(&'a str, &'a str)],
        tags: &'a (dyn Fn() -> Result<Vec<Tag>, TagError> + Sync),
    ) -> Reading<'a> {
        let reading = self.served.widget.reading(&self.member.tenant);
        reading.params(pairs).tags_from(tags).zone(&self.member.zone)
    }

    /// What its queries are given.
    pub(crate) fn bindings(&self) -> Vec<(String, Bound)> {
        let mut bindings = vec![("tenant".to_owned(), Bound::Text(self.tenant().to_owned()))];
        if let Some((_, dates)) = self.dates {
            bindings.extend(cuts(dates, &self.member));
        }
        for param in &self.served.entry.params {
            let name = &param.name.value;
            if let Some(value) = self.params.get(name) {
                bindings.push((name.clone(), bound(param.kind, value)));
            }
        }
        bindings
    }
}

fn take_dates(
    served: &Served,
    member: &Member,
    given: &mut Vec<(String, String)>,
    now: Timestamp,
) -> Result<Option<(Range, Dates)>, InvalidRange> {
    let Some(default) = served.entry.ranges.first() else { return Ok(None) };
    let named = given.iter().position(|(name, _)| name == RANGE);
    let range = match named {
        Some(index) => given.remove(index).1.parse::<Range>()?,
        None => *default,
    };
    Ok(Some((range, range.dates(now, &member.zone))))
}

pub(crate) fn cuts(dates: Dates, member: &Member) -> Vec<(String, Bound)> {
    let (from, to) = dates.instants(&member.zone);
    let day = |date: Date| Bound::Text(date.to_string());
    let cuts = [
        ("from", Bound::Time(from)),
        ("to", Bound::Time(to)),
        ("first_day", day(dates.first())),
        ("last_day", day(dates.last())),
    ];
    cuts.map(|(name, bound)| (name.to_owned(), bound)).to_vec()
}

/// A value in the form that [`ParamType::canonical`] gives.
pub(crate) fn bound(kind: ParamType, value: &str) -> Bound {
    let text = || Bound::Text(value.to_owned());
    match kind {
        ParamType::Text | ParamType::Date => text(),
        ParamType::Integer => value.parse().map_or_else(|_| text(), Bound::Integer),
        ParamType::Number => value.parse().map_or_else(|_| text(), Bound::Number),
        ParamType::Boolean => value.parse().map_or_else(|_| text(), Bound::Boolean),
    }
}

fn bind(
    served: &Served,
    given: Vec<(String, String)>,
) -> Result<BTreeMap<String, String>, InvalidReading> {
    let params = &served.entry.params;
    let range = (!served.entry.ranges.is_empty()).then_some(RANGE);
    let mut values = BTreeMap::new();
    for (name, value) in given {
        let Some(param) = params.iter().find(|param| param.name.value == name) else {
            if range == Some(name.as_str()) {
                // The first one is taken already.
                return Err(InvalidReading::RepeatedParam { name });
            }
            let known = params.iter().map(|param| param.name.value.as_str());
            let nearest = nearest(&name, known.chain(range).chain(["tenant"])).map(str::to_owned);
            return Err(InvalidReading::UnknownParam { name, nearest });
        };
        let value = check_value(param, &value)?;
        if values.insert(name.clone(), value).is_some() {
            return Err(InvalidReading::RepeatedParam { name });
        }
    }
    for param in params {
        let name = &param.name.value;
        if !values.contains_key(name) {
            let missing = || InvalidReading::MissingParam { name: name.clone() };
            values.insert(name.clone(), param.default.clone().ok_or_else(missing)?);
        }
    }
    Ok(values)
}

fn check_value(param: &ParamDefinition, given: &str) -> Result<String, InvalidReading> {
    let name = || param.name.value.clone();
    if given.contains('\0') {
        return Err(InvalidReading::Unbindable { name: name() });
    }
    let canonical = param.kind.canonical(given);
    let value =
        canonical.ok_or_else(|| InvalidReading::WrongType { name: name(), kind: param.kind })?;
    if let Some(Values::List(listed)) = &param.values
        && !listed.contains(&value)
    {
        let nearest = nearest(&value, listed.iter().map(String::as_str)).map(str::to_owned);
        // It may be as long as a request.
        let value = value.chars().take(80).collect();
        return Err(InvalidReading::UnknownValue { name: name(), value, nearest });
    }
    Ok(value)
}
