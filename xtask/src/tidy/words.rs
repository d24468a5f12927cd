//! Words that must not stand in the sources. Each comes with what to do instead, each exception
//! with its reason.
//!
//! Here they are put together from halves, so that this file does not accuse itself.

use super::{
    Finding,
    tree::{SourceFile, Tree},
};

#[derive(Clone, Copy, PartialEq)]
enum In {
    Rust,
    /// Every text file but lock files.
    Everything,
}

struct Word {
    text: &'static str,
    place: In,
    complaint: &'static str,
}

const UNFINISHED: &str = "finish it, or write it down as an issue";
const SLEEP: &str = "await the condition: samovar_testkit::wait in tests, samovar_clock elsewhere";
const ALLOW: &str = "say `#[expect(..., reason = \"...\")]`: it tells when it is no longer needed";
const IGNORED: &str = "a test that does not run proves nothing";
const ABSOLUTE: &str = "a path of one machine";

const WORDS: &[Word] = &[
    Word { text: concat!("TO", "DO"), place: In::Everything, complaint: UNFINISHED },
    Word { text: concat!("FIX", "ME"), place: In::Everything, complaint: UNFINISHED },
    Word { text: concat!("to", "do!("), place: In::Rust, complaint: UNFINISHED },
    Word { text: concat!("unimple", "mented!("), place: In::Rust, complaint: UNFINISHED },
    Word { text: concat!("#[ig", "nore"), place: In::Rust, complaint: IGNORED },
    Word { text: concat!("#[al", "low("), place: In::Rust, complaint: ALLOW },
    Word { text: concat!("#![al", "low("), place: In::Rust, complaint: ALLOW },
    Word { text: concat!("thread::", "sleep"), place: In::Rust, complaint: SLEEP },
    Word { text: concat!("time::", "sleep("), place: In::Rust, complaint: SLEEP },
    Word { text: concat!("/wo", "rk/"), place: In::Everything, complaint: ABSOLUTE },
    Word { text: concat!("/ro", "ot/"), place: In::Everything, complaint: ABSOLUTE },
    Word { text: concat!("/ho", "me/"), place: In::Everything, complaint: ABSOLUTE },
    Word {
        text: concat!("replace-", "with"),
        place: In::Everything,
        complaint: "the registry is everyone's own to choose",
    },
];

/// Where a word may stand after all.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "testkit/src/wait.rs",
        concat!("thread::", "sleep"),
        "outside processes can only be polled, here and nowhere else",
    ),
    ("testkit/src/wait.rs", concat!("time::", "sleep("), "the same, for futures"),
    ("crates/clock/src/time.rs", concat!("time::", "sleep("), "the sleep that others take"),
    ("clippy.toml", concat!("thread::", "sleep"), "it is banned there"),
];

const LOCK_FILES: &[&str] = &["Cargo.lock", "package-lock.json"];
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<_> = tree.files.iter().flat_map(check_file).collect();
    findings.extend(unused_exceptions(tree));
    findings.extend(tree.text("Cargo.lock").into_iter().flat_map(check_lock));
    findings
}

fn check_file(file: &SourceFile) -> Vec<Finding> {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    if LOCK_FILES.contains(&name) {
        return Vec::new();
    }
    let words = WORDS.iter().filter(|word| word.place == In::Everything || file.is_rust());
    let words: Vec<_> = words.filter(|word| !is_excepted(file, word)).collect();
    let mut findings = Vec::new();
    for (number, line) in file.lines() {
        for word in words.iter().filter(|word| line.contains(word.text)) {
            let complaint = format!("`{}`: {}", word.text, word.complaint);
            findings.push(Finding::new(format_args!("{}:{number}", file.path), complaint));
        }
    }
    findings
}

fn is_excepted(file: &SourceFile, word: &Word) -> bool {
    EXCEPTIONS.iter().any(|(path, text, _)| *path == file.path && *text == word.text)
}

/// The list only shrinks by itself when somebody says so.
fn unused_exceptions(tree: &Tree) -> Vec<Finding> {
    let is_unused = |path: &str, word: &str| tree.text(path).is_some_and(|it| !it.contains(word));
    let unused = EXCEPTIONS.iter().filter(|(path, word, _)| is_unused(path, word));
    unused
        .map(|(path, word, reason)| {
            let complaint = format!("`{word}` is excepted here ({reason}), and is gone");
            Finding::new(path, complaint)
        })
        .collect()
}

fn check_lock(lock: &str) -> Vec<Finding> {
    let foreign = |(index, line): (usize, &str)| {
        let source = line.strip_prefix("source = ")?.trim_matches('"');
        let place = format!("Cargo.lock:{}", index + 1);
        (source != CRATES_IO).then(|| Finding::new(place, format!("comes from {source}")))
    };
    lock.lines().enumerate().filter_map(foreign).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(path: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(path, text)])).into_iter().map(|it| it.place).collect()
    }

    #[test]
    fn unfinished_work_is_found_in_any_file() {
        let text = concat!("//! Module.\n// TO", "DO: more\n");
        assert_eq!(places("a.rs", text), ["a.rs:2"]);
        assert_eq!(places("docs/a.md", text), ["docs/a.md:2"]);
        assert!(places("a.rs", "//! Things to do.\n").is_empty());
    }

    #[test]
    fn sleeps_are_found_but_where_they_are_excepted() {
        let text = concat!("std::thread::", "sleep(pause);\ntokio::time::", "sleep(pause);\n");
        assert_eq!(places("crates/cache/tests/it/main.rs", text).len(), 2);
        assert!(places("testkit/src/wait.rs", text).is_empty());
    }

    #[test]
    fn an_exception_nobody_needs_is_found() {
        assert_eq!(places("testkit/src/wait.rs", "//! No sleep.\n").len(), 2);
    }

    #[test]
    fn a_package_from_elsewhere_is_found() {
        let ours = format!("source = \"{CRATES_IO}\"\n");
        assert!(places("Cargo.lock", &ours).is_empty());
        let other = "[[package]]\nsource = \"registry+https://mirror.example/index\"\n";
        assert_eq!(places("Cargo.lock", other), ["Cargo.lock:2"]);
    }
}
