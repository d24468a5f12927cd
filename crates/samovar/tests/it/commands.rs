//! Commands reach the server that owns the folder through its socket, and open the store themselves
//! where there is none. Both ways they say the same.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::{Value, json};

use crate::{
    http::get,
    shop::{LIMIT, Shop, command_in},
};

const SALES: &str = "/v1/widgets/sales?tenant=north";

fn tier(address: &str, path: &str) -> String {
    get(address, path, &[]).header("samovar-tier").to_owned()
}

#[test]
fn with_a_server_commands_see_what_it_sees_and_change_what_it_serves() {
    let shop = Shop::new();
    let served = shop.serve();
    let address = served.address.as_str();
    get(address, SALES, &[]);
    assert_eq!(tier(address, SALES), "local");

    let why = shop.json(&["why", "sales", "--tenant", "north"]);
    assert_eq!((&why["state"], &why["local"]), (&json!("fresh"), &json!(true)));
    let said = shop.said(&["why", "sales", "--tenant", "north"]);
    assert!(said.contains("widget:sales:north") && said.contains("fresh: "), "{said}");
    assert!(said.contains("answered by this process  yes"), "{said}");

    let status = shop.json(&["status"]);
    assert_eq!(status["widgets"]["sales"]["local_hits"], 1);
    let said = shop.said(&["status", "--detailed"]);
    assert!(said.contains("embedded, connected") && said.contains("sales"), "{said}");
    let detail = shop.json(&["status", "--widget", "sales"]);
    assert_eq!(detail["sales"]["tenants"]["north"]["computes"], 1);

    let done = shop.said(&["invalidate", "--tag", "orders", "--tenant", "north"]);
    assert_eq!(done, "invalidated tag orders of north\n");
    assert_eq!(tier(address, SALES), "computed");
    let why = shop.said(&["why", "sales", "--tenant", "north"]);
    assert!(why.contains("invalidated last"), "{why}");

    let pattern = ["clear", "--pattern", "widget:sales:north?*"];
    assert_eq!(shop.said(&pattern), "cleared all readings of sales of north\n");
    assert_eq!(tier(address, SALES), "computed");
    let one = ["clear", "--widget", "sales", "--tenant", "north", "--param", "channel=all"];
    assert!(shop.said(&one).starts_with("cleared widget:sales:north"));
    assert_eq!(tier(address, SALES), "computed");
    assert_eq!(shop.json(&["clear", "--all", "--force"])["cleared"], json!(["everything"]));
    assert_eq!(tier(address, SALES), "computed");
    assert_eq!(shop.said(&["cleanup", "--dry-run"]), "there is nothing to clean up\n");

    let socket = shop.path("samovar-data/samovar.sock");
    let mode = fs::metadata(&socket).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "only its user may connect");
    served.process.terminate().expect("told");
    assert!(served.process.wait(LIMIT).expect("it ends").success());
    assert!(!socket.exists());
}

#[test]
fn without_a_server_commands_open_the_store_themselves() {
    let shop = Shop::new();
    let served = shop.serve();
    get(&served.address, SALES, &[]);
    served.process.terminate().expect("told");
    assert!(served.process.wait(LIMIT).expect("it ends").success());

    let state = || shop.json(&["why", "sales", "--tenant", "north"])["state"].clone();
    assert_eq!(state(), "fresh", "the store was closed in good order, each time");
    shop.said(&["invalidate", "--widget", "sales"]);
    assert_eq!(state(), "stale");
    shop.said(&["clear", "--widget", "sales"]);
    assert_eq!(state(), Value::Null);
    let served = shop.serve();
    assert_eq!(tier(&served.address, SALES), "computed");

    // One that was killed leaves a socket behind on which nobody listens.
    served.process.kill();
    assert!(shop.path("samovar-data/samovar.sock").exists());
    assert_eq!(state(), "stale");
    let served = shop.serve();
    assert_eq!(shop.json(&["status"])["store"]["connected"], true);
    drop(served);
}

