//! A guest's protocol objects: each with what it stands on, down to the node's stack.

use super::super::mistake::{Mistakes, quote};
use super::super::plan::{self, ProtocolPlan};
use super::super::spec::{GuestSpec, KindSpec, ProtocolSpec};
use super::expand::Node;
use super::tls::Scope;
use crate::protocol::ip::{Families, Settings};
use crate::protocol::quic::plan::QuicPlan;
use crate::protocol::{Grant, LayerKind};

/// Both families, with no policy, unless the scenario names some: a guest's descriptors shall not depend on which
/// addresses it happens to have. Those with a mistake are left out.
pub(super) fn protocols(
    node: &Node<'_>,
    spec: &GuestSpec,
    scope: Scope<'_>,
    mistakes: &Mistakes,
) -> Vec<ProtocolPlan> {
    if spec.protocols.is_empty() {
        return plan::default_protocols();
    }
    let find = Find { node, list: &spec.protocols, scope, mistakes };
    let grant = |protocol: &ProtocolSpec| {
        let grant = find.grant(protocol, &mut Vec::new())?;
        Some(ProtocolPlan { name: protocol.name.get_ref().clone(), grant, private: protocol.private })
    };
    spec.protocols.iter().filter_map(grant).collect()
}

struct Find<'a> {
    node: &'a Node<'a>,
    list: &'a [ProtocolSpec],
    scope: Scope<'a>,
    mistakes: &'a Mistakes,
}

impl Find<'_> {
    /// `above`: names of those that stand on it.
    fn grant<'s>(&'s self, protocol: &'s ProtocolSpec, above: &mut Vec<&'s str>) -> Option<Grant> {
        let (layer, over) = match protocol.kind.as_ref()? {
            KindSpec::Ip { families, policy, .. } => return Some(Grant::ip(*families, policy.clone())),
            KindSpec::Icmp { policy, .. } => {
                return Some(Grant::Icmp(Settings::new(Families::BOTH, policy.clone()).into()));
            }
            KindSpec::Unix(unix) => return Some(Grant::Unix(unix.settings.clone())),
            KindSpec::Layer { layer, over } => (layer.clone(), over),
            KindSpec::Tls { tls, over } => (LayerKind::Tls(self.scope.tls(tls)), over),
            KindSpec::Quic { quic, over } => {
                let (tls, transport) = (self.scope.tls(&quic.tls), quic.transport);
                let qlog = quic.qlog.as_ref().map(|folder| self.scope.folder.join(folder.get_ref()));
                (LayerKind::Quic(QuicPlan { tls, transport, qlog }), over)
            }
        };
        above.push(protocol.name.get_ref());
        let name = over.get_ref();
        let first = above.len() == 1;
        if above.contains(&name.as_str()) {
            // Told by each that is part of the round, at its own `over`.
            if above.first() == Some(&name.as_str()) {
                let round = format!("{} -> {name}", above.join(" -> "));
                let message = format!("over: {name} stands on itself: {round}");
                let help = "let one of them stand on a protocol of kind ipv4 or ipv6";
                self.mistakes.add(over.span(), message, help);
            }
            return None;
        }
        let Some(below) = self.list.iter().find(|other| other.name.get_ref() == name) else {
            if first {
                let names = self.list.iter().map(|other| other.name.get_ref().as_str());
                let names: Vec<&str> = names.filter(|other| other != above.last().unwrap_or(&"")).collect();
                let meant = self.mistakes.did_you_mean(name, names.iter().copied());
                let help = match names.len() {
                    0 => format!("add [guest.{}.protocol.ipv4]", self.node.name),
                    _ => format!(
                        "{meant}{}it has {}",
                        if meant.is_empty() { "" } else { " " },
                        names.join(", ")
                    ),
                };
                let message = format!("over: {} has no protocol {}", self.node.what, quote(name));
                self.mistakes.add(over.span(), message, help);
            }
            return None;
        };
        let below = Box::new(self.grant(below, above)?);
        match misfit(&layer, &below) {
            None => Some(Grant::Over { layer, below }),
            Some((why, help)) => {
                // Once, by the protocol that it is about.
                if first {
                    self.mistakes.add(
                        over.span(),
                        format!("over: {name} is of kind {}, {why}", below.kind()),
                        help,
                    );
                }
                None
            }
        }
    }
}

/// Why a layer cannot stand on what it is to stand on, if it cannot, and what would be right.
fn misfit(layer: &LayerKind, below: &Grant) -> Option<(String, &'static str)> {
    let paths = below.takes_paths();
    let on_datagrams = match below {
        Grant::Ip(_) => true,
        Grant::Icmp(_) | Grant::Unix(_) => false,
        Grant::Over { layer, .. } => layer.has_datagrams(),
    };
    match layer {
        _ if matches!(below, Grant::Icmp(_)) => Some((
            "which carries nothing but echoes".to_owned(),
            "let it stand on a protocol of kind ipv4 or ipv6",
        )),
        LayerKind::Quic(_) if matches!(below, Grant::Unix(_)) => {
            Some(("which has no addresses".to_owned(), "QUIC stands on ipv4, ipv6 or socks5"))
        }
        LayerKind::Quic(_) if !on_datagrams => {
            Some(("which has no datagrams".to_owned(), "QUIC stands on ipv4, ipv6 or socks5"))
        }
        LayerKind::Socks5(proxy) | LayerKind::HttpConnect(proxy)
            if paths != proxy.server.starts_with('/') =>
        {
            let server = &proxy.server;
            Some(match paths {
                true => (
                    format!("which connects to paths, and `server` is {server}"),
                    "name the path where the proxy listens, such as \"/run/proxy.sock\"",
                ),
                false => (
                    format!("which connects to hosts, and `server` is {server}"),
                    "name the proxy's host and port, or stand on a protocol of kind unix",
                ),
            })
        }
        LayerKind::ProxyProtocol(settings) if paths && settings.from.is_some() => Some((
            "whose peers have no addresses that `from` could have".to_owned(),
            "leave `from` out: who may connect to a path is for the `connect` of the others to say",
        )),
        LayerKind::Quic(_)
        | LayerKind::Socks5(_)
        | LayerKind::HttpConnect(_)
        | LayerKind::ProxyProtocol(_)
        | LayerKind::Tls(_)
        | LayerKind::Yamux(_) => None,
    }
}
