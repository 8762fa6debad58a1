//! The tables `[dhcp.NAME]`, and what router interfaces advertise.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::super::address;
use super::super::mistake::{Mistakes, Problem, quote};
use super::super::read::{Named, Reader, article, boolean, string};
use super::super::units;
use super::InterfaceSpec;
use super::interface::{Owner, interface};

/// Addresses of one range: each is looked at when none is left.
const RANGE_MAX: u32 = 4096;
/// Shorter leases are renewed all the time; longer ones cannot be told, but as "for ever".
const LEASE: RangeInclusive<Duration> = Duration::from_secs(4)..=Duration::from_secs(u32::MAX as u64 - 1);

pub(in super::super) struct DhcpSpec {
    pub name: Spanned<String>,
    /// Exactly one.
    pub interfaces: Vec<InterfaceSpec>,
    pub range: Option<Spanned<(Ipv4Addr, Ipv4Addr)>>,
    pub lease: Option<Duration>,
    pub routers: Option<Vec<Spanned<Ipv4Addr>>>,
    pub dns: Vec<Ipv4Addr>,
    /// A guest or a MAC, and its address.
    pub reservations: Vec<(Spanned<String>, Spanned<Ipv4Addr>)>,
}

pub(super) fn dhcp(Named { name, table }: Named<'_>, mistakes: &Mistakes) -> DhcpSpec {
    let what = format!("DHCP server `{}`", name.get_ref());
    let mut reader = Reader::new(table, what, mistakes);
    let eth0 = interface(&mut reader, Spanned::new(name.span(), "eth0".to_owned()), Owner::Server);
    let spec = DhcpSpec {
        interfaces: vec![eth0],
        range: reader.get("range", range),
        lease: reader.get("lease", lease).map(Spanned::into_inner),
        routers: reader.list("router", v4),
        dns: reader.list("dns", v4).unwrap_or_default().into_iter().map(Spanned::into_inner).collect(),
        reservations: reservations(&mut reader),
        name,
    };
    reader.finish();
    spec
}

/// `"10.0.0.100-10.0.0.199"`.
pub(super) fn range(value: &DeValue<'_>) -> Result<(Ipv4Addr, Ipv4Addr), Problem> {
    const HELP: &str = "the first and the last address, such as \"10.0.0.100-10.0.0.199\"";
    let text = string(value)?;
    let ends = text.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    let Some((first, last)) = ends else {
        return Err(Problem::new(format!("{} is no range of addresses", quote(&text)), HELP));
    };
    let (first, last): (Ipv4Addr, Ipv4Addr) = (first, last);
    if first > last {
        return Err(Problem::new(format!("{} runs backwards", quote(&text)), HELP));
    }
    if last.to_bits() - first.to_bits() >= RANGE_MAX {
        let help = format!("at most {RANGE_MAX}: more servers have more, each its own range");
        return Err(Problem::new(format!("{} has too many addresses", quote(&text)), help));
    }
    Ok((first, last))
}

fn lease(value: &DeValue<'_>) -> Result<Duration, Problem> {
    let lease = units::duration(value)?;
    if LEASE.contains(&lease) && lease.subsec_nanos() == 0 {
        return Ok(lease);
    }
    Err(Problem::new(format!("{lease:?} is no length of a lease"), "whole seconds, \"4s\" or more"))
}

fn v4(value: &DeValue<'_>) -> Result<Ipv4Addr, Problem> {
    match address::ip(value)? {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(address) => Err(Problem::new(format!("{address} is not of IPv4"), "such as \"10.0.0.1\"")),
    }
}

/// `reservations = { client = "10.0.0.50", "02:00:00:00:00:09" = "10.0.0.51" }`.
fn reservations(reader: &mut Reader<'_>) -> Vec<(Spanned<String>, Spanned<Ipv4Addr>)> {
    let mistakes = reader.mistakes;
    let mut reservations = Vec::new();
    for (client, value) in reader.entries("reservations") {
        match v4(value.get_ref()) {
            Ok(address) => reservations.push((client, Spanned::new(value.span(), address))),
            Err(problem) => {
                mistakes.add(value.span(), format!("reservations: {}", problem.message), problem.help);
            }
        }
    }
    reservations
}

/// What a router's interface says of itself.
#[derive(Clone)]
pub(in super::super) struct AdvertiseSpec {
    pub at: Range<usize>,
    pub lifetime: Duration,
    pub interval: Duration,
    pub valid: Duration,
    pub preferred: Duration,
    pub dns: Vec<std::net::Ipv6Addr>,
}

/// `advertise = true`, or a table.
pub(super) fn advertise(reader: &mut Reader<'_>) -> Option<AdvertiseSpec> {
    let mistakes = reader.mistakes;
    let value = reader.value("advertise")?;
    let mut spec = AdvertiseSpec {
        at: value.span(),
        // RFC 4861, section 6.2.1: three times the interval.
        lifetime: Duration::from_secs(1800),
        interval: Duration::from_secs(600),
        valid: Duration::from_secs(30 * 86_400),
        preferred: Duration::from_secs(7 * 86_400),
        dns: Vec::new(),
    };
    let table = match value.get_ref() {
        DeValue::Table(table) => table,
        other => {
            return match boolean(other) {
                Ok(advertised) => advertised.then_some(spec),
                Err(_) => {
                    let message = format!("advertise: {} where a boolean or a table belongs", article(other));
                    let help = "`advertise = true`, or `advertise = { lifetime = \"30min\" }`";
                    mistakes.add(value.span(), message, help);
                    None
                }
            };
        }
    };
    let mut inner = Reader::new(table, "`advertise`", mistakes);
    let mut time = |key, least: u64, most: u64, into: &mut Duration| {
        let given = inner.get(key, units::duration);
        let Some(given) = given else { return };
        let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
        if (least..=most).contains(given.get_ref()) {
            *into = given.into_inner();
        } else {
            let message = format!("{key}: {:?} is out of range", given.get_ref());
            mistakes.add(given.span(), message, format!("from {least:?} to {most:?}"));
        }
    };
    // Section 6.2.1 again; lifetimes of prefixes are 32 bits of seconds, and all ones mean for ever.
    time("interval", 4, 1800, &mut spec.interval);
    time("lifetime", 0, 9000, &mut spec.lifetime);
    time("valid", 0, u64::from(u32::MAX) - 1, &mut spec.valid);
    time("preferred", 0, u64::from(u32::MAX) - 1, &mut spec.preferred);
    let dns = inner.list("dns", v6).unwrap_or_default();
    if let Some(too_many) = dns.get(8) {
        mistakes.add(too_many.span(), "dns: more than 8 servers", "hosts ask three at most");
    }
    spec.dns = dns.into_iter().map(Spanned::into_inner).collect();
    if spec.preferred > spec.valid {
        let message = "advertise: addresses would be preferred for longer than they are valid";
        mistakes.add(value.span(), message, "`preferred` is at most `valid`");
    }
    inner.finish();
    Some(spec)
}

fn v6(value: &DeValue<'_>) -> Result<std::net::Ipv6Addr, Problem> {
    match address::ip(value)? {
        IpAddr::V6(address) => Ok(address),
        IpAddr::V4(address) => Err(Problem::new(format!("{address} is not of IPv6"), "such as \"fd00::1\"")),
    }
}
