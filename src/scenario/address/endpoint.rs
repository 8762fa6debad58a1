//! Where a control is opened or connects to, and where a proxy is.

use std::fmt;
use std::net::SocketAddr;

use toml::de::DeValue;

use crate::protocol::Grant;
use crate::protocol::ip::Family;
use crate::protocol::target::{Host, Target};
use crate::protocol::unix::{PATH_BYTES_MAX, UnixPath};
use crate::scenario::mistake::{Problem, quote};
use crate::scenario::read::string;

/// What a control is opened at, or connects to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    Ip(SocketAddr),
    /// A host by its name, and a port.
    Name(Target),
    Unix(UnixPath),
}

impl Endpoint {
    /// The kind of protocol object that takes it.
    pub fn kind(&self) -> &'static str {
        match self {
            Endpoint::Ip(address) if address.is_ipv6() => "ipv6",
            Endpoint::Ip(_) | Endpoint::Name(_) => "ipv4",
            Endpoint::Unix(_) => "unix",
        }
    }

    /// Whether what a protocol object stands on takes it.
    pub fn fits(&self, grant: &Grant) -> bool {
        match self {
            Endpoint::Name(_) => matches!(grant.base(), Grant::Ip(_)),
            Endpoint::Ip(address) => grant.base().takes(Family::of(address.ip())),
            Endpoint::Unix(_) => matches!(grant.base(), Grant::Unix(_)),
        }
    }

    /// The port is left to be chosen.
    pub fn is_open(&self) -> bool {
        match self {
            Endpoint::Ip(address) => address.port() == 0,
            Endpoint::Name(target) => target.port == 0,
            Endpoint::Unix(_) => false,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Ip(address) => address.fmt(f),
            Endpoint::Name(target) => target.fmt(f),
            Endpoint::Unix(path) => path.fmt(f),
        }
    }
}

/// `0.0.0.0:80`, `[::]:80`, `/run/echo.sock`.
pub fn endpoint(value: &DeValue<'_>) -> Result<Endpoint, Problem> {
    let text = string(value)?;
    if text.starts_with('/') {
        return unix_path(&text).map(Endpoint::Unix);
    }
    match text.parse::<SocketAddr>() {
        Ok(SocketAddr::V6(v6)) if v6.scope_id() != 0 => {
            let message = format!("{} has a zone", quote(&text));
            Err(Problem::new(
                message,
                "leave out the zone: the guest's own interface is found by the address",
            ))
        }
        Ok(address) => Ok(Endpoint::Ip(SocketAddr::new(address.ip().to_canonical(), address.port()))),
        Err(_) => {
            let message = format!("{} is not an address and port", quote(&text));
            Err(Problem::new(message, "such as \"0.0.0.0:80\", \"[::]:80\" or \"/run/web.sock\""))
        }
    }
}

/// The same, or a host's name and a port.
pub fn peer(value: &DeValue<'_>) -> Result<Endpoint, Problem> {
    let named = string(value).ok().and_then(|text| Target::parse(&text).ok());
    match named {
        Some(target) if matches!(target.host, Host::Name(_)) => Ok(Endpoint::Name(target)),
        Some(_) | None => endpoint(value),
    }
}

/// `/run/echo.sock`
pub fn unix_path(text: &str) -> Result<UnixPath, Problem> {
    UnixPath::parse(text).map_err(|_| {
        let help = format!(
            "at most {PATH_BYTES_MAX} bytes that begin with `/`, without empty parts, `.` and `..`, such as \"/run/echo.sock\""
        );
        Problem::new(format!("{} is no path of a socket", quote(text)), help)
    })
}

/// Where a proxy is: a host, by address or name, and a port, or a path: `10.0.0.9:1080`, `proxy.example:1080`,
/// `/run/proxy.sock`.
pub fn server(value: &DeValue<'_>) -> Result<String, Problem> {
    let text = string(value)?;
    if text.starts_with('/') {
        return Ok(unix_path(&text)?.to_string());
    }
    match (Target::parse(&text), text.rsplit_once('@')) {
        (Ok(target), _) => Ok(target.to_string()),
        // As in `http_proxy` and the like: what stands before it may be a password, and is not told.
        (Err(_), Some((_, host))) => {
            let message = format!("{} has a user or a password before it", quote(host));
            Err(Problem::new(message, "they have keys of their own: `user` and `password`"))
        }
        (Err(_), None) => {
            let message = format!("{} is not a host and port", quote(&text));
            Err(Problem::new(
                message,
                "such as \"10.0.0.9:1080\", \"[fd00::9]:1080\" or \"proxy.example:1080\"",
            ))
        }
    }
}
