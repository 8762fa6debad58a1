//! One rule of a policy.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use smoltcp::wire::IpCidr;
use toml::de::DeValue;

use super::subnet::{cidr, cidr_of, network};
use crate::dns::name::HostName;
use crate::protocol::policy::{Rule, Who};
use crate::scenario::mistake::{Problem, quote};
use crate::scenario::read::string;

/// Of ::ffff:0:0/96, IPv4 addresses in IPv6's form (RFC 4291, 2.5.5.2).
const MAPPED_BITS: u8 = 96;

/// One rule of a policy: `WHO:PORTS`, who being `*`, an address or a prefix (IPv6 in brackets), a name or `*.NAME`, and
/// ports `*`, one, or a range.
pub fn rule(value: &DeValue<'_>) -> Result<Rule, Problem> {
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
            if let IpCidr::Ipv6(v6) = prefix
                && v6.prefix_len() >= MAPPED_BITS
                && let Some(v4) = v6.address().to_ipv4_mapped()
            {
                let meant = format!("{v4}/{}", v6.prefix_len() - MAPPED_BITS);
                return Err(wrong(format!("has IPv4 addresses in IPv6's form: {meant} is meant")));
            }
            Who::Prefix(prefix)
        }
        _ => match (addresses.parse::<IpAddr>(), HostName::parse(addresses)) {
            (Ok(address), _) => {
                // As a guest's own words are taken.
                let address = address.to_canonical();
                Who::Prefix(cidr_of(address, if address.is_ipv4() { 32 } else { 128 }))
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::address::parse;

    #[test]
    fn rules_take_addresses_and_ports() {
        let ports = |text: &str| parse(rule, text).map(|rule| rule.to_string());
        for same in ["*:1024-65535", "0.0.0.0/0:80", "[fd00::/64]:*", "a.example.org:80", "*.example.org:1-2"]
        {
            assert_eq!(ports(same).as_deref(), Ok(same));
        }
        assert_eq!(ports("[fd00::1]:53").as_deref(), Ok("[fd00::1/128]:53"));
        assert_eq!(ports("[::ffff:10.0.0.3]:7").as_deref(), Ok("10.0.0.3/32:7"));
        let mapped = ports("[::ffff:10.0.0.0/104]:7").unwrap_err();
        assert!(mapped.contains("10.0.0.0/8 is meant"), "{mapped}");
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
}
