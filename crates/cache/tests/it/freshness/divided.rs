//! Values that are divided by their tags: what has not moved of them is found, and taken over.

use samovar_cache::{ReadingError, Turn, limits};

use super::*;

/// As partials are: never held here, and never served stale.
fn definition() -> Definition {
    Definition::new("w").strict().shared_only()
}

fn tags(paths: &[&str]) -> Vec<Tag> {
    paths.iter().map(|path| path.parse().expect("valid")).collect()
}

const THREE: [&str; 3] = ["a/1", "a/2", "global:b"];
const ALL: [(&str, &str); 1] = [("n", "all")];

impl Bench {
    async fn begin_divided(&self, reading: &Reading<'_>, than: Option<u64>) -> Option<Ticket> {
        match self.cache.begin_divided(reading, than).await.expect("begins") {
            Turn::Compute(ticket) => Some(ticket),
            Turn::Answer(_) | Turn::Elsewhere => None,
        }
    }

    async fn make(&self, reading: &Reading<'_>) -> Answer {
        let ticket = self.begin_divided(reading, None).await.expect("there is nothing");
        ticket.commit("divided").await.expect("commits")
    }

    async fn find(&self, reading: &Reading<'_>) -> Option<Divided> {
        self.cache.find_divided(&[*reading]).await.expect("readable").remove(0)
    }

    /// Which of the three tags hold.
    async fn holding(&self, reading: &Reading<'_>) -> [bool; 3] {
        let found = self.find(reading).await;
        std::array::from_fn(|tag| found.as_ref().is_some_and(|it| it.holds(tag)))
    }
}

#[tokio::test]
async fn what_has_not_moved_is_found_and_nothing_else() {
    let bench = Bench::new().await;
    let (widget, tags) = (bench.widget(definition()), tags(&THREE));
    let reading = widget.reading(&bench.tenant).tags(&tags).divided();
    assert!(bench.find(&reading).await.is_none());
    let everything = || Subject::Everything;
    let (over, one) = (Duration::from_secs(60), Some(&bench.tenant));
    let a_2 = &tags[1..2];
    for (subject, tenant, over, is_cleared, expected) in [
        (Subject::Tags(a_2), one, Duration::ZERO, false, [true, false, true]),
        (Subject::Tags(a_2), one, over, false, [true, false, true]),
        (Subject::Tags(a_2), one, Duration::ZERO, true, [true, false, true]),
        (Subject::Tags(&tags[2..]), None, Duration::ZERO, false, [true, true, false]),
        (
            Subject::Tags(&["a".parse().expect("valid")]),
            one,
            Duration::ZERO,
            false,
            [false, false, true],
        ),
        (
            Subject::Tags(&["a/2/x".parse().expect("valid")]),
            one,
            Duration::ZERO,
            false,
            [true, false, true],
        ),
        (Subject::Tags(&["c".parse().expect("valid")]), one, Duration::ZERO, false, [true; 3]),
        (Subject::Widget("w"), one, Duration::ZERO, false, [false; 3]),
        (Subject::Class("test"), None, Duration::ZERO, false, [false; 3]),
        (everything(), one, Duration::ZERO, true, [false; 3]),
    ] {
        let made = bench.begin_divided(&reading, None).await;
        if let Some(ticket) = made {
            ticket.commit("divided").await.expect("commits");
        }
        assert_eq!(bench.holding(&reading).await, [true; 3], "before {subject:?}");
        let how = How { over, cause: "test".to_owned() };
        let changed = match is_cleared {
            true => bench.cache.clear(&subject, tenant, &how).await,
            false => bench.cache.invalidate(&subject, tenant, &how).await,
        };
        changed.expect("changes");
        assert_eq!(bench.holding(&reading).await, expected, "after {subject:?}");
    }
}

#[tokio::test]
async fn what_has_moved_in_part_is_no_answer_and_is_not_held() {
    let bench = Bench::new().await;
    let (widget, tags) = (bench.widget(definition()), tags(&THREE));
    let reading = widget.reading(&bench.tenant).tags(&tags).divided();
    bench.make(&reading).await;
    bench.clock.advance(Duration::from_secs(30));
    bench.invalidate("a/2").await;
    let found = bench.find(&reading).await.expect("two of three");
    assert_eq!(
        (&found.bytes().expect("readable")[..], found.age()),
        (&b"divided"[..], Duration::from_secs(30))
    );
    assert!(!found.holds(3) && !found.holds(usize::MAX));
    assert_eq!(bench.cache.get_many(&[reading]).await.expect("readable").len(), 1);
    assert!(bench.cache.get_many(&[reading]).await.expect("readable")[0].is_none());
    assert!(bench.cache.get(&reading).is_none());
    assert!(matches!(bench.cache.begin(&reading).await, Ok(Beginning::Compute(_))));
    assert_eq!(bench.cache.local_state().entries, 0);
    // As long as its TTL.
    bench.clock.advance(TTL - Duration::from_secs(31));
    assert_eq!(bench.holding(&reading).await, [true, false, true]);
    bench.clock.advance(Duration::from_secs(1));
    assert!(bench.find(&reading).await.is_none());
}

