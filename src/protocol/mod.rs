//! Protocol objects: what the host grants a guest.
//!
//! One file or folder for each kind, and [`Grant`] and [`LayerKind`] are the registry: what stands on the node's
//! stack, and what stands over another protocol object (`layer/`). They implement the traits of
//! `node/object.rs` and know nothing of descriptors, guests or drivers.

pub mod ip;
pub mod layer;
pub mod policy;
pub mod proxy_protocol;
pub mod unix;

use std::sync::Arc;

use crate::node::object::Protocol;
use ip::Family;
use layer::{Layer, Layered};
use policy::Policy;

/// A protocol object to be made: its kind, what it may reach, and what it stands on.
#[derive(Clone, Debug, PartialEq)]
pub enum Grant {
    Ip { family: Family, policy: Policy },
    Unix(unix::Settings),
    Over { layer: LayerKind, below: Box<Grant> },
}

/// The kinds of protocol that stand over a stream protocol.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerKind {
    ProxyProtocol(proxy_protocol::Settings),
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
            Grant::Unix(_) => "unix",
            Grant::Over { layer, .. } => layer.name(),
        }
    }

    /// What it stands on at the bottom.
    pub fn base(&self) -> &Grant {
        match self {
            Grant::Ip { .. } | Grant::Unix(_) => self,
            Grant::Over { below, .. } => below.base(),
        }
    }

    /// The family of the addresses it takes, if those are of one.
    pub fn family(&self) -> Option<Family> {
        match self {
            Grant::Ip { family, .. } => Some(*family),
            Grant::Unix(_) | Grant::Over { .. } => None,
        }
    }

    /// Its own policy, if it is of a kind that has one.
    pub fn policy(&self) -> Option<&Policy> {
        match self {
            Grant::Ip { policy, .. } => Some(policy),
            Grant::Unix(_) | Grant::Over { .. } => None,
        }
    }

    pub fn into_protocol(self) -> Box<dyn Protocol> {
        match self {
            Grant::Ip { family, policy } => Box::new(ip::Ip::new(family, policy)),
            Grant::Unix(settings) => Box::new(unix::Unix::new(settings)),
            Grant::Over { layer, below } => Box::new(Layered::new(layer.into_layer(), below.into_protocol())),
        }
    }
}

impl LayerKind {
    /// As the scenario names it.
    pub fn name(&self) -> &'static str {
        match self {
            LayerKind::ProxyProtocol(_) => "proxy-protocol",
        }
    }

    fn into_layer(self) -> Arc<dyn Layer> {
        match self {
            LayerKind::ProxyProtocol(settings) => Arc::new(proxy_protocol::ProxyProtocol::new(settings)),
        }
    }
}
