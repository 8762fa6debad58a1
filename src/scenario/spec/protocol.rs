//! The tables `[guest.NAME.protocol.NAME]`: one reader for each kind, and [`kind`] is their registry.

use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use super::super::address;
use super::super::mistake::{Mistakes, Problem, quote};
use super::super::read::{Named, Reader, boolean, integer, string};
use super::missing;
use super::quic::{self, QuicSpec};
use super::tls::{self, TlsSpec};
use super::unix::{UnixSpec, unix};
use crate::protocol::LayerKind;
use crate::protocol::ip::{Families, Family};
use crate::protocol::policy::{Denied, Policy, Rule, Who};
use crate::protocol::proxy::{self, Credentials, proxy_protocol};
use crate::protocol::yamux;

pub(in super::super) struct ProtocolSpec {
    pub name: Spanned<String>,
    /// `None` if it was a mistake.
    pub kind: Option<KindSpec>,
    /// Only for others to stand on, and for listeners: the guest gets no descriptor.
    pub private: bool,
}

pub(in super::super) enum KindSpec {
    Ip {
        families: Families,
        policy: Policy,
        /// Rules of `bind` and `accept` that are by name, each with its key.
        named: Vec<(&'static str, Spanned<Rule>)>,
    },
    Icmp {
        policy: Policy,
        named: Vec<(&'static str, Spanned<Rule>)>,
    },
    Unix(Box<UnixSpec>),
    Layer {
        layer: LayerKind,
        /// Name of the protocol that it stands on.
        over: Spanned<String>,
    },
    Tls {
        tls: Box<TlsSpec>,
        over: Spanned<String>,
    },
    Quic {
        quic: Box<QuicSpec>,
        over: Spanned<String>,
    },
}

impl ProtocolSpec {
    /// Rules that it has, of all kinds.
    pub fn rule_count(&self) -> usize {
        match &self.kind {
            Some(KindSpec::Ip { policy, .. } | KindSpec::Icmp { policy, .. }) => policy.rules().count(),
            Some(
                KindSpec::Unix(_) | KindSpec::Layer { .. } | KindSpec::Tls { .. } | KindSpec::Quic { .. },
            )
            | None => 0,
        }
    }
}

/// The kinds there are, as a mistake tells them.
const KINDS: &str = "\"ip\", \"ipv4\", \"ipv6\", \"icmp\", \"unix\", \"socks5\", \"http-connect\", \"tls\", \"quic\", \"yamux\" or \"proxy-protocol\"";

pub(super) fn protocols(reader: &mut Reader<'_>, what: &str) -> Vec<ProtocolSpec> {
    let mistakes = reader.mistakes;
    let tables = reader.named("protocol");
    tables.into_iter().map(|named| protocol(named, what, mistakes)).collect()
}

fn protocol(Named { name, table }: Named<'_>, what: &str, mistakes: &Mistakes) -> ProtocolSpec {
    let what = format!("protocol `{}` of {what}", name.get_ref());
    let mut reader = Reader::new(table, what.clone(), mistakes);
    let given = reader.has("kind");
    let word = match reader.get("kind", string) {
        Some(word) => Some(word),
        None if given => None,
        None => Some(name.clone()),
    };
    let private = reader.get("private", boolean).is_some_and(Spanned::into_inner);
    let kind = word.and_then(|word| kind(&word, given, &name, reader, &what));
    ProtocolSpec { name, kind, private }
}

/// `None` for one with a mistake.
fn kind(
    word: &Spanned<String>,
    given: bool,
    name: &Spanned<String>,
    mut table: Reader<'_>,
    what: &str,
) -> Option<KindSpec> {
    let reader = &mut table;
    let spec = match word.get_ref().as_str() {
        "ip" => Some(ip(Families::BOTH, reader)),
        "ipv4" => Some(ip(Families::only(Family::V4), reader)),
        "ipv6" => Some(ip(Families::only(Family::V6), reader)),
        "icmp" => Some(icmp(reader)),
        "unix" => Some(unix(reader)),
        "proxy-protocol" => {
            let from = reader.list("from", address::subnet).map(inner);
            let settings = proxy_protocol::Settings { from };
            layer(Some(LayerKind::ProxyProtocol(settings)), name, reader, what)
        }
        "socks5" => layer(proxy(name, reader, what).map(LayerKind::Socks5), name, reader, what),
        "http-connect" => layer(proxy(name, reader, what).map(LayerKind::HttpConnect), name, reader, what),
        "tls" => {
            let tls = Box::new(tls::tls(reader, what));
            over(name, reader, what).map(|over| KindSpec::Tls { tls, over })
        }
        "quic" => {
            let quic = Box::new(quic::quic(reader, what));
            over(name, reader, what).map(|over| KindSpec::Quic { quic, over })
        }
        "yamux" => {
            let streams = reader.get("streams", integer(1..=u64::from(yamux::STREAMS_MAX)));
            let streams = streams.and_then(|streams| u32::try_from(streams.into_inner()).ok());
            let settings = yamux::Settings { streams: streams.unwrap_or(yamux::STREAMS) };
            layer(Some(LayerKind::Yamux(settings)), name, reader, what)
        }
        other => {
            if given {
                let message = format!("kind: {} is no kind of protocol", quote(other));
                reader.mistakes.add(word.span(), message, KINDS);
            } else {
                let message = format!("{what} is of no known kind");
                reader.mistakes.add(name.span(), message, format!("add `kind = ...`: {KINDS}"));
            }
            // Of a kind that nobody knows no key is known either: one mistake is enough.
            return None;
        }
    };
    table.finish();
    spec
}

fn inner<T>(list: Vec<Spanned<T>>) -> Vec<T> {
    list.into_iter().map(Spanned::into_inner).collect()
}

/// `None` for one with a mistake.
fn layer(
    layer: Option<LayerKind>,
    name: &Spanned<String>,
    reader: &mut Reader<'_>,
    what: &str,
) -> Option<KindSpec> {
    let over = over(name, reader, what)?;
    Some(KindSpec::Layer { layer: layer?, over })
}

fn over(name: &Spanned<String>, reader: &mut Reader<'_>, what: &str) -> Option<Spanned<String>> {
    if !reader.has("over") {
        let help = "name the guest's protocol that it stands on: `over = \"ipv4\"`";
        missing(reader.mistakes, name.span(), what, "over", help);
    }
    reader.get("over", string)
}

fn proxy(name: &Spanned<String>, reader: &mut Reader<'_>, what: &str) -> Option<proxy::Settings> {
    let server = server(reader, name, what);
    let credentials = credentials(reader);
    let policy = connect_policy(reader);
    Some(proxy::Settings { server: server?, credentials, policy, names: Arc::default(), leads_out: false })
}

/// The proxy, as the layer below takes it.
fn server(reader: &mut Reader<'_>, name: &Spanned<String>, what: &str) -> Option<String> {
    if !reader.has("server") {
        let help = "the proxy's host and port: `server = \"10.0.0.9:1080\"`";
        missing(reader.mistakes, name.span(), what, "server", help);
    }
    reader.get("server", address::server).map(Spanned::into_inner)
}

fn credentials(reader: &mut Reader<'_>) -> Option<Credentials> {
    let mistakes = reader.mistakes;
    let user = reader.get("user", credential);
    let password = reader.get("password", credential);
    match (user, password) {
        (Some(user), Some(password)) => {
            Some(Credentials { user: user.into_inner(), password: password.into_inner() })
        }
        (Some(user), None) if !reader.has("password") => {
            mistakes.add(user.span(), "a `user` without a `password`", "add `password = \"...\"`");
            None
        }
        (None, Some(password)) if !reader.has("user") => {
            mistakes.add(password.span(), "a `password` without a `user`", "add `user = \"...\"`");
            None
        }
        (Some(_) | None, None) | (None, Some(_)) => None,
    }
}

/// RFC 1929: 1 to 255 bytes each. RFC 7617, 2: no control characters.
fn credential(value: &DeValue<'_>) -> Result<String, Problem> {
    let text = string(value)?;
    let good = (1..=255).contains(&text.len()) && !text.contains(char::is_control);
    if good {
        Ok(text)
    } else {
        Err(Problem::new("is no user or password", "1 to 255 bytes, none of them control characters"))
    }
}

/// What may be connected to through a proxy; names are let through by rules for any address.
fn connect_policy(reader: &mut Reader<'_>) -> Policy {
    let connect = reader.list("connect", address::rule).map(inner);
    let deny = denied(reader, |reader| Denied {
        connect: reader.list("connect", address::rule).map(inner).unwrap_or_default(),
        ..Denied::default()
    });
    Policy { connect, deny, ..Policy::default() }
}

fn ip(families: Families, reader: &mut Reader<'_>) -> KindSpec {
    let mut named = Vec::new();
    let mut policy = Policy {
        bind: rules("bind", families, reader, &mut named),
        connect: rules("connect", families, reader, &mut named),
        accept: rules("accept", families, reader, &mut named),
        deny: Denied::default(),
    };
    policy.deny = denied(reader, |reader| Denied {
        bind: rules("bind", families, reader, &mut named).unwrap_or_default(),
        connect: rules("connect", families, reader, &mut named).unwrap_or_default(),
        accept: rules("accept", families, reader, &mut named).unwrap_or_default(),
    });
    KindSpec::Ip { families, policy, named }
}

/// Nobody comes in: who asks for an echo is answered by the stack.
fn icmp(reader: &mut Reader<'_>) -> KindSpec {
    let mut named = Vec::new();
    let mut policy = Policy {
        bind: portless_rules("bind", reader, &mut named),
        connect: portless_rules("connect", reader, &mut named),
        ..Policy::default()
    };
    policy.deny = denied(reader, |reader| Denied {
        bind: portless_rules("bind", reader, &mut named).unwrap_or_default(),
        connect: portless_rules("connect", reader, &mut named).unwrap_or_default(),
        accept: Vec::new(),
    });
    KindSpec::Icmp { policy, named }
}

/// `deny = { connect = ["*.example.org:*"] }`: the lists that there are of it.
pub(super) fn denied<T: Default>(reader: &mut Reader<'_>, lists: impl FnOnce(&mut Reader<'_>) -> T) -> T {
    let Some((_, table)) = reader.table("deny") else { return T::default() };
    let mut inner = Reader::new(table, "`deny`", reader.mistakes);
    let denied = lists(&mut inner);
    inner.finish();
    denied
}

/// A list of rules for what has no ports.
fn portless_rules(
    key: &'static str,
    reader: &mut Reader<'_>,
    named: &mut Vec<(&'static str, Spanned<Rule>)>,
) -> Option<Vec<Rule>> {
    let any_port = |value: &DeValue<'_>| {
        let rule = address::rule(value)?;
        if rule.ports == (0..=u16::MAX) {
            return Ok(rule);
        }
        let right = Rule { ports: 0..=u16::MAX, ..rule.clone() };
        Err(Problem::new(format!("{rule} names ports, and ICMP has none"), format!("write \"{right}\"")))
    };
    checked(key, Families::BOTH, reader.list(key, any_port)?, reader.mistakes, named)
}

/// A list of rules, each of them one that can be met. Those by name that are not of `connect` are `named` too: whether
/// they can be met is known once all names are.
fn rules(
    key: &'static str,
    families: Families,
    reader: &mut Reader<'_>,
    named: &mut Vec<(&'static str, Spanned<Rule>)>,
) -> Option<Vec<Rule>> {
    checked(key, families, reader.list(key, address::rule)?, reader.mistakes, named)
}

fn checked(
    key: &'static str,
    families: Families,
    list: Vec<Spanned<Rule>>,
    mistakes: &Mistakes,
    named: &mut Vec<(&'static str, Spanned<Rule>)>,
) -> Option<Vec<Rule>> {
    list.iter().for_each(|rule| check_family(families, rule, mistakes));
    let by_name = list.iter().filter(|rule| key != "connect" && rule.get_ref().who.is_name());
    named.extend(by_name.map(|rule| (key, rule.clone())));
    Some(list.into_iter().map(Spanned::into_inner).collect())
}

/// A rule for the other family would never be met: surely not what was meant.
fn check_family(families: Families, rule: &Spanned<Rule>, mistakes: &Mistakes) {
    let Who::Prefix(prefix) = rule.get_ref().who else { return };
    if !families.has(Family::of(address::address_of(prefix))) {
        let kind = if families.v4 { "ipv4" } else { "ipv6" };
        let message = format!("{prefix} is of another family than the protocol, {kind}");
        mistakes.add(rule.span(), message, "give it to the other protocol, or write `*` for any address");
    }
}
