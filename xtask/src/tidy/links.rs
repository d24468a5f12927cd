//! Links in Markdown to files of the repository, and to headings in them, lead somewhere.

use std::collections::BTreeSet;

use super::{Finding, tree::Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.is_markdown()) {
        for (number, target) in targets(&file.text) {
            if let Some(complaint) = complaint(tree, &file.path, &target) {
                let place = format!("{}:{number}", file.path);
                findings.push(Finding::new(place, format!("{target}: {complaint}")));
            }
        }
    }
    findings
}

fn complaint(tree: &Tree, from: &str, target: &str) -> Option<&'static str> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() { Some(from.to_owned()) } else { resolve(from, path) };
    let Some(path) = path.filter(|path| tree.has(path)) else {
        return Some("there is no such file");
    };
    let is_known = || {
        let text = tree.text(&path).unwrap_or_default();
        headings(text).contains(heading)
    };
    let is_checked = !heading.is_empty() && path.ends_with(".md");
    (is_checked && !is_known()).then_some("there is no such heading")
}

/// `path` as seen from the file `from`; nothing when it leaves the repository.
fn resolve(from: &str, path: &str) -> Option<String> {
    let mut parts: Vec<_> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Lines outside of fenced blocks, counted from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        (!fenced && !is_fence).then_some((index + 1, line))
    })
}

/// The targets of `[text](target)` and `[name]: target`, with their line.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let line = without_code(line);
        let inline = line.match_indices("](").filter_map(|(at, _)| {
            let rest = &line[at + 2..];
            rest.split_once(')').map(|(target, _)| target)
        });
        let reference = line.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
        for target in inline.chain(reference.map(|(_, target)| target)) {
            // A title may follow.
            let target = target.split_whitespace().next().unwrap_or_default();
            found.push((number, target.trim_matches(['<', '>']).to_owned()));
        }
    }
    found
}

/// A line without what stands between backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// The names under which headings can be linked to.
fn headings(text: &str) -> BTreeSet<String> {
    let titles = prose(text).filter_map(|(_, line)| {
        let title = line.trim_start_matches('#');
        (title.len() < line.len()).then_some(title.trim())
    });
    titles
        .map(|title| {
            let kept = title.to_lowercase().replace(' ', "-");
            kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(text: &str) -> Vec<String> {
        let other = "# Title\n\n## Tags, and what they are\n";
        let tree = Tree::of(&[("docs/page.md", text), ("README.md", other), ("src/lib.rs", "")]);
        check(&tree).into_iter().map(|it| format!("{}: {}", it.place, it.complaint)).collect()
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        let text = "# Here\n[a](../README.md) [b](../src/lib.rs) [c](#here)\n\
                    [d](../README.md#tags-and-what-they-are) [e](https://example.org/x)\n\
                    `[f](no/such.md)`\n```\n[g](no/such.md)\n```\n[h]: ../README.md\n";
        assert_eq!(complaints(text), [""; 0]);
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let text = "[a](gone.md)\n[b](../README.md#gone)\n[c]: ../../outside.md\n[d](#gone)\n";
        assert_eq!(
            complaints(text),
            [
                "docs/page.md:1: gone.md: there is no such file",
                "docs/page.md:2: ../README.md#gone: there is no such heading",
                "docs/page.md:3: ../../outside.md: there is no such file",
                "docs/page.md:4: #gone: there is no such heading",
            ]
        );
    }
}
