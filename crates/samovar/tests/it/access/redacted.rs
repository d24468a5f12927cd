//! Batches are shown to those whose they are, and why jobs failed to owners.

use std::time::Duration;

use samovar_access::Role;
use samovar_engine::WarmUp;
use samovar_jobs::{
    Finish, Outcome, QueueName, WorkerName,
    store::{Claim, Suspects},
};

use super::server::Shop;

const REASON: &str = "no such card: 4111";

async fn warm(shop: &Shop, tenants: &[&str]) -> String {
    let tenants = tenants.iter().map(|it| (*it).to_owned()).collect();
    let warm_up = WarmUp { tenants, ..WarmUp::default() };
    let batch = shop.engine.warm(&warm_up).await.expect("pushed").batch;
    format!("/v1/batches/{batch}")
}

/// Whatever waits is run, and fails.
async fn fail_all(shop: &Shop) {
    let jobs = shop.engine.jobs().expect("there are");
    let claim = Claim {
        worker: WorkerName::new("test").expect("a name"),
        queues: vec![(QueueName::new("cache").expect("a name"), 10)],
        lease: Duration::from_secs(30),
        version: u32::MAX,
        except: Vec::new(),
        rules: [].into(),
        suspects: Suspects::Also,
    };
    let claimed = jobs.claim(claim).await.expect("answers").jobs;
    let holds: Vec<_> = claimed.iter().map(|it| it.hold).collect();
    jobs.start(holds.clone()).await.expect("answers");
    let failed = |hold| Finish::new(hold, Outcome::Failed { reason: REASON.to_owned() });
    jobs.finish(holds.into_iter().map(failed).collect()).await.expect("answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_its_tenants_and_nobody_who_is_bound_sees_one_over_several() {
    let shop = Shop::closed().await;
    let (own, both) = (warm(&shop, &["north"]).await, warm(&shop, &["north", "south"]).await);
    let manager = shop.token(Role::Manager, &["north"]).await;
    let mut asking = shop.asking().await;
    let shown = asking.ask("GET", &own, Some(&manager), None).await;
    assert_eq!((shown.status.as_u16(), shown.json()["tenant"].as_str()), (200, Some("north")));
    let hidden = asking.ask("GET", &both, Some(&manager), None).await;
    assert_eq!((hidden.status.as_u16(), &*hidden.code()), (404, "unknown_batch"));
}

#[tokio::test(flavor = "multi_thread")]
async fn why_jobs_failed_is_for_owners() {
    let shop = Shop::closed().await;
    let batch = warm(&shop, &["north"]).await;
    fail_all(&shop).await;
    let mut asking = shop.asking().await;
    for (role, is_told) in [(Role::Manager, false), (Role::Owner, true), (Role::Admin, true)] {
        let token = shop.token(role, &[]).await;
        let shown = asking.ask("GET", &batch, Some(&token), None).await;
        assert_eq!(shown.json()["failures"].as_array().map(Vec::len), Some(1), "{role}");
        assert_eq!(shown.text().contains(REASON), is_told, "{role}");
    }
}
