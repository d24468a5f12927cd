//! A corpus of files in which something is wrong, one kind of mistake each, and what is said about them.
//!
//! In `tests/wrong` each line on which a problem has to be told ends with `# WRONG`. Where such a
//! comment cannot stand, in what is no TOML or inside of a text, the first line lists the lines
//! instead: `# WRONG AT: 3, 7`. What is said stands in a snapshot per file, to be read as a user would.

use std::{collections::BTreeSet, fs, path::PathBuf};

use rusqlite::Connection;
use samovar_testkit::Process;
use tempfile::TempDir;

use crate::shop::{LIMIT, command_in};

const SCHEMA: &str = "
    create table orders (id integer primary key, tenant_id text, channel text, total integer,
                         placed_at text, day text, details text);
    create table order_items (id integer primary key, order_id integer, sku text, sizes text);
    create table stock (item_id integer, shelf text, amount integer);";

/// A folder with a database beside which the files are laid.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().expect("a folder"));
        let database = Connection::open(desk.0.path().join("shop.db")).expect("a database");
        database.execute_batch(SCHEMA).expect("tables");
        desk
    }

    fn check(&self, text: &str) -> (Option<i32>, String, String) {
        fs::write(self.0.path().join("samovar.toml"), text).expect("written");
        let mut command = command_in(self.0.path(), &["check", "--config", "samovar.toml"]);
        command.env("SHOP_PASSWORD", "s3cr3t").env_remove("NOBODY_SETS_THIS");
        let process = Process::spawn(command).expect("it starts");
        let status = process.wait(LIMIT).expect("it ends");
        (status.code(), process.stdout(), process.stderr())
    }

    fn files(&self) -> BTreeSet<String> {
        let files = fs::read_dir(self.0.path()).expect("a folder");
        files.map(|it| it.expect("a file").file_name().to_string_lossy().into_owned()).collect()
    }
}

fn tests() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn marked(text: &str) -> BTreeSet<usize> {
    if let Some(list) = text.lines().next().and_then(|line| line.strip_prefix("# WRONG AT: ")) {
        return list.split(", ").map(|line| line.parse().expect("a line")).collect();
    }
    let lines = text.lines().enumerate();
    lines.filter(|(_, line)| line.ends_with("# WRONG")).map(|(index, _)| index + 1).collect()
}

/// The lines of what was said, and how many problems have no hint.
fn told(said: &str) -> (BTreeSet<usize>, usize) {
    let (mut lines, mut hintless) = (BTreeSet::new(), 0);
    let mut rest = said.lines().peekable();
    while let Some(line) = rest.next() {
        let Some(told) = line.strip_prefix("samovar.toml:") else { continue };
        // The last line counts, and names no line.
        let number = told.split(':').next().and_then(|number| number.parse().ok());
        let Some(number) = number else { continue };
        lines.insert(number);
        hintless += usize::from(rest.peek().is_none_or(|next| !next.starts_with("    ")));
    }
    (lines, hintless)
}

#[test]
fn each_mistake_is_told_at_its_line_with_a_way_out() {
    let desk = Desk::new();
    let mut files: Vec<PathBuf> = fs::read_dir(tests().join("wrong"))
        .expect("a corpus")
        .map(|file| file.expect("a file").path())
        .collect();
    files.sort();
    let count = files.len();
    assert!(count >= 70, "{count} files");
    let mut failures = Vec::new();
    for file in files {
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).expect("readable");
        let (code, answer, said) = desk.check(&text);
        let (lines, hintless) = told(&said);
        let expected = marked(&text);
        if (code, answer.as_str(), hintless, &lines) != (Some(3), "", 0, &expected) {
            failures.push(format!("{name}: {code:?}, lines {expected:?} expected\n{answer}{said}"));
        }
        assert!(!said.contains("s3cr3t"), "{name} shows a secret");
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(format!("wrong_{name}"), said);
        });
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let files = desk.files();
    assert_eq!(
        files,
        ["samovar.toml", "shop.db"].map(String::from).into(),
        "nothing else is touched"
    );
}

#[test]
fn the_twin_that_uses_every_key_passes() {
    let desk = Desk::new();
    let text = fs::read_to_string(tests().join("right.toml")).expect("readable");
    let (code, answer, said) = desk.check(&text);
    assert_eq!((code, said.as_str()), (Some(0), ""), "{answer}");
    assert_eq!(answer, "samovar.toml: nothing wrong with 6 widgets\n");
    assert_eq!(desk.files().len(), 2, "nothing else is touched");
}

#[test]
fn what_is_declared_in_vain_is_a_warning_and_no_failure() {
    let desk = Desk::new();
    let right = fs::read_to_string(tests().join("right.toml")).expect("readable");
    let text =
        right + "\n[source.spare]\nurl = \"sqlite://shop.db\"\n[freshness.spare]\nttl = \"1m\"\n";
    let (code, answer, _) = desk.check(&text);
    assert_eq!(code, Some(0), "{answer}");
    let (lines, hintless) = told(&answer);
    assert_eq!((lines.len(), hintless), (2, 0), "{answer}");
    assert!(answer.contains("warning: no widget reads from the source `spare`\n"), "{answer}");
    assert!(answer.contains("warning: no widget has the freshness class `spare`\n"), "{answer}");
    assert!(answer.ends_with(": nothing wrong with 6 widgets, 2 warnings\n"), "{answer}");
}

#[test]
fn every_key_that_can_be_declared_is_documented() {
    const PAGE: &str = concat!(
        include_str!("../../../../docs/definitions.md"),
        include_str!("../../../../docs/rollups.md"),
        include_str!("../../../../docs/alerts.md"),
        include_str!("../../../../docs/hooks.md")
    );
    let right = fs::read_to_string(tests().join("right.toml")).expect("readable");
    let is_key = |key: &&str| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let keys = right.lines().filter_map(|line| line.split_once(" = ").map(|(key, _)| key));
    for key in keys.filter(is_key) {
        let forms = [format!("`{key}`"), format!(".{key}`"), format!("`{key}.")];
        let is_named = forms.iter().any(|form| PAGE.contains(form));
        assert!(is_named, "{key}");
    }
    for key in ["type", "default", "values", "id", "name", "time_zone"] {
        assert!(PAGE.contains(&format!("`{key}`")), "{key}");
    }
}
