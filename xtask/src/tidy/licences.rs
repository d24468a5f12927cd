//! Licence expressions: `MIT OR (Apache-2.0 AND BSD-3-Clause)`, the older `MIT/Apache-2.0`.

/// Whether `expression` can be met with licences that `is_allowed`. An exception belongs to its
/// licence: `Apache-2.0 WITH LLVM-exception` is asked for as one name.
pub(super) fn is_met(expression: &str, is_allowed: impl Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let met = any(&mut words, &is_allowed);
    words.next().is_none() && met == Some(true)
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

/// `None` where the expression is none.
fn any(words: &mut Words<'_>, is_allowed: &impl Fn(&str) -> bool) -> Option<bool> {
    let mut met = all(words, is_allowed)?;
    while words.next_if_eq(&"OR").is_some() {
        met |= all(words, is_allowed)?;
    }
    Some(met)
}

fn all(words: &mut Words<'_>, is_allowed: &impl Fn(&str) -> bool) -> Option<bool> {
    let mut met = one(words, is_allowed)?;
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, is_allowed)?;
    }
    Some(met)
}

fn one(words: &mut Words<'_>, is_allowed: &impl Fn(&str) -> bool) -> Option<bool> {
    match words.next()? {
        "(" => {
            let met = any(words, is_allowed)?;
            words.next_if_eq(&")").map(|_| met)
        }
        ")" | "OR" | "AND" | "WITH" => None,
        licence if words.next_if_eq(&"WITH").is_some() => {
            Some(is_allowed(&format!("{licence} WITH {}", words.next()?)))
        }
        licence => Some(is_allowed(licence)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_met_or_not() {
        let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"];
        let is_met = |expression| is_met(expression, |licence| allowed.contains(&licence));
        assert!(is_met("MIT"));
        assert!(is_met("GPL-3.0 OR MIT"));
        assert!(is_met("GPL-3.0/MIT"));
        assert!(is_met("Apache-2.0 WITH LLVM-exception OR Apache-2.0"));
        assert!(is_met("(GPL-3.0 OR MIT) AND ISC"));
        assert!(!is_met("GPL-3.0"));
        assert!(!is_met("Apache-2.0"));
        assert!(!is_met("MIT AND GPL-3.0"));
        assert!(!is_met("GPL-3.0 OR GPL-2.0 AND MIT"));
    }

    #[test]
    fn what_is_no_expression_is_not_met() {
        for broken in ["", "MIT OR", "(MIT", "MIT)", "OR MIT", "MIT ISC", "MIT WITH"] {
            assert!(!is_met(broken, |_| true), "{broken:?}");
        }
    }
}
