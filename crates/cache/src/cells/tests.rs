//! What a node may believe of a version, as replies and news cross.

use super::*;

const OLD: Ids = Ids { change: 1, clear: 9 };
const NEW: Ids = Ids { change: 2, clear: 9 };
const NOW: Instant = Instant::from_nanos(1_000_000_000);

fn cells(capacity: usize) -> Cells {
    Cells::new(capacity, crate::local::hasher(1))
}

fn on(cells: &Cells, name: &str) -> Dependencies {
    cells.depend(|depend| depend(name))
}

fn origins() -> Origins {
    let origin = || Origin { incarnation: 7, trust: Arc::new(Trust::forever()) };
    Origins { tenant: origin(), global: origin() }
}

/// Whether the one version is vouched for with these ids.
fn vouches(capture: &Capture, ids: Ids, origins: &Origins) -> bool {
    let Ids { change, clear } = ids;
    let stamp = Stamp { key_hash: 0, change, clear, incarnation: 7 };
    capture.vouch_for(&[stamp], origins, NOW, Laws::default()).is_some()
}

#[test]
fn dependencies_are_each_there_once_and_in_one_order() {
    let cells = cells(100);
    let one = cells.depend(|depend| ["a", "b", "a", "c"].into_iter().for_each(depend));
    let other = cells.depend(|depend| ["c", "b", "a"].into_iter().for_each(depend));
    assert_eq!(one.len(), 3);
    assert_eq!(one.keys(), other.keys());
    let stamp = |cell: &Cell| Stamp { key_hash: cell.hash, change: 1, clear: 1, incarnation: 1 };
    let mut stamps: Vec<Stamp> = one.iter().map(stamp).collect();
    assert!(other.fit(&stamps));
    stamps.swap(0, 1);
    assert!(!other.fit(&stamps));
    assert!(!other.fit(&stamps[..2]));
}

#[test]
fn a_reply_that_was_overtaken_by_news_is_not_believed() {
    let cells = cells(100);
    let capture = cells.capture(&on(&cells, "k"));
    cells.changed("k", NEW.change, Some(NEW.clear));
    assert_eq!(cells.observe(&capture, &[Some(OLD)], None), [0]);
    assert!(!capture.unmoved());
}

/// News is told once by the bus and once by the reply to whoever made the change, in any
/// order: what was heard last is not what happened last.
#[test]
fn a_reply_is_not_believed_because_late_news_says_the_same() {
    let cells = cells(100);
    let capture = cells.capture(&on(&cells, "k"));
    cells.changed("k", NEW.change, Some(NEW.clear));
    cells.changed("k", 3, Some(NEW.clear));
    cells.changed("k", NEW.change, Some(NEW.clear));
    assert_eq!(cells.observe(&capture, &[Some(NEW)], None), [0], "it is at 3");
}

/// A reader asks, somebody clears, another reader asks and has its reply first.
#[test]
fn an_older_reply_is_not_believed_after_a_change_that_a_look_had_seen() {
    let (cells, origins) = (cells(100), origins());
    let older = cells.capture(&on(&cells, "k"));
    let newer = cells.capture(&on(&cells, "k"));
    cells.observe(&newer, &[Some(NEW)], Some((&origins, NOW)));
    cells.changed("k", NEW.change, Some(NEW.clear));
    assert_eq!(cells.observe(&older, &[Some(OLD)], Some((&origins, NOW))), [0]);
    assert!(!vouches(&older, OLD, &origins));
}

#[test]
fn a_change_that_was_only_seen_by_asking_steps_the_cell_too() {
    let cells = cells(100);
    let first = cells.capture(&on(&cells, "k"));
    let step = cells.observe(&first, &[Some(OLD)], None)[0];
    let second = cells.capture(&on(&cells, "k"));
    let moves = cells.moves();
    assert_ne!(cells.observe(&second, &[Some(NEW)], None)[0], step);
    assert_ne!(cells.moves(), moves);
    assert_eq!(cells.observe(&first, &[Some(OLD)], None), [0], "the older reply comes late");
}

#[test]
fn what_is_missing_in_the_store_holds_nothing() {
    let cells = cells(100);
    let capture = cells.capture(&on(&cells, "k"));
    assert_eq!(cells.observe(&capture, &[None], Some((&origins(), NOW))), [0]);
    assert!(!capture.vouched(&origins(), NOW, Laws::default()));
    assert!(capture.cells().iter().all(|cell| cell.may_be_cleared(OLD.clear)));
}

