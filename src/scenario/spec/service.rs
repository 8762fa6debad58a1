//! Nodes that run a program of guestnet's own: the tables `[dns.NAME]`.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use hickory_proto::rr::rdata::{A, AAAA, CNAME, SRV, TXT};
use hickory_proto::rr::{Name, RData};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::mistake::{Mistakes, Problem, quote};
use super::super::read::{Named, Reader, article, integer, string};
use super::super::units;
use super::guest::own_interfaces;
use super::interface::routing;
use super::{InterfaceSpec, RoutingSpec, missing};
use crate::dns::name::{fully_qualified, is_domain};

/// RFC 2181, section 8.
const TTL_SECONDS_MAX: u64 = (1 << 31) - 1;
const DEFAULT_TTL: u32 = 300;
const DEFAULT_NEGATIVE_TTL: u32 = 60;

pub(in super::super) struct ServiceSpec {
    pub name: Spanned<String>,
    /// `eth0` of its own table first.
    pub interfaces: Vec<InterfaceSpec>,
    pub routing: RoutingSpec,
    pub kind: ServiceKindSpec,
}

pub(in super::super) enum ServiceKindSpec {
    Dns(DnsSpec),
    /// Of paths.
    Directory,
}

pub(in super::super) struct DnsSpec {
    /// Seconds.
    pub ttl: u32,
    pub negative_ttl: u32,
    /// The domain that guests' names are in.
    pub guests: Option<Spanned<Name>>,
    pub zones: Vec<ZoneSpec>,
}

pub(in super::super) struct ZoneSpec {
    pub origin: Spanned<Name>,
    pub owners: Vec<OwnerSpec>,
}

/// What a name of a zone has.
pub(in super::super) struct OwnerSpec {
    /// Fully qualified.
    pub name: Name,
    pub ttl: Option<u32>,
    pub records: Vec<RData>,
    /// Guests whose addresses it has.
    pub guests: Vec<Spanned<String>>,
}

pub(super) fn dns(Named { name, table }: Named<'_>, mistakes: &Mistakes) -> ServiceSpec {
    let what = format!("dns `{}`", name.get_ref());
    let mut reader = Reader::new(table, what.clone(), mistakes);
    let interfaces = own_interfaces(&mut reader, &name, &what, "dns");
    let routing = routing(&mut reader);
    let kind = ServiceKindSpec::Dns(DnsSpec {
        ttl: reader.get("ttl", ttl).map_or(DEFAULT_TTL, Spanned::into_inner),
        negative_ttl: reader.get("negative_ttl", ttl).map_or(DEFAULT_NEGATIVE_TTL, Spanned::into_inner),
        guests: reader.get("guests", domain),
        zones: zones(&mut reader),
    });
    reader.finish();
    ServiceSpec { name, interfaces, routing, kind }
}

/// A duration of whole seconds.
fn ttl(value: &DeValue<'_>) -> Result<u32, Problem> {
    let duration = units::duration(value)?;
    let seconds = duration.as_secs();
    if duration != Duration::from_secs(seconds) || seconds > TTL_SECONDS_MAX {
        return Err(Problem::new(
            "is no time to live",
            "whole seconds, up to 68 years, such as \"5min\" or \"30s\"",
        ));
    }
    Ok(seconds as u32)
}

fn domain(value: &DeValue<'_>) -> Result<Name, Problem> {
    domain_of(&string(value)?)
}

fn domain_of(text: &str) -> Result<Name, Problem> {
    let name = fully_qualified(text).filter(|_| !text.starts_with('*'));
    name.ok_or_else(|| {
        Problem::new(
            format!("{} is not a domain", quote(text)),
            "labels of 1 to 63 letters, digits, `-` and `_`, joined by dots, such as \"example.test\"",
        )
    })
}

