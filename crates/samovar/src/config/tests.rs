//! Sections are read as written, and secrets stay secret.

use super::*;

const WIDGETS: &str = "[tenants]\nlist = [{ id = \"a\" }]\n[source.s]\nurl = \"sqlite://s.db\"\n\
                       [widget.w]\nsource = \"s\"\nquery = \"select 1\"\n";

fn parse(text: &str) -> Result<Config, Vec<String>> {
    let environment = |name: &str| (name == "PASSWORD").then(|| "s3cr3t".to_owned());
    let text = format!("{text}{WIDGETS}");
    let (config, problems) = Config::parse(Path::new("etc/samovar.toml"), &text, environment);
    let shown = problems.into_iter().map(|it| format!("{}: {}", it.line, it.reason));
    let shown: Vec<_> = shown.collect();
    config.filter(|_| shown.is_empty()).ok_or(shown)
}

#[test]
fn paths_begin_where_the_file_lies() {
    let config = parse("").expect("defaults will do");
    assert_eq!(config.listen.to_string(), "127.0.0.1:7070");
    assert_eq!(config.store, Store::Embedded { folder: "etc/samovar-data".into() });
    let config = parse("[store]\npath = \"/var/lib/x\"\n").expect("a path");
    assert_eq!(config.store, Store::Embedded { folder: "/var/lib/x".into() });
}

#[test]
fn settings_are_read_as_written() {
    let config = parse(
        "[server]\nlisten = \"[::1]:80\"\n[store]\nkind = \"redis\"\nurl = \"redis://r\"\n\
         [cache]\nmemory = \"64MB\"\nvalue_limit = \"1MB\"\n",
    )
    .expect("all is known");
    assert_eq!(config.listen.to_string(), "[::1]:80");
    assert_eq!(config.store, Store::Redis { url: "redis://r".parse().expect("a url") });
    assert_eq!((config.cache.memory, config.cache.value_limit), (64 << 20, 1 << 20));
}

#[test]
fn other_machines_are_kept_out() {
    let problems = parse("[server]\nlisten = \"0.0.0.0:7070\"\n").expect_err("a problem");
    assert!(problems[0].starts_with("2: 0.0.0.0:7070 can be reached"), "{problems:?}");
}

#[test]
fn a_key_of_the_other_kind_of_store_is_unknown() {
    let problems = parse("[store]\nkind = \"redis\"\npath = \"x\"\n").expect_err("problems");
    assert_eq!(
        problems,
        ["1: [store] needs `url`", "3: `path` in [store] is for kind = \"embedded\""]
    );
    let problems = parse("[store]\nurl = \"redis://r\"\n").expect_err("problems");
    assert_eq!(problems, ["2: `url` in [store] is for kind = \"redis\""]);
}

#[test]
fn a_secret_of_the_environment_is_used_and_never_shown() {
    let store = "[store]\nkind = \"redis\"\nurl = \"redis://:${PASSWORD}@r\"\n";
    let config = parse(store).expect("it is known");
    let Store::Redis { url } = &config.store else { panic!("redis") };
    assert_eq!(url.exposed(), "redis://:s3cr3t@r");
    assert!(!format!("{config:?}").contains("s3cr3t"));
    for wrong in
        ["redis://${PASSWORD}:x", "redis://r/${PASSWORD}", "${PASSWORD}", "${PASSWORD}://r"]
    {
        let store = format!("[store]\nkind = \"redis\"\nurl = \"{wrong}\"\n");
        let problems = parse(&store).expect_err("no url").join("\n");
        assert!(problems.starts_with("3: `url` in [store]") && !problems.contains("s3cr3t"));
    }
    let problems = parse(&store.replace("PASSWORD", "PASSWRD")).expect_err("a problem");
    assert_eq!(problems, ["3: `url` in [store]: the environment has no PASSWRD"]);
}
