//! Sections are read as written, and secrets stay secret.

use samovar_jobs::{WorkerName, store::Durability};

use super::*;

const WIDGETS: &str = "[tenants]\nlist = [{ id = \"a\" }]\n[source.s]\nurl = \"sqlite://s.db\"\n\
                       [widget.w]\nsource = \"s\"\nquery = \"select 1\"\n";

fn parse(text: &str) -> Result<Config, Vec<String>> {
    parse_with(&[], text)
}

fn parse_with(variables: &[(&str, &str)], text: &str) -> Result<Config, Vec<String>> {
    let environment = |name: &str| (name == "PASSWORD").then(|| "s3cr3t".to_owned());
    let text = format!("{text}{WIDGETS}");
    let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    let overrides = Overrides::of(variables, &text);
    let file = Path::new("etc/samovar.toml");
    let (config, problems) = Config::parse(file, &text, environment, overrides);
    let place = |it: &Problem| it.variable.clone().unwrap_or_else(|| it.line.to_string());
    let shown = problems.into_iter().map(|it| format!("{}: {}", place(&it), it.reason));
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
        "[server]\nlisten = \"[::1]:80\"\nmax_connections = 50000\n[store]\nkind = \"redis\"\nurl = \"redis://r\"\n\
         [cache]\nmemory = \"64MB\"\nvalue_limit = \"1MB\"\n",
    )
    .expect("all is known");
    assert_eq!(
        (config.listen.to_string().as_str(), config.connections),
        ("[::1]:80", Some(50_000))
    );
    assert_eq!(config.store, Store::Redis { url: url("redis://r"), durability: Durability::Local });
    assert_eq!((config.cache.memory, config.cache.value_limit), (64 << 20, 1 << 20));
}

fn url(text: &str) -> RedisUrl {
    text.parse().expect("a url")
}

#[test]
fn jobs_and_cache_may_be_on_two_redises() {
    let store = "[store]\nkind = \"redis\"\nurl = \"redis://jobs\"\ndurability = \"replicated\"\n";
    let config = parse(&format!("{store}[cache]\nurl = \"redis://:${{PASSWORD}}@cache\"\n"));
    let config = config.expect("all is known");
    let jobs = Store::Redis { url: url("redis://jobs"), durability: Durability::Replicated };
    assert_eq!(config.store, jobs);
    assert_eq!(config.cache_url.as_ref().map(RedisUrl::exposed), Some("redis://:s3cr3t@cache"));
    assert!(!format!("{config:?}").contains("s3cr3t"));
    assert_eq!(parse(store).expect("all is known").cache_url, None, "one is enough");
}

#[test]
fn other_machines_are_kept_out() {
    let problems = parse("[server]\nlisten = \"0.0.0.0:7070\"\n").expect_err("a problem");
    assert!(problems[0].starts_with("2: 0.0.0.0:7070 can be reached"), "{problems:?}");
    let asked = "[server]\nlisten = \"0.0.0.0:7070\"\n[access]\nmode = \"tokens\"\n";
    let config = parse(asked).expect("nothing is wrong");
    assert!(config.access.required && config.listen.to_string() == "0.0.0.0:7070");
    assert!(parse("[access]\nmode = \"open\"\n[server]\nlisten = \"[::]:1\"\n").is_err());
}

#[test]
fn access_is_read_with_its_defaults() {
    let access = parse("").expect("nothing is wrong").access;
    assert_eq!((access.required, access.session.as_secs()), (false, 12 * 3600));
    let text = "[access]\nsession = \"8h\"\nproxies = [\"10.0.0.5\", \"::ffff:10.0.0.6\"]\n";
    let access = parse(text).expect("nothing is wrong").access;
    let proxies: Vec<String> = access.proxies.iter().map(ToString::to_string).collect();
    assert_eq!(
        (access.session.as_secs(), proxies),
        (8 * 3600, ["10.0.0.5", "10.0.0.6"].map(String::from).to_vec())
    );
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
    let problems = parse("[cache]\nurl = \"redis://r\"\n").expect_err("problems");
    assert_eq!(problems, ["2: `url` in [cache] is for a [store] of kind = \"redis\""]);
}

