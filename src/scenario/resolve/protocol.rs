//! A guest's protocol objects: each with what it stands on, down to the node's stack.

use super::super::mistake::{Mistakes, quote};
use super::super::plan::{self, ProtocolPlan};
use super::super::spec::{GuestSpec, KindSpec, ProtocolSpec};
use super::depth::{Depth, Depths, depths, over};
use super::expand::Node;
use super::tls::Scope;
use crate::protocol::ip::{Families, Settings};
use crate::protocol::quic::plan::QuicPlan;
use crate::protocol::{Grant, LAYERS_MAX, LayerKind};

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
    let depths = depths(&spec.protocols);
    let find = Find { node, list: &spec.protocols, depths, scope, mistakes };
    let grant = |protocol: &ProtocolSpec| {
        let grant = find.grant(protocol, true)?;
        Some(ProtocolPlan { name: protocol.name.get_ref().clone(), grant, private: protocol.private })
    };
    spec.protocols.iter().filter_map(grant).collect()
}

struct Find<'a> {
    node: &'a Node<'a>,
    list: &'a [ProtocolSpec],
    depths: Depths<'a>,
    scope: Scope<'a>,
    mistakes: &'a Mistakes,
}

impl Find<'_> {
    /// `first`: nothing stands on it, as far as is asked; a mistake is told once, by the protocol that it is about.
    fn grant(&self, protocol: &ProtocolSpec, first: bool) -> Option<Grant> {
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
        let (own, name) = (protocol.name.get_ref().as_str(), over.get_ref().as_str());
        let wrong = match self.depths.get(own) {
            Some(Depth::Layers(layers)) if *layers <= LAYERS_MAX => None,
            // Those that stand on it have a mistake below them.
            Some(Depth::Layers(layers)) if *layers > LAYERS_MAX + 1 => return None,
            Some(Depth::Layers(_)) => Some((
                format!("over: {own} is the {}th protocol over one another", LAYERS_MAX + 1),
                format!("at most {LAYERS_MAX} may stand over ipv4, ipv6, ip or unix"),
            )),
            Some(Depth::Round) => Some((
                format!("over: {name} stands on itself: {}", self.round(name)),
                "let one of them stand on a protocol of kind ipv4 or ipv6".to_owned(),
            )),
            Some(Depth::Nowhere) | None => {
                if self.find(name).is_some() {
                    return None;
                }
                let names = self.list.iter().map(|other| other.name.get_ref().as_str());
                let names: Vec<&str> = names.filter(|other| *other != own).collect();
                let meant = self.mistakes.did_you_mean(name, names.iter().copied());
                let help = match names.len() {
                    0 => format!("add [guest.{}.protocol.ipv4]", self.node.name),
                    _ => format!(
                        "{meant}{}it has {}",
                        if meant.is_empty() { "" } else { " " },
                        names.join(", ")
                    ),
                };
                Some((format!("over: {} has no protocol {}", self.node.what, quote(name)), help))
            }
        };
        if let Some((message, help)) = wrong {
            if first {
                self.mistakes.add(over.span(), message, help);
            }
            return None;
        }
        let below = Box::new(self.grant(self.find(name)?, false)?);
        match misfit(&layer, &below) {
            None => Some(Grant::Over { layer, below }),
            Some((why, help)) => {
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

    fn find(&self, name: &str) -> Option<&ProtocolSpec> {
        self.list.iter().find(|other| other.name.get_ref() == name)
    }

    /// From a protocol over what it stands on back to itself; of a long way the beginning.
    fn round<'n>(&'n self, first: &'n str) -> String {
        let mut names = vec![first];
        let mut next = self.find(first).and_then(over);
        while let Some(name) = next.filter(|name| *name != first) {
            if names.len() > LAYERS_MAX {
                names.push("...");
                break;
            }
            names.push(name);
            next = self.find(name).and_then(over);
        }
        names.push(first);
        names.join(" -> ")
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
