//! Names that certificates are for: of the domain name system, of addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use rustls::pki_types::DnsName;

/// What a certificate is issued to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    Address(IpAddr),
    /// `www.example.org`, in lower case.
    Host(String),
    /// `*.example.org`, kept without the asterisk and its dot: one label stands before it (RFC 9525, 6.3).
    AnyHostOf(String),
}

/// Text that is neither an address nor a host's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither an address nor a host's name")]
pub struct NoName;

impl FromStr for Name {
    type Err = NoName;

    fn from_str(text: &str) -> Result<Name, NoName> {
        if let Ok(address) = text.parse() {
            return Ok(Name::Address(address));
        }
        let (rest, any) = text.strip_prefix("*.").map_or((text, false), |rest| (rest, true));
        let host = DnsName::try_from(rest).map_err(|_| NoName)?.as_ref().to_ascii_lowercase();
        Ok(if any { Name::AnyHostOf(host) } else { Name::Host(host) })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Address(address) => address.fmt(f),
            Name::Host(host) => f.write_str(host),
            Name::AnyHostOf(parent) => write!(f, "*.{parent}"),
        }
    }
}
