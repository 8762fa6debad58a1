//! The network between nodes: what a frame meets after it left a stack.
//!
//! ```text
//! port --> link --> port      link/      delay, rate, queue, loss ...: Deliver(at), Drop(reason) or Taken
//!           switch            switch.rs  learns and forwards Ethernet addresses
//!           router            router/    forwards IPv4 and IPv6 between subnets; advertises itself
//!                             dhcp/          leases, at a router's interface
//!                             ip/            packets as bytes, for routers and nodes' stacks
//!                             neighbours/    who has which Ethernet address: for routers, and for nodes' stacks
//! ```
//!
//! Everything here is sans-IO: a frame goes in with the current time, frames come out of an
//! [`Egress`]. This folder knows nothing of guests, protocol objects, stacks or drivers.

use std::net::IpAddr;

use smoltcp::wire::{EthernetAddress, IpCidr};

pub mod checksum;
pub mod dhcp;
pub mod drops;
mod frame;
pub mod ip;
pub mod link;
pub mod neighbours;
pub mod router;
pub mod switch;
pub mod verify;

pub use frame::{Checksums, Frame, PacketId};

/// Frames on their way out of a device, each with the index of the device's own port, in order.
pub type Egress = Vec<(usize, Frame)>;

/// An interface of a guest or a router.
#[derive(Clone, Debug, PartialEq)]
pub struct InterfaceConfig {
    /// `eth0` ...
    pub name: String,
    pub mac: EthernetAddress,
    pub addresses: Vec<IpCidr>,
    /// Largest IP packet in bytes, without the Ethernet header.
    pub mtu: usize,
}

/// How an interface comes by addresses besides those that it is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Automatic {
    /// DHCPv4 (RFC 2131).
    pub dhcp: bool,
    /// Router advertisements (RFC 4862).
    pub slaac: bool,
    /// IPv6 addresses are asked about before they count (RFC 4862, section 5.4).
    pub detect: bool,
}

/// A static route of a guest or a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `0.0.0.0/0` and `::/0` are the default routes.
    pub prefix: IpCidr,
    /// The next hop, on a subnet of one of the interfaces.
    pub via: IpAddr,
}
