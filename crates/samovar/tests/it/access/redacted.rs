//! Batches are shown to those whose they are, why jobs failed to owners, and which jobs run to those who
//! may see all of them.

use samovar_access::Role;
use samovar_clock::Clock;
use samovar_engine::{AlertSettings, Firing, WarmUp};
use samovar_memory::{Budget, Class, MB, Work};
use samovar_testkit::wait;

use super::server::Shop;
use crate::shop::LIMIT;

const REASON: &str = "no such card: 4111";

async fn warm(shop: &Shop, tenants: &[&str]) -> String {
    let tenants = tenants.iter().map(|it| (*it).to_owned()).collect();
    let warm_up = WarmUp { tenants, ..WarmUp::default() };
    let batch = shop.engine.warm(&warm_up).await.expect("pushed").batch;
    format!("/v1/batches/{batch}")
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
    shop.fail_all("cache", REASON).await;
    let mut asking = shop.asking().await;
    for (role, is_told) in [(Role::Manager, false), (Role::Owner, true), (Role::Admin, true)] {
        let token = shop.token(role, &[]).await;
        let shown = asking.ask("GET", &batch, Some(&token), None).await;
        assert_eq!(shown.json()["failures"].as_array().map(Vec::len), Some(1), "{role}");
        assert_eq!(shown.text().contains(REASON), is_told, "{role}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn which_jobs_hold_memory_is_for_those_who_may_see_all_jobs() {
    const JOB: &str = "charge 00000000000000aa";
    let shop = Shop::closed().await;
    let budget = Budget::new(512 * MB, Clock::System);
    let work = Work { kind: "charge", job: JOB, class: Class::Mb128, share: None };
    let _admitted = budget.admit(work).await.expect("it fits");
    let settings = AlertSettings::default();
    let started = shop.engine.start_alerting(
        settings,
        "here".into(),
        Some(budget.clone()),
        Firing::default(),
    );
    let _alerting = started.expect("it starts");
    budget.was_split(JOB, 2);
    let is_seen = async || {
        let alerts = shop.engine.alerts().alerts;
        alerts.iter().any(|it| it.detail.as_deref() == Some(JOB)).then_some(())
    };
    wait::until_async(LIMIT, "the split", is_seen).await.expect("it is seen");
    let mut asking = shop.asking().await;
    for (role, tenants, is_told) in [
        (Role::Manager, &["north"][..], false),
        (Role::Owner, &["north"], false),
        (Role::Manager, &[], true),
        (Role::Admin, &[], true),
    ] {
        let token = shop.token(role, tenants).await;
        for uri in ["/v1/memory", "/v1/memory?history=true", "/v1/alerts"] {
            let shown = asking.ask("GET", uri, Some(&token), None).await;
            assert_eq!(shown.status, 200, "{role} {uri}");
            assert_eq!(shown.text().contains(JOB), is_told, "{role} {tenants:?} {uri}");
        }
    }
}
