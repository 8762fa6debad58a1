//! A filter's text as tokens, each with its place.

use std::fmt;
use std::ops::Range;

use super::error::FilterError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A field, a keyword or a value without quotes: which, only the parser can tell.
    Word(&'a str),
    /// A string in quotes, without them and with its escapes resolved.
    Quoted(Vec<u8>),
    /// An operator or bracket.
    Symbol(&'static str),
}

/// As it is told in messages.
impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Word(word) => write!(f, "`{word}`"),
            Token::Quoted(_) => f.write_str("a string"),
            Token::Symbol(symbol) => write!(f, "`{symbol}`"),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Spanned<'a> {
    pub token: Token<'a>,
    pub span: Range<usize>,
}

/// What is longer stands before its own beginnings.
const SYMBOLS: &[&str] = &[
    "===", "!==", "==", "!=", "<=", ">=", "&&", "||", "^^", "..", "<", ">", "!", "&", "(", ")", "{", "}", ",",
];

pub(super) fn tokens(text: &str) -> Result<Vec<Spanned<'_>>, FilterError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let rest = &text[at..];
        let (token, len) = if first == '"' {
            let (bytes, len) = quoted(text, at)?;
            (Token::Quoted(bytes), len)
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            (Token::Symbol(symbol), symbol.len())
        } else if is_word(first) {
            let len = word_len(rest);
            (Token::Word(&rest[..len]), len)
        } else {
            let span = at..at + first.len_utf8();
            return Err(unexpected(first, span));
        };
        tokens.push(Spanned { token, span: at..at + len });
        at += len;
    }
    Ok(tokens)
}

fn unexpected(found: char, span: Range<usize>) -> FilterError {
    let error = FilterError::new(span, format!("`{}` has no place in a filter", found.escape_default()));
    match found {
        '=' => error.help("equality is `==`"),
        '|' => error.help("or is `||`"),
        '^' => error.help("exclusive or is `^^`"),
        '\'' => error.help("strings stand in double quotes"),
        '[' | ']' => error.help("slices of fields are not supported"),
        '~' => error.help("`matches` is not supported; `contains` looks for a string"),
        _ => error,
    }
}

/// Letters of names, numbers, addresses with their prefix, and bytes.
fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | ':' | '/' | '-')
}

/// A word ends before `..`, so that `1..5` is a range.
fn word_len(text: &str) -> usize {
    let len = text.find(|character| !is_word(character)).unwrap_or(text.len());
    text[..len].find("..").unwrap_or(len)
}

/// The string in quotes at `start`, and its length with them.
fn quoted(text: &str, start: usize) -> Result<(Vec<u8>, usize), FilterError> {
    let mut bytes = Vec::new();
    let mut characters = text[start + 1..].char_indices();
    while let Some((offset, character)) = characters.next() {
        let at = start + 1 + offset;
        match character {
            '"' => return Ok((bytes, at + 1 - start)),
            '\\' => {
                let (_, escape) = characters.next().ok_or_else(|| open(text, start))?;
                bytes.push(match escape {
                    '"' | '\\' => escape as u8,
                    'n' => b'\n',
                    'r' => b'\r',
                    't' => b'\t',
                    '0' => 0,
                    'x' => {
                        let digits = text.get(at + 2..at + 4).filter(|digits| is_hex(digits));
                        characters.nth(1);
                        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                        byte.ok_or_else(|| {
                            FilterError::new(at..at + 2, "`\\x` without its digits")
                                .help("two hexadecimal digits follow, as in `\\x0a`")
                        })?
                    }
                    other => {
                        let span = at..at + 1 + other.len_utf8();
                        let error = FilterError::new(span, "no such escape in a string");
                        return Err(error.help(r#"there are \" \\ \n \r \t \0 and \x with two digits"#));
                    }
                });
            }
            other => bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Err(open(text, start))
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn open(text: &str, start: usize) -> FilterError {
    FilterError::new(start..text.len(), "a string that does not end").help("`\"` ends it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let word = |spanned: &Spanned<'_>| match &spanned.token {
            Token::Word(word) => (*word).to_owned(),
            Token::Quoted(bytes) => format!("{bytes:?}"),
            Token::Symbol(symbol) => format!("<{symbol}>"),
        };
        tokens(text).unwrap().iter().map(word).collect()
    }

    #[test]
    fn a_text_falls_into_words_strings_and_symbols() {
        assert_eq!(words("a==10.0.0.0/8&&!b"), ["a", "<==>", "10.0.0.0/8", "<&&>", "<!>", "b"]);
        assert_eq!(words("a{1..5,fe80::1}"), ["a", "<{>", "1", "<..>", "5", "<,>", "fe80::1", "<}>"]);
        assert_eq!(words(r#""a\x00\"é""#), [format!("{:?}", b"a\0\"\xC3\xA9")]);
    }

    #[test]
    fn a_string_has_an_end_and_escapes_that_there_are() {
        for (text, span) in [(r#"a "b"#, 2..4), (r#""\q""#, 1..3), (r#""\x4g""#, 1..3), (r#""\"#, 0..2)] {
            assert_eq!(tokens(text).unwrap_err().span(), span, "{text}");
        }
    }
}
