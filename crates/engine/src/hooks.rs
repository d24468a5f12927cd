//! Hooks: what another system sends is known by its signature, and becomes events.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use samovar_clock::WallTime;
use samovar_widgets::{HookDefinition, HookTenant, Pointer, SignedPart, instant, nearest};
use serde_json::{Map, Value};

use crate::{Event, EventFailure, Raised, engine::Engine, events::MOST_EVENTS, signature};

/// By name.
pub(crate) type Hooks = BTreeMap<String, Arc<HookDefinition>>;

pub(crate) fn by_name(definitions: &[HookDefinition]) -> Hooks {
    definitions.iter().map(|it| (it.name.value.clone(), Arc::new(it.clone()))).collect()
}

/// Why a hook was not applied.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HookFailure {
    /// Or there is no such hook: nobody is told which.
    #[error("it is not signed as it has to be")]
    Unsigned,
    /// For who need not sign.
    #[error("there is no hook `{name}`")]
    Unknown { name: String, nearest: Option<String> },
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    #[error("the body has nothing at `{pointer}`")]
    Missing { pointer: String },
    #[error("the body has no list at `{pointer}`")]
    NoList { pointer: String },
    #[error("the body has neither a text nor a whole number at `{pointer}`")]
    NoTenant { pointer: String },
    #[error(
        "what stands beside the list, at `{pointer}`, is no text of up to {MOST_BESIDE} bytes, \
         number, true or false"
    )]
    NotPlain { pointer: String },
    #[error(transparent)]
    Event(#[from] EventFailure),
}

/// Of a text that each element of a list takes along from beside it.
const MOST_BESIDE: usize = 1024;

/// What has come, and how it was signed.
pub trait Signed {
    /// The header of this name, in small letters, where there is one and no second one.
    fn header(&self, name: &str) -> Option<&str>;
}

impl Engine {
    /// Whether a hook of this name is signed as its rule asks for it. How long that takes does not
    /// depend on how much of the signature is right.
    pub fn is_signed(&self, hook: &str, signed: &impl Signed, body: &[u8]) -> bool {
        let hook = self.0.hooks.get(hook);
        hook.is_some_and(|hook| is_signed(hook, signed, body, self.0.clock.wall()))
    }

    /// The events that the body of a hook means.
    ///
    /// # Errors
    /// When there is no such hook, and what the body lacks.
    pub fn events_of(&self, hook: &str, body: &[u8]) -> Result<Vec<Event>, HookFailure> {
        let hooks = &self.0.hooks;
        let unknown = || {
            let nearest = nearest(hook, hooks.keys().map(String::as_str)).map(str::to_owned);
            HookFailure::Unknown { name: hook.to_owned(), nearest }
        };
        events(hooks.get(hook).ok_or_else(unknown)?, body)
    }

    /// Raises what a hook means. A body that means nothing here is taken all the same: its sender
    /// would send it again and again.
    pub async fn take_hook(&self, events: Vec<Event>) -> Result<Raised, HookFailure> {
        if events.is_empty() {
            return Ok(Raised::default());
        }
        Ok(self.raise(events).await?)
    }
}

fn is_signed(hook: &HookDefinition, signed: &impl Signed, body: &[u8], now: WallTime) -> bool {
    let Some(given) = signed.header(&hook.header) else { return false };
    let Some(given) = given.trim().strip_prefix(&hook.prefix) else { return false };
    let mut timestamp = "";
    if let Some((header, tolerance)) = &hook.timestamp {
        let Some(at) = signed.header(header) else { return false };
        let age = parse_time(at).map(|at| at.as_millisecond().abs_diff(now.as_millis()));
        if age.is_none_or(|age| u128::from(age) > tolerance.as_millis()) {
            return false;
        }
        timestamp = at;
    }
    let parts = hook.signs.iter().map(|part| match part {
        SignedPart::Text(text) => text.as_bytes(),
        SignedPart::Timestamp => timestamp.as_bytes(),
        SignedPart::Body => body,
    });
    let parts: Vec<&[u8]> = parts.collect();
    signature::is_signed(&hook.secret, &parts, given)
}

