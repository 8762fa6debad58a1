//! What an interface has.

use std::net::IpAddr;

use smoltcp::wire::{EthernetAddress, IpCidr};
use toml::de::DeValue;

use super::subnet::{address_of, bits, cidr, network, nth_host};
use crate::network::ip::is_link_local;
use crate::scenario::mistake::{Problem, quote};
use crate::scenario::read::string;

/// `02:00:00:00:00:01`: an individual address.
pub fn mac(value: &DeValue<'_>) -> Result<EthernetAddress, Problem> {
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
pub fn mac_text(text: &str) -> Option<EthernetAddress> {
    let octets: Vec<u8> = text
        .split(':')
        .filter(|pair| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit()))
        .filter_map(|pair| u8::from_str_radix(pair, 16).ok())
        .collect();
    let octets = <[u8; 6]>::try_from(octets).ok()?;
    (text.len() == 17).then_some(EthernetAddress(octets))
}

/// An address without prefix length.
pub fn ip(value: &DeValue<'_>) -> Result<IpAddr, Problem> {
    let text = string(value)?;
    text.parse().map_err(|_| {
        Problem::new(format!("{} is not an IP address", quote(&text)), "such as \"10.0.0.1\" or \"fd00::1\"")
    })
}

/// An interface's address with the prefix length of its subnet, `10.0.0.2/24`.
pub fn host(value: &DeValue<'_>) -> Result<IpCidr, Problem> {
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
pub enum Source {
    Host(IpCidr),
    Dhcp,
    Slaac,
}

/// [`host`], `"dhcp"` or `"slaac"`.
pub fn source(value: &DeValue<'_>) -> Result<Source, Problem> {
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
pub fn subnet(value: &DeValue<'_>) -> Result<IpCidr, Problem> {
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
pub fn switch_subnet(value: &DeValue<'_>) -> Result<IpCidr, Problem> {
    let cidr = subnet(value)?;
    let first = nth_host(cidr, 1).or_else(|| nth_host(cidr, 0));
    let usable = cidr.prefix_len() >= 8
        && first.is_some_and(|first| check_host(first).is_ok() && !is_link_local(address_of(first)));
    if !usable {
        let help =
            "a unicast subnet with a prefix length of 8 or more, such as \"10.0.0.0/24\" or \"fd00::/64\"";
        return Err(Problem::new(format!("`{cidr}` has no addresses to give out"), help));
    }
    Ok(cidr)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::address::parse;

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
}
