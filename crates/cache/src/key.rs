//! Keys are made here and nowhere else: readable, and with everything that identifies a reading.

use std::{fmt, sync::Arc};

use jiff::{Timestamp, tz::TimeZone};
use samovar_clock::WallTime;

use crate::{
    limits,
    version::{escape, hash_tag_of},
};

/// The readable shape of a widget's keys, such as `widget:live_calls:{tenant}:{bucket}`.
///
/// Placeholders are `{widget}`, `{tenant}`, `{bucket}` and the names of parameters. Parameters that
/// the template leaves out are appended (`?channel=web&range=7d`), and so is the version of the
/// definition (`#3`), so that two different readings never share a key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyTemplate {
    pub(crate) parts: Arc<[Part]>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Literal(Box<str>),
    Widget,
    Tenant,
    Bucket,
    Param(Box<str>),
}

/// What a key is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyParts<'a> {
    pub(crate) widget: &'a str,
    pub(crate) version: &'a str,
    pub(crate) tenant: &'a str,
    pub(crate) bucket: Option<(Bucket, WallTime, &'a TimeZone)>,
    pub(crate) params: &'a [(&'a str, &'a str)],
}

/// A wall-clock bucket in the key: the widget rolls over on the boundary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bucket {
    Minute,
    Hour,
    Day,
}

impl KeyTemplate {
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (literal, placeholder, after) = match rest.split_once('{') {
                None => (rest, None, ""),
                Some((literal, tail)) => {
                    let (name, after) = tail
                        .split_once('}')
                        .ok_or_else(|| KeyError::Brace { template: text.to_owned() })?;
                    (literal, Some(name), after)
                }
            };
            let bad = |c: &char| {
                !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/' | '@'))
            };
            if let Some(bad) = literal.chars().find(bad) {
                return Err(KeyError::Character { template: text.to_owned(), bad });
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.into()));
            }
            match placeholder {
                None => {}
                Some("widget") => parts.push(Part::Widget),
                Some("tenant") => parts.push(Part::Tenant),
                Some("bucket") => parts.push(Part::Bucket),
                Some("") => return Err(KeyError::Brace { template: text.to_owned() }),
                Some(name) => parts.push(Part::Param(name.into())),
            }
            rest = after;
        }
        if parts.is_empty() {
            return Err(KeyError::EmptyTemplate);
        }
        Ok(Self { parts: parts.into() })
    }

    /// The names between braces, in order.
    pub fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Widget => Some("widget"),
            Part::Tenant => Some("tenant"),
            Part::Bucket => Some("bucket"),
            Part::Param(name) => Some(name),
        })
    }

    /// Appends the stored key to `out`: `{tenant}:e:` and the key as shown.
    #[inline]
    pub(crate) fn write(&self, key: KeyParts<'_>, out: &mut String) -> Result<(), KeyError> {
        let start = out.len();
        hash_tag_of(key.tenant, out);
        out.push_str(ENTRY_MARK);
        let mut bucket = key.bucket;
        let mut used = 0u64;
        for part in self.parts.iter() {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Widget => out.push_str(key.widget),
                Part::Tenant => escape(key.tenant, out),
                Part::Bucket => match bucket.take() {
                    Some(bucket) => write_bucket(bucket, out),
                    None => out.push('-'),
                },
                Part::Param(name) => match position(key.params, name) {
                    Some(index) => {
                        used |= 1 << index;
                        escape(key.params[index].1, out);
                    }
                    None => return Err(KeyError::MissingParam { name: name.to_string() }),
                },
            }
        }
        if let Some(bucket) = bucket {
            out.push('@');
            write_bucket(bucket, out);
        }
        write_params(key.params, used, out)?;
        out.push('#');
        escape(key.version, out);
        match out.len() - start {
            bytes if bytes > limits::KEY_BYTES => Err(KeyError::TooLong { bytes }),
            _ => Ok(()),
        }
    }
}

pub(crate) const ENTRY_MARK: &str = ":e:";
const MAX_PARAMS: usize = 32;

fn position(params: &[(&str, &str)], name: &str) -> Option<usize> {
    params.iter().position(|(param, _)| *param == name)
}

/// Appends the parameters that the template left out, ordered by name whatever the caller's order.
fn write_params(params: &[(&str, &str)], used: u64, out: &mut String) -> Result<(), KeyError> {
    if params.len() > MAX_PARAMS {
        return Err(KeyError::TooManyParams { count: params.len() });
    }
    let mut separator = '?';
    let mut last: Option<&str> = None;
    for _ in 0..params.len() - used.count_ones() as usize {
        let rest = params.iter().enumerate().filter(|(index, _)| used & (1 << index) == 0);
        let next = rest
            .map(|(_, param)| param)
            .filter(|(name, _)| last.is_none_or(|last| *name > last))
            .min_by_key(|(name, _)| *name);
        let Some((name, value)) = next else {
            return Err(KeyError::RepeatedParam);
        };
        out.push(separator);
        escape(name, out);
        out.push('=');
        escape(value, out);
        separator = '&';
        last = Some(name);
    }
    Ok(())
}

fn write_bucket((bucket, wall, zone): (Bucket, WallTime, &TimeZone), out: &mut String) {
    let timestamp = Timestamp::from_millisecond(wall.as_millis()).unwrap_or(Timestamp::UNIX_EPOCH);
    let at = zone.to_datetime(timestamp);
    push_number(i64::from(at.year()), 4, out);
    let mut push = |number: i8| {
        out.push('-');
        push_number(i64::from(number), 2, out);
    };
    push(at.month());
    push(at.day());
    if bucket != Bucket::Day {
        push(at.hour());
    }
    if bucket == Bucket::Minute {
        push(at.minute());
    }
}

