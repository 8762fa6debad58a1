//! `ipv4` and `ipv6`: TCP connections and UDP flows straight on the node's stack.

use std::net::{IpAddr, SocketAddr};

use super::policy::Policy;
use crate::error::{Error, Result};
use crate::node::SocketKind;
use crate::node::object::{Context, Control, Protocol};

mod tcp;
mod udp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// Reads `10.0.0.1:80` or `[fd00::1]:80`.
    fn parse(self, text: &str) -> Result<SocketAddr> {
        let address: SocketAddr = text.parse().map_err(|_| Error::Invalid)?;
        if Family::of(address.ip()) == self { Ok(address) } else { Err(Error::AddressFamily) }
    }
}

/// A protocol object of one address family.
pub struct Ip {
    family: Family,
    policy: Policy,
}

impl Ip {
    pub fn new(family: Family, policy: Policy) -> Self {
        Self { family, policy }
    }
}

impl Protocol for Ip {
    fn open(&mut self, cx: &mut Context, bind: &str, kind: SocketKind) -> Result<Box<dyn Control>> {
        let local = self.family.parse(bind)?;
        if !self.policy.may_bind(local.ip(), local.port()) {
            return Err(Error::Access);
        }
        let scope = Scope { family: self.family, policy: self.policy.clone() };
        Ok(match kind {
            SocketKind::Stream => Box::new(tcp::TcpControl::open(cx, local, scope)?),
            SocketKind::Datagram => Box::new(udp::UdpControl::open(cx, local, scope)?),
        })
    }
}

/// What a control may connect to.
struct Scope {
    family: Family,
    policy: Policy,
}

impl Scope {
    /// The peer that `text` names, if it may be reached.
    fn peer(&self, text: &str) -> Result<SocketAddr> {
        let peer = self.family.parse(text)?;
        if self.policy.may_connect(peer.ip(), peer.port()) { Ok(peer) } else { Err(Error::Access) }
    }
}
