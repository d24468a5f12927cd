//! `samovar prove`: the binary starts itself as what it kills.

use crate::shop::Shop;

#[test]
fn a_few_faults_over_a_folder_break_no_promise() {
    let shop = Shop::new();
    let findings = shop.json(&["prove", "--store", "embedded", "--faults", "6"]);
    let [folder] = &findings.as_array().expect("a list")[..] else { panic!("{findings}") };
    assert_eq!(folder["lost"], 0, "{folder}");
    assert!(folder["acknowledged"].as_u64() > Some(0), "{folder}");
    let faults = folder["faults"].as_object().expect("by kind").values();
    assert_eq!(faults.filter_map(serde_json::Value::as_u64).sum::<u64>(), 6);
}
