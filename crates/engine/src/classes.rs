//! The freshness classes that widgets name: the built-in ones and those of a team.

use std::collections::BTreeMap;

use samovar_cache::{Freshness, FreshnessError, RefreshAhead};
use samovar_widgets::{Definitions, FreshnessDefinition, Located, Problem, RefreshAheadDefinition};

/// All that can be named, and the one of widgets that name none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Classes {
    own: BTreeMap<String, Freshness>,
    default: Freshness,
}

impl Classes {
    /// A class that is wrong is kept with what is right in it: its widgets make no mistake.
    pub(crate) fn check(definitions: &Definitions, problems: &mut Vec<Problem>) -> Self {
        let mut classes = Self::default();
        for definition in &definitions.freshness {
            let name = &definition.name;
            if Freshness::built_in(&name.value).is_some() {
                let reason = format!("the freshness class `{}` is built in", name.value);
                let hint = "give it another name, and name that one in the widgets";
                problems.push(Problem::new(name.line, reason).hint(hint));
            } else {
                let freshness = check_class(definition, problems);
                classes.own.insert(name.value.clone(), freshness);
            }
        }
        if let Some(default) = &definitions.default_freshness {
            match classes.find(default) {
                Ok(freshness) => classes.default = freshness,
                Err(problem) => problems.push(problem),
            }
        }
        classes
    }

    /// Of a widget that names this one, or none.
    pub(crate) fn of(&self, named: Option<&Located<String>>) -> Result<Freshness, Problem> {
        named.map_or_else(|| Ok(self.default.clone()), |it| self.find(it))
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let built_in = Freshness::built_in_classes().map(|name: &str| name);
        self.own.keys().map(String::as_str).chain(built_in)
    }

    /// To be asked when all widgets are right: one that is left out names its class in vain.
    pub(crate) fn unused<'d>(
        &self,
        definitions: &'d Definitions,
    ) -> impl Iterator<Item = Problem> + 'd {
        let default = self.default.class().to_owned();
        let named = |class: &str| {
            let widgets = definitions.widgets.iter().map(|it| &it.freshness);
            let rolled = definitions.rollup_widgets.iter().map(|it| &it.freshness);
            widgets.chain(rolled).flatten().any(|it| it.value == class)
        };
        let classes = definitions.freshness.iter().map(|class| &class.name);
        let unused = classes.filter(move |it| it.value != default && !named(&it.value));
        unused.map(|name| {
            let reason = format!("no widget has the freshness class `{}`", name.value);
            let hint = format!("say freshness = \"{}\" in a widget, or remove it", name.value);
            Problem::warning(name.line, reason).hint(hint)
        })
    }

    fn find(&self, class: &Located<String>) -> Result<Freshness, Problem> {
        let name = &class.value;
        let own = self.own.get(name).cloned();
        own.or_else(|| Freshness::built_in(name)).ok_or_else(|| {
            let problem = Problem::new(class.line, format!("there is no freshness class `{name}`"));
            let known = || format!("there are: {}", self.names().collect::<Vec<_>>().join(", "));
            problem.meant(name, self.names(), known)
        })
    }
}

/// Each figure is looked at alone, so that one mistake does not hide the next.
fn check_class(definition: &FreshnessDefinition, problems: &mut Vec<Problem>) -> Freshness {
    const STAND_IN: std::time::Duration = std::time::Duration::from_secs(60);
    let name = &definition.name.value;
    let ttl = definition.ttl.as_ref().map_or(STAND_IN, |ttl| ttl.value);
    let mut freshness = Freshness::new(name, ttl);
    let mut check = |freshness: &mut Freshness, line: usize, sound: &Freshness| {
        if let Err(error) = freshness.check() {
            problems.push(Problem::new(line, &error).hint(hint_for(&error)));
            *freshness = sound.clone();
        }
    };
    let line = definition.ttl.as_ref().map_or(0, |ttl| ttl.line);
    check(&mut freshness, line, &Freshness::new(name, STAND_IN));
    if let Some(grace) = &definition.grace {
        let sound = freshness.clone();
        freshness.grace = grace.value;
        check(&mut freshness, grace.line, &sound);
    }
    if let Some(jitter) = &definition.jitter {
        let sound = freshness.clone();
        freshness.jitter = jitter.value;
        check(&mut freshness, jitter.line, &sound);
    }
    if let Some(ahead) = &definition.refresh_ahead {
        let sound = freshness.clone();
        freshness.refresh = match ahead.value {
            RefreshAheadDefinition::At(fraction) => RefreshAhead::At(fraction),
            RefreshAheadDefinition::Never => RefreshAhead::Never,
        };
        check(&mut freshness, ahead.line, &sound);
    }
    if let Some(negative_ttl) = &definition.negative_ttl {
        freshness.negative_ttl = negative_ttl.value;
    }
    freshness
}

fn hint_for(error: &FreshnessError) -> &'static str {
    match error {
        FreshnessError::NoTtl { .. } => "say how long an answer serves as fresh: ttl = \"10m\"",
        FreshnessError::TooLong { .. } => "at most 366d are allowed, for ttl and for grace",
        FreshnessError::Jitter { .. } => {
            "0.1 spreads what expires together over a tenth of its ttl"
        }
        FreshnessError::RefreshAhead { .. } => "write refresh_ahead = 0.8, or false for never",
    }
}
