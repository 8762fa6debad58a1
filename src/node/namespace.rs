//! A node's place in the lab's namespace of Unix-domain sockets: a stack of its own.
//!
//! Bytes of Unix-domain sockets cross from node to node as TCP over a network of their own. The stack that they
//! leave by is not the one that IP protocol objects work on: no address, port or listener of the one can be reached
//! by the other, whatever a guest asks for.

use std::net::{IpAddr, Ipv6Addr};

use super::object::Context;
use super::stack::Stack;
use crate::error::{Error, Result};
use crate::network::InterfaceConfig;
use crate::rng::Rng;
use crate::time::Instant;

pub struct Namespace {
    pub stack: Stack,
    /// How often the node was switched on: what it had bound before is not its own any more.
    pub boot: u32,
    address: Ipv6Addr,
}

impl Namespace {
    pub fn new(interface: &InterfaceConfig, rng: Rng, boot: u32) -> Self {
        let global = |address: IpAddr| match address {
            IpAddr::V6(address) if !address.is_unicast_link_local() => Some(address),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        };
        let mut addresses = interface.addresses.iter().map(|cidr| cidr.address().into());
        let address = addresses.find_map(global).unwrap_or(Ipv6Addr::UNSPECIFIED);
        let stack = Stack::new(std::slice::from_ref(interface), &[], rng, Instant::START);
        Self { stack, boot, address }
    }

    /// The node's own address on the network of Unix-domain sockets.
    pub fn address(&self) -> Ipv6Addr {
        self.address
    }
}

impl Context<'_> {
    /// The namespace, or `netunreach` for a node that has no place in one.
    pub fn namespace(&mut self) -> Result<&mut Namespace> {
        self.namespace.as_deref_mut().ok_or(Error::NetworkUnreachable)
    }

    /// The stack that bytes of Unix-domain sockets leave by.
    pub fn unix(&mut self) -> Result<&mut Stack> {
        Ok(&mut self.namespace()?.stack)
    }

    /// The same, to look at.
    pub fn unix_stack(&self) -> Option<&Stack> {
        self.namespace.as_deref().map(|namespace| &namespace.stack)
    }
}
