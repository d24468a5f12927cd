//! The map of a Cluster as one node draws it.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

pub(super) const SLOTS: u16 = 16_384;

/// Who owns what, by one node's account.
#[derive(Debug, Clone, Default)]
pub(super) struct Map {
    /// Ranges of slots, ordered, by the id of their owner.
    pub(super) owners: BTreeMap<String, Vec<(u16, u16)>>,
    /// The id of the master by that of its replica.
    pub(super) replicas: BTreeMap<String, String>,
    /// Nodes that have shaken hands.
    pub(super) ids: Vec<String>,
}

impl Map {
    /// Reads the answer of `CLUSTER NODES`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut map = Self::default();
        for line in text.lines() {
            let words: Vec<_> = line.split(' ').collect();
            let [id, _, flags, master, _, _, _, _, slots @ ..] = words.as_slice() else {
                bail!("not a line of CLUSTER NODES: {line:?}");
            };
            if !flags.contains("handshake") {
                map.ids.push((*id).to_owned());
            }
            if flags.contains("slave") {
                map.replicas.insert((*id).to_owned(), (*master).to_owned());
            }
            // In brackets: slots that are on the move.
            let slots = slots.iter().filter(|slots| !slots.starts_with('['));
            let mut ranges = slots
                .map(|range| {
                    let (first, last) = range.split_once('-').unwrap_or((range, range));
                    Ok((first.parse()?, last.parse()?))
                })
                .collect::<Result<Vec<(u16, u16)>>>()?;
            if !ranges.is_empty() {
                ranges.sort_unstable();
                map.owners.insert((*id).to_owned(), ranges);
            }
        }
        Ok(map)
    }

    pub(super) fn owner(&self, slot: u16) -> Option<&str> {
        let owns = |ranges: &Vec<(u16, u16)>| {
            ranges.iter().any(|(first, last)| (first..=last).contains(&&slot))
        };
        self.owners.iter().find(|(_, ranges)| owns(ranges)).map(|(id, _)| id.as_str())
    }

    pub(super) fn covers_all_slots(&self) -> bool {
        let count = |(first, last): &(u16, u16)| u32::from(last - first) + 1;
        self.owners.values().flatten().map(count).sum::<u32>() == u32::from(SLOTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_read_from_cluster_nodes() {
        let text = "\
a 127.0.0.1:1@2 myself,master - 0 1 1 connected 0-5460 16000 [5->-b]
b 127.0.0.1:3@4 master - 0 1 2 connected 5461-15999 16001-16383
c 127.0.0.1:5@6 slave a 0 1 1 connected
d 127.0.0.1:7@8 handshake - 0 1 0 disconnected
";
        let map = Map::parse(text).expect("it parses");
        assert_eq!(map.owner(0), Some("a"));
        assert_eq!(map.owner(16000), Some("a"));
        assert_eq!(map.owner(5461), Some("b"));
        assert_eq!(map.replicas.get("c").map(String::as_str), Some("a"));
        assert_eq!(map.ids, ["a", "b", "c"]);
        assert!(map.covers_all_slots());
    }
}
