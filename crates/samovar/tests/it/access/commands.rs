//! Tokens and users by command, and what they open over HTTP.

use std::fs;

use samovar_testkit::{Process, RedisServer, wait};
use serde_json::{Value, json};

use crate::{
    http::{Response, get, send},
    shop::{LIMIT, Served, Shop},
};

const SALES: &str = "/v1/widgets/sales?tenant=north";

fn closed() -> Shop {
    let shop = Shop::new();
    shop.change_config("[cache]", "[access]\nmode = \"tokens\"\n[cache]");
    shop
}

fn ask(served: &Served, line: &str, token: &str, body: &Value) -> Response {
    let authorization = format!("authorization: Bearer {token}");
    let headers = ["content-type: application/json", &authorization];
    send(&served.address, line, &headers, &body.to_string()).answer()
}

fn read(served: &Served, token: &str) -> u16 {
    get(&served.address, SALES, &[&format!("authorization: Bearer {token}")]).status
}

fn token(shop: &Shop, arguments: &[&str]) -> (String, String) {
    let made = shop.json(&[&["token", "create"], arguments].concat());
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    (text("id"), text("token"))
}

/// A command that is told a password on its standard input.
fn told(shop: &Shop, arguments: &[&str], password: &str) -> (Option<i32>, String) {
    let file = shop.path("password");
    fs::write(&file, format!("{password}\n")).expect("written");
    let mut command = shop.command(arguments);
    command.stdin(fs::File::open(&file).expect("there"));
    let process = Process::spawn(command).expect("it starts");
    let code = process.wait(LIMIT).expect("it ends").code();
    (code, process.stdout() + &process.stderr())
}

#[test]
fn a_token_made_by_command_opens_the_server_until_it_is_revoked() {
    let shop = closed();
    // Without a server: the store is opened for it.
    let (_, manager) = token(&shop, &["--role", "manager", "--name", "desk"]);
    let served = shop.serve();
    assert_eq!(get(&served.address, SALES, &[]).status, 401);
    assert_eq!(get(&served.address, "/healthz", &[]).status, 200);
    assert_eq!(read(&served, &manager), 200);
    // With one: by its socket.
    let (id, viewer) = token(&shop, &["--role", "viewer", "--tenant", "north", "--expires", "30d"]);
    assert_eq!(read(&served, &viewer), 200);
    let clear = json!({ "tenant": "north" });
    let refused = ask(&served, "POST /v1/clear", &viewer, &clear);
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (403, &json!("forbidden")));
    let said = shop.said(&["token", "list"]);
    assert!(said.contains(&id) && said.contains("north") && said.contains("desk"), "{said}");
    assert!(!said.contains(&viewer) && !said.contains(&manager), "{said}");
    assert!(shop.said(&["token", "revoke", &id]).contains("lets nobody in any more"));
    assert_eq!(read(&served, &viewer), 401);
    assert_eq!(read(&served, &manager), 200);
    let log = served.process.stderr() + &served.process.stdout();
    assert!(!log.contains(&viewer) && !log.contains(&manager), "no secret is logged");
    let audit = shop.said(&["audit"]);
    assert!(audit.contains("POST /v1/tokens") && audit.contains("owner of the store"), "{audit}");
    assert!(audit.contains("role viewer, expires 30d"), "{audit}");
}

#[test]
fn a_user_added_by_command_signs_in() {
    let shop = closed();
    let add = ["user", "add", "anna", "--role", "owner", "--tenant", "north"];
    let (code, said) = told(&shop, &add, "correct horse");
    assert_eq!((code, &*said), (Some(0), "anna may sign in, as owner of north\n"));
    let served = shop.serve();
    let sign_in = |password: &str| {
        let body = json!({ "user": "anna", "password": password }).to_string();
        let headers = ["content-type: application/json"];
        send(&served.address, "POST /v1/sessions", &headers, &body).answer()
    };
    assert_eq!(sign_in("wrong horse").status, 401);
    let answer = sign_in("correct horse");
    assert_eq!(answer.status, 201);
    let cookie = answer.header("set-cookie").split(';').next().expect("a pair").to_owned();
    let cookie = format!("cookie: {cookie}");
    assert_eq!(get(&served.address, SALES, &[&cookie]).status, 200);
    assert!(shop.said(&["user", "list"]).contains("anna"));
    let (code, said) = told(&shop, &["user", "password", "anna"], "battery staple");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(get(&served.address, SALES, &[&cookie]).status, 401);
    assert_eq!(sign_in("battery staple").status, 201);
    assert!(shop.said(&["user", "remove", "anna"]).contains("does not sign in any more"));
    assert_eq!(sign_in("battery staple").status, 401);
    let log = served.process.stderr() + &served.process.stdout();
    let file = fs::read(shop.path("samovar-data/access.db")).expect("there");
    let file = String::from_utf8_lossy(&file);
    for secret in ["correct horse", "battery staple"] {
        assert!(!log.contains(secret) && !file.contains(secret));
    }
}

#[test]
fn what_cannot_be_made_says_what_to_do() {
    let shop = Shop::new();
    for (arguments, code, said) in [
        (&["token", "create"][..], 2, "--role"),
        (&["token", "create", "--role", "boss"], 1, "choose viewer, manager, owner or admin"),
        (&["token", "create", "--role", "viewer", "--tenant", "nort"], 1, "no tenant `nort`"),
        (&["token", "create", "--role", "admin", "--tenant", "north"], 1, "leave the tenants out"),
        (&["token", "create", "--role", "viewer", "--expires", "soon"], 1, "write it like"),
        (&["token", "revoke", "x"], 1, "there is no such token"),
        (&["user", "add", "anna", "--role", "viewer"], 1, "at least 10 bytes"),
        (&["user", "remove", "nobody"], 1, "there is no such user"),
    ] {
        let (ended, text) = shop.ending(arguments);
        assert_eq!(ended, Some(code), "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
    assert_eq!(shop.said(&["user", "list"]).lines().count(), 1);
}

#[test]
fn on_redis_a_token_and_a_revocation_reach_every_server() {
    let redis = RedisServer::builder().config("appendonly yes").start().expect("a Redis");
    let shop = Shop::new();
    let store = format!(
        "[access]\nmode = \"tokens\"\n[store]\nkind = \"redis\"\nurl = \"{}\"\n[cache]",
        redis.url()
    );
    shop.change_config("[cache]", &store);
    let (one, other) = (shop.serve(), shop.serve());
    let (id, viewer) = token(&shop, &["--role", "viewer"]);
    assert_eq!((read(&one, &viewer), read(&other, &viewer)), (200, 200));
    // On Redis a command has no socket to go by: it is a node of its own.
    shop.said(&["token", "revoke", &id]);
    for served in [&one, &other] {
        wait::until(LIMIT, "the revocation", || (read(served, &viewer) == 401).then_some(()))
            .expect("it is heard");
    }
}
