//! What a measure adds up: columns, fields and numbers with `+ - * /` and parentheses.

use std::fmt;

use super::number::Number;

#[derive(Clone, Debug)]
pub(crate) enum Expression<N> {
    Name(N),
    Number(Number),
    Negate(Box<Expression<N>>),
    Binary(Operator, Box<Expression<N>>, Box<Expression<N>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// Completes "the expression ...".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InvalidExpression(String);

const MOST_PARTS: usize = 64;

impl<N> Expression<N> {
    /// The first that cannot be mapped decides.
    pub(crate) fn map<M, E>(
        &self,
        name: &mut impl FnMut(&N) -> Result<M, E>,
    ) -> Result<Expression<M>, E> {
        Ok(match self {
            Expression::Name(it) => Expression::Name(name(it)?),
            Expression::Number(number) => Expression::Number(*number),
            Expression::Negate(it) => Expression::Negate(Box::new(it.map(name)?)),
            Expression::Binary(operator, a, b) => {
                let a = Box::new(a.map(name)?);
                Expression::Binary(*operator, a, Box::new(b.map(name)?))
            }
        })
    }

    /// Nothing where a part of it is nothing, or something is divided by zero.
    pub(crate) fn value<E>(
        &self,
        number: &mut impl FnMut(&N) -> Result<Option<Number>, E>,
    ) -> Result<Option<Number>, E> {
        Ok(match self {
            Expression::Name(it) => number(it)?,
            Expression::Number(it) => Some(*it),
            Expression::Negate(it) => it.value(number)?.map(Number::negate),
            Expression::Binary(operator, a, b) => {
                let (Some(a), Some(b)) = (a.value(number)?, b.value(number)?) else {
                    return Ok(None);
                };
                match operator {
                    Operator::Add => Some(a.add(b)),
                    Operator::Subtract => Some(a.subtract(b)),
                    Operator::Multiply => Some(a.multiply(b)),
                    Operator::Divide => a.divide(b),
                }
            }
        })
    }
}

impl Expression<String> {
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidExpression> {
        let mut parser = Parser { text, at: 0, parts: 0 };
        let expression = parser.sum()?;
        match parser.peek() {
            None => Ok(expression),
            Some(_) => Err(parser.unexpected()),
        }
    }

    /// The name, where it is nothing else.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Expression::Name(name) => Some(name),
            _ => None,
        }
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    parts: usize,
}

impl Parser<'_> {
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.text[self.at..].chars().next()
    }

    fn takes(&mut self, wanted: char) -> bool {
        let is_next = self.peek() == Some(wanted);
        self.at += if is_next { wanted.len_utf8() } else { 0 };
        is_next
    }

    fn unexpected(&mut self) -> InvalidExpression {
        InvalidExpression(match self.peek() {
            Some(found) => format!("has `{found}` where it cannot be"),
            None => "ends too early".to_owned(),
        })
    }

    fn sum(&mut self) -> Result<Expression<String>, InvalidExpression> {
        let operators = [('+', Operator::Add), ('-', Operator::Subtract)];
        self.chain(operators, Self::product)
    }

    fn product(&mut self) -> Result<Expression<String>, InvalidExpression> {
        let operators = [('*', Operator::Multiply), ('/', Operator::Divide)];
        self.chain(operators, Self::part)
    }

    fn chain(
        &mut self,
        operators: [(char, Operator); 2],
        mut operand: impl FnMut(&mut Self) -> Result<Expression<String>, InvalidExpression>,
    ) -> Result<Expression<String>, InvalidExpression> {
        let mut left = operand(self)?;
        while let Some((_, operator)) = operators.iter().find(|(sign, _)| self.takes(*sign)) {
            let right = operand(self)?;
            left = Expression::Binary(*operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn part(&mut self) -> Result<Expression<String>, InvalidExpression> {
        self.parts += 1;
        if self.parts > MOST_PARTS {
            return Err(InvalidExpression(format!("has more than {MOST_PARTS} parts")));
        }
        if self.takes('-') {
            return Ok(Expression::Negate(Box::new(self.part()?)));
        }
        if self.takes('(') {
            let inner = self.sum()?;
            return if self.takes(')') { Ok(inner) } else { Err(self.unexpected()) };
        }
        let Some(first) = self.peek() else { return Err(self.unexpected()) };
        let rest = &self.text[self.at..];
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        let word = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        let part = match first {
            '0'..='9' => match Number::parse(word) {
                Some(number) => Expression::Number(number),
                None => return Err(InvalidExpression(format!("has `{word}`, which is no number"))),
            },
            _ if is_name(word) => Expression::Name(word.to_owned()),
            _ => return Err(self.unexpected()),
        };
        self.at += word.len();
        Ok(part)
    }
}

/// A column, or a field of an element: `items.qty`.
fn is_name(word: &str) -> bool {
    let is_word =
        |part: &str| part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    word.split('.').count() <= 2 && word.split('.').all(|part| is_word(part) && !part.is_empty())
}

impl fmt::Display for InvalidExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// With all of its parentheses: the same text means the same.
impl<N: fmt::Display> fmt::Display for Expression<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expression::Name(name) => write!(f, "{name}"),
            Expression::Number(Number::Exact(exact)) => f.write_str(&exact.digits()),
            Expression::Number(Number::Float(float)) => write!(f, "{float:?}"),
            Expression::Negate(it) => write!(f, "-{it}"),
            Expression::Binary(operator, a, b) => {
                let sign = match operator {
                    Operator::Add => '+',
                    Operator::Subtract => '-',
                    Operator::Multiply => '*',
                    Operator::Divide => '/',
                };
                write!(f, "({a} {sign} {b})")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Expression<String>, String> {
        Expression::parse(text).map_err(|error| error.to_string())
    }

    #[test]
    fn expressions_bind_as_in_school() {
        for (text, expected) in [
            ("total", "total"),
            (" items.qty*items.price ", "(items.qty * items.price)"),
            ("a - b - c", "((a - b) - c)"),
            ("a + b * -c / 2", "(a + ((b * -c) / 2))"),
            ("(a + 1.50) * 2", "((a + 1.50) * 2)"),
            ("--a", "--a"),
        ] {
            assert_eq!(parse(text).expect(text).to_string(), expected, "{text}");
        }
        let value = |text: &str| {
            let mut number = |_: &String| Ok::<_, ()>(Number::parse("0.5"));
            parse(text).expect(text).value(&mut number).expect("no error").map(Number::to_f64)
        };
        assert_eq!(value("a * 3 - 1 / 4"), Some(1.25));
        assert_eq!(value("a / (1 - 2 * a)"), None);
    }

    #[test]
    fn what_is_no_expression_says_where() {
        for (text, expected) in [
            ("", "ends too early"),
            ("a +", "ends too early"),
            ("(a", "ends too early"),
            ("a b", "has `b` where it cannot be"),
            ("a)", "has `)` where it cannot be"),
            ("sum(a)", "has `(` where it cannot be"),
            ("* a", "has `*` where it cannot be"),
            ("a % 2", "has `%` where it cannot be"),
            ("1.2.3", "has `1.2.3`, which is no number"),
            ("2x", "has `2x`, which is no number"),
            ("a.b.c", "has `a` where it cannot be"),
            ("a..b", "has `a` where it cannot be"),
            ("é", "has `é` where it cannot be"),
        ] {
            assert_eq!(parse(text).map(drop), Err(expected.to_owned()), "{text}");
        }
        assert!(parse(&"(".repeat(10_000)).is_err() && parse(&"a+".repeat(100)).is_err());
        assert!(parse(&"-".repeat(10_000)).is_err());
    }
}
