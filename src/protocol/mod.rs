//! Protocol objects: what the host grants a guest.
//!
//! One file or folder for each kind, and [`Grant`] and [`LayerKind`] are the registry: what stands on the node's
//! stack, and what stands over another protocol object (`layer/`). They implement the traits of
//! `node/object.rs` and know nothing of descriptors, guests or drivers.

pub mod ip;
pub mod layer;
pub mod policy;
pub mod proxy;
pub mod quic;
pub mod target;
pub mod tls;
pub mod unix;
pub mod yamux;

use std::sync::Arc;

use crate::dns::resolver::ResolverConfig;
use crate::node::object::Protocol;
use ip::{Families, Family};
use layer::{Layer, Layered};
use policy::{Comers, Policy};
use proxy::{http_connect, proxy_protocol, socks5};
use tls::supplies::Supplies;

/// Layers over one another: what a guest does at the top is done once by each of them, inside the call to the one above.
pub const LAYERS_MAX: usize = 16;

/// A protocol object to be made: its kind, what it may reach, and what it stands on.
#[derive(Clone, Debug, PartialEq)]
pub enum Grant {
    /// Replicas of a guest share it.
    Ip(Arc<ip::Settings>),
    /// Echo requests. Its resolver and policy are those of IP, the ports of its rules all.
    Icmp(Arc<ip::Settings>),
    Unix(unix::Settings),
    Over {
        layer: LayerKind,
        below: Box<Grant>,
    },
}

/// The kinds of protocol that stand over another one: over its streams, or, QUIC, over its datagrams.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerKind {
    HttpConnect(proxy::Settings),
    ProxyProtocol(proxy_protocol::Settings),
    Socks5(proxy::Settings),
    Quic(quic::plan::QuicPlan),
    Tls(tls::plan::TlsPlan),
    Yamux(yamux::Settings),
}

/// What protocol objects are made with, beside what they are granted.
#[derive(Clone, Copy)]
pub struct Making<'a> {
    pub supplies: &'a Supplies,
    /// Names the protocol object in its world: two of the same name would draw the same secrets.
    pub label: &'a str,
    /// Programs that had it before, on the same node.
    pub programs: u32,
}

impl Grant {
    /// Without any name servers.
    pub fn ip(families: Families, policy: Policy) -> Self {
        Grant::Ip(ip::Settings::new(families, policy).into())
    }

    /// As the scenario names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Grant::Ip(settings) => settings.kind(),
            Grant::Icmp(_) => "icmp",
            Grant::Unix(_) => "unix",
            Grant::Over { layer, .. } => layer.name(),
        }
    }

    /// What it stands on at the bottom.
    pub fn base(&self) -> &Grant {
        match self {
            Grant::Ip(_) | Grant::Icmp(_) | Grant::Unix(_) => self,
            Grant::Over { below, .. } => below.base(),
        }
    }

    /// What it stands on, if that is not the node's stack.
    fn below(&self) -> Option<&Grant> {
        match self {
            Grant::Ip(_) | Grant::Icmp(_) | Grant::Unix(_) => None,
            Grant::Over { below, .. } => Some(below),
        }
    }

    /// What stands over the node's stack, from the top down.
    pub fn layers(&self) -> impl Iterator<Item = &LayerKind> {
        std::iter::successors(Some(self), |grant| grant.below()).filter_map(|grant| match grant {
            Grant::Ip(_) | Grant::Icmp(_) | Grant::Unix(_) => None,
            Grant::Over { layer, .. } => Some(layer),
        })
    }

    /// Whether it takes addresses of a family, and ports, itself.
    pub fn takes(&self, family: Family) -> bool {
        match self {
            Grant::Ip(settings) => settings.families.has(family),
            Grant::Icmp(_) | Grant::Unix(_) | Grant::Over { .. } => false,
        }
    }

    /// Whether it is connected to by path: a proxy is asked for hosts, wherever it is itself.
    pub fn takes_paths(&self) -> bool {
        match self {
            Grant::Ip(_) | Grant::Icmp(_) => false,
            Grant::Unix(_) => true,
            Grant::Over { layer, below } => match layer {
                LayerKind::HttpConnect(_) | LayerKind::Socks5(_) => false,
                LayerKind::ProxyProtocol(_)
                | LayerKind::Quic(_)
                | LayerKind::Tls(_)
                | LayerKind::Yamux(_) => below.takes_paths(),
            },
        }
    }

    /// What it is at the bottom, if that is IP, or ICMP.
    pub fn ip_mut(&mut self) -> Option<&mut ip::Settings> {
        match self {
            Grant::Ip(settings) | Grant::Icmp(settings) => Some(Arc::make_mut(settings)),
            Grant::Unix(_) => None,
            Grant::Over { below, .. } => below.ip_mut(),
        }
    }

    /// Tells it, and all that it stands on, who is of the lab and how names are looked up.
    pub fn settle(&mut self, config: &Arc<ResolverConfig>) {
        match self {
            Grant::Ip(settings) | Grant::Icmp(settings) => {
                Arc::make_mut(settings).resolver = Arc::clone(config);
            }
            Grant::Unix(_) => {}
            Grant::Over { layer, below } => {
                // A proxy of the machine's own, reached by a path, leads out even where no TAP does.
                let of_host = matches!(below.base(), Grant::Unix(unix) if !unix.host.is_empty());
                match layer {
                    LayerKind::HttpConnect(proxy) | LayerKind::Socks5(proxy) => {
                        proxy.leads_out = config.names.leads_out || of_host;
                        proxy.names = Arc::clone(&config.names);
                    }
                    LayerKind::ProxyProtocol(_)
                    | LayerKind::Quic(_)
                    | LayerKind::Tls(_)
                    | LayerKind::Yamux(_) => {}
                }
                below.settle(config);
            }
        }
    }

    /// What says whom its guest may connect to: a proxy's own policy, as what is below it only reaches the proxy, or else that
    /// of what it stands on.
    fn policy_of_peers(&self) -> Policy {
        match self {
            Grant::Ip(settings) | Grant::Icmp(settings) => settings.policy.clone(),
            Grant::Unix(_) => Policy::default(),
            Grant::Over { layer: LayerKind::HttpConnect(proxy) | LayerKind::Socks5(proxy), .. } => {
                proxy.policy.clone()
            }
            Grant::Over {
                layer:
                    LayerKind::ProxyProtocol(_) | LayerKind::Quic(_) | LayerKind::Tls(_) | LayerKind::Yamux(_),
                below,
            } => below.policy_of_peers(),
        }
    }

    /// # Errors
    /// A sentence that names what it cannot be made of.
    pub fn into_protocol(self, making: Making<'_>) -> Result<Box<dyn Protocol>, String> {
        if self.layers().nth(LAYERS_MAX).is_some() {
            return Err(format!("more than {LAYERS_MAX} protocols stand over one another"));
        }
        Ok(match self {
            Grant::Ip(settings) => Box::new(ip::Ip::new(settings)),
            Grant::Icmp(settings) => Box::new(ip::Ip::icmp(settings)),
            Grant::Unix(settings) => Box::new(unix::Unix::new(settings)),
            Grant::Over { layer, below } => {
                let policy = below.policy_of_peers();
                let comers = match below.base() {
                    Grant::Ip(settings) => Comers::new(&settings.policy, &settings.resolver.names),
                    Grant::Icmp(_) | Grant::Unix(_) | Grant::Over { .. } => None,
                };
                let label = format!("{}/", making.label);
                let below = below.into_protocol(Making { label: &label, ..making })?;
                layer.over(below, making, policy, comers)?
            }
        })
    }
}

