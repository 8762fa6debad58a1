//! IPv6 forwarding (RFC 8200).

use std::net::{IpAddr, Ipv6Addr};

use smoltcp::wire::{EthernetAddress, Ipv6Packet};

use super::icmp::Problem;
use super::packet::Packet;
use super::{Discard, Router, Target, must_verify};
use crate::network::ip::ETHERNET_HEADER_BYTES;
use crate::network::ip::ndp::{ALL_NODES, ALL_ROUTERS, solicited_node};
use crate::network::{Egress, Frame};
use crate::time::Instant;

impl Router {
    pub(super) fn ingest_ipv6(
        &mut self,
        now: Instant,
        port: usize,
        frame: Frame,
        out: &mut Egress,
    ) -> Result<(), Discard> {
        let packet = Ipv6Packet::new_checked(&frame.bytes[ETHERNET_HEADER_BYTES..]);
        let packet = packet.map_err(|_| Discard::Malformed)?;
        if packet.version() != 6 {
            return Err(Discard::Malformed);
        }
        let ip_bytes = packet.total_len();
        let (source, destination) = (packet.src_addr(), packet.dst_addr());
        if is_martian(source) || is_martian(destination) || destination.is_unspecified() {
            return Err(Discard::Martian);
        }
        if source.is_multicast() || self.is_own(port, source) {
            return Err(Discard::Martian);
        }
        let is_for_us = if destination.is_multicast() {
            self.is_member(port, destination)
        } else if EthernetAddress::from_bytes(&frame.bytes[0..6]).is_multicast() {
            return Err(Discard::Ignored);
        } else {
            self.is_own(port, destination)
        };
        if is_for_us {
            let ip = frame.bytes.slice(ETHERNET_HEADER_BYTES..ETHERNET_HEADER_BYTES + ip_bytes);
            return self.deliver_ipv6(now, port, &ip, must_verify(&frame), out);
        }
        if destination.is_multicast() {
            return Err(Discard::Ignored);
        }
        // RFC 4291 2.5.2, 2.5.6: these are never forwarded.
        if source.is_unspecified() || source.is_unicast_link_local() || destination.is_unicast_link_local() {
            return Err(Discard::Martian);
        }
        let (next_port, next_hop) = match self.routes.find(destination.into()) {
            Some(Target::Connected(port)) => (port, IpAddr::V6(destination)),
            Some(Target::Via(port, next_hop)) => (port, next_hop),
            Some(Target::Local | Target::Broadcast) => return Err(Discard::Ignored),
            None => return self.refuse(now, port, &frame, ip_bytes, Problem::NoRoute, out),
        };
        if packet.hop_limit() <= 1 {
            return self.refuse(now, port, &frame, ip_bytes, Problem::Expired, out);
        }
        let mtu = self.interfaces[next_port].mtu;
        if ip_bytes > mtu {
            return self.refuse(now, port, &frame, ip_bytes, Problem::TooBig { mtu }, out);
        }
        let packet = Packet::forwarded(frame, ip_bytes, port);
        self.output(now, next_port, next_hop, packet, out);
        Ok(())
    }

    /// True for any address of the router; a link-local one only on its own link.
    fn is_own(&self, port: usize, address: Ipv6Addr) -> bool {
        if address.is_unicast_link_local() {
            self.interfaces[port].has(address.into())
        } else {
            self.routes.is_ours(address.into())
        }
    }

    /// True for the groups that the interface listens to: all nodes, all routers, and the solicited-node
    /// groups of its addresses (RFC 4291 2.8).
    fn is_member(&self, port: usize, group: Ipv6Addr) -> bool {
        let interface = &self.interfaces[port];
        let is_known = [ALL_NODES, ALL_ROUTERS].contains(&group) && !interface.ipv6.is_empty();
        is_known || interface.ipv6.iter().any(|cidr| solicited_node(cidr.address()) == group)
    }
}

/// Addresses that never stand in a packet on a link: loopback and IPv4-mapped (RFC 4291 2.5.3, RFC 4942 2.2).
fn is_martian(address: Ipv6Addr) -> bool {
    address.is_loopback() || address.to_ipv4_mapped().is_some()
}