#[test]
fn what_cannot_be_done_says_what_to_do() {
    let shop = Shop::new();
    for (arguments, code, said) in [
        (&["why", "sale", "--tenant", "north"][..], 1, "did you mean `sales`?"),
        (&["why", "sales"], 2, "--tenant with one of north, south"),
        (&["why", "sales", "--tenant", "west"], 1, "there is no tenant `west`"),
        (
            &["why", "sales", "--tenant", "north", "--param", "chanel=web"],
            1,
            "did you mean `channel`?",
        ),
        (&["why", "sales", "--tenant", "north", "--param", "web"], 2, "write it like channel=web"),
        (&["clear"], 2, "--all"),
        (&["clear", "--all"], 2, "Say --force"),
        (&["clear", "--tenant", "north", "--range", "7d"], 2, "say --widget NAME"),
        (&["clear", "--pattern", ""], 1, "pattern"),
        (&["invalidate", "--tenant", "north"], 2, "--tag"),
        (&["invalidate", "--tag", "orders"], 1, "belongs to a tenant"),
        (&["invalidate", "--class", "statistic"], 1, "did you mean `statistics`?"),
        (&["invalidate", "--tag", "a//b", "--tenant", "north"], 1, "tag"),
        (&["invalidate", "--widget", "sales", "--over", "soon"], 1, "write it like 500ms"),
        (&["status", "--widget", "sale"], 1, "there is no widget `sale`"),
    ] {
        let (ended, text) = shop.ending(arguments);
        assert_eq!(ended, Some(code), "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
}

#[test]
fn a_check_tells_programs_what_it_tells_people() {
    let shop = Shop::new();
    let right = shop.json(&["check"]);
    assert_eq!(right, json!({ "file": "samovar.toml", "widgets": 4, "problems": [] }));
    shop.change_config("from orders\n", "from ordres\n");
    let process = shop.start(&["check", "--json"]);
    assert_eq!(process.wait(LIMIT).expect("it ends").code(), Some(3));
    let wrong: Value = serde_json::from_str(&process.stdout()).expect("it is JSON");
    assert_eq!(wrong["problems"][0]["line"], 15);
    assert_eq!(wrong["problems"][0]["severity"], "error");
    assert!(wrong["problems"][0]["hint"].is_string());
}

#[test]
fn every_command_has_help() {
    let shop = Shop::new();
    for command in ["serve", "demo", "check", "status", "why", "clear", "invalidate", "cleanup"] {
        let process =
            samovar_testkit::Process::spawn(command_in(&shop.path(""), &[command, "--help"]));
        let process = process.expect("it starts");
        assert!(process.wait(LIMIT).expect("it ends").success());
        let help = process.stdout();
        assert!(help.contains("--config <FILE>") && help.contains("Usage: samovar"), "{help}");
    }
}

#[test]
fn a_board_is_served_in_one_answer() {
    let shop = Shop::new();
    let board = "[board.shop]\ntitle = \"The shop\"\nwidgets = [\"sales\", \"ranged\", \"broken\"]\n[widget.log]";
    shop.change_config("[widget.log]", board);
    let served = shop.serve();
    let boards = get(&served.address, "/v1/boards", &[]).json();
    assert_eq!(boards["boards"][0]["title"], "The shop");
    let answer = get(&served.address, "/v1/boards/shop?tenant=north&channel=web&range=today", &[]);
    assert_eq!(answer.status, 200);
    let board = answer.json();
    assert_eq!((&board["board"], &board["agree"]), (&json!("shop"), &json!(false)));
    let (sales, broken) = (&board["widgets"][0], &board["widgets"][2]);
    assert_eq!(sales["data"]["rows"][0]["channel"], "web");
    assert_eq!(sales["params"], json!({ "channel": "web" }));
    assert_eq!(
        (&sales["state"], &sales["tier"], &sales["queries"]),
        (&json!("fresh"), &json!("computed"), &json!(1))
    );
    assert!(sales["etag"].is_string() && sales["age"].is_u64());
    assert_eq!(
        (&broken["widget"], &broken["error"]["code"]),
        (&json!("broken"), &json!("backing_off"))
    );
    assert_eq!(get(&served.address, "/v1/boards/shp?tenant=north", &[]).status, 404);
    let values = get(&served.address, "/v1/widgets/ranged/values/size?tenant=north", &[]).json();
    assert_eq!(values["values"], json!(["any", "large"]));
    let health = get(&served.address, "/v1/cache/health", &[]).json();
    assert!(health["health"]["score"].is_number() && health["store_connected"] == true);
}

#[test]
fn a_widget_that_is_off_has_a_code_of_its_own() {
    let shop = Shop::new();
    shop.change_config(
        "[widget.log]",
        "[widget.log]\nmode = { north = \"off\", south = \"shadow\" }",
    );
    let served = shop.serve();
    for (tenant, code) in [("north", "widget_off"), ("south", "widget_shadow")] {
        let answer = get(&served.address, &format!("/v1/widgets/log?tenant={tenant}"), &[]);
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (409, &json!(code)));
    }
}
