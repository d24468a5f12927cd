//! Who may compute, and whose value lands.

use std::time::Duration;

use bytes::Bytes;

use super::{
    Passed, Verdict,
    harness::{Harness, LIMIT, LONG, stored},
};
use crate::shared::{Begin, Begun, Committed, Failure};

/// Of leases that are meant to run out.
const SHORT: Duration = Duration::from_millis(400);

pub(super) async fn a_begin_makes_versions_once(h: &Harness) -> Verdict {
    let at = h.reading();
    let asked = h.node().asks(&at, 1);
    let before_ms = h.now_ms().await;
    let won = h.node().win(asked.clone()).await;
    assert!(won.now_ms >= before_ms && won.now_ms <= before_ms + LIMIT.as_millis() as u64);
    for (version, fresh) in won.versions.iter().zip(&asked.fresh).skip(1) {
        assert_eq!((version.ids, &version.last), (*fresh, &None));
    }
    let look = h.other().look(&at).await;
    assert_eq!(look.entry, None);
    assert_eq!(look.versions, won.versions.iter().cloned().map(Some).collect::<Vec<_>>());
    h.node().release(&at, 1, None).await;
    let again = h.other().win(h.other().asks(&at, 2)).await;
    assert_eq!(again.versions, won.versions, "ids that are there stay");
    Passed
}

pub(super) async fn a_lease_keeps_others_away_until_it_is_given_back(h: &Harness) -> Verdict {
    let at = h.reading();
    h.node().win(h.node().asks(&at, 1)).await;
    for _ in 0..2 {
        let begun = h.other().begin(h.other().asks(&at, 2)).await;
        let Begun::Busy { left } = begun else { panic!("{begun:?}") };
        assert!(left > LONG - LIMIT && left <= LONG, "{left:?}");
    }
    h.other().release(&at, 2, None).await;
    let begun = h.other().begin(h.other().asks(&at, 2)).await;
    assert!(matches!(begun, Begun::Busy { .. }), "not whose it is not: {begun:?}");
    h.node().release(&at, 1, None).await;
    h.other().win(h.other().asks(&at, 2)).await;
    Passed
}

pub(super) async fn a_lease_ends_with_the_commit(h: &Harness) -> Verdict {
    let at = h.reading();
    h.node().store(&at, 1).await;
    h.other().win(Begin { seen: Some(1), ..h.other().asks(&at, 2) }).await;
    Passed
}

pub(super) async fn a_lease_ends_with_its_time(h: &Harness) -> Verdict {
    let at = h.reading();
    h.node().win(Begin { lease: SHORT, ..h.node().asks(&at, 1) }).await;
    let begun = h.other().begin(h.other().asks(&at, 2)).await;
    let Begun::Busy { left } = begun else { panic!("{begun:?}") };
    assert!(left <= SHORT);
    h.pass(SHORT).await;
    h.other().win(h.other().asks(&at, 2)).await;
    Passed
}

pub(super) async fn only_the_holder_lands_a_value(h: &Harness) -> Verdict {
    let at = h.reading();
    let nobody = h.node().commit(&at, 1, stored(1, b"nobody's")).await;
    assert!(matches!(nobody, Committed::Lost));
    h.node().win(h.node().asks(&at, 1)).await;
    let stranger = h.other().commit(&at, 2, stored(2, b"a stranger's")).await;
    assert!(matches!(stranger, Committed::Lost));
    assert_eq!(h.node().look(&at).await.entry, None);
    let value = stored(1, b"the holder's");
    let holder = h.node().commit(&at, 1, value.clone()).await;
    assert!(matches!(holder, Committed::Stored { .. }));
    let late = h.other().commit(&at, 2, stored(2, b"a stranger's")).await;
    assert!(matches!(late, Committed::Lost));
    assert_eq!(h.node().look(&at).await.entry, Some(value));
    Passed
}

/// The writer that was stopped beyond its lease, and continued.
pub(super) async fn after_its_time_the_holder_lands_nothing(h: &Harness) -> Verdict {
    let at = h.reading();
    h.node().win(Begin { lease: SHORT, ..h.node().asks(&at, 1) }).await;
    h.pass(SHORT).await;
    let late = h.node().commit(&at, 1, stored(1, b"late")).await;
    assert!(matches!(late, Committed::Lost));
    assert_eq!(h.node().look(&at).await.entry, None);
    // Nor when somebody else has it by now, nor after that one has landed.
    h.other().win(h.other().asks(&at, 2)).await;
    let late = h.node().commit(&at, 1, stored(1, b"late")).await;
    assert!(matches!(late, Committed::Lost));
    let value = stored(2, b"in time");
    let second = h.other().commit(&at, 2, value.clone()).await;
    assert!(matches!(second, Committed::Stored { .. }), "the late one took nothing away");
    let late = h.node().commit(&at, 1, stored(1, b"late")).await;
    assert!(matches!(late, Committed::Lost));
    assert_eq!(h.node().look(&at).await.entry, Some(value));
    Passed
}

