//! The tables `[guest.NAME.protocol.NAME]`: one reader for each kind, and [`kind`] is their registry.

use toml::Spanned;

use super::super::address;
use super::super::mistake::{Mistakes, quote};
use super::super::read::{Named, Reader, boolean, string};
use super::missing;
use super::unix::{UnixSpec, unix};
use crate::protocol::LayerKind;
use crate::protocol::ip::Family;
use crate::protocol::policy::{Policy, Rule};
use crate::protocol::proxy_protocol;

pub(in super::super) struct ProtocolSpec {
    pub name: Spanned<String>,
    /// `None` if it was a mistake.
    pub kind: Option<KindSpec>,
    /// Only for others to stand on, and for listeners: the guest gets no descriptor.
    pub private: bool,
}

pub(in super::super) enum KindSpec {
    Ip {
        family: Family,
        policy: Policy,
    },
    Unix(UnixSpec),
    Layer {
        layer: LayerKind,
        /// Name of the protocol that it stands on.
        over: Spanned<String>,
    },
}

impl ProtocolSpec {
    /// The rules that it has, for what is bound and what is connected to.
    pub fn policy(&self) -> [&Option<Vec<Rule>>; 2] {
        match &self.kind {
            Some(KindSpec::Ip { policy, .. }) => [&policy.bind, &policy.connect],
            Some(KindSpec::Unix(_) | KindSpec::Layer { .. }) | None => [&None, &None],
        }
    }
}

/// The kinds there are, as a mistake tells them.
const KINDS: &str = "\"ipv4\", \"ipv6\", \"unix\" or \"proxy-protocol\"";

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
    let kind = word.and_then(|word| kind(&word, given, &name, &mut reader, &what));
    // Of a kind that nobody knows no key is known either: one mistake is enough.
    if kind.is_some() || given && reader.has("over") {
        reader.finish();
    }
    ProtocolSpec { name, kind, private }
}

fn kind(
    word: &Spanned<String>,
    given: bool,
    name: &Spanned<String>,
    reader: &mut Reader<'_>,
    what: &str,
) -> Option<KindSpec> {
    match word.get_ref().as_str() {
        "ipv4" => Some(ip(Family::V4, reader)),
        "ipv6" => Some(ip(Family::V6, reader)),
        "unix" => Some(unix(reader)),
        "proxy-protocol" => {
            let from = reader.list("from", address::subnet).map(inner);
            layer(LayerKind::ProxyProtocol(proxy_protocol::Settings { from }), name, reader, what)
        }
        other => {
            if given {
                let message = format!("kind: {} is no kind of protocol", quote(other));
                reader.mistakes.add(word.span(), message, KINDS);
            } else {
                let message = format!("{what} is of no known kind");
                reader.mistakes.add(name.span(), message, format!("add `kind = ...`: {KINDS}"));
            }
            None
        }
    }
}

fn inner<T>(list: Vec<Spanned<T>>) -> Vec<T> {
    list.into_iter().map(Spanned::into_inner).collect()
}

fn layer(layer: LayerKind, name: &Spanned<String>, reader: &mut Reader<'_>, what: &str) -> Option<KindSpec> {
    if !reader.has("over") {
        let help = "name the guest's protocol that it stands on: `over = \"ipv4\"`";
        missing(reader.mistakes, name.span(), what, "over", help);
    }
    let over = reader.get("over", string)?;
    Some(KindSpec::Layer { layer, over })
}

fn ip(family: Family, reader: &mut Reader<'_>) -> KindSpec {
    let bind = reader.list("bind", address::rule);
    let connect = reader.list("connect", address::rule);
    bind.iter().chain(&connect).flatten().for_each(|rule| check_family(family, rule, reader.mistakes));
    KindSpec::Ip { family, policy: Policy { bind: bind.map(inner), connect: connect.map(inner) } }
}

/// A rule for the other family would never let anything through: surely not what was meant.
fn check_family(family: Family, rule: &Spanned<Rule>, mistakes: &Mistakes) {
    let Some(prefix) = rule.get_ref().prefix else { return };
    let address = address::address_of(prefix);
    let (fits, kind) = match family {
        Family::V4 => (address.is_ipv4(), "ipv4"),
        Family::V6 => (address.is_ipv6(), "ipv6"),
    };
    if !fits {
        let message = format!("{prefix} is of another family than the protocol, {kind}");
        mistakes.add(rule.span(), message, "give it to the other protocol, or write `*` for any address");
    }
}