#[test]
fn a_cell_that_left_the_table_holds_nothing() {
    let cells = cells(4);
    let (depends, origins) = (on(&cells, "k"), origins());
    let capture = cells.capture(&depends);
    let step = cells.observe(&capture, &[Some(OLD)], Some((&origins, NOW)))[0];
    let cell = capture.cells().iter().next().expect("one cell");
    assert_eq!(cell.step(), step);
    for other in 0..1000 {
        // Twice, or a table that resists scans would rather keep the first.
        on(&cells, &format!("other-{other}"));
        on(&cells, &format!("other-{other}"));
    }
    assert_ne!(cell.step(), step);
    assert!(cell.may_be_cleared(OLD.clear));
    assert!(!vouches(&capture, OLD, &origins));
    assert_eq!(cells.observe(&capture, &[Some(OLD)], Some((&origins, NOW))), [0]);

    let again = cells.capture(&depends);
    cells.changed("k", NEW.change, None);
    assert!(!again.unmoved(), "what is captured hears news");
}

#[test]
fn the_same_news_twice_is_one_step() {
    let cells = cells(100);
    let capture = cells.capture(&on(&cells, "k"));
    cells.observe(&capture, &[Some(OLD)], None);
    cells.changed("k", NEW.change, None);
    let moves = cells.moves();
    cells.changed("k", NEW.change, None);
    assert_eq!(cells.moves(), moves);
}

#[test]
fn a_listener_vouches_for_what_its_master_said_until_news_comes() {
    let cells = cells(100);
    let (here, elsewhere) = (origins(), origins());
    let capture = cells.capture(&on(&cells, "k"));
    assert!(!capture.vouched(&here, NOW, Laws::default()), "nobody was asked");
    let step = cells.observe(&capture, &[Some(OLD)], Some((&here, NOW)))[0];
    assert!(capture.vouched(&here, NOW, Laws::default()));
    assert!(
        !capture.vouched(&elsewhere, NOW, Laws::default()),
        "another link may have missed news"
    );
    let stamp = Stamp { key_hash: 0, change: OLD.change, clear: OLD.clear, incarnation: 7 };
    assert_eq!(capture.vouch_for(&[stamp], &here, NOW, Laws::default()), Some(vec![step]));
    assert!(!vouches(&capture, NEW, &here));
    let restarted = Stamp { incarnation: 8, ..stamp };
    assert_eq!(capture.vouch_for(&[restarted], &here, NOW, Laws::default()), None);

    cells.changed("k", NEW.change, None);
    assert!(!capture.vouched(&here, NOW, Laws::default()));
    assert!(!vouches(&capture, NEW, &here), "news may come out of order");
    let capture = cells.capture(&on(&cells, "k"));
    cells.observe(&capture, &[Some(NEW)], Some((&here, NOW)));
    assert!(vouches(&capture, NEW, &here));
    cells.observe(&capture, &[Some(NEW)], None);
    assert!(vouches(&capture, NEW, &here), "nothing else was said");
    cells.observe(&capture, &[None], Some((&here, NOW)));
    assert!(!capture.vouched(&here, NOW, Laws::default()));
}

/// It may still be done, after a look has seen that it was not.
#[test]
fn a_change_that_was_doubted_is_news_when_it_comes() {
    let (cells, here) = (cells(100), origins());
    cells.doubt("k", false);
    let capture = cells.capture(&on(&cells, "k"));
    cells.observe(&capture, &[Some(OLD)], Some((&here, NOW)));
    cells.doubt("k", false);
    let capture = cells.capture(&on(&cells, "k"));
    cells.observe(&capture, &[Some(OLD)], Some((&here, NOW)));
    assert!(vouches(&capture, OLD, &here));
    cells.changed("k", NEW.change, None);
    assert!(!capture.unmoved() && !vouches(&capture, OLD, &here));
}

/// Two clearings, of which the first is told once more at last.
#[test]
fn which_clearing_was_the_last_is_for_the_store_to_say() {
    let cells = cells(100);
    let capture = cells.capture(&on(&cells, "k"));
    for (change, clear) in [(11, 21), (12, 22), (11, 21)] {
        cells.changed("k", change, Some(clear));
    }
    let cleared = |id| capture.cells().iter().all(|cell| cell.may_be_cleared(id));
    assert!(cleared(21) && cleared(22));
    let capture = cells.capture(&on(&cells, "k"));
    cells.observe(&capture, &[Some(Ids { change: 12, clear: 22 })], None);
    assert!(cleared(21) && !cleared(22));
}

#[test]
fn nobody_vouches_for_ever() {
    let (cells, here) = (cells(100), origins());
    let capture = cells.capture(&on(&cells, "k"));
    cells.observe(&capture, &[Some(OLD)], Some((&here, NOW)));
    let vouched = |after| capture.vouched(&here, NOW + after, Laws::default());
    assert!(vouched(limits::VOUCHED_FOR - std::time::Duration::from_nanos(1)));
    assert!(!vouched(limits::VOUCHED_FOR), "versions that nobody asks for are evicted first");
}