/// Seconds or milliseconds since 1970, or a time in words.
fn parse_time(text: &str) -> Option<Timestamp> {
    let number = text.parse::<i64>().map(Value::from);
    instant(&number.unwrap_or_else(|_| Value::from(text)))
}

fn events(hook: &HookDefinition, body: &[u8]) -> Result<Vec<Event>, HookFailure> {
    let body: Value =
        serde_json::from_slice(body).map_err(|error| HookFailure::NotJson(error.to_string()))?;
    let is_meant = |(pointer, word): &(Pointer, String)| {
        body.pointer(pointer.as_str()).and_then(text_of).as_ref() == Some(word)
    };
    if !hook.when.iter().all(is_meant) {
        return Ok(Vec::new());
    }
    let Some(each) = &hook.each else {
        return Ok(vec![Taken { hook, body: &body, element: None }.event()?]);
    };
    let elements = body.pointer(each.as_str()).and_then(Value::as_array);
    let elements =
        elements.ok_or_else(|| HookFailure::NoList { pointer: each.as_str().to_owned() })?;
    // Each takes along what it needs of the whole body.
    let found = elements.len();
    if found > MOST_EVENTS {
        return Err(EventFailure::TooMany { found, most: MOST_EVENTS }.into());
    }
    let event = |element| Taken { hook, body: &body, element: Some((each, element)) }.event();
    elements.iter().map(event).collect()
}

/// A body, or one element of a list in it.
struct Taken<'b> {
    hook: &'b HookDefinition,
    body: &'b Value,
    element: Option<(&'b Pointer, &'b Value)>,
}

impl<'b> Taken<'b> {
    fn event(&self) -> Result<Event, HookFailure> {
        let tenant = match &self.hook.tenant {
            None => None,
            Some(HookTenant::Fixed(id)) => Some(id.clone()),
            Some(HookTenant::At(pointer)) => {
                let id = text_of(self.at(pointer)?);
                let pointer = || pointer.as_str().to_owned();
                Some(id.ok_or_else(|| HookFailure::NoTenant { pointer: pointer() })?)
            }
        };
        let data = match &self.hook.data {
            None => self.element.map_or(self.body, |(_, element)| element).clone(),
            Some(fields) => {
                let mut data = Map::new();
                for (name, pointer) in fields {
                    data.insert(name.clone(), self.at(pointer)?.clone());
                }
                Value::Object(data)
            }
        };
        Ok(Event { name: self.hook.event.clone(), tenant, data })
    }

    /// What stands below the list is that of the element, everything else that of the body.
    fn at(&self, pointer: &Pointer) -> Result<&'b Value, HookFailure> {
        let below = self
            .element
            .and_then(|(each, element)| pointer.below(each).map(|below| element.pointer(below)));
        let found = below.unwrap_or_else(|| self.body.pointer(pointer.as_str()));
        let pointer = || pointer.as_str().to_owned();
        let found = found.ok_or_else(|| HookFailure::Missing { pointer: pointer() })?;
        // It is copied for each element.
        if self.element.is_some() && below.is_none() && !is_plain(found) {
            return Err(HookFailure::NotPlain { pointer: pointer() });
        }
        Ok(found)
    }
}

