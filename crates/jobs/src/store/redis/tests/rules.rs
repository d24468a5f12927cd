//! Schedules, breakers, rates and figures where several processes, a kill or the clock are in the way.

use futures_util::future::join_all;
use samovar_testkit::RedisServer;

use super::*;
use crate::{
    limits,
    name::{RemoteName, ScheduleName},
    rule::{Rate, Rule},
    store::{Fire, Fired, Mark, Period, Report, Said},
    tally::{Tally, bucket},
};

const NOON: u64 = 1_760_000_400_000;
const NIGHT: u64 = NOON + 12 * 3_600_000;
const MINUTE: Duration = Duration::from_secs(60);

fn fire(expected_ms: Option<u64>, mark_ms: u64, jobs: Vec<NewJob>) -> Fire {
    let schedule = ScheduleName::new("nightly").expect("a name");
    Fire { queue: queue("a"), schedule, expected_ms, mark_ms, jobs }
}

fn ruled(rate: Option<Rate>, needs: &[&str]) -> Claim {
    let needs = needs.iter().map(|name| RemoteName::new(*name).expect("a name")).collect();
    let rule = Rule { kind: Kind::new("mail").expect("a name"), rate, needs };
    Claim { rules: Arc::new([rule]), ..ask("a", 10) }
}

/// The breaker of `square` opens.
async fn trip(store: &Store) {
    let (remote, reason) = (RemoteName::new("square").expect("a name"), "refused".to_owned());
    let report = Report { queue: queue("a"), remote, said: Said::Broken { reason } };
    assert!(store.report(report).await.expect("answers").is_some());
}

async fn last_hours(store: &Store, hours: u32) -> Tally {
    let tallies = store.tallies(Period::hours(queue("a"), hours)).await.expect("answers");
    tallies.kinds.iter().fold(Tally::default(), |mut sum, kind| {
        sum.merge(&kind.total);
        sum
    })
}

fn pass(server: &RedisServer, duration: Duration) {
    for clock in ["ahead_ms", "last_ms"] {
        move_clock(server, "a", clock, duration.as_millis() as i64);
    }
}

#[tokio::test]
async fn of_two_processes_one_fires_an_instant() {
    let server = server();
    let stores = [open(&server).await, open(&server).await];
    stores[0].fire(fire(None, NOON, vec![])).await.expect("begins");
    let races = (0..16).map(|at| stores[at % 2].fire(fire(Some(NOON), NIGHT, vec![job("a")])));
    let fired = join_all(races).await;
    let moved = Ok(Fired::Moved { mark_ms: Some(NIGHT) });
    assert_eq!(fired.iter().filter(|it| **it == moved).count(), 15, "{fired:?}");
    assert_eq!(stores[1].claim(ask("a", 10)).await.expect("answers").jobs.len(), 1);
}

#[tokio::test]
async fn marks_breakers_rates_and_figures_survive_a_kill() {
    let server = server();
    let store = open(&server).await;
    store.fire(fire(None, NOON, vec![])).await.expect("begins");
    store.fire(fire(Some(NOON), NIGHT, vec![job("a"), job("a")])).await.expect("fires");
    let rate = Some(Rate { count: 1, per: Duration::from_secs(3600) });
    let claimed = store.claim(ruled(rate, &[])).await.expect("answers").jobs;
    assert_eq!(store.start(vec![claimed[0].hold]).await, Ok(vec![Held::Yes]));
    finish(&store, claimed[0].hold, Vec::new()).await;
    trip(&store).await;
    let before = last_hours(&store, 1).await;
    server.kill();
    server.restart().expect("starts again");
    let store = open(&server).await;
    let schedule = ScheduleName::new("nightly").expect("a name");
    let mark = Mark { schedule, mark_ms: NIGHT, fired_ms: Some(NIGHT) };
    assert_eq!(store.marks(queue("a")).await, Ok(vec![mark]));
    let breakers = store.breakers().await.expect("answers");
    assert_eq!((breakers.len(), breakers[0].reason.as_str()), (1, "refused"));
    let given = store.claim(ruled(rate, &[])).await.expect("answers");
    assert!(given.jobs.is_empty() && given.next_allowed.is_some(), "{given:?}");
    assert_eq!((before.done, before.waited_ms.count()), (1, 1));
    assert_eq!(last_hours(&store, 1).await, before);
}

