//! What is remembered of computes that failed.

use std::time::Duration;

use super::{
    Passed, Verdict,
    harness::{Harness, LONG, Peer, stored},
};
use crate::shared::{BackOff, Begin, Begun, Committed, Failure, LookUp};

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_millis(300);

fn failure(error: &str) -> Failure {
    Failure { error: error.to_owned(), first: FIRST, longest: LONGEST }
}

/// Takes the lease, gives it back with a failure, and asks again.
async fn fail(node: &Peer, at: &LookUp, token: u64, failure: Failure) -> BackOff {
    node.win(node.asks(at, token)).await;
    node.release(at, token, Some(failure)).await;
    match node.begin(node.asks(at, token + 1)).await {
        Begun::BackOff(back_off) => back_off,
        other => panic!("{other:?}"),
    }
}

pub(super) async fn failures_in_a_row_wait_longer(h: &Harness) -> Verdict {
    let at = h.reading();
    let node = h.node();
    let error = "a: \"b\"\0 äöü\r\n";
    let first = fail(node, &at, 10, failure(error)).await;
    assert_eq!((first.failures, first.error.as_str()), (1, error));
    assert!(first.left <= FIRST && first.left > Duration::ZERO);
    h.pass(FIRST).await;
    assert_eq!(node.shared.lease_state(&at.entry).await.expect("answers"), (None, None));
    // The wait is over, the count is not.
    let second = fail(node, &at, 20, failure("again")).await;
    assert_eq!((second.failures, second.error.as_str()), (2, "again"));
    assert!(second.left <= LONGEST, "twice the first, but not longer than allowed");
    h.pass(LONGEST).await;
    // Given back without a failure it says nothing about the computes before.
    node.win(node.asks(&at, 30)).await;
    node.release(&at, 30, None).await;
    let third = fail(node, &at, 40, Failure { first: LONG, ..failure("still") }).await;
    assert_eq!(third.failures, 3);
    assert!(third.left <= LONGEST);
    Passed
}

pub(super) async fn success_and_clearing_forget_failures(h: &Harness) -> Verdict {
    let node = h.node();
    let long = || Failure { first: LONG, longest: LONG, ..failure("it broke") };
    let at = h.reading();
    assert_eq!(fail(node, &at, 10, long()).await.failures, 1);
    node.win(Begin { force: true, ..node.asks(&at, 20) }).await;
    let committed = node.commit(&at, 20, stored(20, b"v")).await;
    assert!(matches!(committed, Committed::Stored { .. }));
    node.win(Begin { seen: Some(20), ..node.asks(&at, 30) }).await;
    node.release(&at, 30, Some(long())).await;
    let begun = node.begin(Begin { seen: Some(20), ..node.asks(&at, 31) }).await;
    assert!(matches!(&begun, Begun::BackOff(again) if again.failures == 1), "{begun:?}");

    let at = h.reading();
    assert_eq!(fail(node, &at, 10, long()).await.failures, 1);
    node.shared.drop_entry(&at.entry).await.expect("answers");
    assert_eq!(fail(node, &at, 20, long()).await.failures, 1);
    Passed
}

pub(super) async fn who_does_not_hold_the_lease_cannot_fail(h: &Harness) -> Verdict {
    let at = h.reading();
    let (node, other) = (h.node(), h.other());
    node.release(&at, 1, Some(failure("nobody's"))).await;
    node.win(node.asks(&at, 1)).await;
    other.release(&at, 2, Some(failure("a stranger's"))).await;
    let begun = other.begin(other.asks(&at, 2)).await;
    assert!(matches!(begun, Begun::Busy { .. }), "{begun:?}");
    node.release(&at, 1, None).await;
    other.win(other.asks(&at, 2)).await;
    Passed
}
