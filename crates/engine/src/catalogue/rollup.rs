//! Rollups and the widgets over them.

use std::{sync::Arc, time::Duration};

use samovar_cache::{Definition, Freshness};
use samovar_widgets::{
    Definitions, Located, PartitionUnit, Problem, Query, Rollup, RollupDefinition,
    RollupWidgetDefinition, Source, TimeForm,
};

use super::{
    Databases, Declared, Entry, Made,
    declared::{COMPUTE_LIMIT, PATIENCE},
    hashed,
    widget::{check_listings, sample},
};
use crate::{classes::Classes, events, keys, rolled::root, tags::TagTemplate};

/// A rollup in which nothing is wrong.
#[derive(Debug)]
pub(crate) struct Rolled {
    pub(crate) name: String,
    pub(crate) source_name: String,
    pub(crate) source: Source,
    pub(crate) times: TimeForm,
    pub(crate) query: Query,
    pub(crate) rollup: Arc<Rollup>,
    /// With `{month}`, `{day}` and `{hour}`.
    pub(crate) tag: String,
    /// Into what a slot is cut that goes on, or that no partition fills: each piece is folded anew when
    /// its own data changes. Only where an event tells of that, for much is late by seconds.
    pub(crate) finer: Option<PartitionUnit>,
    /// An event or a capture tells of every change of what it folds.
    pub(crate) is_told: bool,
    /// Its partials of time that is over, and those of time that goes on.
    pub(crate) sealed: Definition,
    pub(crate) open: Definition,
}

/// Partials of time that is over live until their data changes, and for so long at most.
const SEALED: &str = "daily";
/// The same where an event or a capture tells of each change. No class of a file can be called so.
const TOLD: (&str, Duration) = ("samovar.told", Duration::from_secs(30 * 24 * 3600));

pub(super) async fn check(
    definition: &RollupDefinition,
    definitions: &Definitions,
    classes: &Classes,
    databases: &mut Databases<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Arc<Rolled>> {
    let columns = definition.rollup.columns();
    let query =
        databases.check_rollup(&definition.source, &definition.query, columns, problems).await;
    let tag = definition.tag.as_ref().map_or(&definition.source, |tag| &tag.value);
    if let Some(Located { value, line }) = &definition.tag
        && value.split('/').next().is_some_and(|first| first.contains('{'))
    {
        let problem = Problem::new(*line, "the tag of a rollup begins with a date");
        problems.push(problem.hint("begin with a name that its widgets depend on: orders/{day}"));
        return None;
    }
    let (query, source) = (query?, databases.source(&definition.source)?.clone());
    let name = &definition.name.value;
    let version = hashed(&[
        source.identity(),
        name,
        query.text(),
        &definition.rollup.fingerprint().to_string(),
    ]);
    // As young as the youngest of its widgets wants it.
    let of_this = definitions.rollup_widgets.iter().filter(|it| it.rollup.value == *name);
    let wanted = of_this.filter_map(|it| classes.of(it.freshness.as_ref()).ok());
    let open = wanted.min_by_key(|freshness| freshness.ttl).unwrap_or_default();
    let of_events = definitions.events.iter().flat_map(|event| &event.invalidates);
    let captures = definitions.captures.iter().filter(|it| it.source == definition.source);
    let mut told = of_events.chain(captures.flat_map(|capture| &capture.tags));
    // Kept apart: once nobody tells any more, nothing lives longer than it should.
    let is_told = told.any(|event| events::covers(event, tag));
    let (kind, sealed) = match is_told {
        true => ("rollup-told", Freshness::new(TOLD.0, TOLD.1)),
        false => ("rollup", Freshness::built_in(SEALED).expect("a built-in class")),
    };
    // The two share no key: a day is computed once more when it is over. Nobody has a use for a
    // partial that is stale: whoever waits for one waits until it is made.
    let define = |kind: &str, freshness| {
        Definition::new(&format!("{kind}.{}", hashed(&[name])))
            .key(&format!("rollup:{name}:{{tenant}}:{{partition}}"))
            .version(&format!("{kind}-{version}"))
            .freshness(freshness)
            .compute_limit(COMPUTE_LIMIT)
            .shared_only()
            .strict()
    };
    Some(Arc::new(Rolled {
        name: name.clone(),
        source_name: definition.source.clone(),
        times: databases.times(&definition.source),
        source,
        query,
        rollup: definition.rollup.clone(),
        tag: tag.clone(),
        finer: definition.finer.filter(|_| is_told),
        is_told,
        sealed: define(kind, sealed),
        open: define("rollup-open", open),
    }))
}

pub(super) async fn check_widget(
    widget: &RollupWidgetDefinition,
    rollups: &[Arc<Rolled>],
    classes: &Classes,
    databases: &mut Databases<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Entry> {
    let before = problems.iter().filter(|it| it.is_error()).count();
    let declared = Declared::from(widget);
    let freshness = classes.of(widget.freshness.as_ref());
    let freshness = freshness.map_err(|problem| problems.push(problem)).ok();
    problems.extend(keys::check(&declared));
    // One that is missing here is a problem already.
    let rolled = rollups.iter().find(|it| it.name == widget.rollup.value)?.clone();
    let sample = sample(&declared, databases.now());
    let source_name = rolled.source_name.clone();
    let listings = check_listings(&declared, &source_name, &sample, databases, problems).await;
    // Whatever lies below it may be a part of what is shown.
    let tag = root(&rolled.tag).to_owned();
    let tag = TagTemplate::parse(&Located { value: tag, line: widget.rollup.line }, &[]);
    let tag = tag.map_err(|problem| problems.push(problem)).ok();
    if problems.iter().filter(|it| it.is_error()).count() > before {
        return None;
    }
    let (freshness, tag) = (freshness?, tag?);
    let defines = format!("{:?}", widget.shown);
    let fingerprint = rolled.rollup.fingerprint().to_string();
    let identity = rolled.source.identity();
    let signature = declared.signature();
    let version = hashed(&[identity, &signature, rolled.query.text(), &fingerprint, &defines]);
    Some(Entry {
        name: widget.name.value.clone(),
        title: widget.title.clone(),
        class: freshness.class().to_owned(),
        definition: declared.define(freshness, &version),
        row_limit: rolled.source.row_limit(),
        connections: databases.connections(&source_name),
        source: rolled.source.clone(),
        source_name,
        made: Made::Rollup(rolled, Arc::new(widget.clone())),
        params: widget.params.clone(),
        listings,
        ranges: widget.ranges.clone(),
        bucket: widget.bucket,
        tags: vec![tag],
        mode: widget.mode.clone(),
        patience: widget.patience.unwrap_or(PATIENCE),
        compute_limit: widget.compute_limit.unwrap_or(COMPUTE_LIMIT),
    })
}
