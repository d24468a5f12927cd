//! A bundle is made of the partials that are kept. Nothing is read of the source.

use std::collections::BTreeMap;

use samovar_cache::{Answer as Cached, ReadError, Turn};
use samovar_widgets::{Bundled, encode_bundle};

use super::{
    bundles::{Due, WORTH_A_BUNDLE, limit_of, usable},
    kept::Kept,
};
use crate::{Member, catalogue::Rolled, engine::Inner};

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotMade {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("a partial is unreadable: {0}")]
    Unreadable(#[from] samovar_cache::EntryError),
    #[error("{0}")]
    NoTag(String),
}

/// Takes over what was made under the very versions that the stamps of the bundle are of; whatever has
/// changed, or changes meanwhile, is not in it or does not hold. Each partial keeps its time: in
/// bundles it lives no longer than it would alone, however often they are made. Then it is let go.
///
/// Does nothing where somebody else is at it, or has been since it was found to be due.
pub(super) async fn make(
    inner: &Inner,
    rolled: &Rolled,
    member: &Member,
    due: &Due,
) -> Result<(), NotMade> {
    let sealed = &inner.partials[&rolled.name].sealed;
    let children = due.of.children(&member.zone);
    let kept = Kept::bundle(sealed, rolled, member, due.of, &children);
    let kept = kept.map_err(NotMade::NoTag)?;
    let pairs = kept.pairs();
    let reading = kept.borrow(&pairs);
    let beside = due.beside.iter().map(|place| {
        let slot = &children[*place];
        Kept::partial(sealed, rolled, member, slot, slot)
    });
    let beside: Vec<Kept<'_>> = beside.collect::<Result<_, _>>().map_err(NotMade::NoTag)?;
    let pairs: Vec<_> = beside.iter().map(Kept::pairs).collect();
    let beside: Vec<_> = beside.iter().zip(&pairs).map(|(kept, it)| kept.borrow(it)).collect();

    let Turn::Compute(ticket) = inner.cache.begin_divided(&reading, due.seen).await? else {
        return Ok(());
    };
    let before = inner.cache.find_divided(&[reading]).await?.pop().flatten();
    let bytes_before = before.as_ref().map(|it| it.bytes()).transpose()?.unwrap_or_default();
    let mut bundled = BTreeMap::new();
    if let Some(before) = &before {
        let usable = usable(rolled, children.len(), before, &bytes_before).into_iter();
        let taken = usable.filter(|it| ticket.vouches_for_piece(before, it.place));
        bundled.extend(taken.map(|it| (it.place, it)));
    }
    let found = due.beside.iter().zip(ticket.parts().find(&beside).await?);
    let found = found.filter_map(|(place, answer)| Some((*place, answer?)));
    let taken: Vec<(usize, Cached)> =
        found.filter(|(_, answer)| ticket.vouches_for(answer)).collect();
    let bytes = taken.iter().map(|(_, answer)| answer.bytes()).collect::<Result<Vec<_>, _>>()?;
    for ((place, answer), bytes) in taken.iter().zip(&bytes) {
        let left = answer.fresh_for();
        bundled.insert(*place, Bundled { place: *place, left, bytes });
    }
    let size: u64 = bundled.values().map(|it| it.bytes.len() as u64).sum();
    // Less was left than there seemed to be, or more: the right to make it is given back.
    if taken.len() < WORTH_A_BUNDLE || size > limit_of(inner) {
        return Ok(());
    }
    let bundled: Vec<Bundled<'_>> = bundled.into_values().collect();
    let bundle = ticket.commit(encode_bundle(&rolled.rollup, children.len(), &bundled)).await?;
    if bundle.is_stored() {
        let taken: Vec<Cached> = taken.into_iter().map(|(_, answer)| answer).collect();
        inner.cache.evict(&taken).await?;
    }
    Ok(())
}
