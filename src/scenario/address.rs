//! Addresses as scenarios write them, and which of them an interface may have.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use smoltcp::wire::{EthernetAddress, IpCidr};
use toml::de::DeValue;

use super::mistake::{Problem, quote};
use super::read::string;
use crate::dns::name::HostName;
use crate::protocol::Grant;
use crate::protocol::ip::Family;
use crate::protocol::policy::{Rule, Who};
use crate::protocol::target::{Host, Target};
use crate::protocol::unix::{PATH_BYTES_MAX, UnixPath};

/// `02:00:00:00:00:01`: an individual address.
pub(super) fn mac(value: &DeValue<'_>) -> Result<EthernetAddress, Problem> {
    const HELP: &str = "six pairs of hexadecimal digits such as \"02:00:00:00:00:01\"";
    let text = string(value)?;
    let Some(address) = mac_text(&text) else {
        return Err(Problem::new(format!("{} is not an Ethernet address", quote(&text)), HELP));
    };
    if !address.is_unicast() || address.0 == [0; 6] {
        let help = "an interface has an individual address: the first octet is even (02 for made-up ones)";
        return Err(Problem::new(format!("{} cannot be an interface's address", quote(&text)), help));
    }
    Ok(address)
}

/// Any Ethernet address; `None` if the text is none.
pub(super) fn mac_text(text: &str) -> Option<EthernetAddress> {
    let octets: Vec<u8> = text
        .split(':')
        .filter(|pair| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit()))
        .filter_map(|pair| u8::from_str_radix(pair, 16).ok())
        .collect();
    let octets = <[u8; 6]>::try_from(octets).ok()?;
    (text.len() == 17).then_some(EthernetAddress(octets))
}

/// An address without prefix length.
pub(super) fn ip(value: &DeValue<'_>) -> Result<IpAddr, Problem> {
    let text = string(value)?;
    text.parse().map_err(|_| {
        Problem::new(format!("{} is not an IP address", quote(&text)), "such as \"10.0.0.1\" or \"fd00::1\"")
    })
}

/// An interface's address with the prefix length of its subnet, `10.0.0.2/24`.
pub(super) fn host(value: &DeValue<'_>) -> Result<IpCidr, Problem> {
    let text = string(value)?;
    let cidr =
        cidr(&text, "an address with its subnet's prefix length, such as \"10.0.0.2/24\" or \"fd00::2/64\"")?;
    if let Err(why) = check_host(cidr) {
        let help = "an interface has a unicast address of its subnet, such as \"10.0.0.2/24\"";
        return Err(Problem::new(format!("{} {why}", quote(&text)), help));
    }
    Ok(cidr)
}

/// Where an interface has an address from.
pub(super) enum Source {
    Host(IpCidr),
    Dhcp,
    Slaac,
}

/// [`host`], `"dhcp"` or `"slaac"`.
pub(super) fn source(value: &DeValue<'_>) -> Result<Source, Problem> {
    match string(value)?.as_str() {
        "dhcp" => Ok(Source::Dhcp),
        "slaac" => Ok(Source::Slaac),
        word if !word.is_empty() && word.chars().all(|c| c.is_ascii_alphabetic()) => {
            let help = "\"dhcp\", \"slaac\", or an address with its subnet's prefix length";
            Err(Problem::new(format!("{} is no source of addresses", quote(word)), help))
        }
        _ => host(value).map(Source::Host),
    }
}

/// A subnet or a route's destination, `10.0.0.0/24`: no bits beyond the prefix.
pub(super) fn subnet(value: &DeValue<'_>) -> Result<IpCidr, Problem> {
    let text = string(value)?;
    let cidr = cidr(&text, "a subnet such as \"10.0.0.0/24\" or \"fd00::/64\"")?;
    let network = network(cidr);
    if network != cidr {
        let message = format!("{} has bits set beyond its prefix", quote(&text));
        return Err(Problem::new(message, format!("the subnet is \"{network}\"")));
    }
    if address_of(cidr).is_multicast() {
        return Err(Problem::new(
            format!("{} is multicast", quote(&text)),
            "a subnet is of unicast addresses",
        ));
    }
    Ok(cidr)
}

