//! What is wrong is found before anything is served, and the exit code says so.

use crate::shop::Shop;

#[test]
fn a_good_configuration_passes() {
    let shop = Shop::new();
    let (code, said) = shop.ending(&["check"]);
    assert_eq!((code, said.as_str()), (Some(0), "samovar.toml: nothing wrong with 4 widgets\n"));
    assert!(!shop.path("samovar-data").exists(), "a check opens no store");
}

#[test]
fn a_wrong_key_is_a_problem_with_its_line_and_a_hint() {
    let shop = Shop::new();
    shop.change_config("params.channel", "parms.channel");
    for command in ["check", "serve"] {
        let (code, said) = shop.ending(&[command]);
        assert_eq!(code, Some(3), "{said}");
        let unknown =
            "samovar.toml:17: unknown key `parms` in [widget.sales]\n    did you mean `params`?\n";
        assert!(said.contains(unknown), "{said}");
    }
}

#[test]
fn a_wrong_query_is_found_against_the_database() {
    let shop = Shop::new();
    shop.change_config("from orders\n", "from ordres\n");
    let (code, said) = shop.ending(&["check"]);
    assert_eq!(code, Some(3));
    assert!(said.contains("no such table: ordres"), "{said}");
    assert!(said.ends_with("1 problem\n"), "{said}");
}

#[test]
fn other_machines_are_kept_out_wherever_the_address_comes_from() {
    let shop = Shop::new();
    let (code, said) = shop.ending(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("nobody is asked who he is: say mode = \"tokens\" in [access]"),
        "{said}"
    );
    shop.change_config("[cache]", "[server]\nlisten = \"0.0.0.0:7070\"\n[cache]");
    let (code, said) = shop.ending(&["serve"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("samovar.toml:3: 0.0.0.0:7070 can be reached"), "{said}");
}

#[test]
fn what_cannot_be_started_fails_and_wrong_use_is_told_apart() {
    let shop = Shop::new();
    let (code, said) = shop.ending(&["serve", "--config", "none.toml"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("reading the configuration none.toml"), "{said}");
    assert_eq!(shop.ending(&["brew"]).0, Some(2));
}

#[test]
fn a_query_that_reads_a_whole_table_is_warned_of_with_its_plan() {
    let shop = Shop::new();
    shop.database()
        .execute_batch(
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000)
             insert into orders select 'north', 'web', i, '' from n",
        )
        .expect("orders");
    let (code, said) = shop.ending(&["check"]);
    assert_eq!(code, Some(0), "{said}");
    let warning = "warning: the query reads the whole table `orders`\n    an index on what it asks for \
                   would spare that. The plan: SCAN orders\n";
    assert!(said.contains(warning), "{said}");
    shop.database().execute("create index by_tenant on orders (tenant)", []).expect("an index");
    let (_, said) = shop.ending(&["check"]);
    // One of them asks for nobody's orders.
    assert_eq!(said.matches("reads the whole table").count(), 1, "{said}");
}