pub(super) async fn a_begin_upon_an_outdated_look_is_told(h: &Harness) -> Verdict {
    let at = h.reading();
    let node = h.node();
    let begun = node.begin(Begin { seen: Some(9), ..node.asks(&at, 1) }).await;
    assert!(matches!(begun, Begun::Changed), "an entry that is gone: {begun:?}");
    node.store(&at, 7).await;
    for seen in [None, Some(8)] {
        let begun = node.begin(Begin { seen, ..node.asks(&at, 2) }).await;
        assert!(matches!(begun, Begun::Changed), "{seen:?}: {begun:?}");
    }
    assert_eq!(node.shared.lease_state(&at.entry).await.expect("answers").0, None);
    node.win(Begin { seen: Some(7), ..node.asks(&at, 2) }).await;
    // Bytes too short to hold a commit count as none: what is damaged is computed anew.
    let committed = node.commit(&at, 2, Bytes::from_static(b"0123456789")).await;
    assert!(matches!(committed, Committed::Stored { .. }));
    node.win(node.asks(&at, 3)).await;
    Passed
}

pub(super) async fn force_passes_everything_but_a_lease(h: &Harness) -> Verdict {
    let at = h.reading();
    let node = h.node();
    let forced = |token| Begin { force: true, ..node.asks(&at, token) };
    node.store(&at, 7).await;
    node.win(forced(2)).await;
    let begun = node.begin(forced(3)).await;
    assert!(matches!(begun, Begun::Busy { .. }), "{begun:?}");
    let failure = Failure { error: "it broke".to_owned(), first: LONG, longest: LONG };
    node.release(&at, 2, Some(failure)).await;
    let begun = node.begin(Begin { seen: Some(7), ..node.asks(&at, 3) }).await;
    assert!(matches!(begun, Begun::BackOff(_)), "{begun:?}");
    node.win(forced(3)).await;
    Passed
}

pub(super) async fn a_renewed_lease_lasts(h: &Harness) -> Verdict {
    let at = h.reading();
    let node = h.node();
    let renew = |token| node.shared.renew(&at.entry, token, LONG);
    assert!(!renew(1).await.expect("answers"), "nobody has it");
    node.win(Begin { lease: SHORT, ..node.asks(&at, 1) }).await;
    assert!(!renew(2).await.expect("answers"), "somebody else has it");
    assert!(renew(1).await.expect("answers"));
    h.pass(SHORT).await;
    let begun = node.begin(node.asks(&at, 2)).await;
    let Begun::Busy { left } = begun else { panic!("{begun:?}") };
    assert!(left > LONG - LIMIT, "{left:?}");
    node.release(&at, 1, None).await;
    assert!(!renew(1).await.expect("answers"), "it was given back");
    node.win(Begin { lease: SHORT, ..node.asks(&at, 3) }).await;
    h.pass(SHORT).await;
    assert!(!renew(3).await.expect("answers"), "its time was over");
    Passed
}

pub(super) async fn a_lease_shows_whose_it_is(h: &Harness) -> Verdict {
    let at = h.reading();
    let state = || async { h.other().shared.lease_state(&at.entry).await.expect("answers") };
    assert_eq!(state().await, (None, None));
    h.node().win(h.node().asks(&at, u64::MAX - 1)).await;
    h.other().begin(h.other().asks(&at, 2)).await;
    let (lease, back_off) = state().await;
    let lease = lease.expect("held");
    assert_eq!((lease.token, lease.node), (u64::MAX - 1, h.node().id));
    assert!(lease.left > LONG - LIMIT && lease.left <= LONG);
    assert_eq!(back_off, None);
    let failure = Failure { error: "it broke".to_owned(), first: LONG, longest: LONG };
    h.node().release(&at, u64::MAX - 1, Some(failure)).await;
    let (lease, back_off) = state().await;
    assert_eq!(lease, None);
    let back_off = back_off.expect("it failed");
    assert_eq!((back_off.failures, back_off.error.as_str()), (1, "it broke"));
    Passed
}

pub(super) async fn a_dropped_entry_fences_the_writer_in_flight(h: &Harness) -> Verdict {
    let at = h.reading();
    h.node().store(&at, 1).await;
    h.node().win(Begin { seen: Some(1), ..h.node().asks(&at, 2) }).await;
    h.other().shared.drop_entry(&at.entry).await.expect("answers");
    assert_eq!(h.node().look(&at).await.entry, None);
    let fenced = h.node().commit(&at, 2, stored(2, b"too late")).await;
    assert!(matches!(fenced, Committed::Lost));
    assert_eq!(h.node().look(&at).await.entry, None);
    h.other().store(&at, 3).await;
    let fenced = h.node().commit(&at, 2, stored(2, b"too late")).await;
    assert!(matches!(fenced, Committed::Lost));
    assert_eq!(h.node().look(&at).await.entry, Some(stored(3, b"value")));
    Passed
}

pub(super) async fn an_eviction_takes_what_was_seen_and_no_lease(h: &Harness) -> Verdict {
    let (at, other) = (h.reading(), h.reading());
    h.node().store(&at, 1).await;
    let kept = h.node().store(&other, 2).await;
    h.node().win(Begin { seen: Some(1), ..h.node().asks(&at, 3) }).await;
    let missing = h.reading();
    let seen = [(at.entry.clone(), 1), (other.entry.clone(), 1), (missing.entry.clone(), 1)];
    h.other().shared.evict(&seen).await.expect("answers");
    assert_eq!(h.node().look(&at).await.entry, None);
    assert_eq!(h.node().look(&other).await.entry, Some(kept));
    let committed = h.node().commit(&at, 3, stored(3, b"newer")).await;
    assert!(matches!(committed, Committed::Stored { .. }), "whoever computes lands");
    h.other().shared.evict(&seen).await.expect("answers");
    assert_eq!(h.node().look(&at).await.entry, Some(stored(3, b"newer")));
    h.other().shared.evict(&[]).await.expect("answers");
    Passed
}