/// A subnet that addresses can be given out of.
pub(super) fn switch_subnet(value: &DeValue<'_>) -> Result<IpCidr, Problem> {
    let cidr = subnet(value)?;
    let first = nth_host(cidr, 1).or_else(|| nth_host(cidr, 0));
    let usable = cidr.prefix_len() >= 8
        && first.is_some_and(|first| check_host(first).is_ok() && !is_link_local_v6(address_of(first)));
    if !usable {
        let help =
            "a unicast subnet with a prefix length of 8 or more, such as \"10.0.0.0/24\" or \"fd00::/64\"";
        return Err(Problem::new(format!("`{cidr}` has no addresses to give out"), help));
    }
    Ok(cidr)
}

/// What a control is opened at, or connects to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Endpoint {
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
pub(super) fn endpoint(value: &DeValue<'_>) -> Result<Endpoint, Problem> {
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
        Ok(address) => Ok(Endpoint::Ip(address)),
        Err(_) => {
            let message = format!("{} is not an address and port", quote(&text));
            Err(Problem::new(message, "such as \"0.0.0.0:80\", \"[::]:80\" or \"/run/web.sock\""))
        }
    }
}

/// The same, or a host's name and a port.
pub(super) fn peer(value: &DeValue<'_>) -> Result<Endpoint, Problem> {
    let named = string(value).ok().and_then(|text| Target::parse(&text).ok());
    match named {
        Some(target) if matches!(target.host, Host::Name(_)) => Ok(Endpoint::Name(target)),
        Some(_) | None => endpoint(value),
    }
}

/// `/run/echo.sock`
pub(super) fn unix_path(text: &str) -> Result<UnixPath, Problem> {
    UnixPath::parse(text).map_err(|_| {
        let help = format!(
            "at most {PATH_BYTES_MAX} bytes that begin with `/`, without empty parts, `.` and `..`, such as \"/run/echo.sock\""
        );
        Problem::new(format!("{} is no path of a socket", quote(text)), help)
    })
}

/// Where a proxy is: a host, by address or name, and a port, or a path: `10.0.0.9:1080`, `proxy.example:1080`,
/// `/run/proxy.sock`.
pub(super) fn server(value: &DeValue<'_>) -> Result<String, Problem> {
    let text = string(value)?;
    if text.starts_with('/') {
        return Ok(unix_path(&text)?.to_string());
    }
    match Target::parse(&text) {
        Ok(target) => Ok(target.to_string()),
        Err(_) => {
            let message = format!("{} is not a host and port", quote(&text));
            Err(Problem::new(
                message,
                "such as \"10.0.0.9:1080\", \"[fd00::9]:1080\" or \"proxy.example:1080\"",
            ))
        }
    }
}

/// One rule of a policy: `WHO:PORTS`, who being `*`, an address or a prefix (IPv6 in brackets), a name or `*.NAME`, and
/// ports `*`, one, or a range.
pub(super) fn rule(value: &DeValue<'_>) -> Result<Rule, Problem> {
    const HELP: &str = "addresses or a name, and ports, such as \"*:80\", \"10.0.0.0/8:1024-65535\", \"[fd00::/64]:*\" or \"*.example.org:443\"";
    let text = string(value)?;
    let wrong = |why: String| Problem::new(format!("{} {why}", quote(&text)), HELP);
    let bracketed = text.strip_prefix('[').map(|rest| rest.split_once("]:"));
    let (addresses, ports) = match bracketed {
        Some(split) => split.ok_or_else(|| wrong("has no `]:` and ports".into()))?,
        None => match text.split_once(':') {
            None => return Err(wrong("names no ports".into())),
            Some((_, ports)) if ports.contains(':') => {
                return Err(wrong("needs brackets around its IPv6 addresses".into()));
            }
            Some(split) => split,
        },
    };
    let who = match addresses {
        "*" => Who::Anybody,
        _ if addresses.contains('/') => {
            let prefix = cidr(addresses, HELP)?;
            if network(prefix) != prefix {
                return Err(wrong(format!("has bits set beyond its prefix: {} is meant", network(prefix))));
            }
            Who::Prefix(prefix)
        }
        _ => match (addresses.parse::<IpAddr>(), HostName::parse(addresses)) {
            (Ok(address), _) => Who::Prefix(cidr_of(address, if address.is_ipv4() { 32 } else { 128 })),
            (Err(_), Some(name)) => Who::Name(name),
            (Err(_), None) => match addresses.strip_prefix("*.").and_then(HostName::parse) {
                Some(domain) => Who::Below(domain),
                None => return Err(wrong(format!("has no address or name in {}", quote(addresses)))),
            },
        },
    };
    let ports = port_range(ports).ok_or_else(|| wrong(format!("has no ports in {}", quote(ports))))?;
    if ports.is_empty() {
        return Err(wrong(format!("has its ports the wrong way round: {}-{}", ports.start(), ports.end())));
    }
    Ok(Rule { who, ports })
}

