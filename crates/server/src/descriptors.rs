//! File descriptors: one for each connection, and the system's limit on them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits;

/// Raises the limit of this process as far as it may and needs to, and gives how many connections are
/// served at a time. Those that were asked for are told of where there is no room for them: then the
/// ones beyond it wait.
pub(crate) fn make_room_for(asked: Option<usize>) -> usize {
    let connections = asked.unwrap_or(limits::CONNECTIONS);
    let needed = connections as u64 + limits::OTHER_DESCRIPTORS;
    let limit = getrlimit(Resource::Nofile);
    let allowed = match raised(limit, needed) {
        None => return connections,
        Some(wanted) => match setrlimit(Resource::Nofile, wanted) {
            Ok(()) => wanted.current,
            Err(_) => limit.current,
        },
    };
    let Some(descriptors) = allowed.filter(|allowed| *allowed < needed) else { return connections };
    if asked.is_none() {
        return connections.min(room(descriptors));
    }
    tracing::warn!(
        descriptors,
        needed,
        connections,
        "fewer file descriptors than connections: raise the limit (`ulimit -n`, LimitNOFILE= of \
         the unit) or lower [server] max_connections"
    );
    connections
}

/// For connections, beside what else is open.
fn room(descriptors: u64) -> usize {
    let left = descriptors.saturating_sub(limits::OTHER_DESCRIPTORS).max(descriptors / 2).max(1);
    usize::try_from(left).unwrap_or(usize::MAX)
}

/// The limit to set, unless it is high enough.
fn raised(limit: Rlimit, needed: u64) -> Option<Rlimit> {
    let current = limit.current.filter(|current| *current < needed)?;
    let most = limit.maximum.unwrap_or(u64::MAX).max(current);
    Some(Rlimit { current: Some(needed.min(most)), maximum: limit.maximum })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_beside_other_files_is_for_connections() {
        assert_eq!([20_000, 4096, 1024, 100, 1, 0].map(room), [19_488, 3584, 512, 50, 1, 1]);
    }

    #[test]
    fn the_limit_is_raised_as_far_as_needed_and_allowed() {
        let limit = |current, maximum| Rlimit { current, maximum };
        let raise = |current, maximum| raised(limit(current, maximum), 20_512);
        assert_eq!(raise(Some(1024), Some(524_288)), Some(limit(Some(20_512), Some(524_288))));
        assert_eq!(raise(Some(1024), Some(4096)), Some(limit(Some(4096), Some(4096))));
        assert_eq!(raise(Some(1024), None), Some(limit(Some(20_512), None)));
        assert_eq!(raise(Some(65_536), Some(65_536)), None);
        assert_eq!(raise(None, None), None);
    }
}
