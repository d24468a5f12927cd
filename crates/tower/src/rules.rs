//! Rules: which write touches what.

use http::{Method, request, response};
use samovar_cache::Tenant;

use crate::{
    change::Change,
    limits,
    path::{PathPattern, Values},
    touch::{Bound, BoundWhose, CheckedTouch, Touch, one},
    tree::Tree,
};

/// The methods a rule is about: one, an array of them, or [`Methods::writes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Methods(Vec<Method>);

impl Methods {
    /// POST, PUT, PATCH and DELETE.
    pub fn writes() -> Self {
        [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].into()
    }
}

impl From<Method> for Methods {
    fn from(method: Method) -> Self {
        Self(vec![method])
    }
}

impl<const N: usize> From<[Method; N]> for Methods {
    fn from(methods: [Method; N]) -> Self {
        Self(methods.into())
    }
}

/// Which writes touch what. All rules that match a request apply.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    tree: Tree,
}

struct Rule {
    /// Such as `PUT /menu/{item}`.
    name: String,
    methods: Methods,
    touch: CheckedTouch,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rule({})", self.name)
    }
}

impl Rules {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule. A path is made of plain segments, parameters (`{item}`) and, at its end, all
    /// that follows (`{*rest}`, one segment at least); a slash at the end says nothing. Methods
    /// that change nothing by definition (GET, HEAD, OPTIONS, TRACE) are refused.
    ///
    /// # Errors
    /// Whatever could go wrong at every request goes wrong here.
    pub fn on(
        mut self,
        methods: impl Into<Methods>,
        path: &str,
        touch: impl std::borrow::Borrow<Touch>,
    ) -> Result<Self, RuleError> {
        let methods = methods.into();
        let name = name_of(&methods, path);
        match self.add(methods, path, touch.borrow(), name.clone()) {
            Ok(()) => Ok(self),
            Err(problem) => Err(RuleError { rule: name, problem }),
        }
    }

    fn add(
        &mut self,
        methods: Methods,
        path: &str,
        touch: &Touch,
        name: String,
    ) -> Result<(), Problem> {
        if self.rules.len() == limits::RULES {
            return Err(Problem::TooManyRules);
        }
        if methods.0.is_empty() {
            return Err(Problem::NoMethod);
        }
        if let Some(method) = methods.0.iter().find(|method| method.is_safe()) {
            return Err(Problem::NoWrite { method: method.clone() });
        }
        let pattern = PathPattern::parse(path)?;
        let touch = touch.check(&pattern)?;
        self.tree.insert(&pattern, self.rules.len());
        self.rules.push(Rule { name, methods, touch });
        Ok(())
    }

    /// What the rules that match say about a request; nothing when none does.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Option<Matched> {
        let mut found = Vec::new();
        if method.is_safe() {
            return None;
        }
        self.tree.find(path, &mut |rule| {
            if self.rules[rule].methods.0.contains(method) {
                found.push(rule);
            }
        });
        // In the order in which they were made: the first one is named as the cause.
        found.sort_unstable();
        (!found.is_empty()).then_some(Matched(found))
    }

    pub(crate) fn bind(&self, matched: &Matched, head: &request::Parts) -> Vec<BoundRule> {
        let values = Values::of(head.uri.path());
        let bind = |rule: &usize| {
            let Rule { name, touch, .. } = &self.rules[*rule];
            BoundRule { rule: name.clone(), bound: touch.bind(&values, head) }
        };
        matched.0.iter().map(bind).collect()
    }
}

fn name_of(methods: &Methods, path: &str) -> String {
    let names: Vec<_> = methods.0.iter().map(Method::as_str).collect();
    format!("{} {path}", names.join("|"))
}

/// The rules that match a request.
pub(crate) struct Matched(Vec<usize>);

/// What a rule says about a request.
pub(crate) struct BoundRule {
    rule: String,
    bound: Bound,
}

/// What a write has changed, by tenant, and the rules whose tenant could not be found.
pub(crate) struct Changes {
    pub(crate) changes: Vec<Change>,
    pub(crate) unknown: Vec<UnknownTenant>,
}

pub(crate) struct UnknownTenant {
    pub(crate) rule: String,
    pub(crate) why: String,
}

impl Changes {
    pub(crate) fn of(rules: Vec<BoundRule>, head: &response::Parts) -> Self {
        let mut all = Self { changes: Vec::new(), unknown: Vec::new() };
        for BoundRule { rule, bound: Bound { what, whose } } in rules {
            let whose = match whose {
                BoundWhose::Response(find) => one(find(head)),
                whose => whose,
            };
            let tenant: Option<Tenant> = match whose {
                BoundWhose::One(tenant) => Some(tenant),
                BoundWhose::Unknown(why) => {
                    all.unknown.push(UnknownTenant { rule, why });
                    continue;
                }
                BoundWhose::Everybody | BoundWhose::Response(_) => None,
            };
            let same = |change: &&mut Change| change.tenant == tenant;
            match all.changes.iter_mut().find(same) {
                Some(change) => change.add(what),
                None => {
                    let mut change = Change::new(tenant, Vec::new(), rule);
                    change.add(what);
                    all.changes.push(change);
                }
            }
        }
        all
    }
}

/// A rule that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rule `{rule}`: {problem}")]
pub struct RuleError {
    /// Such as `PUT /menu/{item}`.
    pub rule: String,
    pub problem: Problem,
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    #[error("at most {} rules are allowed", limits::RULES)]
    TooManyRules,
    #[error("it has no method")]
    NoMethod,
    #[error("{method} changes nothing, so nothing is to be invalidated after it")]
    NoWrite { method: Method },
    #[error("a path begins with a slash")]
    NoSlash,
    #[error("a path or template has {bytes} bytes, at most {} are allowed", limits::TEMPLATE_BYTES)]
    TooLong { bytes: usize },
    #[error("the path has {count} segments, at most {} are allowed", limits::PATH_SEGMENTS)]
    TooManySegments { count: usize },
    #[error("segment `{segment}` of the path: {why}")]
    Segment { segment: String, why: &'static str },
    #[error("`{{{name}}}` stands in the path twice")]
    Twice { name: String },
    #[error("`{{*{name}}}` takes all that follows and must be last")]
    RestNotLast { name: String },
    #[error("`{template}`: {why}")]
    Template { template: String, why: &'static str },
    #[error("`{template}` names `{{{name}}}`, which the path has not; its parameters: {known}")]
    Unknown { template: String, name: String, known: String },
    #[error(
        "`{template}` begins with a parameter: begin with plain text, such as `menu/{{item}}`, so \
         that there is a broader tag for values that cannot be in one"
    )]
    FirstSegment { template: String },
    #[error("`{template}` can never be a tag: {why}")]
    NeverTag { template: String, why: String },
    #[error("`{template}` can never be a tenant: {why}")]
    NeverTenant { template: String, why: String },
    #[error("`{name}` is no name of a header")]
    Header { name: String },
    #[error(
        "`{name}` is no name of a widget or a freshness class: 1 to {} letters, digits, `_`, `-` \
         or `.` are allowed",
        samovar_cache::limits::NAME_BYTES
    )]
    Name { name: String },
    #[error("it names nothing: say which tags, widgets or classes are touched")]
    Nothing,
    #[error("tag `{tag}` belongs to a tenant: say which, or name a global tag (`global:{tag}`)")]
    NoTenant { tag: String },
    #[error("it names {count} {what}, at most {} are allowed", limits::TAGS_PER_RULE)]
    TooMany { what: &'static str, count: usize },
}
