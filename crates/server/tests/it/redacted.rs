//! What belongs to jobs is shown to owners.

use samovar_access::Role;
use samovar_engine::WarmUp;

use crate::shop::Shop;

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_its_tenants_and_no_bound_manager_sees_one_over_several() {
    let shop = Shop::closed().await;
    let tenants = |ids: &[&str]| ids.iter().map(|it| (*it).to_owned()).collect();
    let warm = async |ids: &[&str]| {
        let warm_up = WarmUp { tenants: tenants(ids), ..WarmUp::default() };
        shop.engine.warm(&warm_up).await.expect("pushed").batch
    };
    let (own, both) = (warm(&["north"]).await, warm(&["north", "south"]).await);
    let manager = shop.token(Role::Manager, &["north"]).await;
    let mut asking = shop.asking().await;
    let shown = asking.ask("GET", &format!("/v1/batches/{own}"), Some(&manager), None).await;
    assert_eq!((shown.status.as_u16(), shown.json()["tenant"].as_str()), (200, Some("north")));
    let hidden = asking.ask("GET", &format!("/v1/batches/{both}"), Some(&manager), None).await;
    assert_eq!((hidden.status.as_u16(), &*hidden.code()), (404, "unknown_batch"));
}
