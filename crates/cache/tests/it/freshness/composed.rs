//! Values that are made of other readings.

use samovar_cache::Parts;

use super::*;

#[tokio::test]
async fn a_composed_value_is_as_old_as_its_oldest_part_and_follows_their_changes() {
    let bench = Bench::new().await;
    let (part, whole) =
        (bench.widget(Definition::new("part")), bench.widget(Definition::new("whole")));
    let (day, all) = ([Tag::new("orders/1").expect("valid")], [Tag::new("orders").expect("valid")]);
    let part = part.reading(&bench.tenant).tags(&day);
    let whole = whole.reading(&bench.tenant).tags(&all);
    bench.read(&part).await;
    bench.clock.advance(Duration::from_secs(30));

    let Beginning::Compute(ticket) = bench.cache.begin(&whole).await.expect("begins") else {
        panic!("an answer of an empty cache");
    };
    let parts = ticket.parts().read(&[part]).await.expect("readable");
    let part_answer = parts[0].as_ref().expect("fresh");
    let composed = ticket.commit(format!("whole {}", text(part_answer))).await.expect("commits");
    assert_eq!((text(&composed), composed.age()), ("whole 1".to_owned(), Duration::from_secs(30)));
    assert_eq!(bench.cache.get(&whole).expect("local").fresh_for(), Duration::from_secs(70));

    bench.invalidate("orders/1").await;
    assert!(bench.cache.get(&whole).is_none());
}

#[tokio::test]
async fn a_value_that_is_composed_makes_what_is_missing_and_is_as_old_as_its_oldest_part() {
    let bench = Bench::new().await;
    let (part, whole) =
        (bench.widget(Definition::new("part")), bench.widget(Definition::new("whole")));
    let (tags, all) =
        ([Tag::new("orders/1").expect("valid")], [Tag::new("orders").expect("valid")]);
    let whole = whole.reading(&bench.tenant).tags(&all);
    let parts = [[("n", "1")], [("n", "2")]];
    let compose = || {
        let (cache, part, tenant, tags) =
            (bench.cache.clone(), part.clone(), bench.tenant.clone(), tags.clone());
        move |way: Parts| async move {
            let readings = parts.each_ref().map(|n| part.reading(&tenant).params(n).tags(&tags));
            let mut sum = String::new();
            for (reading, found) in readings.iter().zip(way.read(&readings).await?) {
                let answer = match found {
                    Some(answer) => answer,
                    None => match cache.begin(reading).await? {
                        Beginning::Answer(answer) => answer,
                        Beginning::Compute(ticket) => ticket.commit("made").await?,
                    },
                };
                way.include(&answer);
                sum += &format!("{} {}, ", text(&answer), answer.tier() == Tier::Computed);
            }
            Ok::<_, ReadError>(sum)
        }
    };
    let read = async || bench.cache.get_or_compose(&whole, compose()).await.expect("a value");
    let first = [("n", "1")];
    let first = part.reading(&bench.tenant).params(&first).tags(&tags);
    let Beginning::Compute(ticket) = bench.cache.begin(&first).await.expect("begins") else {
        panic!("an answer of an empty cache");
    };
    ticket.commit("before").await.expect("commits");
    bench.clock.advance(Duration::from_secs(30));
    let composed = read().await;
    assert_eq!(text(&composed), "before false, made true, ");
    assert_eq!(composed.age(), Duration::from_secs(30));
    bench.invalidate("orders/1").await;
    let anew = read().await;
    assert_eq!((text(&anew), anew.age()), ("made true, made true, ".to_owned(), Duration::ZERO));
}

#[tokio::test]
async fn a_part_of_the_shared_tier_takes_no_room_here_and_ages_only_what_includes_it() {
    let bench = Bench::new().await;
    let part = bench.widget(Definition::new("part").shared_only());
    let whole = bench.widget(Definition::new("whole"));
    let (day, all) = ([Tag::new("orders/1").expect("valid")], [Tag::new("orders").expect("valid")]);
    let part = part.reading(&bench.tenant).tags(&day);
    let whole = whole.reading(&bench.tenant).tags(&all);
    bench.read(&part).await;
    assert!(bench.cache.get(&part).is_none(), "it is in the shared tier");
    assert_eq!(bench.cache.local_state().entries, 0);
    bench.clock.advance(Duration::from_secs(30));
    let Beginning::Compute(ticket) = bench.cache.begin(&whole).await.expect("begins") else {
        panic!("an answer of an empty cache");
    };
    let parts = ticket.parts().find(&[part]).await.expect("readable");
    let part_answer = parts[0].as_ref().expect("fresh");
    assert_eq!(part_answer.age(), Duration::from_secs(30));
    let composed = ticket.commit(format!("whole {}", text(part_answer))).await.expect("commits");
    assert_eq!((text(&composed), composed.age()), ("whole 1".to_owned(), Duration::ZERO));
    // Again from the shared tier: it stays there.
    assert_eq!(bench.read(&part).await.tier(), Tier::Shared);
    assert_eq!(bench.cache.local_state().entries, 1);
}
