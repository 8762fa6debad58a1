//! Paths that Unix-domain sockets are bound to, and patterns of them.

use std::fmt;

use crate::error::{Error, Result};

/// `sun_path` of Linux, less its final NUL.
pub const PATH_BYTES_MAX: usize = 107;
/// Bytes of a pattern.
pub const PATTERN_BYTES_MAX: usize = 256;

/// An absolute path without anything to be resolved in it, so that two that are the same are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixPath(String);

impl UnixPath {
    /// `inval` for a path that is not absolute, is longer than [`PATH_BYTES_MAX`], or has a NUL or an empty part, `.` or
    /// `..` in it.
    pub fn parse(text: &str) -> Result<Self> {
        let parts = text.strip_prefix('/').ok_or(Error::Invalid)?;
        let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
        if text.len() <= PATH_BYTES_MAX && parts.split('/').all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::Invalid)
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is left of it below `folder`, if it is there.
    pub fn below(&self, folder: &UnixPath) -> Option<&str> {
        self.0.strip_prefix(folder.as_str())?.strip_prefix('/')
    }
}

impl fmt::Display for UnixPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A pattern as shells have it: `?` is a character and `*` any number of them within a part of the path, `**` is
/// anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(String);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Exactly(char),
    One,
    Some,
    Anything,
}

impl Glob {
    /// `None` for one that no path can match: it begins with neither `/` nor `*`, or is too long.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() <= PATTERN_BYTES_MAX && text.starts_with(['/', '*']) && !text.contains('\0');
        fits.then(|| Self(text.to_owned()))
    }

    fn tokens(&self) -> Vec<Token> {
        let mut tokens = Vec::new();
        for c in self.0.chars() {
            match c {
                '?' => tokens.push(Token::One),
                '*' if matches!(tokens.last(), Some(Token::Some | Token::Anything)) => {
                    tokens.pop();
                    tokens.push(Token::Anything);
                }
                '*' => tokens.push(Token::Some),
                c => tokens.push(Token::Exactly(c)),
            }
        }
        tokens
    }

    /// Work is bounded by the product of both lengths.
    pub fn matches(&self, path: &UnixPath) -> bool {
        let tokens = self.tokens();
        // Which of the tokens may come next.
        let mut may = vec![false; tokens.len() + 1];
        may[0] = true;
        skip(&tokens, &mut may);
        for c in path.0.chars() {
            let mut next = vec![false; tokens.len() + 1];
            for (at, token) in tokens.iter().enumerate().filter(|(at, _)| may[*at]) {
                match token {
                    Token::Exactly(wanted) => next[at + 1] |= *wanted == c,
                    Token::One => next[at + 1] |= c != '/',
                    Token::Some => next[at] |= c != '/',
                    Token::Anything => next[at] = true,
                }
            }
            may = next;
            skip(&tokens, &mut may);
        }
        may[tokens.len()]
    }
}

/// Stars may stand for nothing.
fn skip(tokens: &[Token], may: &mut [bool]) {
    for (at, token) in tokens.iter().enumerate() {
        if may[at] && matches!(token, Token::Some | Token::Anything) {
            may[at + 1] = true;
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_way_to_be_written() {
        for right in ["/a", "/run/echo.sock", "/run/.hidden/..a", "/\u{e9}"] {
            assert!(UnixPath::parse(right).is_ok(), "{right}");
        }
        let long = format!("/{}", "x".repeat(107));
        for wrong in ["", "/", "a", "run/a", "/a/", "/a//b", "/a/./b", "/a/../b", "/..", "/a\0", "@a", &long]
        {
            assert_eq!(UnixPath::parse(wrong), Err(Error::Invalid), "{wrong}");
        }
        assert!(UnixPath::parse(&long[..107]).is_ok());
    }

    #[test]
    fn what_lies_below_a_folder() {
        let path = |text| UnixPath::parse(text).unwrap();
        assert_eq!(path("/run/host/x").below(&path("/run/host")), Some("x"));
        assert_eq!(path("/run/hostage").below(&path("/run/host")), None);
        assert_eq!(path("/run/host").below(&path("/run/host")), None);
    }

    #[test]
    fn patterns_as_shells_have_them() {
        let matches =
            |glob: &str, path: &str| Glob::parse(glob).unwrap().matches(&UnixPath::parse(path).unwrap());
        for (glob, path) in [
            ("/run/*", "/run/a"),
            ("/run/*.sock", "/run/echo.sock"),
            ("/run/**", "/run/a/b/c"),
            ("**", "/any/thing"),
            ("/**/log", "/a/b/log"),
            ("/run/?", "/run/\u{e9}"),
            ("/a*b*c", "/abbbc"),
            ("/run/***", "/run/a/b"),
        ] {
            assert!(matches(glob, path), "{glob} {path}");
        }
        for (glob, path) in [
            ("/run/*", "/run/a/b"),
            ("/run/*", "/running"),
            ("/run/?", "/run/ab"),
            ("/run/a?b", "/run/a/b"),
            ("/run", "/run/a"),
            ("/a*b*c", "/abbbd"),
            ("*", "/a"),
        ] {
            assert!(!matches(glob, path), "{glob} {path}");
        }
        for none in ["", "run/*", "?run", "/a\0"] {
            assert_eq!(Glob::parse(none), None, "{none}");
        }
        let slow = Glob::parse(&format!("/{}b", "*a".repeat(100))).unwrap();
        assert!(!slow.matches(&UnixPath::parse(&format!("/{}", "a".repeat(106))).unwrap()));
    }
}
