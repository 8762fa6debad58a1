//! What stands to the right of an operator, read as the field to its left wants it.

use std::ops::Range;
use std::time::Duration;

use smoltcp::wire::EthernetAddress;

use super::error::FilterError;
use super::field::Field;
use super::lex::Token;
use super::value::{Kind, Literal, Text, Value};

/// Reads `token` as a value of `field`.
pub(super) fn read(field: Field, token: &Token<'_>, span: Range<usize>) -> Result<Literal, FilterError> {
    let kind = field.kind();
    let literal = match token {
        Token::Word(word) => word_of(kind, word),
        Token::Quoted(bytes) => quoted_of(kind, bytes),
        Token::Symbol(_) => None,
    };
    literal.ok_or_else(|| {
        let error = FilterError::new(span, format!("{token} is no value of `{field}`, {}", article(kind)));
        error.help(format!("right is {}", expected(kind)))
    })
}

/// Reads `token` as what a field of text or bytes may contain.
pub(super) fn needle(field: Field, token: &Token<'_>, span: Range<usize>) -> Result<Vec<u8>, FilterError> {
    match token {
        Token::Quoted(bytes) => Ok(bytes.clone()),
        Token::Word(_) | Token::Symbol(_) => {
            let literal = read(field, token, span)?;
            Ok(literal.value().as_bytes().unwrap_or_default().to_vec())
        }
    }
}

fn word_of(kind: Kind, word: &str) -> Option<Literal> {
    let value = match kind {
        Kind::Label => return None,
        Kind::Bool => Value::Bool(boolean(word)?),
        Kind::Uint(bits) => Value::Uint(integer(word).filter(|value| *value <= largest(bits))?),
        Kind::Text => text(word),
        Kind::Bytes => Value::Bytes(bytes(word)?.into()),
        Kind::Mac => Value::Mac(EthernetAddress(bytes(word)?.try_into().ok()?)),
        Kind::Ipv4 => return address(word, 32, |address| Some(Value::Ipv4(address.parse().ok()?))),
        Kind::Ipv6 => return address(word, 128, |address| Some(Value::Ipv6(address.parse().ok()?))),
        Kind::Time => Value::Time(seconds(word)?),
    };
    Some(Literal::new(value))
}

fn quoted_of(kind: Kind, bytes: &[u8]) -> Option<Literal> {
    match kind {
        Kind::Text => std::str::from_utf8(bytes).ok().map(|word| Literal::new(text(word))),
        Kind::Bytes => Some(Literal::new(Value::Bytes(bytes.to_vec().into()))),
        Kind::Label | Kind::Bool | Kind::Uint(_) | Kind::Mac | Kind::Ipv4 | Kind::Ipv6 | Kind::Time => None,
    }
}

fn text(word: &str) -> Value {
    Value::Text(Text::Shared(word.into()))
}

fn boolean(word: &str) -> Option<bool> {
    match word {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        number => integer(number).map(|number| number != 0),
    }
}

/// Decimal, or hexadecimal after `0x`.
pub(super) fn integer(word: &str) -> Option<u64> {
    let (digits, radix) = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (word, 10),
    };
    // `from_str_radix` takes a sign.
    let first = digits.chars().next()?;
    first.is_digit(radix).then(|| u64::from_str_radix(digits, radix).ok()).flatten()
}

/// The largest integer of so many bits.
fn largest(bits: u32) -> u64 {
    u64::MAX >> (64 - bits)
}

/// Hexadecimal bytes: `deadbeef`, or apart as in `de:ad:be:ef` and `de-ad-be-ef`.
fn bytes(word: &str) -> Option<Vec<u8>> {
    let byte = |digits: &str| {
        let hexadecimal = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        hexadecimal.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
    };
    match word.find([':', '-']) {
        Some(at) => word.split(&word[at..=at]).map(byte).collect(),
        // Words are ASCII.
        None => word.as_bytes().chunks(2).map(|digits| byte(std::str::from_utf8(digits).ok()?)).collect(),
    }
}

/// An address, or one with its prefix length.
fn address(word: &str, bits: u32, parse: impl Fn(&str) -> Option<Value>) -> Option<Literal> {
    match word.split_once('/') {
        None => Some(Literal::new(parse(word)?)),
        Some((address, length)) => {
            let length = integer(length).and_then(|length| u32::try_from(length).ok());
            Some(Literal::prefix(parse(address)?, length.filter(|length| *length <= bits)?))
        }
    }
}

/// Seconds with up to nine decimals, exactly.
fn seconds(word: &str) -> Option<Duration> {
    let (whole, fraction) = word.split_once('.').unwrap_or((word, ""));
    let decimal = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if fraction.len() > 9
        || !decimal(whole)
        || !decimal(fraction)
        || (whole.is_empty() && fraction.is_empty())
    {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let nanos = format!("{fraction:0<9}").parse().ok()?;
    Some(Duration::new(whole, nanos))
}

fn article(kind: Kind) -> String {
    match kind {
        Kind::Uint(_) | Kind::Ipv4 | Kind::Ipv6 => format!("an {kind}"),
        Kind::Label | Kind::Bool | Kind::Text | Kind::Mac => format!("a {kind}"),
        Kind::Bytes => "bytes".to_owned(),
        Kind::Time => "a time in seconds".to_owned(),
    }
}

fn expected(kind: Kind) -> String {
    match kind {
        Kind::Label => "the label alone: it is there or not".to_owned(),
        Kind::Bool => "1 or 0, or true or false".to_owned(),
        Kind::Uint(bits) => format!("an integer from 0 to {}, decimal or as in 0x1f", largest(bits)),
        Kind::Text => "a string in double quotes".to_owned(),
        Kind::Bytes => "bytes as in de:ad:be:ef, or a string in double quotes".to_owned(),
        Kind::Mac => "six bytes as in 02:00:00:00:00:01".to_owned(),
        Kind::Ipv4 => "an address as in 10.0.0.1 or a prefix as in 10.0.0.0/24".to_owned(),
        Kind::Ipv6 => "an address as in fd00::1 or a prefix as in fd00::/64".to_owned(),
        Kind::Time => "seconds as in 0.25, with up to nine decimals".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact() {
        let cases =
            [("1", 1_000_000_000), ("0.060864", 60_864_000), (".5", 500_000_000), ("2.", 2_000_000_000)];
        for (word, nanos) in cases {
            assert_eq!(seconds(word), Some(Duration::from_nanos(nanos)), "{word}");
        }
        for word in ["", ".", "-1", "1.0000000001", "1e3", "1.2.3", "99999999999999999999"] {
            assert_eq!(seconds(word), None, "{word}");
        }
    }

    #[test]
    fn integers_and_bytes_have_no_sign_and_no_halves() {
        assert_eq!(
            (integer("0x1F"), integer("070"), integer("18446744073709551615")),
            (Some(31), Some(70), Some(u64::MAX))
        );
        assert_eq!((integer("-1"), integer("0x-1"), integer(""), integer("0x")), (None, None, None, None));
        assert_eq!(bytes("de:AD-be"), None);
        assert_eq!(bytes("de-AD"), Some(vec![0xDE, 0xAD]));
        assert_eq!(bytes("00ff7"), None);
        assert_eq!(bytes("00ff70"), Some(vec![0, 0xFF, 0x70]));
    }
}