fn port_range(text: &str) -> Option<RangeInclusive<u16>> {
    // `parse` alone would take "+80".
    let port = |text: &str| text.parse::<u16>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    match text.split_once('-') {
        _ if text == "*" => Some(0..=u16::MAX),
        Some((low, high)) => Some(port(low)?..=port(high)?),
        None => port(text).map(|port| port..=port),
    }
}

fn cidr(text: &str, help: &str) -> Result<IpCidr, Problem> {
    let Some((address, length)) = text.split_once('/') else {
        return Err(Problem::new(format!("{} has no prefix length", quote(text)), help));
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return Err(Problem::new(format!("{} is not an IP address", quote(address)), help));
    };
    let length_max = if address.is_ipv4() { 32 } else { 128 };
    let digits = length.bytes().all(|b| b.is_ascii_digit());
    match length.parse::<u8>() {
        Ok(length) if digits && length <= length_max => Ok(cidr_of(address, length)),
        _ => {
            let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
            let message = format!("{} is not a prefix length of {family}", quote(length));
            Err(Problem::new(message, format!("0 to {length_max}")))
        }
    }
}

/// The subnet of an address: bits beyond the prefix cleared.
pub(super) fn network(cidr: IpCidr) -> IpCidr {
    let (value, width) = bits(address_of(cidr));
    let host_bits = width - u32::from(cidr.prefix_len());
    let cleared = value.checked_shr(host_bits).and_then(|value| value.checked_shl(host_bits)).unwrap_or(0);
    cidr_of(from_bits(cleared, address_of(cidr).is_ipv4()), cidr.prefix_len())
}

/// The address with number `n` in a subnet, with its prefix length. `None` past the last that a host
/// may have; in IPv4 that leaves out the broadcast address.
pub(super) fn nth_host(subnet: IpCidr, n: u64) -> Option<IpCidr> {
    let (base, width) = bits(address_of(subnet));
    let host_bits = width - u32::from(subnet.prefix_len());
    let size = 1u128.checked_shl(host_bits).unwrap_or(u128::MAX);
    let reserved = u128::from(address_of(subnet).is_ipv4() && host_bits >= 2);
    let in_range = u128::from(n) < size - reserved;
    in_range
        .then(|| cidr_of(from_bits(base | u128::from(n), address_of(subnet).is_ipv4()), subnet.prefix_len()))
}

pub(super) fn address_of(cidr: IpCidr) -> IpAddr {
    cidr.address().into()
}

/// `length` must not be longer than the address.
pub(super) fn cidr_of(address: IpAddr, length: u8) -> IpCidr {
    IpCidr::new(address.into(), length)
}

fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

fn from_bits(bits: u128, v4: bool) -> IpAddr {
    match u32::try_from(bits) {
        Ok(bits) if v4 => Ipv4Addr::from_bits(bits).into(),
        _ => Ipv6Addr::from_bits(bits).into(),
    }
}

/// Why an interface cannot have this address, if it cannot.
fn check_host(cidr: IpCidr) -> Result<(), &'static str> {
    let address = address_of(cidr);
    if address.is_unspecified() {
        return Err("is the unspecified address");
    }
    if address.is_loopback() {
        return Err("is a loopback address");
    }
    if address.is_multicast() {
        return Err("is a multicast address");
    }
    if cidr.prefix_len() == 0 {
        return Err("has a prefix of length 0");
    }
    // A prefix of one address or two has no room for a network address (RFC 3021, RFC 6164).
    let (value, width) = bits(address);
    let host_bits = width - u32::from(cidr.prefix_len());
    let hosts = 1u128.checked_shl(host_bits).unwrap_or(u128::MAX) - 1;
    if host_bits >= 2 && value & hosts == 0 {
        return Err("is the address of its subnet itself");
    }
    match address {
        IpAddr::V4(v4) if v4.is_broadcast() => Err("is the broadcast address"),
        IpAddr::V4(_) if host_bits >= 2 && value & hosts == hosts => {
            Err("is the broadcast address of its subnet")
        }
        IpAddr::V4(v4) if v4.octets()[0] == 0 => Err("is in 0.0.0.0/8, which no host has"),
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => Err("is an IPv4-mapped address"),
        IpAddr::V4(_) | IpAddr::V6(_) => Ok(()),
    }
}