impl LayerKind {
    /// As the scenario names it.
    pub fn name(&self) -> &'static str {
        match self {
            LayerKind::HttpConnect(_) => "http-connect",
            LayerKind::ProxyProtocol(_) => "proxy-protocol",
            LayerKind::Socks5(_) => "socks5",
            LayerKind::Quic(_) => "quic",
            LayerKind::Tls(_) => "tls",
            LayerKind::Yamux(_) => "yamux",
        }
    }

    /// `policy`: of what it stands on; `comers`: who may come in by it.
    fn over(
        self,
        below: Box<dyn Protocol>,
        making: Making<'_>,
        policy: Policy,
        comers: Option<Comers>,
    ) -> Result<Box<dyn Protocol>, String> {
        let Making { supplies, label, programs } = making;
        let layer: Arc<dyn Layer> = match self {
            LayerKind::HttpConnect(settings) => Arc::new(http_connect::HttpConnect::new(settings)),
            LayerKind::ProxyProtocol(settings) => {
                Arc::new(proxy_protocol::ProxyProtocol::new(settings, comers))
            }
            LayerKind::Socks5(settings) => Arc::new(socks5::Socks5::new(settings)),
            LayerKind::Tls(plan) => {
                Arc::new(tls::Tls::new(supplies.config(label, programs, &plan)?.under(policy)))
            }
            LayerKind::Yamux(settings) => Arc::new(yamux::Yamux::new(settings)),
            LayerKind::Quic(plan) => {
                let tls = supplies.config(label, programs, &plan.tls)?.under(policy);
                let qlog = plan.qlog.map(|folder| folder.join(qlog_name(label, programs)));
                return Ok(Box::new(quic::Quic::new(below, tls, plan.transport, qlog)?));
            }
        };
        Ok(Box::new(Layered::new(layer, below)))
    }

    /// Whether it has datagrams for others to stand on.
    pub fn has_datagrams(&self) -> bool {
        match self {
            LayerKind::Socks5(_) | LayerKind::Quic(_) => true,
            LayerKind::HttpConnect(_)
            | LayerKind::ProxyProtocol(_)
            | LayerKind::Tls(_)
            | LayerKind::Yamux(_) => false,
        }
    }
}

/// Of the protocol object's qlog; each program that has it writes one of its own.
fn qlog_name(label: &str, programs: u32) -> String {
    let label = label.trim_end_matches('/').replace(':', ".");
    match programs {
        0 => format!("{label}.sqlog"),
        again => format!("{label}.{again}.sqlog"),
    }
}