#[tokio::test]
async fn of_two_processes_one_is_given_the_probe() {
    let server = server();
    let stores = [open(&server).await, open(&server).await];
    stores[0].push((0..20).map(|_| job("a")).collect()).await.expect("pushed");
    trip(&stores[0]).await;
    pass(&server, limits::BREAKER_OPEN);
    let races = (0..16).map(|at| stores[at % 2].claim(ruled(None, &["square"])));
    let given = join_all(races).await;
    let jobs = given.iter().map(|it| it.as_ref().expect("answers").jobs.len()).sum::<usize>();
    assert_eq!(jobs, 1);
}

/// As when its clock is set back, or a replica takes over whose clock is behind.
#[tokio::test]
async fn a_clock_that_is_set_back_holds_up_no_rate_and_no_figure() {
    let server = server();
    let store = open(&server).await;
    store.push(vec![job("a"), job("a")]).await.expect("pushed");
    let rate = Some(Rate { count: 1, per: MINUTE });
    let claim = || async { store.claim(ruled(rate, &[])).await.expect("answers") };
    assert_eq!(claim().await.jobs.len(), 1);
    move_clock(&server, "a", "ahead_ms", -24 * 3_600_000);
    let given = claim().await;
    let next = given.next_allowed.expect("it is held back");
    assert!(given.jobs.is_empty() && next <= MINUTE, "{given:?}");
    pass(&server, next);
    assert_eq!(claim().await.jobs.len(), 1);
    assert_eq!(last_hours(&store, 1).await.waited_ms.count(), 2);
}

/// Five minutes of 150 kinds, which are more than one question and one tending read.
#[tokio::test]
async fn many_figures_are_read_folded_and_forgotten_in_parts() {
    let server = server();
    let store = open(&server).await;
    store.push(vec![job("a")]).await.expect("pushed");
    let first = clock_ms(&server, "a", "last_ms") / 60_000 - 70;
    let fill = "for minute = ARGV[1], ARGV[1] + 4 do
          for kind = 1, 150 do
            local entry = minute .. ':kind' .. kind
            redis.call('ZADD', KEYS[1] .. 'tm', minute, entry)
            redis.call('HSET', KEYS[1] .. 'tm:' .. entry, 'd', 1, 'w57', 2)
          end
        end";
    server.command(&["EVAL", fill, "1", "samovar:{q:a}:", &first.to_string()]).expect("fills");
    let sums = |tally: Tally| (tally.done, tally.waited_ms.count());
    assert_eq!(sums(last_hours(&store, 2).await), (750, 1500));
    pass(&server, limits::MINUTES_KEPT + MINUTE * 60);
    assert!(store.tend().await.expect("answers").more, "not all in one call");
    assert_eq!(sums(last_hours(&store, 48).await), (750, 1500), "half of it folded");
    while store.tend().await.expect("answers").more {}
    assert_eq!(sums(last_hours(&store, 48).await), (750, 1500));
    let kept = |list: &str| {
        let kept = server.command(&["EXISTS", &format!("samovar:{{q:a}}:{list}")]);
        kept.expect("answers").integer()
    };
    assert_eq!((kept("tm"), kept("th"), kept("tallied")), (Some(0), Some(1), Some(1)));
    store.claim(ruled(Some(Rate::per_second(1)), &[])).await.expect("answers");
    assert_eq!(kept("rates"), Some(1));
    for _ in 0..2 {
        pass(&server, limits::HOURS_KEPT + MINUTE);
        while store.tend().await.expect("answers").more {}
    }
    store.prune(Duration::from_secs(1)).await.expect("answers");
    assert_eq!(sums(last_hours(&store, 48).await), (0, 0));
    for list in ["tm", "th", "tallied", "rates"] {
        assert_eq!(kept(list), Some(0), "{list}");
    }
}

#[tokio::test]
async fn the_scripts_know_the_buckets_of_histograms() {
    let server = server();
    let script = concat!(
        include_str!("../scripts/queue.lua"),
        include_str!("../scripts/moves.lua"),
        include_str!("../scripts/tallies.lua"),
        "local found = {}
         for at, value in ipairs(ARGV) do
           found[at] = bucket(tonumber(value))
         end
         return found",
    );
    let around = |power: u32| [(1_u64 << power) - 1, 1 << power, (1 << power) + (1 << power) / 5];
    let values: Vec<u64> = (0..100).chain((3..48).flat_map(around)).collect();
    let mut command: Vec<String> =
        ["EVAL", script, "1", "samovar:{q:a}:queue"].map(str::to_owned).to_vec();
    command.extend(values.iter().map(u64::to_string));
    let found = server.command(&command).expect("answers");
    let found: Vec<_> = found.items().iter().map(|it| it.integer()).collect();
    let expected: Vec<_> = values.iter().map(|value| Some(i64::from(bucket(*value)))).collect();
    assert_eq!(found, expected);
}
