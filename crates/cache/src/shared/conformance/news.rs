//! What the nodes hear of each other.

use std::time::Duration;

use super::{
    NotHere, Passed, Verdict,
    changes::change_of,
    harness::{Harness, reading_of, stored},
};
use crate::{
    shared::{Begun, Committed, Invalidate, LookUp, Message, NewIds},
    version::VersionKey,
};

const ONE_PROCESS: &str = "there is one process, which tells itself";

fn changed(at: &LookUp, index: usize, change: u64, clear: Option<u64>) -> Message {
    Message::Changed(vec![(at.versions[index].as_str().to_owned(), change, clear)])
}

fn dropped(at: &LookUp) -> Message {
    Message::Dropped(at.entry.as_str().to_owned())
}

fn released(at: &LookUp) -> Message {
    Message::Released(at.entry.as_str().to_owned())
}

/// Of what was heard, that about one reading.
fn about<'a>(at: &LookUp, heard: &'a [Message]) -> Vec<&'a Message> {
    let is = |message: &&Message| match message {
        Message::Changed(changes) => {
            changes.iter().any(|(key, ..)| at.versions[2..].iter().any(|v| v.as_str() == key))
        }
        Message::Dropped(key) | Message::Released(key) => key == at.entry.as_str(),
    };
    heard.iter().filter(is).collect()
}

pub(super) async fn every_node_hears_in_the_order_of_one_master(h: &Harness) -> Verdict {
    if h.has_one_process() {
        return NotHere(ONE_PROCESS);
    }
    let at = &h.reading();
    let (node, other) = (h.node(), h.other());
    let tell = |index, change, clear| node.shared.invalidate(change_of(at, index, change, clear));
    // Also what is missing in the store: a listener may know it.
    tell(2, 1, None).await.expect("answers");
    node.win(node.asks(at, 5)).await;
    tell(3, 2, Some(3)).await.expect("answers");
    let begun = other.begin(other.asks(at, 6)).await;
    assert!(matches!(begun, Begun::Busy { .. }), "{begun:?}");
    let committed = node.commit(at, 5, stored(5, b"v")).await;
    assert!(matches!(committed, Committed::Stored { .. }));
    node.shared.drop_entry(&at.entry).await.expect("answers");
    tell(2, 4, None).await.expect("answers");

    let last = changed(at, 2, 4, None);
    let expected =
        [changed(at, 2, 1, None), changed(at, 3, 2, Some(3)), released(at), dropped(at), last];
    for peer in [node, other] {
        let heard = peer.heard(|message| *message == expected[4]).await;
        assert_eq!(about(at, &heard), expected.iter().collect::<Vec<_>>());
    }
    Passed
}

pub(super) async fn a_release_is_news_only_if_somebody_waits(h: &Harness) -> Verdict {
    if h.has_one_process() {
        return NotHere(ONE_PROCESS);
    }
    let (node, other) = (h.node(), h.other());
    let (quiet, awaited) = (h.reading(), h.reading());
    for at in [&quiet, &awaited] {
        node.win(node.asks(at, 1)).await;
    }
    let begun = other.begin(other.asks(&awaited, 2)).await;
    assert!(matches!(begun, Begun::Busy { .. }), "{begun:?}");
    for at in [&quiet, &awaited] {
        node.release(at, 1, None).await;
        // The next holder has nobody waiting, until somebody does.
        node.win(node.asks(at, 3)).await;
        node.release(at, 3, None).await;
    }
    for at in [&quiet, &awaited] {
        node.shared.drop_entry(&at.entry).await.expect("answers");
        let heard = other.heard(|message| *message == dropped(at)).await;
        let (news, gone) = (released(at), dropped(at));
        let expected = if at.entry == awaited.entry { vec![&news, &gone] } else { vec![&gone] };
        assert_eq!(about(at, &heard), expected);
    }
    Passed
}

pub(super) async fn much_news_arrives_whole(h: &Harness) -> Verdict {
    if h.has_one_process() {
        return NotHere(ONE_PROCESS);
    }
    let tenant = format!("much{}", h.number());
    let key = |tag: u64| {
        let long = "segment/".repeat(20);
        VersionKey::from_stored(&format!("{{{tenant}}}:v:b:{long}{tag}"))
    };
    let count = 3000;
    let changes = (0..count).map(|tag| NewIds { key: key(tag), change: tag + 1, clear: None });
    let changes = changes.collect();
    let much = Invalidate { changes, spread: Duration::ZERO, cause: String::new() };
    h.node().shared.invalidate(much).await.expect("answers");
    let end = reading_of(&tenant, "end", "g");
    h.node().shared.drop_entry(&end.entry).await.expect("answers");
    let heard = h.other().heard(|message| *message == dropped(&end)).await;
    let mut tags = Vec::new();
    for message in heard {
        let Message::Changed(changes) = message else { continue };
        tags.extend(changes.into_iter().filter(|(key, ..)| key.contains(&tenant)).map(|c| c.1));
    }
    assert_eq!(tags, (1..=count).collect::<Vec<_>>());
    Passed
}
