//! What invalidating and clearing do to versions.

use std::time::Duration;

use super::{
    Passed, Verdict,
    harness::{Harness, LONG, Peer, stored},
};
use crate::{
    shared::{Begin, Commit, Committed, Invalidate, LookUp, NewIds},
    version::{Change, Ids, Version, VersionKey},
};

const SHORT: Duration = Duration::from_millis(400);

/// Which of the versions of a reading are the tenant's own, and which of the shared is new.
const OWN: usize = 3;
const SHARED: usize = 1;

pub(super) fn change_of(at: &LookUp, index: usize, change: u64, clear: Option<u64>) -> Invalidate {
    let new = NewIds { key: at.versions[index].clone(), change, clear };
    Invalidate { changes: vec![new], spread: Duration::ZERO, cause: String::new() }
}

async fn invalidate(node: &Peer, invalidate: Invalidate) {
    node.shared.invalidate(invalidate).await.expect("answers");
}

async fn version(node: &Peer, at: &LookUp, index: usize) -> Option<Version> {
    node.look(at).await.versions[index].clone()
}

pub(super) async fn an_invalidation_replaces_the_change_alone(h: &Harness) -> Verdict {
    for index in [OWN, SHARED] {
        let at = h.reading();
        let before = h.node().win(h.node().asks(&at, 1)).await.versions;
        let spread = Duration::from_secs(600);
        let cause = "tag orders: \"ä\" by\nsomebody".to_owned();
        let from_ms = h.now_ms().await;
        let asked = Invalidate { spread, cause: cause.clone(), ..change_of(&at, index, 77, None) };
        invalidate(h.node(), asked).await;
        let to_ms = h.now_ms().await;
        let after = h.other().look(&at).await.versions;
        for (other, version) in before.iter().enumerate().filter(|(other, _)| *other != index) {
            assert_eq!(after[other].as_ref(), Some(version), "nobody named it");
        }
        let ids = before[index].ids;
        let changed = after[index].clone().expect("still there");
        assert_eq!(changed.ids, Ids { change: 77, clear: ids.clear });
        let Change { replaced, at_ms, spread_ms, cause: said } = changed.last.expect("changed");
        assert_eq!((replaced, spread_ms, said), (ids.change, 600_000, cause));
        if index == OWN {
            // What is shared may be at another master, which has a clock of its own.
            assert!((from_ms..=to_ms).contains(&at_ms), "{from_ms} <= {at_ms} <= {to_ms}");
        }
    }
    Passed
}

pub(super) async fn clearing_replaces_both_ids(h: &Harness) -> Verdict {
    for index in [OWN, SHARED] {
        let at = h.reading();
        let before = h.node().win(h.node().asks(&at, 1)).await.versions;
        invalidate(h.node(), change_of(&at, index, 77, Some(u64::MAX))).await;
        let changed = version(h.other(), &at, index).await.expect("still there");
        assert_eq!(changed.ids, Ids { change: 77, clear: u64::MAX });
        assert_eq!(changed.last.expect("changed").replaced, before[index].ids.change);
    }
    Passed
}

pub(super) async fn what_is_missing_stays_missing(h: &Harness) -> Verdict {
    let at = h.reading();
    for index in [OWN, SHARED] {
        invalidate(h.node(), change_of(&at, index, 77, Some(78))).await;
        assert_eq!(version(h.other(), &at, index).await, None);
    }
    let nothing = Invalidate { changes: Vec::new(), spread: Duration::ZERO, cause: String::new() };
    invalidate(h.node(), nothing).await;
    Passed
}

pub(super) async fn each_change_names_the_one_before(h: &Harness) -> Verdict {
    let at = h.reading();
    let first = h.node().win(h.node().asks(&at, 1)).await.versions[OWN].ids.change;
    let mut before = first;
    for change in [70, 71, 72] {
        invalidate(h.other(), change_of(&at, OWN, change, None)).await;
        let changed = version(h.node(), &at, OWN).await.expect("there");
        assert_eq!(changed.ids.change, change);
        assert_eq!(changed.last.expect("changed").replaced, before);
        before = change;
    }
    Passed
}