fn zones(reader: &mut Reader<'_>) -> Vec<ZoneSpec> {
    let mistakes = reader.mistakes;
    let mut zones: Vec<ZoneSpec> = Vec::new();
    for (name, value) in reader.entries("zone") {
        let origin = match domain_of(name.get_ref()) {
            Ok(origin) => Spanned::new(name.span(), origin),
            Err(problem) => {
                mistakes.add(name.span(), format!("zone: {}", problem.message), problem.help);
                continue;
            }
        };
        if zones.iter().any(|zone| zone.origin.get_ref() == origin.get_ref()) {
            let message = format!("zone: {} is there twice", quote(name.get_ref()));
            mistakes.add(name.span(), message, "upper and lower case are the same: put both into one");
        }
        let DeValue::Table(table) = value.get_ref() else {
            let message = format!("zone: {} where a table belongs", article(value.get_ref()));
            let help = "write a name's records below it: `www = { a = \"10.0.0.2\" }`";
            mistakes.add(value.span(), message, help);
            continue;
        };
        let owners = owners(table, origin.get_ref(), mistakes);
        zones.push(ZoneSpec { origin, owners });
    }
    zones
}

fn owners(table: &DeTable<'_>, origin: &Name, mistakes: &Mistakes) -> Vec<OwnerSpec> {
    let mut owners: Vec<OwnerSpec> = Vec::new();
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in entries {
        let text: &str = key.get_ref();
        let name = match name_in(text, origin, true) {
            Ok(name) => name,
            Err(problem) => {
                mistakes.add(key.span(), problem.message, problem.help);
                continue;
            }
        };
        if owners.iter().any(|owner| owner.name == name) {
            let message = format!("{} is in the zone twice", quote(text));
            mistakes.add(key.span(), message, "upper and lower case are the same: put both into one");
        }
        match value.get_ref() {
            DeValue::Table(table) => {
                let mut reader = Reader::new(table, format!("the name {}", quote(text)), mistakes);
                let owner = owner(&mut reader, name, origin);
                reader.finish();
                check_alias(&owner, origin, key.span(), mistakes);
                owners.push(owner);
            }
            other => {
                let message = format!("{}: {} where a table belongs", quote(text), article(other));
                mistakes.add(value.span(), message, "write its records: `www = { a = \"10.0.0.2\" }`");
            }
        }
    }
    owners
}

fn owner(reader: &mut Reader<'_>, name: Name, origin: &Name) -> OwnerSpec {
    let mut records = Vec::new();
    let values = |list: Option<Vec<Spanned<RData>>>| list.into_iter().flatten().map(Spanned::into_inner);
    records.extend(values(reader.list("a", |value| {
        let address: Ipv4Addr = parsed(value, "an IPv4 address", "such as \"10.0.0.2\"")?;
        Ok(RData::A(A(address)))
    })));
    records.extend(values(reader.list("aaaa", |value| {
        let address: Ipv6Addr = parsed(value, "an IPv6 address", "such as \"fd00::2\"")?;
        Ok(RData::AAAA(AAAA(address)))
    })));
    let target = |value: &DeValue<'_>| name_in(&string(value)?, origin, false);
    records.extend(reader.get("cname", target).map(|name| RData::CNAME(CNAME(name.into_inner()))));
    records.extend(values(reader.list("txt", |value| {
        let text = string(value)?;
        // Strings of at most 255 bytes each (RFC 1035, 3.3); who reads them puts them together.
        let parts = text.as_bytes().chunks(255).collect::<Vec<_>>();
        let fits = text.len() <= TXT_BYTES_MAX;
        fits.then(|| RData::TXT(TXT::from_bytes(if parts.is_empty() { vec![b""] } else { parts })))
            .ok_or_else(|| Problem::new("is too long", format!("a text has at most {TXT_BYTES_MAX} bytes")))
    })));
    records.extend(services(reader, origin));
    let guests = reader.list("guest", string).unwrap_or_default();
    OwnerSpec { name, ttl: reader.get("ttl", ttl).map(Spanned::into_inner), records, guests }
}

