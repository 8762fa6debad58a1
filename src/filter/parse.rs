//! Recursive descent from tokens to an [`Expr`].
//!
//! ```text
//! or      = xor { "||" xor }
//! xor     = and { "^^" and }
//! and     = not { "&&" not }
//! not     = "!" not | "(" or ")" | test
//! test    = operand [ relation value | "contains" value | [ "not" ] "in" set ]
//! operand = field [ "&" integer ]
//! set     = "{" value [ ".." value ] { "," value [ ".." value ] } "}"
//! ```

use std::ops::Range;

use super::error::FilterError;
use super::expr::{Expr, Operand, Quantifier, Relation};
use super::field::Field;
use super::lex::{Spanned, Token, tokens};
use super::literal;
use super::value::{Kind, Literal, Value};

/// Bytes of a filter: more than anybody writes.
const TEXT_BYTES_MAX: usize = 16 << 10;
/// Brackets and negations inside one another: bounds the recursion of parser and evaluation.
const DEPTH_MAX: u32 = 64;

/// Operators by their symbol and their word.
const RELATIONS: &[(&str, &[&str], Quantifier, Relation)] = &[
    ("==", &["eq", "any_eq"], Quantifier::Any, Relation::Equal),
    ("!=", &["ne", "all_ne"], Quantifier::All, Relation::Unequal),
    ("===", &["all_eq"], Quantifier::All, Relation::Equal),
    ("!==", &["any_ne"], Quantifier::Any, Relation::Unequal),
    ("<", &["lt"], Quantifier::Any, Relation::Less),
    ("<=", &["le"], Quantifier::Any, Relation::LessOrEqual),
    (">", &["gt"], Quantifier::Any, Relation::Greater),
    (">=", &["ge"], Quantifier::Any, Relation::GreaterOrEqual),
];

pub(super) fn parse(text: &str) -> Result<Expr, FilterError> {
    if text.len() > TEXT_BYTES_MAX {
        let start = text.floor_char_boundary(TEXT_BYTES_MAX);
        let message = format!("a filter has at most {TEXT_BYTES_MAX} bytes");
        return Err(FilterError::new(start..text.len(), message));
    }
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, end: text.len(), depth: 0 };
    let expr = parser.or()?;
    match parser.tokens.first() {
        None => Ok(expr),
        Some(Spanned { token: Token::Symbol(")"), span }) => {
            Err(FilterError::new(span.clone(), "`)` closes nothing"))
        }
        Some(rest) => Err(FilterError::new(rest.span.clone(), "the filter is complete before this")
            .help("`&&` or `||` goes between two tests")),
    }
}

struct Parser<'t> {
    /// What is left.
    tokens: &'t [Spanned<'t>],
    /// Length of the text.
    end: usize,
    depth: u32,
}

impl<'t> Parser<'t> {
    fn or(&mut self) -> Result<Expr, FilterError> {
        self.chain(["||", "or"], Parser::xor, Expr::Any)
    }

    fn xor(&mut self) -> Result<Expr, FilterError> {
        self.chain(["^^", "xor"], Parser::and, Expr::Odd)
    }

    fn and(&mut self) -> Result<Expr, FilterError> {
        self.chain(["&&", "and"], Parser::not, Expr::All)
    }

    fn chain(
        &mut self,
        [symbol, word]: [&str; 2],
        part: fn(&mut Self) -> Result<Expr, FilterError>,
        join: fn(Vec<Expr>) -> Expr,
    ) -> Result<Expr, FilterError> {
        let first = part(self)?;
        let mut parts = vec![first];
        while self.eat(symbol) || self.eat_word(word) {
            parts.push(part(self)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { join(parts) })
    }

    fn not(&mut self) -> Result<Expr, FilterError> {
        let span = self.here();
        let expr = if self.eat("!") || self.eat_word("not") {
            self.deeper(&span)?;
            Expr::Not(Box::new(self.not()?))
        } else if self.eat("(") {
            self.deeper(&span)?;
            let expr = self.or()?;
            if !self.eat(")") {
                return Err(FilterError::new(self.here(), "`)` is missing")
                    .help(format!("the bracket opens at byte {}", span.start)));
            }
            expr
        } else {
            return self.test();
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn deeper(&mut self, span: &Range<usize>) -> Result<(), FilterError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let message = format!("more than {DEPTH_MAX} brackets and negations inside one another");
            return Err(FilterError::new(span.clone(), message));
        }
        Ok(())
    }

    fn test(&mut self) -> Result<Expr, FilterError> {
        let (operand, span) = self.operand()?;
        if let Some((values, relation)) = self.relation() {
            comparable(operand.field, &span)?;
            let literal = self.value(operand.field)?;
            return Ok(Expr::Compare { operand, values, relation, literal });
        }
        if self.eat_word("contains") {
            return self.contains(operand.field, &span);
        }
        let negated =
            matches!(self.tokens, [first, second, ..] if first.is_word("not") && second.is_word("in"));
        if negated {
            self.tokens = &self.tokens[1..];
        }
        if self.eat_word("in") {
            comparable(operand.field, &span)?;
            let set = Expr::In { operand, ranges: self.set(operand.field)? };
            return Ok(if negated { Expr::Not(Box::new(set)) } else { set });
        }
        Ok(match operand.mask {
            None => Expr::Present(operand.field),
            // Bits alone: one of them is set.
            Some(_) => {
                let literal = Literal::new(Value::Uint(0));
                Expr::Compare { operand, values: Quantifier::Any, relation: Relation::Unequal, literal }
            }
        })
    }

    fn operand(&mut self) -> Result<(Operand, Range<usize>), FilterError> {
        let span = self.here();
        let name = match self.tokens.split_first() {
            Some((Spanned { token: Token::Word(name), .. }, rest)) => {
                self.tokens = rest;
                *name
            }
            None => return Err(FilterError::new(span, "a field is missing at the end")),
            Some(_) => {
                return Err(FilterError::new(span, "a field goes here").help("as in `tcp.port == 80`"));
            }
        };
        let field = Field::named(name).ok_or_else(|| {
            let error = FilterError::new(span.clone(), format!("`{name}` is no field"));
            match Field::near(name) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error,
            }
        })?;
        let mask = if self.eat("&") {
            if !matches!(field.kind(), Kind::Uint(_)) {
                let message = format!("`&` takes bits of an integer, and `{field}` is none");
                return Err(FilterError::new(span, message));
            }
            let at = self.here();
            let word = self.next_token().and_then(|token| token.word().and_then(literal::integer));
            Some(word.ok_or_else(|| FilterError::new(at, "an integer follows `&`").help("as in 0x02"))?)
        } else {
            None
        };
        Ok((Operand { field, mask }, span))
    }