fn is_plain(value: &Value) -> bool {
    match value {
        Value::String(text) => text.len() <= MOST_BESIDE,
        Value::Array(_) | Value::Object(_) => false,
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

impl HookFailure {
    /// Where the body is wrong.
    pub fn pointer(&self) -> Option<&str> {
        match self {
            HookFailure::Missing { pointer }
            | HookFailure::NoList { pointer }
            | HookFailure::NoTenant { pointer }
            | HookFailure::NotPlain { pointer } => Some(pointer),
            HookFailure::Unsigned
            | HookFailure::Unknown { .. }
            | HookFailure::NotJson(_)
            | HookFailure::Event(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use samovar_widgets::{Definitions, Document};
    use serde_json::json;

    use super::*;

    const SECRET: &str = "s3cr3t-s3cr3t";
    const BODY: &[u8] = br#"{"shop_id":7}"#;
    const NOW: WallTime = WallTime::from_millis(1_795_000_000_000);

    fn hook(keys: &str) -> HookDefinition {
        let text = format!(
            "[tenants]\nlist = [{{ id = \"7\" }}]\n[source.shop]\nurl = \"sqlite://shop.db\"\n\
             [widget.any]\nsource = \"shop\"\nquery = \"select 1\"\n\
             [event.happened]\ninvalidates = [\"a/{{id}}\"]\n\
             [hook.shop]\nevent = \"happened\"\nsecret = \"{SECRET}\"\nheader = \"X-Signature\"\n{keys}"
        );
        let document = Document::parse(&text).expect("it is TOML");
        let definitions = Definitions::read(&mut document.root());
        assert_eq!(document.problems(), Vec::new(), "{keys}");
        definitions.hooks[0].clone()
    }

    struct Headers<'h>(&'h [(&'h str, &'h str)]);

    impl Signed for Headers<'_> {
        fn header(&self, name: &str) -> Option<&str> {
            self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
        }
    }

    fn signed(parts: &[&[u8]]) -> String {
        signature::sign(&SECRET.parse().expect("long enough"), parts)
    }

    fn passes(hook: &HookDefinition, headers: &[(&str, &str)]) -> bool {
        is_signed(hook, &Headers(headers), BODY, NOW)
    }

    #[test]
    fn only_the_right_signature_in_the_right_header_passes() {
        let right = signed(&[BODY]);
        let plain = hook("tenant = \"/shop_id\"");
        assert!(passes(&plain, &[("x-signature", &right)]));
        let other = signed(&[b"{}"]);
        for (name, value) in
            [("x-other", right.as_str()), ("x-signature", &other), ("x-signature", ""), ("", "")]
        {
            assert!(!passes(&plain, &[(name, value)]), "{name}: {value}");
        }
        let prefixed = hook("tenant = \"/shop_id\"\nprefix = \"sha256=\"");
        assert!(passes(&prefixed, &[("x-signature", &format!("sha256={right}"))]));
        assert!(!passes(&prefixed, &[("x-signature", &right)]));
        let url = hook("tenant = \"7\"\nsigns = \"https://a.example/hook{body}\"");
        let right = signed(&[b"https://a.example/hook", BODY]);
        assert!(passes(&url, &[("x-signature", &right)]));
    }

    #[test]
    fn a_time_is_signed_and_lies_within_the_tolerance_on_both_sides() {
        let timed = hook("tenant = \"7\"\ntimestamp = \"X-Time\"\ntolerance = \"60s\"");
        for (at, passed) in [
            ("1795000000", true),
            ("1794999941", true),
            ("1795000060", true),
            ("1795000000999", true),
            ("2026-11-18T11:06:40Z", true),
            ("1794999939", false),
            ("1795000061", false),
            ("soon", false),
            ("", false),
        ] {
            let right = signed(&[at.as_bytes(), b".", BODY]);
            let found = passes(&timed, &[("x-signature", &right), ("x-time", at)]);
            assert_eq!(found, passed, "{at}");
        }
        let right = signed(&[b"1795000000", b".", BODY]);
        assert!(!passes(&timed, &[("x-signature", &right)]), "without the time");
        let moved = [("x-signature", right.as_str()), ("x-time", "1795000001")];
        assert!(!passes(&timed, &moved), "another time than was signed");
    }

    fn of(hook: &HookDefinition, body: &Value) -> Result<Vec<Event>, HookFailure> {
        events(hook, body.to_string().as_bytes())
    }

    fn event(tenant: &str, data: Value) -> Event {
        Event { name: "happened".to_owned(), tenant: Some(tenant.to_owned()), data }
    }

    #[test]
    fn a_body_becomes_an_event_by_its_pointers() {
        let body = json!({ "shop_id": 7, "order": { "id": "x", "a/b": [1, 2] } });
        let all = hook("tenant = \"/shop_id\"");
        assert_eq!(of(&all, &body), Ok(vec![event("7", body.clone())]));
        let some =
            hook("tenant = \"7\"\ndata = { id = \"/order/id\", second = \"/order/a~1b/1\" }");
        assert_eq!(of(&some, &body), Ok(vec![event("7", json!({ "id": "x", "second": 2 }))]));
    }

    #[test]
    fn each_element_of_a_list_is_an_event() {
        let listed = hook(
            "tenant = \"/shop\"\neach = \"/orders\"\ndata = { id = \"/orders/id\", at = \"/at\" }",
        );
        let body = json!({ "shop": 7, "at": 5, "orders": [{ "id": 1 }, { "id": 2 }] });
        let expected = [1, 2].map(|id| event("7", json!({ "id": id, "at": 5 })));
        assert_eq!(of(&listed, &body), Ok(expected.to_vec()));
        let none = json!({ "shop": 7, "at": 5, "orders": [] });
        assert_eq!(of(&listed, &none), Ok(Vec::new()));
        let whole = hook("tenant = \"/orders/shop\"\neach = \"/orders\"");
        let body = json!({ "orders": [{ "shop": "7", "id": 1 }] });
        assert_eq!(of(&whole, &body), Ok(vec![event("7", json!({ "shop": "7", "id": 1 }))]));
    }

    /// Each element takes along what it needs of the body, so that without limits a list would become
    /// many times as large before anybody counted its events.
    #[test]
    fn a_list_longer_than_a_call_takes_becomes_no_event() {
        let listed = hook("tenant = \"/shop\"\neach = \"/orders\"\ndata = { id = \"/at\" }");
        let body = |count: usize| json!({ "shop": 7, "at": 5, "orders": vec![0; count] });
        assert_eq!(of(&listed, &body(MOST_EVENTS)).map(|it| it.len()), Ok(1000));
        let refused = EventFailure::TooMany { found: 1001, most: 1000 };
        assert_eq!(of(&listed, &body(MOST_EVENTS + 1)), Err(refused.into()));
        for (beside, is_taken) in
            [(json!("x".repeat(1024)), true), (json!("x".repeat(1025)), false), (json!([1]), false)]
        {
            let body = json!({ "shop": 7, "at": beside, "orders": [0] });
            let not_plain = HookFailure::NotPlain { pointer: "/at".to_owned() };
            assert_eq!(of(&listed, &body).err(), (!is_taken).then_some(not_plain));
        }
    }

    #[test]
    fn what_is_not_meant_becomes_nothing_and_what_is_missing_is_told_by_its_place() {
        let hook = hook(
            "tenant = \"/shop\"\neach = \"/orders\"\nwhen = { \"/type\" = \"created\", \"/live\" = \"true\" }\n\
             data = { id = \"/orders/id\" }",
        );
        let body = |change: Value| {
            let mut body =
                json!({ "type": "created", "live": true, "shop": 7, "orders": [{ "id": 1 }] });
            for (name, value) in change.as_object().expect("an object") {
                body[name] = value.clone();
            }
            body
        };
        assert_eq!(of(&hook, &body(json!({}))).map(|it| it.len()), Ok(1));
        for other in
            [json!({ "type": "deleted" }), json!({ "live": null }), json!({ "live": false })]
        {
            assert_eq!(of(&hook, &body(other)), Ok(Vec::new()));
        }
        for (change, failure) in [
            (json!({ "shop": null }), HookFailure::NoTenant { pointer: "/shop".to_owned() }),
            (json!({ "orders": {} }), HookFailure::NoList { pointer: "/orders".to_owned() }),
            (json!({ "orders": [{}] }), HookFailure::Missing { pointer: "/orders/id".to_owned() }),
        ] {
            assert_eq!(of(&hook, &body(change)), Err(failure));
        }
        assert!(matches!(events(&hook, b"{"), Err(HookFailure::NotJson(_))));
    }
}
