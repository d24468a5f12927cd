//! `samovar top`: over a pipe, over HTTP, and in a terminal, which it leaves as it found it.

use samovar_testkit::{Terminal, wait};
use serde_json::Value;

use crate::{
    demo::Demo,
    http::get,
    shop::{LIMIT, Shop},
};

#[test]
fn a_key_ends_it_and_so_does_a_signal_and_the_terminal_is_as_it_was() {
    let shop = Shop::new();
    let served = shop.serve();
    get(&served.address, "/v1/widgets/sales?tenant=north", &[]);
    for end in ["q", "\u{3}", "a signal"] {
        let terminal = Terminal::open(100, 30).expect("a terminal");
        let before = terminal.modes().expect("a terminal");
        let top = terminal.run(shop.command(&["top"])).expect("it starts");
        let until = terminal.shows("q quit", 0, LIMIT).expect("drawn");
        assert_ne!(terminal.modes().expect("a terminal"), before, "keys come as they are pressed");
        terminal.press("n").expect("pressed");
        let until = terminal.shows("sales", until, LIMIT).expect("drawn");
        match end {
            "a signal" => top.terminate().expect("it runs"),
            key => terminal.press(key).expect("pressed"),
        }
        top.wait_for_success(LIMIT).expect("a good end");
        terminal.shows("\u{1b}[?25h\u{1b}[?1049l", until, LIMIT).expect("drawn");
        assert_eq!(terminal.modes().expect("a terminal"), before, "after {end:?}");
    }
}

#[test]
fn a_server_that_goes_and_comes_again_is_watched_again() {
    let shop = Shop::new();
    let served = shop.serve();
    let terminal = Terminal::open(100, 30).expect("a terminal");
    let top = terminal.run(shop.command(&["top"])).expect("it starts");
    let until = terminal.shows("q quit", 0, LIMIT).expect("drawn");
    served.process.kill();
    let until = terminal.shows("these figures are old", until, LIMIT).expect("drawn");
    let _served = shop.serve();
    wait::until(LIMIT, "figures that are new", || {
        let drawn = terminal.drawn();
        let frame = drawn[until..].rsplit("\u{1b}[H").nth(1)?;
        (frame.contains("q quit") && !frame.contains("are old")).then_some(())
    })
    .expect("they are drawn");
    terminal.press("q").expect("pressed");
    top.wait_for_success(LIMIT).expect("a good end");
}

#[test]
fn without_a_terminal_it_is_one_frame_or_one_object() {
    let shop = Shop::new();
    let (code, said) = shop.ending(&["top"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("start `samovar serve`"), "{said}");
    let served = shop.serve();
    get(&served.address, "/v1/widgets/sales?tenant=north", &[]);
    let said = shop.said(&["top"]);
    for part in ["health ", "memory ", "widget ", "sales ", "queue ", "worker "] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains('\u{1b}') && !said.contains("q quit"), "{said}");
    let seen = shop.json(&["top"]);
    let widgets = seen["widgets"].as_array().expect("a list");
    let sales: Vec<&Value> = widgets.iter().filter(|it| it["name"] == "sales").collect();
    assert_eq!((sales.len(), &sales[0]["reads"]), (1, &serde_json::json!(1)));
    assert!(
        seen["reads_per_s"].is_number()
            && seen["workers"].as_array().is_some_and(|it| it.len() == 1)
    );
}

#[test]
fn another_server_is_watched_by_its_address_and_a_token() {
    let shop = Shop::new();
    let demo = Demo::start(&shop, &["--orders", "100"]);
    let url = format!("http://{}", demo.served.address);
    let (code, said) = shop.ending(&["top", "--url", &url]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("it is not known who asks"), "{said}");
    let said = shop.said(&["top", "--url", &url, "--token", &demo.token()]);
    assert!(said.contains("sales_summary"), "{said}");
    let (code, said) = shop.ending(&["top", "--url", "https://example.org"]);
    assert_eq!(code, Some(2), "{said}");
}
