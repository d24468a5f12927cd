//! Schedules on the embedded store: once each, whoever fires them, and what follows an outage.

use std::time::Duration;

use samovar_jobs::{
    JobId, Kind, NewJob, QueueName, ScheduleName,
    schedule::{CatchUp, Schedule, Scheduler, Schedules},
};
use samovar_testkit::wait;

use crate::steady::{Bench, LIMIT};

const HOUR: Duration = Duration::from_secs(3600);

/// Each on a queue of its own name.
fn schedule(name: &str, cron: &str, catch_up: CatchUp) -> Schedule {
    let queue = QueueName::new(name).expect("a name");
    let kind = Kind::new("warm").expect("a name");
    Schedule {
        name: ScheduleName::new(name).expect("a name"),
        cron: cron.to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        catch_up,
        job: NewJob::new(JobId::from_u64(1), queue, kind, *b"{}"),
    }
}

fn start(bench: &Bench, schedules: &Schedules) -> Scheduler {
    let (store, random) = (bench.store.clone(), bench.random.clone());
    Scheduler::start(schedules.clone(), store, bench.clock(), random)
}

async fn pushed(bench: &Bench, queue: &str) -> u64 {
    let figures = bench.store.figures().await.expect("answers");
    figures.iter().find(|it| it.queue.as_str() == queue).map_or(0, |it| it.waiting)
}

/// When the marks of these schedules have all come to this time.
async fn until_marked(bench: &Bench, names: &[&str], at_ms: u64) {
    let marked = || async {
        for name in names {
            let queue = QueueName::new(*name).expect("a name");
            let marks = bench.store.marks(queue).await.expect("answers");
            if marks.first().is_none_or(|mark| mark.mark_ms < at_ms) {
                return None;
            }
        }
        Some(())
    };
    wait::until_async(LIMIT, "marks", marked).await.expect("they come");
}

fn now_ms(bench: &Bench) -> u64 {
    bench.clock.wall().as_millis() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_schedulers_fire_each_instant_once() {
    let bench = Bench::new().await;
    let all = [schedule("minutely", "* * * * *", CatchUp::All)];
    let all = Schedules::new(all).expect("sound");
    let both = [start(&bench, &all), start(&bench, &all)];
    until_marked(&bench, &["minutely"], 1).await;
    for minute in 1..=10 {
        // Both sleep until the minute is full, or look before.
        let until = now_ms(&bench) + 60_000;
        while now_ms(&bench) < until {
            let sleeps = || async { bench.clock.next_deadline() };
            let next = wait::until_async(LIMIT, "a sleep", sleeps).await.expect("they sleep");
            bench.clock.advance_to(next);
        }
        let fired = || async { (pushed(&bench, "minutely").await >= minute).then_some(()) };
        wait::until_async(LIMIT, "a job", fired).await.expect("it is fired");
    }
    let minutes = now_ms(&bench) / 60_000 - 1_756_000_800_000 / 60_000;
    until_marked(&bench, &["minutely"], now_ms(&bench) / 60_000 * 60_000).await;
    for scheduler in both {
        scheduler.drain().await;
    }
    assert_eq!(pushed(&bench, "minutely").await, minutes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_outage_each_schedule_catches_up_as_it_says() {
    let bench = Bench::new().await;
    let names = ["skip", "once", "all"];
    let how = [CatchUp::Skip, CatchUp::Once, CatchUp::All];
    let list = names.into_iter().zip(how).map(|(name, how)| schedule(name, "0 * * * *", how));
    let all = Schedules::new(list).expect("sound");
    let before = start(&bench, &all);
    until_marked(&bench, &names, 1).await;
    before.drain().await;
    let begun_ms = now_ms(&bench);
    bench.clock.advance(HOUR * 5 + HOUR / 2);
    let after = start(&bench, &all);
    until_marked(&bench, &names, begun_ms + 5 * 3_600_000).await;
    after.drain().await;
    for (name, jobs) in names.into_iter().zip([0, 1, 5]) {
        assert_eq!(pushed(&bench, name).await, jobs, "{name}");
    }
}

#[tokio::test]
async fn people_see_what_comes_next_and_run_one_by_hand() {
    let bench = Bench::new().await;
    let all = Schedules::new([schedule("nightly", "0 3 * * *", CatchUp::Once)]).expect("sound");
    let list = || async { all.list(&bench.store, bench.clock.wall()).await.expect("answers") };
    let shown = list().await.remove(0);
    assert_eq!((shown.last_ms, shown.next_ms.len()), (None, 5));
    assert!(shown.next_ms.windows(2).all(|two| two[1] - two[0] == 24 * 3_600_000), "{shown:?}");
    assert_eq!(shown.next_ms[0] % (24 * 3_600_000), 3_600_000, "03:00 in Berlin, in summer");
    assert!(shown.words.contains("03:00"), "{}", shown.words);
    let name = ScheduleName::new("nightly").expect("a name");
    let by_hand = || all.run_now(&name, &bench.store, &bench.random);
    assert!(by_hand().await.expect("answers").is_some());
    by_hand().await.expect("answers");
    assert_eq!(pushed(&bench, "nightly").await, 2);
    assert_eq!(list().await[0].next_ms, shown.next_ms, "when it is due does not change");
    let unknown = ScheduleName::new("hourly").expect("a name");
    assert_eq!(all.run_now(&unknown, &bench.store, &bench.random).await, Ok(None));
}

#[test]
fn a_schedule_that_cannot_be_is_refused_by_name() {
    let refused = |list: Vec<Schedule>| Schedules::new(list).expect_err("refused").to_string();
    let message = refused(vec![schedule("nightly", "0 25 * * *", CatchUp::Skip)]);
    assert!(message.starts_with("the schedule nightly: the cron expression"), "{message}");
    let twice = schedule("nightly", "0 3 * * *", CatchUp::Skip);
    let message = refused(vec![twice.clone(), twice.clone()]);
    assert!(message.ends_with("there is another one of this name: rename one"), "{message}");
    let mut large = twice;
    large.job.policy.tries = 0;
    assert!(refused(vec![large]).contains("`tries`"));
}
