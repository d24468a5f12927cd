//! The elements of a JSON list in a column, read once and without building them: declared fields are
//! taken out, and what else there is is stepped over.
//!
//! What is stepped over is looked at as far as its quotes and brackets go, no further: it may be
//! wrong in other ways. What is taken is checked.

use std::borrow::Cow;

use super::{number::Number, scalar::Scalar};

/// Why a text is no list of objects; completes "the column holds ...".
pub(crate) type Fault = &'static str;

const NO_JSON: Fault = "a text that is no JSON";
const NO_LIST: Fault = "JSON that is no list";
const NO_OBJECT: Fault = "a list of something else than objects";

/// Gives the values of `fields` of each element; null where it has none. Of a field that comes twice
/// the last counts.
pub(crate) fn elements<'j, E: From<Fault>>(
    text: &'j str,
    fields: &[String],
    mut each: impl FnMut(&[Scalar<'j>]) -> Result<(), E>,
) -> Result<(), E> {
    let mut scanner = Scanner { text, at: 0 };
    let mut values = Vec::with_capacity(fields.len());
    match scanner.next_token() {
        Some(b'[') => {}
        Some(b'n') => {
            // JSON's null is a list of nothing, as the database's is.
            scanner.at -= 1;
            return if scanner.literal()? == "null" { Ok(()) } else { Err(NO_JSON.into()) };
        }
        Some(b'{' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f') => return Err(NO_LIST.into()),
        _ => return Err(NO_JSON.into()),
    }
    let mut is_first = true;
    loop {
        let token = match (scanner.next_token().ok_or(NO_JSON)?, is_first) {
            (b']', true) => break,
            (b']', false) => break,
            (b',', false) => scanner.next_token().ok_or(NO_JSON)?,
            (token, true) => token,
            (_, false) => return Err(NO_JSON.into()),
        };
        is_first = false;
        values.clear();
        values.resize(fields.len(), Scalar::Null);
        match token {
            b'{' => scanner.object(fields, &mut values)?,
            b'n' => {
                scanner.at -= 1;
                if scanner.literal()? != "null" {
                    return Err(NO_JSON.into());
                }
            }
            b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' => return Err(NO_OBJECT.into()),
            _ => return Err(NO_JSON.into()),
        }
        each(&values)?;
    }
    match scanner.next_token() {
        None => Ok(()),
        Some(_) => Err(NO_JSON.into()),
    }
}

struct Scanner<'j> {
    text: &'j str,
    at: usize,
}

impl<'j> Scanner<'j> {
    fn bytes(&self) -> &'j [u8] {
        self.text.as_bytes()
    }

    /// The next byte that is no space.
    fn next_token(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes().get(self.at)?;
            self.at += 1;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
        }
    }

    /// Behind its opening brace.
    fn object(&mut self, fields: &[String], values: &mut [Scalar<'j>]) -> Result<(), Fault> {
        let mut token = self.next_token().ok_or(NO_JSON)?;
        if token == b'}' {
            return Ok(());
        }
        loop {
            if token != b'"' {
                return Err(NO_JSON);
            }
            let name = self.string()?;
            if self.next_token() != Some(b':') {
                return Err(NO_JSON);
            }
            let field = match name {
                Text::Plain(name) => fields.iter().position(|field| field == name),
                Text::Escaped(name) => {
                    let name = unescaped(name)?;
                    fields.iter().position(|field| *field == name)
                }
            };
            match field {
                Some(field) => values[field] = self.scalar()?,
                None => self.step_over()?,
            }
            match self.next_token() {
                Some(b'}') => return Ok(()),
                Some(b',') => token = self.next_token().ok_or(NO_JSON)?,
                _ => return Err(NO_JSON),
            }
        }
    }

    fn scalar(&mut self) -> Result<Scalar<'j>, Fault> {
        match self.next_token().ok_or(NO_JSON)? {
            b'"' => Ok(Scalar::Text(match self.string()? {
                Text::Plain(text) => Cow::Borrowed(text),
                Text::Escaped(quoted) => Cow::Owned(unescaped(quoted)?),
            })),
            b'{' | b'[' => Err("a list or an object in a field that is measured"),
            _ => {
                self.at -= 1;
                match self.literal()? {
                    "null" => Ok(Scalar::Null),
                    "true" => Ok(Scalar::Boolean(true)),
                    "false" => Ok(Scalar::Boolean(false)),
                    number
                        if number.starts_with([
                            '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9',
                        ]) =>
                    {
                        Number::parse(number).map(Scalar::Number).ok_or(NO_JSON)
                    }
                    _ => Err(NO_JSON),
                }
            }
        }
    }

    /// A number or a word.
    fn literal(&mut self) -> Result<&'j str, Fault> {
        let rest = &self.bytes()[self.at..];
        let is_part =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+');
        let length = rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len());
        let literal = &self.text[self.at..self.at + length];
        self.at += length;
        if literal.is_empty() { Err(NO_JSON) } else { Ok(literal) }
    }

    /// Behind its opening quote; afterwards behind the closing one.
    fn string(&mut self) -> Result<Text<'j>, Fault> {
        let start = self.at;
        let mut is_escaped = false;
        loop {
            self.at += quote_or_backslash(&self.bytes()[self.at..]).ok_or(NO_JSON)?;
            if self.bytes()[self.at] == b'"' {
                self.at += 1;
                let inside = &self.text[start..self.at - 1];
                let quoted = || &self.text[start - 1..self.at];
                return Ok(if is_escaped { Text::Escaped(quoted()) } else { Text::Plain(inside) });
            }
            is_escaped = true;
            self.at += 2;
            if self.at > self.text.len() {
                return Err(NO_JSON);
            }
        }
    }

    fn step_over(&mut self) -> Result<(), Fault> {
        match self.next_token().ok_or(NO_JSON)? {
            b'"' => self.string().map(drop),
            b'{' | b'[' => self.step_out(),
            _ => {
                self.at -= 1;
                self.literal().map(drop)
            }
        }
    }

    /// Behind the bracket that closes what is open.
    fn step_out(&mut self) -> Result<(), Fault> {
        let mut depth = 1usize;
        while depth > 0 {
            let byte = *self.bytes().get(self.at).ok_or(NO_JSON)?;
            self.at += 1;
            match byte {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
        }
        Ok(())
    }
}

