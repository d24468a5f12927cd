//! Hooks: what another system sends, signed, and the event that it means here.

use std::time::Duration;

use super::{Declared, EventDefinition, TagPart, check_field_name, check_name, check_tenant};
use crate::{Located, Problem, Section, SigningSecret, limits, section::Entry};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookDefinition {
    pub name: Located<String>,
    pub event: String,
    pub secret: SigningSecret,
    /// Where the signature stands, in small letters.
    pub header: String,
    /// What stands before the signature.
    pub prefix: String,
    /// What is signed, one after the other.
    pub signs: Vec<SignedPart>,
    /// The header with the time of the signature, and how old it may be.
    pub timestamp: Option<(String, Duration)>,
    /// What does not say this is taken, and means nothing.
    pub when: Vec<(Pointer, String)>,
    /// A list, of which each element is an event.
    pub each: Option<Pointer>,
    pub tenant: Option<HookTenant>,
    /// Fields of the event's data; all of the body, or of the element, where it does not say.
    pub data: Option<Vec<(String, Pointer)>>,
}

/// Where something stands in JSON (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(String);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookTenant {
    Fixed(String),
    At(Pointer),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedPart {
    Text(String),
    /// As it stands in its header.
    Timestamp,
    Body,
}

/// What a hook may name.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) events: &'a [EventDefinition],
    /// Those that are wrong as well.
    pub(super) event_names: &'a [String],
    pub(super) declared: Declared<'a>,
}

const EVENT: &str = "event = \"order.created\"";
const HEADER: &str = "header = \"X-Signature\"";
const SECRET: &str = "secret = \"${SHOP_SECRET}\", 8 to 512 bytes";
const DATA: &str = "data = { received_at = \"/order/created_at\" }";
const WHEN: &str = "when = { \"/type\" = \"order.created\" }";
const POINTER_HINT: &str = "write where it stands, like \"/order/created_at\"";
const SIGNS_HINT: &str = "write it like \"{body}\" or \"{timestamp}.{body}\"";
const TOLERANCE: Duration = Duration::from_secs(300);

