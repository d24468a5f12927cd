//! A widget over a rollup: the partials of its range are read through the cache, what is missing is
//! folded in one pass for each stretch of time without a gap, and all of them are merged.

use std::sync::Arc;

use samovar_cache::{
    Answer as Cached, Beginning, Cache, DefinitionError, Parts, Provenance, Reading, Tag, Ticket,
    Turn, Value, Widget,
};
use samovar_widgets::{
    Answer as RollupAnswer, Bound, Dates, Fold, Folded, Partial, RollupWidgetDefinition, Slot,
    Snapshot, plan,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    Member,
    catalogue::{Made, Rolled},
    engine::{Inner, Served},
    reading::BoundReading,
};

/// The partials of a rollup as the cache knows them.
#[derive(Debug)]
pub(crate) struct Partials {
    sealed: Widget,
    open: Widget,
}

/// Partials that are asked for in one look.
const AT_ONCE: usize = 512;
/// How often partials that somebody else is making are waited for.
const ROUNDS: usize = 8;

impl Partials {
    pub(crate) fn declare(rolled: &Rolled, cache: &Cache) -> Result<Self, DefinitionError> {
        let sealed = cache.declare(rolled.sealed.clone())?;
        Ok(Self { sealed, open: cache.declare(rolled.open.clone())? })
    }
}

/// A slot whose partial can be kept, as a reading.
struct Kept<'r> {
    widget: &'r Widget,
    member: &'r Member,
    partition: String,
    tags: [Tag; 1],
}

impl Kept<'_> {
    /// What a partition holds depends on the zone in which it is cut.
    fn pairs(&self) -> [(&str, &str); 2] {
        let zone = self.member.zone.iana_name().unwrap_or("fixed");
        [("partition", &self.partition), ("zone", zone)]
    }

    fn borrow<'a>(&'a self, pairs: &'a [(&'a str, &'a str)]) -> Reading<'a> {
        self.widget.reading(&self.member.tenant).params(pairs).tags(&self.tags)
    }
}