pub(super) async fn a_change_during_a_compute_is_seen_beside_its_value(h: &Harness) -> Verdict {
    for index in [OWN, SHARED] {
        let at = h.reading();
        let captured = h.node().win(h.node().asks(&at, 1)).await.versions;
        invalidate(h.other(), change_of(&at, index, 77, None)).await;
        let value = stored(1, b"from before");
        let committed = h.node().commit(&at, 1, value.clone()).await;
        let Committed::Stored { versions: Some(versions) } = committed else { panic!("lost") };
        let look = h.other().look(&at).await;
        assert_eq!(look.entry, Some(value));
        assert_eq!(versions, look.versions, "the versions as they are, not as they were");
        assert_ne!(look.versions[index].as_ref(), Some(&captured[index]));
        assert_eq!(look.versions[index].as_ref().map(|version| version.ids.change), Some(77));
    }
    Passed
}

pub(super) async fn versions_live_as_long_as_the_longest_that_asked(h: &Harness) -> Verdict {
    let node = h.node();
    let begin = |at: &LookUp, keep| {
        let begin = Begin { keep, ..node.asks(at, 1) };
        async move { node.win(begin).await }
    };
    let commit = |at: &LookUp, keep| {
        let (value, life) = (stored(1, b"v"), Duration::from_millis(1));
        let commit = Commit { at: at.clone(), token: 1, value, life, keep };
        async move {
            let committed = node.shared.commit(commit).await.expect("answers");
            assert!(matches!(committed, Committed::Stored { .. }));
        }
    };
    let [forgotten, shorter_commit, longer_commit, shorter_begin, longer_begin] =
        std::array::from_fn(|_| h.reading());
    begin(&forgotten, SHORT).await;
    begin(&shorter_commit, LONG).await;
    commit(&shorter_commit, SHORT).await;
    begin(&longer_commit, SHORT).await;
    commit(&longer_commit, LONG).await;
    for (at, first, second) in [(&shorter_begin, LONG, SHORT), (&longer_begin, SHORT, LONG)] {
        begin(at, first).await;
        node.release(at, 1, None).await;
        begin(at, second).await;
    }

    // A quarter more than was asked for is allowed.
    h.pass(SHORT * 3).await;
    for index in [OWN, SHARED] {
        assert_eq!(version(node, &forgotten, index).await, None);
        for at in [&shorter_commit, &longer_commit, &shorter_begin, &longer_begin] {
            assert!(version(node, at, index).await.is_some(), "{at:?}");
        }
    }
    Passed
}

pub(super) async fn a_change_does_not_lengthen_a_life(h: &Harness) -> Verdict {
    let at = h.reading();
    h.node().win(Begin { keep: SHORT, ..h.node().asks(&at, 1) }).await;
    for index in [OWN, SHARED] {
        invalidate(h.node(), change_of(&at, index, 77, Some(78))).await;
    }
    h.pass(SHORT * 3).await;
    for index in [OWN, SHARED] {
        assert_eq!(version(h.node(), &at, index).await, None);
    }
    Passed
}

pub(super) async fn many_versions_change_at_once(h: &Harness) -> Verdict {
    let tenant = format!("m{}", h.number());
    let mut at = h.reading();
    at.versions = (0..96)
        .map(|tag| VersionKey::from_stored(&format!("{{{tenant}}}:v:b:tag{tag:03}")))
        .collect();
    at.entry = crate::key::EntryKey::from_stored(&format!("{{{tenant}}}:e:x#1"));
    let before = h.node().win(h.node().asks(&at, 1)).await.versions;
    let new = |(index, key): (usize, &VersionKey)| NewIds {
        key: key.clone(),
        change: 5000 + index as u64,
        clear: (index % 2 == 0).then_some(9),
    };
    let changes = at.versions.iter().enumerate().map(new).collect();
    let asked = Invalidate { changes, spread: Duration::ZERO, cause: "all".to_owned() };
    invalidate(h.node(), asked).await;
    for (index, after) in h.other().look(&at).await.versions.into_iter().enumerate() {
        let clear = if index % 2 == 0 { 9 } else { before[index].ids.clear };
        let expected = Ids { change: 5000 + index as u64, clear };
        assert_eq!(after.expect("there").ids, expected, "{index}");
    }
    Passed
}
