//! Somebody signs in with a browser, changes something, and signs out.

use samovar_access::Role;
use serde_json::json;

use super::{
    asking::{Answer, Asking},
    server::{PASSWORD, Shop},
};

const CLEAR: &str = "/v1/clear";

async fn sign_in(asking: &mut Asking, user: &str, password: &str, host: &str) -> Answer {
    let body = json!({ "user": user, "password": password });
    asking.send("POST", "/v1/sessions", &[("host", host)], Some(&body)).await
}

/// What a browser sends along, and what a page does.
fn cookie_and_csrf(answer: &Answer) -> (String, String) {
    let cookie = answer.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    (cookie, answer.json()["csrf"].as_str().expect("a text").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_holds_for_reads_and_for_writes_that_bring_its_token() {
    let shop = Shop::closed().await;
    shop.user("anna", Role::Owner, &["north"]).await;
    let mut asking = shop.asking().await;
    let answer = sign_in(&mut asking, "anna", PASSWORD, "dash.example.org").await;
    assert_eq!(answer.status, 201);
    let set = answer.header("set-cookie");
    assert!(set.contains("; HttpOnly; SameSite=Strict; Secure"), "{set}");
    let (cookie, csrf) = cookie_and_csrf(&answer);

    let reading = "/v1/widgets/total?tenant=north";
    let read = asking.send("GET", reading, &[("cookie", &cookie)], None).await;
    assert_eq!(read.status, 200);
    let who = asking.send("GET", "/v1/sessions/current", &[("cookie", &cookie)], None).await;
    let said = json!({ "kind": "user", "name": "anna", "role": "owner", "tenants": ["north"], "csrf": csrf });
    assert_eq!(who.json(), said);

    let clear = json!({ "tenant": "north" });
    let with = [("cookie", &*cookie), ("samovar-csrf", &*csrf)];
    let other = csrf.replace(&csrf[..1], "_");
    for wrong in [&[("cookie", &*cookie)][..], &[("cookie", &cookie), ("samovar-csrf", &other)]] {
        let answer = asking.send("POST", CLEAR, wrong, Some(&clear)).await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (403, "csrf"));
    }
    assert_eq!(asking.send("POST", CLEAR, &with, Some(&clear)).await.status, 200);

    let out = asking.send("DELETE", "/v1/sessions/current", &with, None).await;
    assert_eq!((out.status.as_u16(), out.json()), (200, json!({ "signed_out": true })));
    assert!(out.header("set-cookie").contains("samovar_session=; Path=/; Max-Age=0"));
    let after = asking.send("GET", reading, &[("cookie", &cookie)], None).await;
    assert_eq!((after.status.as_u16(), &*after.code()), (401, "session_ended"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_of_this_machine_needs_no_tls() {
    let shop = Shop::closed().await;
    shop.user("anna", Role::Viewer, &[]).await;
    let mut asking = shop.asking().await;
    let answer = sign_in(&mut asking, "anna", PASSWORD, "127.0.0.1:7070").await;
    assert!(answer.header("set-cookie").ends_with("; SameSite=Strict"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_name_and_a_wrong_password_are_told_alike_and_held_up() {
    let shop = Shop::closed().await;
    shop.user("anna", Role::Viewer, &[]).await;
    let mut asking = shop.asking().await;
    let mut told = Vec::new();
    for (user, password) in
        [("anna", "wrong"), ("nobody", "wrong"), ("no name", "wrong"), ("anna", ""), ("", PASSWORD)]
    {
        let answer = sign_in(&mut asking, user, password, "localhost").await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (401, "wrong_credentials"));
        told.push(answer.body);
    }
    assert!(told.iter().all(|body| *body == told[0]));
    let mut last = sign_in(&mut asking, "anna", "wrong", "localhost").await;
    for _ in 0..samovar_access::limits::FAILED_SIGN_INS {
        last = sign_in(&mut asking, "anna", "wrong", "localhost").await;
    }
    assert_eq!((last.status.as_u16(), &*last.code()), (429, "too_many_attempts"));
    let wait: u64 = last.header("retry-after").parse().expect("seconds");
    assert!((1..=15).contains(&wait), "{wait}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_signed_in_takes_another_password() {
    let shop = Shop::closed().await;
    shop.user("anna", Role::Viewer, &[]).await;
    let mut asking = shop.asking().await;
    let (cookie, csrf) =
        cookie_and_csrf(&sign_in(&mut asking, "anna", PASSWORD, "localhost").await);
    let with = [("cookie", &*cookie), ("samovar-csrf", &*csrf)];
    let uri = "/v1/sessions/current/password";
    for (current, password, code) in
        [("wrong", "battery staple", "wrong_password"), (PASSWORD, "short", "invalid_password")]
    {
        let body = json!({ "current": current, "password": password });
        assert_eq!(asking.send("POST", uri, &with, Some(&body)).await.code(), code);
    }
    let body = json!({ "current": PASSWORD, "password": "battery staple" });
    assert_eq!(asking.send("POST", uri, &with, Some(&body)).await.status, 200);
    let after = asking.send("GET", "/v1/widgets", &with, None).await;
    assert_eq!(after.code(), "session_ended", "every sign-in before it has ended");
    assert_eq!(sign_in(&mut asking, "anna", "battery staple", "localhost").await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_makes_tokens_and_users_and_takes_them_away() {
    let shop = Shop::closed().await;
    let admin = shop.token(Role::Admin, &[]).await;
    let mut asking = shop.asking().await;
    let body =
        json!({ "name": "the till", "role": "viewer", "tenants": ["north"], "expires": "30d" });
    let made = asking.ask("POST", "/v1/tokens", Some(&admin), Some(&body)).await;
    assert_eq!(made.status, 201);
    let (id, token) = (made.json()["id"].clone(), made.json()["token"].clone());
    let (id, token) = (id.as_str().expect("a text"), token.as_str().expect("a text"));
    let reading = "/v1/widgets/total?tenant=north";
    assert_eq!(asking.ask("GET", reading, Some(token), None).await.status, 200);
    let listed = asking.ask("GET", "/v1/tokens", Some(&admin), None).await;
    assert!(!listed.text().contains(token) && listed.text().contains(id), "never told again");
    let uri = format!("/v1/tokens/{id}");
    assert_eq!(asking.ask("DELETE", &uri, Some(&admin), None).await.status, 200);
    assert_eq!(asking.ask("GET", reading, Some(token), None).await.code(), "invalid_token");

    for (body, code) in [
        (json!({ "role": "boss" }), "unknown_role"),
        (json!({ "role": "viewer", "tenants": ["nort"] }), "unknown_tenant"),
        (json!({ "role": "admin", "tenants": ["north"] }), "invalid_tenants"),
        (json!({ "role": "viewer", "expires": "soon" }), "invalid_duration"),
        (json!({ "role": "viewer", "expires": "1s" }), "invalid_duration"),
        (json!({ "role": "viewer", "name": "a\nb" }), "invalid_name"),
        (json!({ "role": "viewer", "color": "red" }), "invalid_body"),
    ] {
        let refused = asking.ask("POST", "/v1/tokens", Some(&admin), Some(&body)).await;
        assert_eq!(refused.code(), code, "{body}");
    }

    let ben = json!({ "name": "ben", "role": "manager", "password": PASSWORD });
    assert_eq!(asking.ask("POST", "/v1/users", Some(&admin), Some(&ben)).await.status, 201);
    let again = asking.ask("POST", "/v1/users", Some(&admin), Some(&ben)).await;
    assert_eq!((again.status.as_u16(), &*again.code()), (409, "user_exists"));
    let users = asking.ask("GET", "/v1/users", Some(&admin), None).await;
    assert!(users.text().contains("ben") && !users.text().contains("argon"), "{}", users.text());
    let (cookie, _) = cookie_and_csrf(&sign_in(&mut asking, "ben", PASSWORD, "localhost").await);
    assert_eq!(asking.ask("DELETE", "/v1/users/ben", Some(&admin), None).await.status, 200);
    let after = asking.send("GET", "/v1/queues", &[("cookie", &cookie)], None).await;
    assert_eq!(after.code(), "session_ended");
}