#[test]
fn a_secret_of_the_environment_is_used_and_never_shown() {
    let store = "[store]\nkind = \"redis\"\nurl = \"redis://:${PASSWORD}@r\"\n";
    let config = parse(store).expect("it is known");
    let Store::Redis { url, .. } = &config.store else { panic!("redis") };
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

const RIGHT: &str = include_str!("../../tests/right.toml");

/// Whatever is made of the file, it is read or told, each problem at a line that it has and with a
/// way out. A line further, an empty text begins.
fn survives(text: &str) -> bool {
    let environment = |_: &str| Some("s3cr3t".to_owned());
    let none = Overrides::default();
    let (config, problems) = Config::parse(Path::new("samovar.toml"), text, environment, none);
    let lines = 1..=text.lines().count().max(1) + 1;
    for problem in &problems {
        assert!(lines.contains(&problem.line), "{problem:?} in\n{text}");
        let said = format!("{} {}", problem.reason, problem.hint.as_deref().expect("a hint"));
        assert!(!said.contains("s3cr3t"), "{said}");
    }
    let is_right = !problems.iter().any(Problem::is_error);
    assert!(config.is_some() || !is_right);
    is_right
}

#[test]
fn a_file_that_is_cut_anywhere_is_right_or_told_to_be_wrong() {
    assert!(survives(RIGHT));
    let ends = RIGHT.char_indices().map(|(at, _)| at);
    let right = ends.filter(|end| survives(&RIGHT[..*end])).count();
    assert!(right > 10 && right < RIGHT.len() / 2, "{right}");
}

#[test]
fn a_file_without_a_line_or_with_two_exchanged_is_read_or_told_to_be_wrong() {
    let lines: Vec<&str> = RIGHT.lines().collect();
    let mut right = 0;
    for index in 0..lines.len() {
        let mut without = lines.clone();
        without.remove(index);
        right += usize::from(survives(&without.join("\n")));
        for other in index + 1..lines.len().min(index + 6) {
            let mut exchanged = lines.clone();
            exchanged.swap(index, other);
            survives(&exchanged.join("\n"));
        }
    }
    assert!(right > lines.len() / 4 && right < lines.len(), "{right}");
}

#[test]
fn a_value_of_any_other_kind_is_read_or_told_to_be_wrong() {
    const OTHERS: [&str; 18] = [
        "1",
        "-1",
        "0x7fffffffffffffffff",
        "1.5",
        "-0.0",
        "nan",
        "inf",
        "true",
        "false",
        "\"\"",
        "\" \"",
        "\"ü\\u0000{\"",
        "\"${\"",
        "2026-11-01",
        "[]",
        "[[], {}]",
        "{}",
        "{ a.b.c = 1 }",
    ];
    let mut wrong = 0;
    for (index, line) in RIGHT.lines().enumerate() {
        let Some((key, value)) = line.split_once(" = ") else { continue };
        for other in OTHERS.iter().copied().chain([value]) {
            let mut lines: Vec<String> = RIGHT.lines().map(str::to_owned).collect();
            lines[index] = format!("{key} = {other}");
            wrong += usize::from(!survives(&lines.join("\n")));
        }
    }
    assert!(wrong > 500, "{wrong}");
}

#[test]
fn variables_set_keys_whatever_the_file_says() {
    let variables = [
        ("SAMOVAR_CACHE__MEMORY", "512MB"),
        ("SAMOVAR_CACHE__LEASE__TIMEOUT", "45s"),
        ("SAMOVAR_SERVER__MAX_CONNECTIONS", "7"),
        ("SAMOVAR_WORKERS__SLOTS", "{ min = 2, max = 3 }"),
        ("SAMOVAR_WIDGET__W__QUERY", "select 2"),
        ("SAMOVAR_STORE__PATH", "/var/x"),
        // Not of this kind.
        ("SAMOVAR_PORT", "tcp://10.0.0.1:7070"),
        ("SAMOVAR__", "x"),
        ("OTHER_CACHE__MEMORY", "x"),
    ];
    let config = parse_with(&variables, "[cache]\nmemory = \"64MB\"\ndisk = \"1GB\"\n");
    let config = config.expect("nothing is wrong");
    assert_eq!((config.cache.memory, config.cache.disk), (512 << 20, 1 << 30));
    assert_eq!(config.cache.lease.as_secs(), 45);
    assert_eq!(config.connections, Some(7));
    assert_eq!(config.workers.settings(WorkerName::new("w").expect("a name")).slots.max, 3);
    assert_eq!(config.definitions.widgets[0].query.value, "select 2");
    assert_eq!(config.store, Store::Embedded { folder: "/var/x".into() });
}

#[test]
fn what_is_wrong_with_a_variable_is_told_by_its_name() {
    let told = |name: &str, value: &str| {
        let problems = parse_with(&[(name, value)], "[cache]\nmemory = \"64MB\"\n");
        problems.expect_err("a problem").join("\n")
    };
    for (name, value, reason) in [
        ("SAMOVAR_CACHE__MEMORY", "much", "`much`"),
        ("SAMOVAR_CACHE__MEMRY", "1MB", "`memry`"),
        ("SAMOVAR_CHACHE__MEMORY", "1MB", "`chache`"),
        ("SAMOVAR_CACHE__MEMORY__MORE", "1", "`memory` is a key, and nothing lies below it"),
        ("SAMOVAR_CACHE____MEMORY", "1MB", "its name is no path to a key"),
        ("SAMOVAR_WIDGET__W__TAGS", "[\"a\"", "its value is not written as in the file"),
        ("SAMOVAR_WIDGET__W__TAGS", "[1]", "tags"),
        ("SAMOVAR_STORE__URL", "redis://:hidden@x:y", "`url` in [store] is for kind"),
    ] {
        let told = told(name, value);
        assert!(told.starts_with(&format!("{name}: ")) && told.contains(reason), "{told}");
        assert!(!told.contains("hidden"), "{told}");
    }
    // What the file has wrong keeps its line.
    let both = parse_with(&[("SAMOVAR_CACHE__MEMORY", "1KB")], "[cache]\ndisk = \"x\"\n");
    let both = both.expect_err("problems");
    assert!(
        both[0].starts_with("2: ") && both[1].starts_with("SAMOVAR_CACHE__MEMORY: "),
        "{both:?}"
    );
}
