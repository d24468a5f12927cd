//! Links that sign somebody in without a password: each holds once, for a short while, and in the process
//! that made it. Of their secrets only the hashes are kept.

use std::sync::{Mutex, PoisonError};

use samovar_clock::Instant;

use crate::{Hash, UserName, limits};

#[derive(Debug, Default)]
pub(crate) struct Links(Mutex<Vec<Link>>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) hash: Hash,
    pub(crate) user: UserName,
    pub(crate) until: Instant,
}

impl Links {
    /// Where there are too many, the oldest goes.
    pub(crate) fn put(&self, link: Link) {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if links.len() >= limits::LINKS {
            links.remove(0);
        }
        links.push(link);
    }

    /// Nothing where there is no such link, or not any more. A second one who comes with it gets nothing.
    pub(crate) fn take(&self, hash: &Hash, now: Instant) -> Option<Link> {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| link.until > now);
        let place = links.iter().position(|link| link.hash == *hash)?;
        Some(links.remove(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Secret, SecretKind};

    fn link(seconds: u64) -> Link {
        Link {
            hash: Secret::draw(SecretKind::Link).hash(),
            user: UserName::new("anna").expect("a name"),
            until: Instant::from_nanos(seconds * 1_000_000_000),
        }
    }

    #[test]
    fn a_link_holds_once_and_until_its_end() {
        let (links, link, other) = (Links::default(), link(60), link(60));
        links.put(link.clone());
        let at = |seconds: u64| Instant::from_nanos(seconds * 1_000_000_000);
        assert_eq!(links.take(&other.hash, at(0)), None);
        assert_eq!(links.take(&link.hash, at(59)), Some(link.clone()));
        assert_eq!(links.take(&link.hash, at(59)), None, "once");
        links.put(link.clone());
        assert_eq!(links.take(&link.hash, at(60)), None, "too late");
    }

    #[test]
    fn so_many_are_kept_and_the_oldest_goes() {
        let links = Links::default();
        let all: Vec<Link> = (0..=limits::LINKS).map(|_| link(60)).collect();
        all.iter().cloned().for_each(|link| links.put(link));
        let now = Instant::from_nanos(0);
        assert_eq!(links.take(&all[0].hash, now), None);
        assert!(all[1..].iter().all(|link| links.take(&link.hash, now).is_some()));
    }
}