    fn relation(&mut self) -> Option<(Quantifier, Relation)> {
        let (first, rest) = self.tokens.split_first()?;
        let is = |(symbol, words, ..): &&(&str, &[&str], Quantifier, Relation)| match first.token {
            Token::Symbol(found) => found == *symbol,
            Token::Word(found) => words.contains(&found),
            Token::Quoted(_) => false,
        };
        let (_, _, values, relation) = RELATIONS.iter().find(is)?;
        self.tokens = rest;
        Some((*values, *relation))
    }

    fn contains(&mut self, field: Field, span: &Range<usize>) -> Result<Expr, FilterError> {
        if !matches!(field.kind(), Kind::Text | Kind::Bytes) {
            let message = format!("`contains` looks into strings and bytes, and `{field}` is neither");
            return Err(FilterError::new(span.clone(), message).help("as in `frame contains \"GET\"`"));
        }
        let at = self.here();
        let token = self.next_token().ok_or_else(|| missing(at.clone()))?;
        Ok(Expr::Contains { field, needle: literal::needle(field, &token.token, at)? })
    }

    fn set(&mut self, field: Field) -> Result<Vec<(Literal, Literal)>, FilterError> {
        if !self.eat("{") {
            return Err(
                FilterError::new(self.here(), "a set goes here").help("as in `{80, 443, 8000..8010}`")
            );
        }
        let mut ranges = Vec::new();
        loop {
            let span = self.here();
            let low = self.value(field)?;
            let high = if self.eat("..") { self.value(field)? } else { low.clone() };
            if high.order(low.value()).is_gt() {
                return Err(FilterError::new(span, "a range that ends before it begins"));
            }
            ranges.push((low, high));
            if self.eat("}") {
                return Ok(ranges);
            }
            if !self.eat(",") {
                return Err(FilterError::new(self.here(), "`,` or `}` goes here"));
            }
        }
    }

    fn value(&mut self, field: Field) -> Result<Literal, FilterError> {
        let span = self.here();
        let token = self.next_token().ok_or_else(|| missing(span.clone()))?;
        literal::read(field, &token.token, span)
    }

    fn next_token(&mut self) -> Option<&'t Spanned<'t>> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn eat(&mut self, symbol: &str) -> bool {
        let found =
            self.tokens.first().is_some_and(|first| matches!(first.token, Token::Symbol(s) if s == symbol));
        self.tokens = &self.tokens[usize::from(found)..];
        found
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.tokens.first().is_some_and(|first| first.is_word(word));
        self.tokens = &self.tokens[usize::from(found)..];
        found
    }

    /// The place of what comes next.
    fn here(&self) -> Range<usize> {
        self.tokens.first().map_or(self.end..self.end, |first| first.span.clone())
    }
}

impl Spanned<'_> {
    fn word(&self) -> Option<&str> {
        match self.token {
            Token::Word(word) => Some(word),
            Token::Quoted(_) | Token::Symbol(_) => None,
        }
    }

    fn is_word(&self, word: &str) -> bool {
        self.word() == Some(word)
    }
}

fn missing(span: Range<usize>) -> FilterError {
    FilterError::new(span, "a value is missing at the end")
}

fn comparable(field: Field, span: &Range<usize>) -> Result<(), FilterError> {
    if field.kind() != Kind::Label {
        return Ok(());
    }
    let message = format!("`{field}` has no value to compare");
    Err(FilterError::new(span.clone(), message).help("alone it asks whether the packet has it"))
}
