//! Protocol objects: what the host grants a guest.
//!
//! One file or folder for each kind; [`ProtocolKind`] is the registry. They implement the traits of
//! `node/object.rs` and know nothing of descriptors, guests or drivers.

pub mod ip;
pub mod policy;
pub mod tls;

use crate::node::object::Protocol;
use policy::Policy;

/// The kinds of protocol object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolKind {
    Ipv4,
    Ipv6,
}

/// A protocol object to be made: its kind, and what it may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub kind: ProtocolKind,
    pub policy: Policy,
}

impl Grant {
    pub fn into_protocol(self) -> Box<dyn Protocol> {
        match self.kind {
            ProtocolKind::Ipv4 => Box::new(ip::Ip::new(ip::Family::V4, self.policy)),
            ProtocolKind::Ipv6 => Box::new(ip::Ip::new(ip::Family::V6, self.policy)),
        }
    }
}
