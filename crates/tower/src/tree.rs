//! The rules by their paths: one walk finds all that match, however many there are.

use std::collections::HashMap;

use crate::path::{PathPattern, Segment, decode, next_segment};

/// The rules whose paths begin with the same segments. Names of parameters are not kept: rules look
/// their values up by position.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    text: HashMap<Box<str>, Tree>,
    param: Option<Box<Tree>>,
    /// Rules whose path ends here.
    here: Vec<usize>,
    /// Rules whose path takes all that follows.
    rest: Vec<usize>,
}

impl Tree {
    pub(crate) fn insert(&mut self, pattern: &PathPattern, rule: usize) {
        let mut tree = self;
        for segment in &pattern.segments {
            tree = match segment {
                Segment::Text(text) => tree.text.entry(text.as_str().into()).or_default(),
                Segment::Param(_) => tree.param.get_or_insert_default(),
                Segment::Rest(_) => return tree.rest.push(rule),
            };
        }
        tree.here.push(rule);
    }

    /// Calls `found` with each rule that matches. Goes no deeper than the rules do, and visits each
    /// of their segments once at most.
    pub(crate) fn find(&self, path: &str, found: &mut impl FnMut(usize)) {
        let Some((segment, after)) = next_segment(path) else {
            self.here.iter().copied().for_each(found);
            return;
        };
        self.rest.iter().copied().for_each(&mut *found);
        if !self.text.is_empty()
            && let Some(text) = decode(segment)
            && let Some(tree) = self.text.get(text.as_ref())
        {
            tree.find(after, found);
        }
        if let Some(tree) = &self.param {
            tree.find(after, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATHS: [&str; 8] = [
        "/",
        "/orders",
        "/orders/{id}",
        "/orders/new",
        "/orders/{id}/items",
        "/orders/{*rest}",
        "/{*all}",
        "/caf\u{e9}/{x}",
    ];

    fn found(path: &str) -> Vec<&'static str> {
        let mut tree = Tree::default();
        for (index, path) in PATHS.iter().enumerate() {
            tree.insert(&PathPattern::parse(path).expect("sound"), index);
        }
        let mut rules = Vec::new();
        tree.find(path, &mut |rule| rules.push(rule));
        rules.sort_unstable();
        rules.into_iter().map(|rule| PATHS[rule]).collect()
    }

    #[test]
    fn all_that_match_are_found() {
        assert_eq!(found("/"), ["/"]);
        assert_eq!(found("/orders"), ["/orders", "/{*all}"]);
        assert_eq!(
            found("/orders/new"),
            ["/orders/{id}", "/orders/new", "/orders/{*rest}", "/{*all}"]
        );
        assert_eq!(found("/orders/7"), ["/orders/{id}", "/orders/{*rest}", "/{*all}"]);
        assert_eq!(found("/orders/7/items"), ["/orders/{id}/items", "/orders/{*rest}", "/{*all}"]);
        assert_eq!(found("/Orders"), ["/{*all}"]);
    }

    #[test]
    fn slashes_too_many_do_not_count() {
        assert_eq!(found("/orders/"), found("/orders"));
        assert_eq!(found("//orders//7/"), found("/orders/7"));
        assert_eq!(found(""), ["/"]);
    }

    #[test]
    fn text_is_compared_decoded_and_a_coded_slash_is_no_border() {
        assert_eq!(found("/caf%C3%A9/1"), ["/{*all}", "/caf\u{e9}/{x}"]);
        assert_eq!(found("/%6frders"), ["/orders", "/{*all}"]);
        assert_eq!(found("/orders%2F7"), ["/{*all}"]);
        assert_eq!(found("/orders/%ff"), ["/orders/{id}", "/orders/{*rest}", "/{*all}"]);
    }
}
