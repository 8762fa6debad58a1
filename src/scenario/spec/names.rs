//! Names: the table `hosts`, and the tables `[guest.NAME.resolver]`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::super::address;
use super::super::mistake::{Problem, quote};
use super::super::read::{Reader, check_name, integer, string};
use super::super::units;
use crate::dns::name::HostName;
use crate::dns::server::PORT;

/// As many as a resolver has patience for.
const SERVERS_MAX: usize = 8;
const ATTEMPTS_MAX: u64 = 10;
const TIMEOUT_MAX: Duration = Duration::from_secs(60);

pub(in super::super) struct HostSpec {
    pub name: Spanned<HostName>,
    pub addresses: Vec<IpAddr>,
}

#[derive(Default)]
pub(in super::super) struct ResolverSpec {
    /// `None`: the lab's own.
    pub servers: Option<Vec<Spanned<ServerSpec>>>,
    pub timeout: Option<Duration>,
    pub attempts: Option<u32>,
    pub private: Vec<HostName>,
}

pub(in super::super) enum ServerSpec {
    Address(SocketAddr),
    /// One of the lab's.
    Service(String),
}

pub(super) fn hosts(reader: &mut Reader<'_>) -> Vec<HostSpec> {
    let mistakes = reader.mistakes;
    let mut hosts: Vec<HostSpec> = Vec::new();
    let Some((_, table)) = reader.table("hosts") else { return hosts };
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in entries {
        let text: &str = key.get_ref();
        let Some(name) = HostName::parse(text) else {
            let problem = no_host(text);
            mistakes.add(key.span(), format!("hosts: {}", problem.message), problem.help);
            continue;
        };
        if hosts.iter().any(|host| *host.name.get_ref() == name) {
            let message = format!("hosts: {} is there twice", quote(text));
            mistakes.add(
                key.span(),
                message,
                "upper and lower case are the same: one name has a list of addresses",
            );
        }
        let one = |value: &Spanned<DeValue<'_>>| match address::ip(value.get_ref()) {
            Ok(ip) => Some(ip.to_canonical()),
            Err(problem) => {
                mistakes.add(value.span(), format!("hosts: {}", problem.message), problem.help);
                None
            }
        };
        let addresses = match value.get_ref() {
            DeValue::Array(elements) => elements.iter().filter_map(one).collect(),
            _ => one(value).into_iter().collect(),
        };
        hosts.push(HostSpec { name: Spanned::new(key.span(), name), addresses });
    }
    hosts
}

fn no_host(text: &str) -> Problem {
    Problem::new(
        format!("{} cannot be a host's name", quote(text)),
        "labels of 1 to 63 letters, digits, `-` and `_`, joined by dots; the last is no number",
    )
}

/// The key `resolver`.
pub(super) fn resolver(reader: &mut Reader<'_>) -> ResolverSpec {
    let mistakes = reader.mistakes;
    let Some((_, table)) = reader.table("resolver") else { return ResolverSpec::default() };
    let mut inner = Reader::new(table, "`resolver`", mistakes);
    let servers = inner.list("servers", server);
    if let Some(first_too_many) = servers.as_ref().and_then(|servers| servers.get(SERVERS_MAX)) {
        let message = format!("more than {SERVERS_MAX} servers");
        mistakes.add(first_too_many.span(), message, "each is waited for: two or three are enough");
    }
    let spec = ResolverSpec {
        servers,
        timeout: inner.get("timeout", timeout).map(Spanned::into_inner),
        attempts: inner.get("attempts", integer(1..=ATTEMPTS_MAX)).map(|count| *count.get_ref() as u32),
        private: inner.list("private", domain).into_iter().flatten().map(Spanned::into_inner).collect(),
    };
    inner.finish();
    spec
}

fn timeout(value: &DeValue<'_>) -> Result<Duration, Problem> {
    let timeout = units::duration(value)?;
    if timeout.is_zero() || timeout > TIMEOUT_MAX {
        return Err(Problem::new("is out of range", "above 0, up to \"60s\""));
    }
    Ok(timeout)
}

fn domain(value: &DeValue<'_>) -> Result<HostName, Problem> {
    let text = string(value)?;
    HostName::parse(&text).ok_or_else(|| no_host(&text))
}

/// An address, with a port or without, or the name of one of the lab's own.
fn server(value: &DeValue<'_>) -> Result<ServerSpec, Problem> {
    let text = string(value)?;
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(ServerSpec::Address(SocketAddr::new(ip, PORT)));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(ServerSpec::Address(address));
    }
    match check_name(&text) {
        Ok(()) => Ok(ServerSpec::Service(text)),
        Err(_) => Err(Problem::new(
            format!("{} is no name server", quote(&text)),
            "an address such as \"10.0.0.53\" or \"[fd00::53]:5353\", or the name of a [dns.NAME]",
        )),
    }
}