impl Pointer {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is left of it below another one.
    pub fn below(&self, above: &Pointer) -> Option<&str> {
        let rest = self.0.strip_prefix(above.as_str())?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    fn parse(text: &str) -> Option<Self> {
        let is_escaped = |part: &str| part.starts_with(['0', '1']);
        let is_sound = text.starts_with('/')
            && text.len() <= limits::POINTER_BYTES
            && text.split('~').skip(1).all(is_escaped);
        is_sound.then(|| Self(text.to_owned()))
    }
}

pub(super) fn read(
    name: Located<String>,
    mut section: Section<'_>,
    known: Known<'_>,
) -> Option<HookDefinition> {
    let before = section.error_count();
    check_name(&name, &section);
    let event = section.required_text("event", EVENT);
    if let Some(event) = &event {
        check_event(event, known.event_names, &section);
    }
    let secret = section.required_url("secret", SECRET, str::parse::<SigningSecret>);
    // There is one so far: a file that says it goes on to mean the same when there are others.
    section.choice("scheme", &[("hmac-sha256", ())]);
    section.require("header", HEADER);
    let header = read_header(&mut section, "header");
    let prefix = section.text("prefix").map_or_else(String::new, |it| it.value);
    let timestamp = read_timestamp(&mut section);
    let signs = read_signs(&mut section, timestamp.is_some());
    let when = read_when(&mut section);
    let each = read_pointer(&mut section, "each");
    let tenant = read_tenant(&mut section, known.declared);
    let data = read_data(&mut section);
    let definition = event.as_ref().and_then(|event| {
        known.events.iter().find(|it| it.name.value == event.value).map(|it| (event, it))
    });
    // What is wrong already would be told as missing.
    let definition = definition.filter(|_| section.error_count() == before);
    if let Some((event, definition)) = definition {
        check_needs(event, definition, tenant.is_some(), data.as_deref(), &section);
    }
    let is_sound = section.error_count() == before;
    section.finish();
    let hook = HookDefinition {
        name,
        event: event?.value,
        secret: secret?.value,
        header: header?,
        prefix,
        signs,
        timestamp,
        when,
        each,
        tenant,
        data,
    };
    is_sound.then_some(hook)
}

fn check_event(event: &Located<String>, declared: &[String], section: &Section<'_>) {
    let name = &event.value;
    if !declared.contains(name) {
        let problem = Problem::new(event.line, format!("there is no event `{name}`"));
        let declare = || format!("declare it: [event.\"{name}\"]");
        section.note(problem.meant(name, declared.iter().map(String::as_str), declare));
    }
}

/// In small letters, as headers are compared.
fn read_header(section: &mut Section<'_>, key: &'static str) -> Option<String> {
    let header = section.text(key)?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if header.value.len() > limits::HEADER_BYTES || !header.value.bytes().all(is_token) {
        let what = format!("is `{}`, no name of a header", header.value);
        section.refuse(key, header.line, &what, "write it like \"X-Signature\"");
        return None;
    }
    Some(header.value.to_ascii_lowercase())
}

fn read_timestamp(section: &mut Section<'_>) -> Option<(String, Duration)> {
    let header = read_header(section, "timestamp");
    let tolerance = section.duration("tolerance", limits::HOOK_TOLERANCE);
    if let (Some(tolerance), false) = (&tolerance, section.has("timestamp")) {
        let hint = "name the header with the time: timestamp = \"X-Timestamp\", or leave it out";
        section.refuse("tolerance", tolerance.line, "is of no time", hint);
    }
    Some((header?, tolerance.map_or(TOLERANCE, |it| it.value)))
}

/// A time that is not signed could be anybody's.
fn read_signs(section: &mut Section<'_>, is_timed: bool) -> Vec<SignedPart> {
    let default = match is_timed {
        true => vec![SignedPart::Timestamp, SignedPart::Text(".".to_owned()), SignedPart::Body],
        false => vec![SignedPart::Body],
    };
    let Some(text) = section.text("signs") else { return default };
    let count = |name: &str| text.value.matches(name).count();
    let (bodies, times) = (count("{body}"), count("{timestamp}"));
    let what = match (bodies, times, is_timed) {
        _ if text.value.len() > limits::POINTER_BYTES => "is too long",
        (1, 1, true) | (1, 0, false) => return parse_signs(&text.value),
        (1, _, true) => "does not hold {timestamp} once, so that anybody could change it",
        (1, _, false) => "holds {timestamp}, and no header of that name is named",
        _ => "does not hold {body} once",
    };
    section.refuse("signs", text.line, what, SIGNS_HINT);
    default
}

fn parse_signs(text: &str) -> Vec<SignedPart> {
    const PARTS: [(&str, SignedPart); 2] =
        [("{body}", SignedPart::Body), ("{timestamp}", SignedPart::Timestamp)];
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some((name, part)) = PARTS.iter().find(|(name, _)| rest.starts_with(name)) {
            parts.push(part.clone());
            rest = &rest[name.len()..];
            continue;
        }
        let next = PARTS.iter().filter_map(|(name, _)| rest.find(name)).min();
        let (text, after) = rest.split_at(next.unwrap_or(rest.len()));
        parts.push(SignedPart::Text(text.to_owned()));
        rest = after;
    }
    parts
}

fn read_when(section: &mut Section<'_>) -> Vec<(Pointer, String)> {
    let mut conditions = Vec::new();
    for (pointer, entry) in section.entries("when", WHEN) {
        match (Pointer::parse(&pointer.value), entry) {
            (Some(pointer), Entry::Word(word)) => conditions.push((pointer, word)),
            _ => section.refuse("when", pointer.line, "names no place with its text", WHEN),
        }
    }
    conditions
}

fn read_pointer(section: &mut Section<'_>, key: &'static str) -> Option<Pointer> {
    let text = section.text(key)?;
    let pointer = Pointer::parse(&text.value);
    if pointer.is_none() {
        let what = format!("is `{}`, which is no JSON pointer", text.value);
        section.refuse(key, text.line, &what, POINTER_HINT);
    }
    pointer
}

