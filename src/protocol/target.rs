//! What a guest names when it connects: a host, by address or name, and a port.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::dns::name::HostName;
use crate::error::{Error, Result};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    Address(IpAddr),
    Name(HostName),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    pub host: Host,
    pub port: u16,
}

impl Host {
    /// An address. An IPv4 address in IPv6's form (`::ffff:10.0.0.1`, RFC 4291, 2.5.5.2) is that IPv4 address: whoever is
    /// asked to connect there does so by IPv4, so rules for it have to hold.
    pub fn at(address: IpAddr) -> Host {
        Host::Address(address.to_canonical())
    }

    /// Reads `10.0.0.1`, `fd00::1` or `example.org`.
    ///
    /// # Errors
    /// `Invalid` for anything else.
    pub fn parse(text: &str) -> Result<Host> {
        match text.parse() {
            Ok(address) => Ok(Host::at(address)),
            Err(_) => Ok(Host::Name(HostName::parse(text).ok_or(Error::Invalid)?)),
        }
    }
}

impl Target {
    /// Reads `10.0.0.1:80`, `[fd00::1]:80` or `example.org:80`.
    ///
    /// # Errors
    /// `Invalid` for anything else.
    pub fn parse(text: &str) -> Result<Target> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Target { host: Host::at(address.ip()), port: address.port() });
        }
        let (name, port) = text.rsplit_once(':').ok_or(Error::Invalid)?;
        if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Error::Invalid);
        }
        let port = port.parse().map_err(|_| Error::Invalid)?;
        Ok(Target { host: Host::Name(HostName::parse(name).ok_or(Error::Invalid)?), port })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Address(address) => address.fmt(f),
            Host::Name(name) => name.fmt(f),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(address) => SocketAddr::new(*address, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let text = |text: &str| Target::parse(text).map(|target| target.to_string());
        for same in ["10.0.0.1:80", "[fd00::1]:443", "example.org:80", "a:1", "_sip._tcp.x-y.z:65535"] {
            assert_eq!(text(same), Ok(same.to_owned()));
        }
        assert_eq!(text("Example.ORG.:80"), Ok("example.org:80".to_owned()));
        assert_eq!(text("[::ffff:10.0.0.3]:7"), Ok("10.0.0.3:7".to_owned()));
        assert_eq!(text("[::ffff:a00:3]:7"), Ok("10.0.0.3:7".to_owned()));
        let long = format!("{}:1", "a.".repeat(127) + "b");
        for wrong in [
            "",
            ":80",
            "a",
            "a:",
            "a:+1",
            "a:65536",
            "a b:1",
            "a..b:1",
            ".a:1",
            "-a:1",
            "a-:1",
            "10.0.0.256:1",
            "1:1",
            "a.0x1f:1",
            "0X1F:1",
            "fd00::1:80",
            "ä:1",
            "a:1:2",
            "[fd00::1]",
            &long,
        ] {
            assert_eq!(text(wrong), Err(Error::Invalid), "{wrong}");
        }
    }

    #[test]
    fn hosts_without_ports() {
        let text = |text: &str| Host::parse(text).map(|host| host.to_string());
        for same in ["10.0.0.1", "fd00::1", "::", "example.org", "a"] {
            assert_eq!(text(same), Ok(same.to_owned()));
        }
        assert_eq!(text("::ffff:10.0.0.3"), Ok("10.0.0.3".to_owned()));
        for wrong in ["", "10.0.0.1:80", "[fd00::1]", "a:1", "10.0.0.256", "a b"] {
            assert_eq!(text(wrong), Err(Error::Invalid), "{wrong}");
        }
    }
}
