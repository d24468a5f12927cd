//! Which master serves which slot, as far as is known.

use std::sync::Arc;

use super::{address::Address, cluster::View, node::Node, slot::SLOTS};

/// Views in a row that a master may be missing from before it is let go: the nodes of a Cluster
/// learn of a change one after another, and the one that is asked may be the last.
const MISSING_MAX: u8 = 2;

#[derive(Clone, Default)]
pub(super) struct Table {
    nodes: Vec<Known>,
    owners: Owners,
    /// The view that this table shows, unless something else was learnt since.
    shown: Option<Arc<View>>,
}

#[derive(Clone)]
struct Known {
    node: Arc<Node>,
    missing: u8,
}

#[derive(Clone, Default)]
enum Owners {
    #[default]
    Unknown,
    One(Arc<Node>),
    Slots(Arc<Slots>),
}

/// An owner for each slot.
type Slots = Vec<Option<Arc<Node>>>;

/// Whom to ask.
pub(super) enum Choice {
    Node(Arc<Node>),
    /// The masters are known, and nobody serves this.
    Nobody,
    /// Nothing is known yet.
    Unknown,
}

/// What a change of the table means for nodes.
#[derive(Default)]
pub(super) struct Change {
    pub(super) came: Vec<Arc<Node>>,
    pub(super) went: Vec<Arc<Node>>,
    /// Slots that have another owner now, by the one they had.
    pub(super) lost: Vec<(Arc<Node>, Vec<u16>)>,
}

impl Change {
    pub(super) fn is_empty(&self) -> bool {
        self.came.is_empty() && self.went.is_empty() && self.lost.is_empty()
    }

    fn compare(&mut self, slot: u16, before: Option<&Arc<Node>>, now: Option<&Arc<Node>>) {
        let (Some(before), Some(now)) = (before, now) else { return };
        if Arc::ptr_eq(before, now) {
            return;
        }
        match self.lost.iter_mut().find(|(node, _)| Arc::ptr_eq(node, before)) {
            Some((_, slots)) => slots.push(slot),
            None => self.lost.push((before.clone(), vec![slot])),
        }
    }
}

