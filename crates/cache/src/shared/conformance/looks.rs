//! Looking at the shared tier.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use samovar_testkit::wait;

use super::{
    Passed, Verdict,
    harness::{Harness, LIMIT, LONG, reading_of, stored},
};
use crate::shared::{Commit, Committed, LookUp};

pub(super) async fn what_was_never_written_is_missing(h: &Harness) -> Verdict {
    let look = h.node().look(&h.reading()).await;
    assert_eq!(look.entry, None);
    let there = look.versions.iter().skip(1).flatten().count();
    assert_eq!((look.versions.len(), there), (4, 0), "all but the one that all readings share");
    Passed
}

pub(super) async fn bytes_come_back_as_they_were(h: &Harness) -> Verdict {
    let every_byte: Vec<u8> = (0..=255).collect();
    let mebibyte: Vec<u8> =
        (0..1u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for value in [b"".as_slice(), b"\0", b"\r\n$5\r\n", &every_byte, &mebibyte] {
        for value in [Bytes::copy_from_slice(value), stored(3, value)] {
            let at = h.reading();
            let won = h.node().win(h.node().asks(&at, 3)).await;
            let committed = h.node().commit(&at, 3, value.clone()).await;
            let Committed::Stored { versions: Some(versions) } = committed else { panic!("lost") };
            let look = h.other().look(&at).await;
            assert!(look.entry.as_ref() == Some(&value), "{} bytes", value.len());
            let captured: Vec<_> = won.versions.into_iter().map(Some).collect();
            assert_eq!((&versions, &look.versions), (&captured, &captured));
        }
    }
    Passed
}

pub(super) async fn many_look_ups_are_answered_in_their_order(h: &Harness) -> Verdict {
    let number = h.number();
    let at: Vec<LookUp> = (0..60)
        .map(|i| {
            let tenant = format!("many{number}-{}", i % 7);
            reading_of(&tenant, &format!("x{i}"), &format!("g{}", i % 3))
        })
        .collect();
    for (i, at) in at.iter().enumerate().filter(|(i, _)| i % 2 == 0) {
        h.node().store(at, 1000 + i as u64).await;
    }
    let looks = h.other().shared.look(&at).await.expect("answers");
    assert_eq!(looks.len(), at.len());
    for (i, (at, look)) in at.iter().zip(&looks).enumerate() {
        let expected = (i % 2 == 0).then(|| stored(1000 + i as u64, b"value"));
        assert_eq!(look.entry, expected, "{i}");
        let alone = h.node().look(at).await;
        assert_eq!(look.versions, alone.versions, "{i}");
        assert_eq!(look.origins.tenant.incarnation, alone.origins.tenant.incarnation);
        assert_eq!(look.origins.global.incarnation, alone.origins.global.incarnation);
    }
    assert!(h.node().shared.look(&[]).await.expect("answers").is_empty());
    Passed
}

pub(super) async fn an_entry_is_gone_after_its_life_and_its_versions_are_not(
    h: &Harness,
) -> Verdict {
    let at = h.reading();
    let won = h.node().win(h.node().asks(&at, 1)).await;
    let (value, life) = (stored(1, b"v"), Duration::from_millis(400));
    let commit = Commit { at: at.clone(), token: 1, value, life, keep: LONG };
    let committed = h.node().shared.commit(commit).await.expect("answers");
    assert!(matches!(committed, Committed::Stored { .. }));
    assert!(h.node().look(&at).await.entry.is_some());
    h.pass(life).await;
    let look = h.node().look(&at).await;
    assert_eq!(look.entry, None);
    assert_eq!(look.versions, won.versions.into_iter().map(Some).collect::<Vec<_>>());
    Passed
}

pub(super) async fn the_incarnation_stays_and_trust_holds(h: &Harness) -> Verdict {
    let at = h.reading();
    let (first, second) = (h.node().look(&at).await, h.node().look(&at).await);
    let won = h.node().win(h.node().asks(&at, 1)).await;
    for origins in [&second.origins, &won.origins] {
        assert_eq!(first.origins.tenant.incarnation, origins.tenant.incarnation);
        assert_eq!(first.origins.global.incarnation, origins.global.incarnation);
    }
    assert_ne!(first.origins.tenant.incarnation, 0);
    let origins = [&first.origins.tenant, &first.origins.global];
    let held = || async {
        let holds = |trust: &samovar_store::Trust| trust.holds(h.clock.now());
        let asked = origins.iter().all(|origin| holds(&origin.trust));
        let current = h.node().shared.origins(&at.entry)?;
        (asked && current.trusted(h.clock.now())).then_some(current)
    };
    let current = wait::until_async(LIMIT, "trust", held).await.expect("trust holds");
    for (origin, current) in origins.iter().zip([&current.tenant, &current.global]) {
        assert!(Arc::ptr_eq(&origin.trust, &current.trust), "of one link");
        assert_eq!(origin.incarnation, current.incarnation);
    }
    Passed
}

pub(super) async fn tenants_and_what_they_share_do_not_mix(h: &Harness) -> Verdict {
    let number = h.number();
    let shared = format!("g{number}");
    let one = reading_of(&format!("a{number}"), "x", &shared);
    let other = reading_of(&format!("b{number}"), "x", &shared);
    let value = h.node().store(&one, 1).await;
    let look = h.node().look(&other).await;
    assert_eq!(look.entry, None);
    assert!(look.versions[1].is_some(), "made for the one, shared by the other");
    assert_eq!(look.versions[2..], [None, None]);
    let won = h.node().win(h.node().asks(&other, 2)).await;
    assert_eq!(Some(&won.versions[1]), look.versions[1].as_ref());
    let look = h.node().look(&one).await;
    assert_eq!(look.entry, Some(value));
    assert_ne!(look.versions[2].as_ref(), Some(&won.versions[2]));
    Passed
}
