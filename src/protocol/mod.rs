//! Protocol objects: what the host grants a guest.
//!
//! One file or folder for each kind, and [`Grant`] and [`LayerKind`] are the registry: what stands on the node's
//! stack, and what stands over another protocol object (`layer/`). They implement the traits of
//! `node/object.rs` and know nothing of descriptors, guests or drivers.

pub mod ip;
pub mod layer;
pub mod policy;
pub mod proxy;
pub mod target;
pub mod tls;

use std::sync::Arc;

use crate::node::object::Protocol;
use ip::Family;
use layer::{Layer, Layered};
use policy::Policy;
use proxy::{http_connect, proxy_protocol, socks5};
use tls::supplies::Supplies;

/// A protocol object to be made: its kind, what it may reach, and what it stands on.
#[derive(Clone, Debug, PartialEq)]
pub enum Grant {
    Ip { family: Family, policy: Policy },
    Over { layer: LayerKind, below: Box<Grant> },
}

/// The kinds of protocol that stand over a stream protocol.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerKind {
    HttpConnect(http_connect::Settings),
    ProxyProtocol(proxy_protocol::Settings),
    Socks5(socks5::Settings),
    Tls(tls::plan::TlsPlan),
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
    pub fn ip(family: Family, policy: Policy) -> Self {
        Grant::Ip { family, policy }
    }

    /// As the scenario names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Grant::Ip { family: Family::V4, .. } => "ipv4",
            Grant::Ip { family: Family::V6, .. } => "ipv6",
            Grant::Over { layer, .. } => layer.name(),
        }
    }

    /// What it stands on at the bottom.
    pub fn base(&self) -> &Grant {
        match self {
            Grant::Ip { .. } => self,
            Grant::Over { below, .. } => below.base(),
        }
    }

    /// What it stands on, if that is not the node's stack.
    fn below(&self) -> Option<&Grant> {
        match self {
            Grant::Ip { .. } => None,
            Grant::Over { below, .. } => Some(below),
        }
    }

    /// What stands over the node's stack, from the top down.
    pub fn layers(&self) -> impl Iterator<Item = &LayerKind> {
        std::iter::successors(Some(self), |grant| grant.below()).filter_map(|grant| match grant {
            Grant::Ip { .. } => None,
            Grant::Over { layer, .. } => Some(layer),
        })
    }

    /// The family of the addresses it takes, if those are of one.
    pub fn family(&self) -> Option<Family> {
        match self {
            Grant::Ip { family, .. } => Some(*family),
            Grant::Over { .. } => None,
        }
    }

    /// Its own policy, if it is of a kind that has one.
    pub fn policy(&self) -> Option<&Policy> {
        match self {
            Grant::Ip { policy, .. } => Some(policy),
            Grant::Over { .. } => None,
        }
    }

    /// # Errors
    /// A sentence that names what it cannot be made of.
    pub fn into_protocol(self, making: Making<'_>) -> Result<Box<dyn Protocol>, String> {
        Ok(match self {
            Grant::Ip { family, policy } => Box::new(ip::Ip::new(family, policy)),
            Grant::Over { layer, below } => {
                let label = format!("{}/", making.label);
                let below = below.into_protocol(Making { label: &label, ..making })?;
                Box::new(Layered::new(layer.into_layer(making)?, below))
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
            LayerKind::Tls(_) => "tls",
        }
    }

    fn into_layer(self, Making { supplies, label, programs }: Making<'_>) -> Result<Arc<dyn Layer>, String> {
        Ok(match self {
            LayerKind::HttpConnect(settings) => Arc::new(http_connect::HttpConnect::new(settings)),
            LayerKind::ProxyProtocol(settings) => Arc::new(proxy_protocol::ProxyProtocol::new(settings)),
            LayerKind::Socks5(settings) => Arc::new(socks5::Socks5::new(settings)),
            LayerKind::Tls(plan) => Arc::new(tls::Tls::new(supplies.config(label, programs, &plan)?)),
        })
    }
}
