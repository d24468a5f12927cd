//! Batches are shown to those whose they are, and why jobs failed to owners.

use samovar_access::Role;
use samovar_engine::WarmUp;

use super::server::Shop;

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
