//! What is wrong with a rule is told when it is made.

use axum::http::Method;
use samovar_tower::{Methods, Problem, Rules, Touch, limits};

fn refused(methods: impl Into<Methods>, path: &str, touch: Touch) -> String {
    Rules::new().on(methods, path, touch).expect_err(path).to_string()
}

#[test]
fn every_mistake_names_the_rule_and_says_what_to_do() {
    let good = || Touch::tags(["menu/{item}"]).tenant("roma");
    for (touch, message) in [
        (Touch::new(), "names nothing"),
        (Touch::new().tenant("roma"), "names nothing"),
        (Touch::tags(["menu"]), "`global:menu`"),
        (Touch::tags(["global:rates", "menu"]), "tag `menu` belongs to a tenant"),
        (good().tag("menu/{id}"), "`{id}`, which the path has not; its parameters: `{item}`"),
        (good().tag("{item}"), "begin with plain text"),
        (good().tag("menu/a b"), "can never be a tag"),
        (good().tenant("{restaurant}"), "`{restaurant}`"),
        (good().tenant(""), "can never be a tenant"),
        (good().tenant("x".repeat(200)), "can never be a tenant"),
        (good().tenant_header("x tenant"), "no name of a header"),
        (good().widget("two words"), "no name of a widget"),
        (good().class(""), "no name of a widget or a freshness class"),
    ] {
        let error = refused(Method::PUT, "/menu/{item}", touch);
        assert!(error.starts_with("rule `PUT /menu/{item}`: "), "{error}");
        assert!(error.contains(message), "{message}: {error}");
    }
    let error = refused(Method::PUT, "menu", good());
    assert!(error.contains("begins with a slash"), "{error}");
    let error = refused([Method::PUT, Method::GET], "/menu/{item}", good());
    assert_eq!(
        error,
        "rule `PUT|GET /menu/{item}`: GET changes nothing, so nothing is to be invalidated after it"
    );
    assert!(refused([], "/menu/{item}", good()).contains("no method"));
}

#[test]
fn limits_are_kept() {
    let touch = |count| Touch::tags((0..count).map(|n| format!("t/{n}"))).tenant("roma");
    let most = limits::TAGS_PER_RULE;
    assert!(Rules::new().on(Method::PUT, "/", touch(most)).is_ok());
    assert!(refused(Method::PUT, "/", touch(most + 1)).contains("17 tags, at most 16"));
    let long = format!("t/{}", "x".repeat(limits::TEMPLATE_BYTES));
    assert!(refused(Method::PUT, "/", touch(1).tag(long)).contains("at most 1024"));
    let mut rules = Rules::new();
    for rule in 0..limits::RULES {
        rules = rules.on(Method::PUT, &format!("/{rule}"), touch(1)).expect("sound");
    }
    let error = rules.on(Method::PUT, "/more", touch(1)).expect_err("one too many");
    assert_eq!(error.problem, Problem::TooManyRules);
}