/// What is to be folded, and where it goes.
struct Missing {
    slot: Slot,
    index: usize,
    /// `None`: it is kept nowhere.
    ticket: Option<Ticket>,
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
        let Made::Rollup(rolled, widget) = &reading.served.entry.made else {
            return Err("the widget shows no rollup".to_owned());
        };
        let dates = reading.dates().ok_or("the widget has no range")?;
        let (zone, unit) = (&reading.member.zone, rolled.rollup.unit());
        let slots = plan(dates, unit, zone);
        let before = if widget.shown.compare { previous(dates) } else { None };
        let earlier = before.map_or_else(Vec::new, |dates| plan(dates, unit, zone));
        let all: Vec<Slot> = earlier.iter().chain(&slots).copied().collect();
        let (timed, mut queries) = (self.slow.time(&self.clock, reading), 0);
        let partials = self.partials(rolled, reading, &all, parts, &mut queries).await;
        timed.ended(queries, partials.as_ref().map(drop).map_err(String::as_str));
        let partials = partials?;
        let mut body = reading.head();
        let (earlier_partials, partials) = partials.split_at(earlier.len());
        let answer = merge(rolled, widget, reading, &slots, partials);
        let compared = before.map(|_| merge(rolled, widget, reading, &earlier, earlier_partials));
        answer.write(compared.as_ref(), &mut body);
        body.push(b'}');
        Ok(Value::Read(body.into(), Provenance { moment: 0, queries }))
    }

    /// Of each slot its partial, in their order.
    async fn partials(
        self: &Arc<Self>,
        rolled: &Rolled,
        reading: &BoundReading,
        slots: &[Slot],
        parts: Option<&Parts>,
        queries: &mut u32,
    ) -> Result<Vec<Partial>, String> {
        let mut found: Vec<Option<Partial>> = vec![None; slots.len()];
        let kept = self.kept(rolled, &reading.member, slots)?;
        if let Some(parts) = parts {
            self.look_for_partials(rolled, &kept, parts, &mut found).await?;
        }
        for _ in 0..ROUNDS {
            let mut missing = Vec::new();
            let mut elsewhere = Vec::new();
            for (index, slot) in slots.iter().enumerate() {
                if found[index].is_some() {
                    continue;
                }
                let Some(kept) = kept[index].as_ref().filter(|_| parts.is_some()) else {
                    missing.push(Missing { slot: *slot, index, ticket: None });
                    continue;
                };
                let pairs = kept.pairs();
                match self.cache.begin_newer(&kept.borrow(&pairs), None).await {
                    Ok(Turn::Compute(ticket)) => {
                        missing.push(Missing { slot: *slot, index, ticket: Some(ticket) });
                    }
                    Ok(Turn::Answer(answer)) if answer.is_fresh() => {
                        found[index] = Some(take(rolled, &answer, parts)?);
                    }
                    Ok(Turn::Elsewhere) => elsewhere.push(index),
                    // Without the store it is folded for this answer alone.
                    Ok(Turn::Answer(_)) | Err(samovar_cache::ReadError::Store(_)) => {
                        missing.push(Missing { slot: *slot, index, ticket: None });
                    }
                    Err(error) => return Err(error.to_string()),
                }
            }
            self.fold_all(rolled, reading, missing, parts, &mut found, queries).await?;
            if elsewhere.is_empty() {
                break;
            }
            for index in elsewhere {
                let Some(kept) = &kept[index] else { continue };
                let pairs = kept.pairs();
                // Nothing is held now: whoever is at it may take its time.
                match self.cache.begin(&kept.borrow(&pairs)).await {
                    Ok(Beginning::Answer(answer)) if answer.is_fresh() => {
                        found[index] = Some(take(rolled, &answer, parts)?);
                    }
                    // It was given up: the next round makes it.
                    Ok(Beginning::Compute(_) | Beginning::Answer(_)) => {}
                    Err(error) => return Err(error.to_string()),
                }
            }
        }
        let all = found.into_iter().collect::<Option<Vec<_>>>();
        all.ok_or_else(|| "others did not finish what they were making".to_owned())
    }

    fn kept<'r>(
        &'r self,
        rolled: &Rolled,
        member: &'r Member,
        slots: &[Slot],
    ) -> Result<Vec<Option<Kept<'r>>>, String> {
        let partials = &self.partials[&rolled.name];
        let now = self.now();
        let kept = slots.iter().map(|slot| {
            if !slot.is_whole() {
                return Ok(None);
            }
            let widget = if slot.to() > now { &partials.open } else { &partials.sealed };
            let tag = slot.partition().fill(&rolled.tag);
            let tags = [Tag::new(&tag).map_err(|error| error.to_string())?];
            let partition = slot.partition().to_string();
            Ok(Some(Kept { widget, member, partition, tags }))
        });
        kept.collect()
    }

    async fn look_for_partials(
        &self,
        rolled: &Rolled,
        kept: &[Option<Kept<'_>>],
        parts: &Parts,
        found: &mut [Option<Partial>],
    ) -> Result<(), String> {
        let whole: Vec<(usize, &Kept<'_>)> =
            kept.iter().enumerate().filter_map(|(at, kept)| Some((at, kept.as_ref()?))).collect();
        for some in whole.chunks(AT_ONCE) {
            let pairs: Vec<_> = some.iter().map(|(_, kept)| kept.pairs()).collect();
            let readings: Vec<_> =
                some.iter().zip(&pairs).map(|((_, kept), pairs)| kept.borrow(pairs)).collect();
            // Where the store cannot be asked, they are made.
            let answers = parts.read(&readings).await.unwrap_or_else(|_| vec![None; some.len()]);
            for ((index, _), answer) in some.iter().zip(answers) {
                if let Some(answer) = answer {
                    found[*index] = Some(take(rolled, &answer, None)?);
                }
            }
        }
        Ok(())
    }

    /// One query for each stretch of slots without a gap, all through one snapshot that is opened
    /// after the stamps of all of them were captured.
    async fn fold_all(
        &self,
        rolled: &Rolled,
        reading: &BoundReading,
        missing: Vec<Missing>,
        parts: Option<&Parts>,
        found: &mut [Option<Partial>],
        queries: &mut u32,
    ) -> Result<(), String> {
        if missing.is_empty() {
            return Ok(());
        }
        let mut stretches: Vec<Vec<Missing>> = Vec::new();
        for one in missing {
            match stretches.last_mut() {
                Some(last) if last.last().is_some_and(|it| it.slot.to() == one.slot.from()) => {
                    last.push(one);
                }
                _ => stretches.push(vec![one]),
            }
        }
        let mut snapshot = match rolled.source.snapshot().await {
            Ok(snapshot) => snapshot,
            Err(error) => return Err(give_up(stretches, &error.to_string()).await),
        };
        let mut stretches = stretches.into_iter();
        while let Some(stretch) = stretches.next() {
            let slots = stretch.iter().map(|it| it.slot).collect();
            *queries += 1;
            let folded = match fold(rolled, reading, &mut snapshot, slots).await {
                Ok(folded) => folded,
                Err(error) => {
                    let left = std::iter::once(stretch).chain(stretches).collect();
                    return Err(give_up(left, &error).await);
                }
            };
            for (Missing { index, ticket, .. }, Folded { bytes, .. }) in
                stretch.into_iter().zip(folded)
            {
                found[index] = Some(decode(rolled, &bytes)?);
                let Some(ticket) = ticket else { continue };
                let answer = ticket.commit(bytes).await.map_err(|error| error.to_string())?;
                if let Some(parts) = parts {
                    parts.include(&answer);
                }
            }
        }
        Ok(())
    }
}

async fn fold(
    rolled: &Rolled,
    reading: &BoundReading,
    snapshot: &mut Snapshot,
    slots: Vec<Slot>,
) -> Result<Vec<Folded>, String> {
    let (Some(first), Some(last)) = (slots.first(), slots.last()) else { return Ok(Vec::new()) };
    let bindings = [
        ("tenant".to_owned(), Bound::Text(reading.tenant().to_owned())),
        ("from".to_owned(), Bound::Time(first.from())),
        ("to".to_owned(), Bound::Time(last.to())),
    ];
    let fold = Fold::new(rolled.rollup.clone(), slots, rolled.times);
    let folded = snapshot.read(&rolled.query, &bindings, fold).await;
    Ok(folded.map_err(|error| error.to_string())?.finish())
}

/// Ends what cannot be folded, so that it backs off and nobody waits for it.
async fn give_up(stretches: Vec<Vec<Missing>>, error: &str) -> String {
    for Missing { ticket, .. } in stretches.into_iter().flatten() {
        if let Some(ticket) = ticket {
            ticket.fail(error).await;
        }
    }
    error.to_owned()
}

fn take(rolled: &Rolled, answer: &Cached, parts: Option<&Parts>) -> Result<Partial, String> {
    if let Some(parts) = parts {
        parts.include(answer);
    }
    let bytes = answer.bytes().map_err(|error| error.to_string())?;
    decode(rolled, &bytes)
}

fn decode(rolled: &Rolled, bytes: &[u8]) -> Result<Partial, String> {
    Partial::decode(&rolled.rollup, bytes).map_err(|_| {
        format!("a partial of the rollup `{}` cannot be read ({:x})", rolled.name, xxh3_64(bytes))
    })
}

fn merge<'r>(
    rolled: &'r Rolled,
    widget: &'r RollupWidgetDefinition,
    reading: &BoundReading,
    slots: &[Slot],
    partials: &[Partial],
) -> RollupAnswer<'r> {
    let values: Vec<_> =
        reading.params().iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let filters = widget.filters(&values);
    let mut answer = RollupAnswer::new(&rolled.rollup, &widget.shown, &filters, slots);
    slots.iter().zip(partials).for_each(|(slot, partial)| answer.add(slot, partial));
    answer
}

/// The same number of days before.
fn previous(dates: Dates) -> Option<Dates> {
    let days = (dates.last() - dates.first()).get_days() + 1;
    let back = jiff::Span::new().try_days(days).ok()?;
    let (first, last) =
        (dates.first().checked_sub(back).ok()?, dates.last().checked_sub(back).ok()?);
    Dates::new(first, last).ok()
}
