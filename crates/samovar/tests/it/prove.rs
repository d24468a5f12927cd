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

#[test]
fn what_takes_too_much_memory_breaks_no_promise() {
    let shop = Shop::new();
    let trials = shop.json(&["prove", "--memory"]);
    let trials = trials.as_array().expect("a list");
    assert_eq!(trials.len(), 5);
    for trial in trials {
        assert!(trial["broken"] == serde_json::json!([]) && trial["took_ms"].is_u64(), "{trial}");
    }
}
