//! Expired entries and leases of processes that are gone.

use super::{
    NotHere, Passed, Verdict,
    harness::{Harness, LONG, stored},
};
use crate::shared::{Begin, Commit, Committed, LookUp};

pub(super) async fn a_dry_run_removes_nothing(h: &Harness) -> Verdict {
    let node = h.node();
    let (kept, expired) = (h.reading(), h.reading());
    let value = node.store(&kept, 1).await;
    node.win(node.asks(&expired, 1)).await;
    let life = std::time::Duration::from_millis(20);
    let old = stored(1, b"old");
    let commit = Commit { at: expired.clone(), token: 1, value: old, life, keep: LONG };
    let committed = node.shared.commit(commit).await.expect("answers");
    assert!(matches!(committed, Committed::Stored { .. }));
    h.pass(life).await;

    let clean_up = |dry_run| async move { node.shared.clean_up(true, false, dry_run).await };
    let found = clean_up(true).await.expect("answers");
    let names = |at: &LookUp| at.entry.as_str().to_owned();
    assert!(!found.expired.contains(&names(&kept)));
    assert_eq!(clean_up(true).await.expect("answers"), found, "a dry run changes nothing");
    assert_eq!(clean_up(false).await.expect("answers"), found, "it says what it removed");
    assert_eq!(clean_up(true).await.expect("answers").expired, [""; 0]);
    assert_eq!(node.look(&kept).await.entry, Some(value));
    Passed
}

pub(super) async fn leases_of_the_dead_are_removed(h: &Harness) -> Verdict {
    if !h.knows_the_living() {
        return NotHere("who lives is not known; leases run out by themselves");
    }
    let (node, other) = (h.node(), h.other());
    let (living, foreign, dead) = (h.reading(), h.reading(), h.reading());
    node.win(node.asks(&living, 1)).await;
    other.win(other.asks(&foreign, 1)).await;
    node.win(Begin { node: 0xDEAD, ..node.asks(&dead, 1) }).await;
    let clean_up = |dry_run| async move {
        let found = node.shared.clean_up(false, true, dry_run).await.expect("answers");
        found.dead_leases
    };
    let held = |at: &LookUp| {
        let entry = at.entry.clone();
        async move { node.shared.lease_state(&entry).await.expect("answers").0.is_some() }
    };
    assert_eq!(clean_up(true).await, [dead.entry.lease()]);
    assert!(held(&dead).await, "a dry run");
    assert_eq!(clean_up(false).await, [dead.entry.lease()]);
    assert!(!held(&dead).await);
    assert!(held(&living).await && held(&foreign).await);
    assert_eq!(clean_up(false).await, [""; 0]);
    other.win(other.asks(&dead, 2)).await;
    Passed
}
