//! What a write touches: said with placeholders, checked when the rule is made.

use std::{fmt, sync::Arc};

use http::{HeaderName, request, response};
use samovar_cache::Tenant;

use crate::{
    change::What,
    limits,
    path::{PathPattern, Values},
    rules::Problem,
    template::{TagTemplate, TextTemplate},
};

/// Finds the tenant in the head of a request.
pub(crate) type FromRequest = Arc<dyn Fn(&request::Parts) -> Option<String> + Send + Sync>;
/// Finds the tenant in the head of a response.
pub(crate) type FromResponse = Arc<dyn Fn(&response::Parts) -> Option<String> + Send + Sync>;

/// What a write touches. Tags and the tenant may hold parameters of the path, such as
/// `menu/{item}`.
#[derive(Clone, Debug, Default)]
pub struct Touch {
    tags: Vec<String>,
    widgets: Vec<String>,
    classes: Vec<String>,
    whose: Whose,
}

/// Where the tenant is found.
#[derive(Clone, Default)]
enum Whose {
    #[default]
    Everybody,
    Template(String),
    Header(String),
    Request(FromRequest),
    Response(FromResponse),
}

impl Touch {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn tags<T: Into<String>>(tags: impl IntoIterator<Item = T>) -> Self {
        Self { tags: tags.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Readings that depend on this tag, on what lies below, or on a range above. A tag begins with
    /// plain text; a parameter whose value cannot be a part of a tag leaves the broader tag.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// All readings of a widget.
    pub fn widget(mut self, name: impl Into<String>) -> Self {
        self.widgets.push(name.into());
        self
    }

    /// All readings of a freshness class.
    pub fn class(mut self, name: impl Into<String>) -> Self {
        self.classes.push(name.into());
        self
    }

    /// The tenant is this text, in which parameters of the path may stand: `{restaurant}`. Of
    /// several ways to say the tenant the last counts; without one only global tags can be named,
    /// and widgets and classes are meant for all tenants.
    pub fn tenant(mut self, template: impl Into<String>) -> Self {
        self.whose = Whose::Template(template.into());
        self
    }

    /// The tenant stands in this header of the request. Only where the application, or a proxy in
    /// front of it, makes sure that callers name no tenant but their own.
    pub fn tenant_header(mut self, name: impl Into<String>) -> Self {
        self.whose = Whose::Header(name.into());
        self
    }

    /// The tenant is found in the head of the request, for example in an extension that was put
    /// there by a layer outside of this one.
    pub fn tenant_from_request(
        mut self,
        find: impl Fn(&request::Parts) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.whose = Whose::Request(Arc::new(find));
        self
    }

    /// The tenant is found in the head of the response, for example in an extension that the
    /// handler has put there because only it knows.
    pub fn tenant_from_response(
        mut self,
        find: impl Fn(&response::Parts) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.whose = Whose::Response(Arc::new(find));
        self
    }

    pub(crate) fn check(&self, path: &PathPattern) -> Result<CheckedTouch, Problem> {
        let Self { tags, widgets, classes, whose } = self;
        for (what, count) in
            [("tags", tags.len()), ("widgets", widgets.len()), ("classes", classes.len())]
        {
            if count > limits::TAGS_PER_RULE {
                return Err(Problem::TooMany { what, count });
            }
        }
        let tags: Vec<TagTemplate> =
            tags.iter().map(|tag| TagTemplate::parse(tag, path)).collect::<Result<_, _>>()?;
        for name in widgets.iter().chain(classes) {
            check_name(name)?;
        }
        if tags.is_empty() && widgets.is_empty() && classes.is_empty() {
            return Err(Problem::Nothing);
        }
        let whose = whose.check(path)?;
        if let CheckedWhose::Everybody = whose
            && let Some(index) = tags.iter().position(|tag| !tag.is_global())
        {
            return Err(Problem::NoTenant { tag: self.tags[index].clone() });
        }
        let widgets = widgets.iter().cloned().map(What::Widget);
        let fixed = widgets.chain(classes.iter().cloned().map(What::Class)).collect();
        Ok(CheckedTouch { tags, fixed, whose })
    }
}

/// As the cache has it for names of widgets and classes.
fn check_name(name: &str) -> Result<(), Problem> {
    let is_sound = !name.is_empty()
        && name.len() <= samovar_cache::limits::NAME_BYTES
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if is_sound { Ok(()) } else { Err(Problem::Name { name: name.to_owned() }) }
}

impl Whose {
    fn check(&self, path: &PathPattern) -> Result<CheckedWhose, Problem> {
        Ok(match self {
            Whose::Everybody => CheckedWhose::Everybody,
            Whose::Template(text) => {
                let template = TextTemplate::parse(text, path)?;
                if let Some(fixed) = template.fixed() {
                    let never = |why| Problem::NeverTenant { template: text.clone(), why };
                    Tenant::new(&fixed).map_err(|error| never(error.to_string()))?;
                }
                CheckedWhose::Template(template)
            }
            Whose::Header(name) => {
                let header = HeaderName::try_from(name);
                CheckedWhose::Header(header.map_err(|_| Problem::Header { name: name.clone() })?)
            }
            Whose::Request(find) => CheckedWhose::Request(find.clone()),
            Whose::Response(find) => CheckedWhose::Response(find.clone()),
        })
    }
}

/// A touch whose templates fit the path of its rule.
pub(crate) struct CheckedTouch {
    tags: Vec<TagTemplate>,
    fixed: Vec<What>,
    whose: CheckedWhose,
}

enum CheckedWhose {
    Everybody,
    Template(TextTemplate),
    Header(HeaderName),
    Request(FromRequest),
    Response(FromResponse),
}

/// What one rule says about one request.
pub(crate) struct Bound {
    pub(crate) what: Vec<What>,
    pub(crate) whose: BoundWhose,
}

pub(crate) enum BoundWhose {
    Everybody,
    One(Tenant),
    /// Known when there is a response.
    Response(FromResponse),
    /// Why there is none.
    Unknown(String),
}

impl CheckedTouch {
    pub(crate) fn bind(&self, values: &Values<'_>, head: &request::Parts) -> Bound {
        let tags = self.tags.iter().filter_map(|tag| tag.bind(values)).map(What::Tag);
        let what = tags.chain(self.fixed.iter().cloned()).collect();
        let whose = match &self.whose {
            CheckedWhose::Everybody => BoundWhose::Everybody,
            CheckedWhose::Response(find) => BoundWhose::Response(find.clone()),
            CheckedWhose::Template(template) => one(template.bind(values)),
            CheckedWhose::Header(name) => {
                let value = head.headers.get(name).and_then(|value| value.to_str().ok());
                one(value.map(str::to_owned))
            }
            CheckedWhose::Request(find) => one(find(head)),
        };
        Bound { what, whose }
    }
}

pub(crate) fn one(id: Option<String>) -> BoundWhose {
    match id.map(|id| Tenant::new(&id)) {
        Some(Ok(tenant)) => BoundWhose::One(tenant),
        Some(Err(error)) => BoundWhose::Unknown(error.to_string()),
        None => BoundWhose::Unknown("it is not where the rule looks for it".to_owned()),
    }
}

impl fmt::Debug for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Whose::Everybody => f.write_str("Everybody"),
            Whose::Template(template) => f.debug_tuple("Template").field(template).finish(),
            Whose::Header(name) => f.debug_tuple("Header").field(name).finish(),
            Whose::Request(_) => f.write_str("Request"),
            Whose::Response(_) => f.write_str("Response"),
        }
    }
}
