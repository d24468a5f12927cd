//! Widgets over rollups: the partials of their ranges are read through the cache, what is missing is
//! folded in one pass for each stretch of time without a gap, and all of them are merged.
//!
//! Readings of one tenant that are made together share all of that: each partial is looked for, folded
//! and decoded once, whatever the number of widgets, ranges and filters that need it.

mod bundles;
mod bundling;
mod cover;
mod kept;
mod merging;
mod partials;

use std::sync::Arc;

use samovar_cache::{Cache, DefinitionError, Parts, Tag, TagError, Value, Widget};
use samovar_widgets::{Dates, RollupWidgetDefinition};
use tracing::Instrument;

pub(crate) use self::{bundles::Bundling, cover::root};
use self::{
    merging::{Merging, previous},
    partials::Gathering,
};
use crate::{
    catalogue::{Made, Rolled},
    engine::{Inner, Served},
    reading::BoundReading,
    spans,
};

/// The partials of a rollup as the cache knows them.
#[derive(Debug)]
pub(crate) struct Partials {
    sealed: Widget,
    open: Widget,
}

impl Partials {
    pub(crate) fn declare(rolled: &Rolled, cache: &Cache) -> Result<Self, DefinitionError> {
        let sealed = cache.declare(rolled.sealed.clone())?;
        Ok(Self { sealed, open: cache.declare(rolled.open.clone())? })
    }
}

impl BoundReading {
    pub(crate) fn rolled(&self) -> Option<(&Arc<Rolled>, &RollupWidgetDefinition)> {
        match &self.served.entry.made {
            Made::Rollup(rolled, widget) => Some((rolled, widget)),
            Made::Rows(_) => None,
        }
    }

    /// Above the tags of all partials that it is made of.
    pub(crate) fn tags_of_partials(&self) -> Option<Result<Vec<Tag>, TagError>> {
        let ((rolled, widget), dates) = (self.rolled()?, self.dates()?);
        let before = previous(dates).filter(|_| widget.shown.compare);
        let first = before.map_or(dates.first(), Dates::first);
        let tags = cover::cover(&rolled.tag, first, dates.last());
        Some(tags.iter().map(|tag| Tag::new(tag)).collect())
    }
}

impl Inner {
    /// What a widget is called in the cache, and the partials that it is made of: from what is kept of
    /// them it would be made as it was.
    pub(crate) fn names_of<'s>(&'s self, served: &'s Served) -> Vec<&'s str> {
        let mut names = vec![served.entry.name.as_str()];
        if let Made::Rollup(rolled, _) = &served.entry.made {
            let partials = &self.partials[&rolled.name];
            names.extend([partials.sealed.name(), partials.open.name()]);
        }
        names
    }

    /// The answer of a widget over a rollup. `parts` is the way to what is kept; without it everything
    /// is folded anew and nothing is kept.
    pub(crate) async fn roll_up(
        self: &Arc<Self>,
        reading: &BoundReading,
        parts: Option<&Parts>,
    ) -> Result<Value, String> {
        let made = self.roll_up_all(&[(reading, parts)]).await?;
        made.into_iter().next().ok_or_else(|| "nothing was made".to_owned())
    }

    /// The answers of readings of one rollup and one tenant, in their order.
    pub(crate) async fn roll_up_all(
        self: &Arc<Self>,
        readings: &[(&BoundReading, Option<&Parts>)],
    ) -> Result<Vec<Value>, String> {
        let Some((reading, parts)) = readings.first().copied() else { return Ok(Vec::new()) };
        let (rolled, _) = reading.rolled().ok_or("the widget shows no rollup")?;
        let mut merging = Merging::new(&rolled.rollup, readings)?;
        let slots = merging.slots();
        let timed = self.slow.time(&self.clock, reading);
        let mut gathering = Gathering::new(self, rolled, &reading.member, parts, &slots)?;
        let computing = spans::compute(reading, readings.len());
        let run = gathering.run(|slot, partial, aging| merging.add(slot, partial, aging));
        let gathered = run.instrument(computing.span()).await;
        let queries = gathering.queries();
        computing.ended(queries, gathering.rows(), gathered.is_ok());
        timed.ended(queries, gathered.as_ref().map(drop).map_err(String::as_str));
        gathered?;
        Ok(merging.finish(queries))
    }
}