/// Far below what an answer can hold.
const TXT_BYTES_MAX: usize = 16_384;

fn parsed<T: std::str::FromStr>(value: &DeValue<'_>, what: &str, help: &str) -> Result<T, Problem> {
    let text = string(value)?;
    text.parse().map_err(|_| Problem::new(format!("{} is not {what}", quote(&text)), help))
}

fn services(reader: &mut Reader<'_>, origin: &Name) -> Vec<RData> {
    let mistakes = reader.mistakes;
    let mut records = Vec::new();
    let tables: Vec<_> = match reader.value("srv") {
        // One may stand without brackets, as elsewhere.
        Some(value) if value.get_ref().is_table() => reader.table("srv").into_iter().collect(),
        _ => reader.tables("srv"),
    };
    for (at, table) in tables {
        let mut inner = Reader::new(table, "the service", mistakes);
        let number = |number: Option<Spanned<u64>>| number.map_or(0, |number| *number.get_ref() as u16);
        let priority = number(inner.get("priority", integer(0..=65_535)));
        let weight = number(inner.get("weight", integer(0..=65_535)));
        let port = number(inner.get("port", integer(1..=65_535)));
        let target = inner.get("target", |value| name_in(&string(value)?, origin, false));
        for key in ["port", "target"] {
            if !inner.has(key) {
                let help = "a service is `{ port = 80, target = \"web\" }`, with `priority` and `weight`";
                missing(mistakes, at.clone(), "the service", key, help);
            }
        }
        inner.finish();
        records.extend(target.map(|to| RData::SRV(SRV::new(priority, weight, port, to.into_inner()))));
    }
    records
}

/// A name as zone files write them: `@` for the zone's own, a final dot for one that is whole, else within the zone.
fn name_in(text: &str, origin: &Name, owner: bool) -> Result<Name, Problem> {
    let wrong = |why: &str, help: String| Err(Problem::new(format!("{} {why}", quote(text)), help));
    let origin_text = origin.to_ascii();
    if text == "@" {
        return Ok(origin.clone());
    }
    if !owner && text.ends_with('.') {
        return domain_of(text);
    }
    let rest = text.strip_prefix("*.").unwrap_or(if text == "*" { "x" } else { text });
    if !is_domain(rest) || (!owner && text.starts_with('*')) {
        let help = if owner {
            "a name within the zone, such as \"www\" or \"*.apps\", or \"@\" for the zone's own"
        } else {
            "a name within the zone, such as \"www\", or a whole one with its final dot"
        };
        return wrong("is no name", help.to_owned());
    }
    let lower = format!("{}.", text.to_ascii_lowercase());
    if lower.ends_with(&format!(".{}", origin_text.to_ascii_lowercase())) {
        let within = &text[..lower.len() - origin_text.len() - 1];
        return wrong(
            "ends in its zone's name",
            format!("the zone goes without saying: {within:?} is meant"),
        );
    }
    match fully_qualified(&format!("{text}.{origin_text}")) {
        Some(name) => Ok(name),
        None => wrong("is too long", "a name has at most 253 characters, the zone's included".to_owned()),
    }
}

/// An alias stands alone (RFC 1034, 3.6.2), and a zone's own name is never one.
fn check_alias(owner: &OwnerSpec, origin: &Name, at: std::ops::Range<usize>, mistakes: &Mistakes) {
    if !owner.records.iter().any(|record| matches!(record, RData::CNAME(_))) {
        return;
    }
    if owner.name == *origin {
        mistakes.add(at, "the zone's own name cannot be an alias", "give it addresses: `a`, `aaaa`, `guest`");
    } else if owner.records.len() > 1 || !owner.guests.is_empty() {
        mistakes.add(at, "an alias has records beside it", "a name with `cname` has nothing else");
    }
}