enum Text<'j> {
    Plain(&'j str),
    /// With its quotes.
    Escaped(&'j str),
}

fn unescaped(quoted: &str) -> Result<String, Fault> {
    serde_json::from_str(quoted).map_err(|_| NO_JSON)
}

/// Most of a document is in its strings, and most of those are short, or else long.
fn quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    const SHORT: usize = 16;
    let (short, long) = bytes.split_at(bytes.len().min(SHORT));
    in_words(short).or_else(|| Some(SHORT + memchr::memchr2(b'"', b'\\', long)?))
}

/// Eight bytes at a time.
fn in_words(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The lowest high bit that is set marks the first byte that is zero.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = ONES * u64::from(b'"');
        let backslash = ONES * u64::from(b'\\');
        let found = zeros(word ^ quote) | zeros(word ^ backslash);
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let found = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'));
    found.map(|place| words.len() * 8 + place)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;

    /// Each element's `a` and `b` as JSON.
    fn read(text: &str) -> Result<Vec<[String; 2]>, Fault> {
        let mut found = Vec::new();
        elements(text, &["a".to_owned(), "b".to_owned()], |values| {
            found.push([shown(&values[0]), shown(&values[1])]);
            Ok(())
        })
        .map(|()| found)
    }

    fn shown(scalar: &Scalar<'_>) -> String {
        match scalar {
            Scalar::Null => "null".to_owned(),
            Scalar::Boolean(flag) => flag.to_string(),
            Scalar::Text(text) => Json::from(&**text).to_string(),
            Scalar::Number(number) => format!("{:?}", number.to_f64()),
            Scalar::Bytes(_) => unreachable!("JSON has none"),
        }
    }

    #[test]
    fn declared_fields_are_taken_and_others_are_stepped_over() {
        let text = r#" [ {"x":{"a":[1,"]}"]},"a" : "q\"\u00e9" , "b":-1.5e1}, {} , null,
            {"b":true,"\u0061":"plain","y":[[],{}],"z":1e9}]"#;
        let row = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        assert_eq!(
            read(text),
            Ok(vec![
                row("\"q\\\"é\"", "-15.0"),
                row("null", "null"),
                row("null", "null"),
                row("\"plain\"", "true"),
            ])
        );
        for empty in ["[]", " null ", "[\n]"] {
            assert_eq!(read(empty), Ok(vec![]), "{empty}");
        }
    }

    #[test]
    fn what_is_no_list_of_objects_is_told() {
        for (text, fault) in [
            ("", NO_JSON),
            ("x", NO_JSON),
            ("[", NO_JSON),
            ("[{}", NO_JSON),
            ("[{},]", NO_JSON),
            ("[,{}]", NO_JSON),
            ("[{} {}]", NO_JSON),
            ("[{}] x", NO_JSON),
            ("nul", NO_JSON),
            ("[nul]", NO_JSON),
            ("[{\"a\":}]", NO_JSON),
            ("[{\"a\":1,}]", NO_JSON),
            ("[{\"a\" 1}]", NO_JSON),
            ("[{a:1}]", NO_JSON),
            ("[{\"a\":tru}]", NO_JSON),
            ("[{\"a\":1.2.3}]", NO_JSON),
            ("[{\"a\":\"\\u12\"}]", NO_JSON),
            ("[{\"x\":\"\\", NO_JSON),
            ("[{\"x\":[}]", NO_JSON),
            ("{}", NO_LIST),
            ("7", NO_LIST),
            ("[1]", NO_OBJECT),
            ("[\"a\"]", NO_OBJECT),
            ("[{\"a\":[]}]", "a list or an object in a field that is measured"),
        ] {
            assert_eq!(read(text), Err(fault), "{text}");
        }
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i32>().prop_map(Json::from),
            any::<i32>().prop_map(|it| json!(f64::from(it) / 8.0)),
            "[ -~é\\n\"\\\\{}\\[\\],:]{0,20}".prop_map(Json::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                prop::collection::hash_map("[a-d\"]{0,3}", inner, 0..4)
                    .prop_map(|map| map.into_iter().collect::<Json>()),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_reads_what_a_parser_reads(
            objects in prop::collection::vec(
                prop::collection::hash_map("[a-d\"]{1,2}", any_json(), 0..6), 0..5),
            pretty in any::<bool>(),
        ) {
            let json: Json = objects.iter().map(|it| json!(it)).collect();
            let text = if pretty { format!("{json:#}") } else { json.to_string() };
            let is_nested = |it: &Json| it.is_array() || it.is_object();
            let field = |object: &Json, name: &str| match &object[name] {
                Json::Number(number) => format!("{:?}", number.as_f64().expect("finite")),
                other => other.to_string(),
            };
            let all = json.as_array().expect("a list");
            if all.iter().any(|it| is_nested(&it["a"]) || is_nested(&it["b"])) {
                prop_assert!(read(&text).is_err());
            } else {
                let expected: Vec<_> =
                    all.iter().map(|it| [field(it, "a"), field(it, "b")]).collect();
                prop_assert_eq!(read(&text), Ok(expected));
            }
        }

        #[test]
        fn the_end_of_a_string_is_found_wherever_it_is(
            mut text in "[ -~&&[^\"\\\\]]{0,300}",
            end in prop::option::of(any::<prop::sample::Index>()),
            mark in prop_oneof![Just('"'), Just('\\')],
        ) {
            let place = end.map(|end| end.index(text.len() + 1));
            if let Some(place) = place {
                text.insert(place, mark);
                text.push('"');
            }
            prop_assert_eq!(quote_or_backslash(text.as_bytes()), place);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]{},:\"\\\\a0\\- nul]{0,40}", any in any::<String>()) {
            let _ = (read(&text), read(&any));
        }
    }
}
