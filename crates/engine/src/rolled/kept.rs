//! What is kept of a rollup, as readings of the cache: partials, and bundles of them.

use samovar_cache::{Reading, Tag, Widget};
use samovar_widgets::{Partition, PartitionUnit, Slot};

use crate::{Member, catalogue::Rolled};

/// What is named by a time, and depends on what happened then.
pub(super) struct Kept<'r> {
    pub(super) widget: &'r Widget,
    member: &'r Member,
    partition: String,
    /// Of a bundle one for each partition, in their order.
    tags: Vec<Tag>,
    is_bundle: bool,
}

impl<'r> Kept<'r> {
    /// The partial of a slot, which depends on whatever lies in `tagged`.
    pub(super) fn partial(
        widget: &'r Widget,
        rolled: &Rolled,
        member: &'r Member,
        slot: &Slot,
        tagged: &Slot,
    ) -> Result<Self, String> {
        let tags = vec![tag(rolled, tagged)?];
        Ok(Self { widget, member, partition: slot.name(), tags, is_bundle: false })
    }

    /// Partials of the children of a partition. It is a reading of the same widget as they are, so that
    /// it depends on all that they depend on.
    pub(super) fn bundle(
        sealed: &'r Widget,
        rolled: &Rolled,
        member: &'r Member,
        of: Partition,
        children: &[Slot],
    ) -> Result<Self, String> {
        let tags = children.iter().map(|slot| tag(rolled, slot)).collect::<Result<_, _>>()?;
        let what = if of.unit() == PartitionUnit::Month { "days" } else { "hours" };
        Ok(Self {
            widget: sealed,
            member,
            partition: format!("{of}/{what}"),
            tags,
            is_bundle: true,
        })
    }

    /// What a partition holds depends on the zone in which it is cut.
    pub(super) fn pairs(&self) -> [(&str, &str); 2] {
        let zone = self.member.zone.iana_name().unwrap_or("fixed");
        [("partition", &self.partition), ("zone", zone)]
    }

    pub(super) fn borrow<'a>(&'a self, pairs: &'a [(&'a str, &'a str)]) -> Reading<'a> {
        let reading = self.widget.reading(&self.member.tenant).params(pairs).tags(&self.tags);
        if self.is_bundle { reading.divided() } else { reading }
    }
}

fn tag(rolled: &Rolled, slot: &Slot) -> Result<Tag, String> {
    Tag::new(&slot.partition().fill(&rolled.tag)).map_err(|error| error.to_string())
}