#[tokio::test]
async fn a_ticket_vouches_for_what_was_made_under_its_stamps() {
    let bench = Bench::new().await;
    let (widget, all) = (bench.widget(definition()), tags(&THREE));
    let reading = widget.reading(&bench.tenant).params(&ALL).tags(&all).divided();
    let other = Tenant::new("other").expect("valid");
    let one = |tag: usize| widget.reading(&bench.tenant).tags(&all[tag..=tag]);
    let (first, second) =
        (bench.read(&one(0)).await, bench.read(&one(1).params(&[("n", "2")])).await);
    let beside = tags(&["c"]);
    let beside =
        bench.read(&widget.reading(&bench.tenant).params(&[("n", "3")]).tags(&beside)).await;
    let others = bench.read(&widget.reading(&other).tags(&all[..1])).await;

    let ticket = bench.begin_divided(&reading, None).await.expect("there is nothing");
    let vouched = [&first, &second, &beside, &others].map(|it| ticket.vouches_for(it));
    assert_eq!(vouched, [true, true, false, false]);
    let divided = ticket.commit("divided").await.expect("commits");
    let found = bench.find(&reading).await.expect("found");
    bench.invalidate("a/1").await;
    let anew = bench.read(&one(0)).await;

    let ticket = bench.begin_divided(&reading, Some(divided.commit())).await.expect("it has moved");
    let vouched = [&first, &second, &anew].map(|it| ticket.vouches_for(it));
    assert_eq!(vouched, [false, true, true]);
    // Whatever it was when it was found.
    assert!(found.holds(0));
    let vouched: [bool; 4] = std::array::from_fn(|tag| ticket.vouches_for_piece(&found, tag));
    assert_eq!(vouched, [false, true, true, false]);
    // What changes from now on is not in the value's stamps: it does not hold.
    bench.invalidate("a/2").await;
    assert!(ticket.vouches_for(&second));
    ticket.commit("divided anew").await.expect("commits");
    assert_eq!(bench.holding(&reading).await, [true, false, true]);
}

#[tokio::test]
async fn a_divided_value_is_made_by_one_and_anew_by_whoever_has_seen_it() {
    let bench = Bench::new().await;
    let (widget, tags) = (bench.widget(definition()), tags(&THREE));
    let reading = widget.reading(&bench.tenant).tags(&tags).divided();
    let ticket = bench.begin_divided(&reading, None).await.expect("there is nothing");
    assert!(bench.begin_divided(&reading, None).await.is_none(), "somebody is at it");
    let first = ticket.commit("first").await.expect("commits").commit();
    assert!(bench.begin_divided(&reading, None).await.is_none(), "there is one");
    let ticket = bench.begin_divided(&reading, Some(first)).await.expect("it was seen");
    let second = ticket.commit("second").await.expect("commits").commit();
    assert!(bench.begin_divided(&reading, Some(first)).await.is_none(), "somebody else's");
    // Nothing is lost by one who gives up.
    drop(bench.begin_divided(&reading, Some(second)).await.expect("it was seen"));
    bench.settled().await;
    assert!(bench.begin_divided(&reading, Some(second)).await.is_some());
    assert_eq!(bench.find(&reading).await.expect("found").commit(), second);
}

#[tokio::test]
async fn a_divided_value_may_have_more_tags_and_no_more_than_that() {
    let bench = Bench::new().await;
    let widget = bench.widget(definition());
    let paths: Vec<String> = (0..=limits::TAGS_OF_DIVIDED).map(|n| format!("a/{n}")).collect();
    let tags: Vec<Tag> = paths.iter().map(|path| path.parse().expect("valid")).collect();
    let (_, most) = tags.split_last().expect("some");
    let reading = widget.reading(&bench.tenant).tags(most).divided();
    bench.make(&reading).await;
    bench.invalidate("a/31").await;
    let found = bench.find(&reading).await.expect("found");
    assert!((0..31).all(|tag| found.holds(tag)) && !found.holds(31));
    let refused = bench.cache.find_divided(&[reading.tags(&tags)]).await.expect_err("33");
    assert_eq!(refused.to_string(), "a reading has 33 tags, at most 32 are allowed");
    let whole = widget.reading(&bench.tenant).tags(most);
    let refused = bench.cache.begin(&whole).await.expect_err("not divided");
    assert_eq!(refused.to_string(), "a reading has 32 tags, at most 16 are allowed");
    let many = vec![reading; limits::READINGS_PER_CALL + 1];
    let refused = bench.cache.find_divided(&many).await.expect_err("too many");
    assert!(matches!(refused, ReadError::Reading(ReadingError::TooMany { limit: 1024, .. })));
}

#[tokio::test]
async fn what_is_let_go_is_gone_unless_it_is_another_by_now() {
    let bench = Bench::new().await;
    let (widget, tags) = (bench.widget(definition()), tags(&THREE));
    let one = |tag: usize| widget.reading(&bench.tenant).tags(&tags[tag..=tag]);
    let (first, second) = (one(0), one(1).params(&ALL));
    let old = [bench.read(&first).await, bench.read(&second).await];
    bench.invalidate("a/2").await;
    bench.read(&second).await;
    bench.cache.evict(&old).await.expect("evicts");
    let found = bench.cache.get_many(&[first, second]).await.expect("readable");
    assert_eq!([found[0].is_some(), found[1].is_some()], [false, true]);
}