fn read_tenant(section: &mut Section<'_>, declared: Declared<'_>) -> Option<HookTenant> {
    if !section.has("tenant") {
        return section.text("tenant").and(None);
    }
    let text = section.text("tenant")?;
    if text.value.starts_with('/') {
        let pointer = Pointer::parse(&text.value);
        if pointer.is_none() {
            let hint = "write where its id stands, like \"/shop_id\", or an id";
            section.refuse("tenant", text.line, "is no JSON pointer", hint);
        }
        return pointer.map(HookTenant::At);
    }
    check_tenant(&text, declared, section);
    Some(HookTenant::Fixed(text.value))
}

fn read_data(section: &mut Section<'_>) -> Option<Vec<(String, Pointer)>> {
    if !section.has("data") {
        section.know("data");
        return None;
    }
    let mut fields = Vec::new();
    for (name, entry) in section.entries("data", DATA) {
        check_field_name(&name, section);
        let pointer = match &entry {
            Entry::Word(word) => Pointer::parse(word),
            Entry::Table(_) => None,
        };
        match pointer {
            Some(pointer) => fields.push((name.value, pointer)),
            None => {
                let what = format!("says of `{}` no JSON pointer", name.value);
                section.refuse("data", name.line, &what, POINTER_HINT);
            }
        }
    }
    if fields.len() > limits::FIELDS_PER_HOOK {
        let hint = format!("take at most {}", limits::FIELDS_PER_HOOK);
        let what = format!("takes {} fields", fields.len());
        section.refuse("data", section.line_of("data"), &what, &hint);
    }
    Some(fields)
}

/// Found when the file is read, and not when the first hook comes.
fn check_needs(
    event: &Located<String>,
    definition: &EventDefinition,
    has_tenant: bool,
    data: Option<&[(String, Pointer)]>,
    section: &Section<'_>,
) {
    let own = definition.invalidates.iter().find(|tag| !tag.is_global());
    if let (Some(tag), false) = (own, has_tenant) {
        let reason = format!("nobody says whose `{}` is", tag.text.value);
        let hint = "say where the id of the tenant stands: tenant = \"/shop_id\", or an id";
        section.note(Problem::new(event.line, reason).hint(hint));
    }
    let Some(data) = data else { return };
    let parts = definition.invalidates.iter().flat_map(|tag| &tag.parts);
    let fields = parts.filter_map(|part| match part {
        TagPart::Field(field) => Some(field.as_str()),
        TagPart::Text(_) | TagPart::Date(_) => None,
    });
    let first = |path: &str| path.split('.').next().unwrap_or_default().to_owned();
    let given = |field: &&str| data.iter().any(|(name, _)| *name == first(field));
    if let Some(field) = fields.chain(definition.at.as_deref()).find(|field| !given(field)) {
        let reason = format!("the event `{}` needs `{field}`, which is not taken", event.value);
        let hint = format!("say where it stands: data.{} = \"/...\"", first(field));
        section.note(Problem::new(section.line_of("data"), reason).hint(hint));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_read_part_by_part() {
        let text = |text: &str| SignedPart::Text(text.to_owned());
        for (written, parts) in [
            ("{body}", vec![SignedPart::Body]),
            (
                "v0:{timestamp}:{body}",
                vec![text("v0:"), SignedPart::Timestamp, text(":"), SignedPart::Body],
            ),
            ("https://a.example/{x}{body}", vec![text("https://a.example/{x}"), SignedPart::Body]),
            ("{body}{timestamp}!", vec![SignedPart::Body, SignedPart::Timestamp, text("!")]),
        ] {
            assert_eq!(parse_signs(written), parts, "{written}");
        }
    }

    #[test]
    fn a_pointer_begins_with_a_slash_and_escapes_with_a_tilde() {
        for sound in ["/", "/a", "/a/0/b", "/a~1b/~0"] {
            assert!(Pointer::parse(sound).is_some(), "{sound}");
        }
        let long = format!("/{}", "a".repeat(limits::POINTER_BYTES));
        for wrong in ["", "a", "a/b", "/~", "/~2", &long] {
            assert!(Pointer::parse(wrong).is_none(), "{wrong}");
        }
        let pointer = |text| Pointer::parse(text).expect("sound");
        assert_eq!(pointer("/a/b/c").below(&pointer("/a/b")), Some("/c"));
        assert_eq!(pointer("/a/b").below(&pointer("/a/b")), Some(""));
        assert_eq!(pointer("/a/bc").below(&pointer("/a/b")), None);
    }
}
