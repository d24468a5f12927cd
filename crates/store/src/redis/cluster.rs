//! Reading what a Cluster says about its slots.

use ::redis::Value;

use super::{address::Address, info, slot::SLOTS};

/// Who serves what, as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct View {
    pub(super) masters: Vec<(Address, Vec<(u16, u16)>)>,
    pub(super) replicas: Vec<Address>,
}

/// Reads `CLUSTER SLOTS`, which names nodes by the endpoint they prefer, as redirects do.
pub(super) fn view(slots: &Value, asked: &Address) -> Option<View> {
    let Value::Array(ranges) = slots else { return None };
    let mut view = View::default();
    for range in ranges {
        let Value::Array(parts) = range else { return None };
        let [first, last, master, replicas @ ..] = parts.as_slice() else { return None };
        let range = (slot(first)?, slot(last)?);
        let master = node(master, asked)?;
        match view.masters.iter_mut().find(|(address, _)| *address == master) {
            Some((_, ranges)) => ranges.push(range),
            None => view.masters.push((master, vec![range])),
        }
        for replica in replicas.iter().filter_map(|replica| node(replica, asked)) {
            if !view.replicas.contains(&replica) {
                view.replicas.push(replica);
            }
        }
    }
    Some(view)
}

fn slot(value: &Value) -> Option<u16> {
    u16::try_from(info::integer(value)?).ok().filter(|slot| *slot < SLOTS)
}

fn node(value: &Value, asked: &Address) -> Option<Address> {
    let Value::Array(parts) = value else { return None };
    let [host, port, ..] = parts.as_slice() else { return None };
    let port = u16::try_from(info::integer(port)?).ok().filter(|port| *port != 0)?;
    let host = info::text(host).filter(|host| !host.is_empty() && *host != "?");
    Some(Address::new(host.unwrap_or(&asked.host), port))
}

/// What a master says it owns, and which of it is on the move.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Ownership {
    ranges: Vec<(u16, u16)>,
    /// Slots that are being migrated from or imported to this master.
    moving: Vec<u16>,
}

impl Ownership {
    /// Reads the line about the asked node itself from `CLUSTER NODES`.
    pub(super) fn read(nodes: &str) -> Option<Self> {
        let mut fields = nodes
            .lines()
            .map(|line| line.split_ascii_whitespace())
            .find(|fields| fields.clone().nth(2).is_some_and(is_myself))?;
        let mut own = Self::default();
        for item in fields.by_ref().skip(8) {
            match item.strip_prefix('[') {
                Some(moving) => own.moving.push(moving.split('-').next()?.parse().ok()?),
                None => {
                    let (first, last) = item.split_once('-').unwrap_or((item, item));
                    own.ranges.push((first.parse().ok()?, last.parse().ok()?));
                }
            }
        }
        Some(own)
    }

    pub(super) fn holds(&self, slot: u16) -> bool {
        self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&slot))
    }

    /// Whether every key of this master is where its slot says.
    pub(super) fn is_settled(&self) -> bool {
        self.moving.is_empty()
    }

    /// A slot that this master owns and that stays where it is.
    pub(super) fn settled_slot(&self) -> Option<u16> {
        self.ranges
            .iter()
            .flat_map(|(first, last)| *first..=*last)
            .find(|slot| !self.moving.contains(slot))
    }
}

fn is_myself(flags: &str) -> bool {
    flags.split(',').any(|flag| flag == "myself")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn entry(host: Value, port: i64) -> Value {
        Value::Array(vec![host, Value::Int(port), text("id")])
    }

    #[test]
    fn a_view_gathers_ranges_by_master() {
        let range = |first, last, nodes: &[Value]| {
            let mut parts = vec![Value::Int(first), Value::Int(last)];
            parts.extend_from_slice(nodes);
            Value::Array(parts)
        };
        let (a, b) = (entry(text("10.0.0.1"), 1), entry(text(""), 2));
        let slots = Value::Array(vec![
            range(0, 5, &[a.clone(), entry(Value::Nil, 3)]),
            range(7, 16383, &[b]),
            range(6, 6, &[a]),
        ]);
        let asked = Address::new("asked", 9);
        let view = view(&slots, &asked).expect("a view");
        assert_eq!(
            view.masters,
            [
                (Address::new("10.0.0.1", 1), vec![(0, 5), (6, 6)]),
                (Address::new("asked", 2), vec![(7, 16383)])
            ]
        );
        assert_eq!(view.replicas, [Address::new("asked", 3)]);
    }

    #[test]
    fn nonsense_is_no_view() {
        let asked = Address::new("asked", 9);
        let broken = Value::Array(vec![Value::Array(vec![Value::Int(0), Value::Int(99999)])]);
        assert_eq!(view(&broken, &asked), None);
        assert_eq!(view(&Value::Nil, &asked), None);
    }

    #[test]
    fn ownership_is_read_from_the_nodes_own_line() {
        let nodes = "\
            aa 10.0.0.2:7001@17001,host2 master - 0 1 2 connected 5461-16383\n\
            bb 10.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-99 101 [98->-aa] [200-<-aa]\n";
        let own = Ownership::read(nodes).expect("an own line");
        assert!(own.holds(0) && own.holds(101) && !own.holds(100) && !own.holds(5461));
        assert!(!own.is_settled());
        assert_eq!(own.settled_slot(), Some(0));
        assert_eq!(own.moving, [98, 200]);
        let empty = Ownership::read("cc :0@0 myself,master - 0 0 0 connected\n").expect("own line");
        assert_eq!((empty.is_settled(), empty.settled_slot()), (true, None));
        assert_eq!(Ownership::read("aa 1:1@1 master - 0 0 0 connected 0-1\n"), None);
    }
}