/// fe80::/10 (RFC 4291, section 2.5.6).
pub(super) fn is_link_local_v6(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// The link-local address made of a MAC (RFC 4291, appendix A: modified EUI-64).
pub(super) fn link_local(mac: EthernetAddress) -> IpCidr {
    let [a, b, c, d, e, f] = mac.0;
    let address = Ipv6Addr::from_octets([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    cidr_of(address.into(), 64)
}

/// The address of interface number `n`: `02:00:00:00:00:00` plus `n`.
pub(super) fn automatic_mac(n: u32) -> EthernetAddress {
    let [a, b, c, d] = n.to_be_bytes();
    EthernetAddress([2, 0, a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<T>(parser: impl Fn(&DeValue<'_>) -> Result<T, Problem>, text: &str) -> Result<T, String> {
        parser(&DeValue::String(text.into())).map_err(|problem| problem.message)
    }

    #[test]
    fn hosts_are_unicast_addresses_inside_their_subnet() {
        for right in ["10.0.0.2/24", "10.0.0.0/31", "10.0.0.1/32", "fd00::2/64", "fe80::1/64", "fd00::/127"] {
            assert!(parse(host, right).is_ok(), "{right}");
        }
        for wrong in [
            "10.0.0.2",
            "10.0.0.0/24",
            "10.0.0.255/24",
            "224.0.0.1/24",
            "0.0.0.0/0",
            "127.0.0.1/8",
            "::1/128",
            "fd00::/64",
            "ff02::1/64",
            "10.0.0.2/33",
            "10.0.0.2/+4",
            "fd00::2/129",
            "10.0.0.1/0",
            "0.1.2.3/8",
            "255.255.255.255/32",
            "::ffff:10.0.0.1/120",
            "",
            "/",
            "10.0.0/24",
        ] {
            assert!(parse(host, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hosts_are_numbered_within_their_subnet() {
        let nth = |subnet: &str, n| {
            let subnet = parse(switch_subnet, subnet).unwrap();
            nth_host(subnet, n).map(|cidr| cidr.to_string())
        };
        assert_eq!(nth("10.1.0.0/16", 258).as_deref(), Some("10.1.1.2/16"));
        assert_eq!(nth("10.0.0.0/24", 254).as_deref(), Some("10.0.0.254/24"));
        assert_eq!(nth("10.0.0.0/24", 255), None);
        assert_eq!(nth("10.0.0.0/31", 1).as_deref(), Some("10.0.0.1/31"));
        assert_eq!(nth("10.0.0.0/31", 2), None);
        assert_eq!(nth("fd00::/64", 65_536).as_deref(), Some("fd00::1:0/64"));
        assert!(parse(switch_subnet, "0.0.0.0/0").is_err());
        assert!(parse(switch_subnet, "127.0.0.0/8").is_err());
        assert!(parse(switch_subnet, "fe80::/64").is_err());
    }

    #[test]
    fn rules_take_addresses_and_ports() {
        let ports = |text: &str| parse(rule, text).map(|rule| rule.to_string());
        for same in ["*:1024-65535", "0.0.0.0/0:80", "[fd00::/64]:*", "a.example.org:80", "*.example.org:1-2"]
        {
            assert_eq!(ports(same).as_deref(), Ok(same));
        }
        assert_eq!(ports("[fd00::1]:53").as_deref(), Ok("[fd00::1/128]:53"));
        for wrong in [
            "",
            "*",
            "*:",
            "*:9-1",
            "*:65536",
            "*:+80",
            "fd00::1:80",
            "[fd00::1]",
            "10.0.0.1/8:80",
            "[*",
            "*.*.a:1",
            "a b:1",
            "10.0.0:1",
        ] {
            assert!(ports(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn link_local_addresses_carry_the_mac() {
        assert_eq!(link_local(automatic_mac(0x1_02ff)).to_string(), "fe80::ff:fe01:2ff/64");
        assert_eq!(automatic_mac(1).to_string(), "02-00-00-00-00-01");
    }
}
