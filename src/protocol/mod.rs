//! Protocol objects: what the host grants a guest.
//!
//! One file or folder for each kind, and [`Grant`] and [`LayerKind`] are the registry: what stands on the node's
//! stack, and what stands over another protocol object (`layer/`). They implement the traits of
//! `node/object.rs` and know nothing of descriptors, guests or drivers.

pub mod ip;
pub mod layer;
pub mod policy;
pub mod proxy_protocol;

use std::sync::Arc;

use crate::node::object::Protocol;
use ip::{Families, Family};
use layer::{Layer, Layered};
use policy::Policy;

/// A protocol object to be made: its kind, what it may reach, and what it stands on.
#[derive(Clone, Debug, PartialEq)]
pub enum Grant {
    Ip(ip::Settings),
    Over { layer: LayerKind, below: Box<Grant> },
}

/// The kinds of protocol that stand over a stream protocol.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerKind {
    ProxyProtocol(proxy_protocol::Settings),
}

impl Grant {
    /// Without any name servers.
    pub fn ip(families: Families, policy: Policy) -> Self {
        Grant::Ip(ip::Settings { families, policy, resolver: Default::default() })
    }

    /// As the scenario names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Grant::Ip(settings) => settings.kind(),
            Grant::Over { layer, .. } => layer.name(),
        }
    }

    /// What it stands on at the bottom.
    pub fn base(&self) -> &Grant {
        match self {
            Grant::Ip(_) => self,
            Grant::Over { below, .. } => below.base(),
        }
    }

    /// Whether it takes addresses of a family itself.
    pub fn takes(&self, family: Family) -> bool {
        match self {
            Grant::Ip(settings) => settings.families.has(family),
            Grant::Over { .. } => false,
        }
    }

    /// What it is at the bottom, if that is IP.
    pub fn ip_mut(&mut self) -> Option<&mut ip::Settings> {
        match self {
            Grant::Ip(settings) => Some(settings),
            Grant::Over { below, .. } => below.ip_mut(),
        }
    }

    /// Its own policy, if it is of a kind that has one.
    pub fn policy(&self) -> Option<&Policy> {
        match self {
            Grant::Ip(settings) => Some(&settings.policy),
            Grant::Over { .. } => None,
        }
    }

    pub fn into_protocol(self) -> Box<dyn Protocol> {
        match self {
            Grant::Ip(settings) => Box::new(ip::Ip::new(settings)),
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