fn push_number(number: i64, width: u32, out: &mut String) {
    for digit in (0..width).rev() {
        let digit = (number.unsigned_abs() / 10u64.pow(digit)) % 10;
        out.push(char::from(b'0' + digit as u8));
    }
}

impl fmt::Display for KeyTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.parts.iter() {
            match part {
                Part::Literal(text) => f.write_str(text)?,
                Part::Widget => f.write_str("{widget}")?,
                Part::Tenant => f.write_str("{tenant}")?,
                Part::Bucket => f.write_str("{bucket}")?,
                Part::Param(name) => write!(f, "{{{name}}}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for KeyTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyTemplate({self})")
    }
}

/// The stored name of an entry, `{tenant}:e:<as shown>`, and the names that go with it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EntryKey(Arc<str>);

impl EntryKey {
    pub(crate) fn from_stored(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// The key of an exact reading, as shown to people.
    pub(crate) fn from_shown(tenant: &str, shown: &str) -> Self {
        let mut text = String::new();
        hash_tag_of(tenant, &mut text);
        text.push_str(ENTRY_MARK);
        text.push_str(shown);
        Self(text.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// As people see it and as patterns match it: without the tenant's hash tag.
    pub(crate) fn shown(&self) -> &str {
        shown(&self.0)
    }

    /// Where the lease of this reading is kept.
    pub(crate) fn lease(&self) -> String {
        self.0.replacen(ENTRY_MARK, ":l:", 1)
    }

    /// Where the back-off of this reading is kept.
    pub(crate) fn backoff(&self) -> String {
        self.0.replacen(ENTRY_MARK, ":f:", 1)
    }
}

pub(crate) fn shown(stored: &str) -> &str {
    stored.split_once("}:").and_then(|(_, rest)| rest.split_once(':')).map_or(stored, |(_, s)| s)
}

impl fmt::Debug for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for EntryKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("a key template must not be empty")]
    EmptyTemplate,
    #[error("key template `{template}` has a brace that opens no placeholder such as {{tenant}}")]
    Brace { template: String },
    #[error("key template `{template}` contains {bad:?}: letters, digits and -_.:/@ are allowed")]
    Character { template: String, bad: char },
    #[error("the key needs parameter `{name}`, which the reading does not have")]
    MissingParam { name: String },
    #[error("a reading has the same parameter twice")]
    RepeatedParam,
    #[error("a reading has {count} parameters, at most {MAX_PARAMS} are allowed")]
    TooManyParams { count: usize },
    #[error("a key has {bytes} bytes, at most {} are allowed", limits::KEY_BYTES)]
    TooLong { bytes: usize },
    #[error("a pattern must not be empty: `*` stands for any text")]
    EmptyPattern,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(template: &str, tenant: &str, params: &[(&str, &str)]) -> Result<String, KeyError> {
        let zone = TimeZone::get("Europe/Berlin").expect("known zone");
        // 2025-08-06 16:31:05 UTC, two hours later in Berlin.
        let wall = WallTime::from_millis(1_754_497_865_000);
        let parts = KeyParts {
            widget: "dashboard_stats",
            version: "1",
            tenant,
            bucket: Some((Bucket::Hour, wall, &zone)),
            params,
        };
        let mut out = String::new();
        KeyTemplate::parse(template)?.write(parts, &mut out)?;
        Ok(out)
    }

    #[test]
    fn keys_read_like_their_template_with_the_bucket_in_the_readers_zone() {
        assert_eq!(
            key("widget:{widget}:{tenant}:{bucket}", "123", &[]).as_deref(),
            Ok("{123}:e:widget:dashboard_stats:123:2025-08-06-18#1")
        );
        assert_eq!(shown("{123}:e:menu:123:items#1"), "menu:123:items#1");
    }

    #[test]
    fn what_the_template_leaves_out_is_appended_in_one_order() {
        let expected = Ok("{1}:e:analytics:sales:1@2025-08-06-18?a=1&b=x%20y#1");
        let template = "analytics:{metric}:{tenant}";
        let params = [("b", "x y"), ("metric", "sales"), ("a", "1")];
        assert_eq!(key(template, "1", &params).as_deref(), expected);
        let params = [("a", "1"), ("b", "x y"), ("metric", "sales")];
        assert_eq!(key(template, "1", &params).as_deref(), expected);
    }

    #[test]
    fn values_cannot_pretend_to_be_syntax() {
        let one = key("w:{p}", "1", &[("p", "a?q=1"), ("q", "2")]);
        let other = key("w:{p}", "1", &[("p", "a"), ("q", "1&q=2")]);
        assert_ne!(one, other);
        assert_eq!(one.as_deref(), Ok("{1}:e:w:a%3Fq%3D1@2025-08-06-18?q=2#1"));
    }

    #[test]
    fn placeholders_are_listed_as_written() {
        let template = KeyTemplate::parse("a:{metric}:{tenant}{bucket}:b").expect("valid");
        assert_eq!(template.placeholders().collect::<Vec<_>>(), ["metric", "tenant", "bucket"]);
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(key("w:{p}", "1", &[]), Err(KeyError::MissingParam { name: "p".to_owned() }));
        assert_eq!(key("w", "1", &[("a", "1"), ("a", "2")]), Err(KeyError::RepeatedParam));
        assert!(matches!(KeyTemplate::parse("w:{p"), Err(KeyError::Brace { .. })));
        assert!(matches!(KeyTemplate::parse("a b"), Err(KeyError::Character { bad: ' ', .. })));
        assert!(matches!(KeyTemplate::parse(""), Err(KeyError::EmptyTemplate)));
        let long = "x".repeat(limits::KEY_BYTES);
        assert!(matches!(key("w:{p}", "1", &[("p", &long)]), Err(KeyError::TooLong { .. })));
    }
}