impl Table {
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.iter().map(|known| &known.node)
    }

    pub(super) fn is_known(&self) -> bool {
        !matches!(self.owners, Owners::Unknown)
    }

    pub(super) fn owner(&self, slot: u16) -> Choice {
        match &self.owners {
            Owners::Unknown => Choice::Unknown,
            Owners::One(node) => Choice::Node(node.clone()),
            Owners::Slots(slots) => match slots.get(usize::from(slot)) {
                Some(Some(node)) => Choice::Node(node.clone()),
                _ => Choice::Nobody,
            },
        }
    }

    pub(super) fn at(&self, address: &Address) -> Choice {
        match self.nodes().find(|node| node.address() == address) {
            Some(node) => Choice::Node(node.clone()),
            None => Choice::Nobody,
        }
    }

    /// The one master is at `address`.
    pub(super) fn install_one(&mut self, address: &Address) -> Change {
        let mut change = Change::default();
        if let Owners::One(node) = &self.owners
            && node.address() == address
        {
            return change;
        }
        change.went = self.nodes.drain(..).map(|known| known.node).collect();
        let node = Arc::new(Node::new(address.clone()));
        self.nodes.push(Known { node: node.clone(), missing: 0 });
        self.owners = Owners::One(node.clone());
        change.came.push(node);
        change
    }

    pub(super) fn install_view(&mut self, view: &View) -> Change {
        let mut change = Change::default();
        if self.shown.as_deref() == Some(view) && self.nodes.len() == view.masters.len() {
            return change;
        }
        for known in &mut self.nodes {
            known.missing = known.missing.saturating_add(1);
        }
        let mut slots: Slots = vec![None; usize::from(SLOTS)];
        for (address, ranges) in &view.masters {
            let node = self.node(address, &mut change);
            for (first, last) in ranges {
                slots[usize::from(*first)..=usize::from(*last)].fill(Some(node.clone()));
            }
        }
        if let Owners::Slots(before) = &self.owners {
            for (slot, (before, now)) in (0..SLOTS).zip(before.iter().zip(&slots)) {
                change.compare(slot, before.as_ref(), now.as_ref());
            }
        }
        self.owners = Owners::Slots(Arc::new(slots));
        self.shown = Some(Arc::new(view.clone()));
        self.nodes.retain(|known| {
            let stays = known.missing < MISSING_MAX;
            if !stays {
                change.went.push(known.node.clone());
            }
            stays
        });
        change
    }

    /// A redirect has named the owner of a slot, or (without one) a master to ask once.
    pub(super) fn learn(&mut self, address: &Address, slot: Option<u16>) -> Change {
        let mut change = Change::default();
        let node = self.node(address, &mut change);
        if let (Some(slot), Owners::Slots(slots)) = (slot, &mut self.owners)
            && let Some(owner) = Arc::make_mut(slots).get_mut(usize::from(slot))
        {
            change.compare(slot, owner.as_ref(), Some(&node));
            *owner = Some(node);
            self.shown = None;
        }
        change
    }

    /// Whether one more master may be learnt of.
    pub(super) fn has_room(&self, address: &Address, masters_max: usize) -> bool {
        self.nodes.len() < masters_max || matches!(self.at(address), Choice::Node(_))
    }

    fn node(&mut self, address: &Address, change: &mut Change) -> Arc<Node> {
        match self.nodes.iter_mut().find(|known| known.node.address() == address) {
            Some(known) => {
                known.missing = 0;
                known.node.clone()
            }
            None => {
                let node = Arc::new(Node::new(address.clone()));
                self.nodes.push(Known { node: node.clone(), missing: 0 });
                change.came.push(node.clone());
                node
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> Address {
        Address::new("h", port)
    }

    fn view(masters: &[(u16, u16, u16)]) -> View {
        let masters = masters.iter().map(|(port, a, z)| (address(*port), vec![(*a, *z)])).collect();
        View { masters, replicas: Vec::new() }
    }

    fn owner(table: &Table, slot: u16) -> Option<u16> {
        match table.owner(slot) {
            Choice::Node(node) => Some(node.address().port),
            _ => None,
        }
    }

    fn ports(nodes: &[Arc<Node>]) -> Vec<u16> {
        nodes.iter().map(|node| node.address().port).collect()
    }

    fn losers(change: &Change) -> Vec<(u16, usize)> {
        change.lost.iter().map(|(node, slots)| (node.address().port, slots.len())).collect()
    }

    #[test]
    fn a_new_single_master_replaces_the_old_one() {
        let mut table = Table::default();
        assert!(matches!(table.owner(1), Choice::Unknown));
        assert_eq!(ports(&table.install_one(&address(1)).came), [1]);
        assert!(table.install_one(&address(1)).is_empty());
        let change = table.install_one(&address(2));
        assert_eq!((ports(&change.came), ports(&change.went)), (vec![2], vec![1]));
        assert_eq!(owner(&table, 9), Some(2));
    }

    #[test]
    fn a_master_outlives_one_view_without_it() {
        let mut table = Table::default();
        table.install_view(&view(&[(1, 0, 99), (2, 100, 16383)]));
        assert_eq!((owner(&table, 99), owner(&table, 100)), (Some(1), Some(2)));
        let change = table.install_view(&view(&[(1, 0, 16383)]));
        assert_eq!((ports(&change.went), losers(&change)), (vec![], vec![(2, 16284)]));
        let change = table.install_view(&view(&[(1, 0, 99), (2, 100, 200)]));
        assert_eq!((ports(&change.came), losers(&change)), (vec![], vec![(1, 101)]));
        assert_eq!((owner(&table, 200), owner(&table, 201)), (Some(2), None));
        assert!(table.install_view(&view(&[(1, 0, 16383)])).went.is_empty());
        assert_eq!(ports(&table.install_view(&view(&[(1, 0, 16383)])).went), [2]);
    }

    #[test]
    fn redirects_are_learnt_within_the_limit() {
        let mut table = Table::default();
        table.install_view(&view(&[(1, 0, 16383)]));
        let change = table.learn(&address(2), Some(7));
        assert_eq!((ports(&change.came), losers(&change)), (vec![2], vec![(1, 1)]));
        assert_eq!((owner(&table, 7), owner(&table, 8)), (Some(2), Some(1)));
        assert!(table.learn(&address(2), None).is_empty());
        assert!(table.has_room(&address(2), 2) && !table.has_room(&address(3), 2));
    }
}
