//! Names of hosts and domains, as text that people write.

use std::fmt;

use hickory_proto::rr::Name;

/// RFC 1035, 2.3.4; without the final dot.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// A host's name: letters, digits, `_` and, within, `-` in labels of 1 to 63 (RFC 1123, 2.1, and the underscore that names are
/// given in spite of it), in lower case and without the final dot. What ends in a number is none, but an address
/// written wrongly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostName(String);

impl HostName {
    /// `None`: `text` cannot be a host's name.
    pub fn parse(text: &str) -> Option<HostName> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let last = text.rsplit('.').next().unwrap_or_default();
        let number = last.bytes().all(|byte| byte.is_ascii_digit())
            || last
                .strip_prefix("0x")
                .or(last.strip_prefix("0X"))
                .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
        (!number && is_domain(text)).then(|| HostName(text.to_ascii_lowercase()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As DNS has it.
    pub fn to_dns(&self) -> Option<Name> {
        fully_qualified(&self.0)
    }

    /// Whether `name` is this, or below it.
    pub fn has(&self, name: &HostName) -> bool {
        name.0.strip_suffix(&self.0).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    /// `localhost` and what is below it (RFC 6761, 6.3).
    pub fn is_localhost(&self) -> bool {
        self.0 == "localhost" || self.0.ends_with(".localhost")
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether labels of a domain stand in `text`, which has no final dot.
pub fn is_domain(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(legal)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= NAME_BYTES_MAX && text.split('.').all(label)
}

/// The name of a domain, or of a wildcard if its first label is `*`; a final dot changes nothing.
pub fn fully_qualified(text: &str) -> Option<Name> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let rest = text.strip_prefix("*.").unwrap_or(text);
    if !is_domain(rest) || text.len() > NAME_BYTES_MAX {
        return None;
    }
    Name::from_labels(text.split('.').map(str::as_bytes)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts() {
        for (text, name) in [
            ("a", "a"),
            ("Web-1.Example.ORG", "web-1.example.org"),
            ("example.org.", "example.org"),
            ("_sip.x", "_sip.x"),
            ("1a.2b", "1a.2b"),
        ] {
            assert_eq!(HostName::parse(text).expect(text).as_str(), name);
        }
        let label = "a".repeat(64);
        let long = "a.".repeat(128);
        for text in [
            "", ".", "-a", "a-.b", "a..b", ".a", "a b", "10.0.0", "1.2.3.4", "a.7", "a.0x1f", "*", "*.a",
            "ü", "a\0", &label, &long,
        ] {
            assert_eq!(HostName::parse(text), None, "{text}");
        }
    }

    #[test]
    fn domains_may_be_wildcards_in_their_first_label_alone() {
        let text = |name: &str| fully_qualified(name).map(|name| name.to_ascii());
        assert_eq!(text("*.Example.org").as_deref(), Some("*.Example.org."));
        assert_eq!(text("a.*.org"), None);
        assert_eq!(text("*"), None);
    }
}
