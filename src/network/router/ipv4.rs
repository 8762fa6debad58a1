//! IPv4 forwarding (RFC 1812 5).

use std::net::{IpAddr, Ipv4Addr};

use smoltcp::wire::{EthernetAddress, Ipv4Packet};

use super::icmp::Problem;
use super::packet::Packet;
use super::{Discard, Router, Target, must_verify};
use crate::network::ip::ETHERNET_HEADER_BYTES;
use crate::network::{Egress, Frame};
use crate::time::Instant;

impl Router {
    pub(super) fn ingest_ipv4(
        &mut self,
        now: Instant,
        port: usize,
        frame: Frame,
        out: &mut Egress,
    ) -> Result<(), Discard> {
        let packet = Ipv4Packet::new_checked(&frame.bytes[ETHERNET_HEADER_BYTES..]);
        let packet = packet.map_err(|_| Discard::Malformed)?;
        let (header_bytes, ip_bytes) = (usize::from(packet.header_len()), usize::from(packet.total_len()));
        // A fragment that ends past the largest packet would overrun whoever puts it together.
        let end = usize::from(packet.frag_offset()) + ip_bytes - header_bytes;
        if packet.version() != 4 || end > 0xFFFF {
            return Err(Discard::Malformed);
        }
        if must_verify(&frame) && !packet.verify_checksum() {
            return Err(Discard::BadChecksum);
        }
        let (source, destination) = (packet.src_addr(), packet.dst_addr());
        if let Some(taken) = self.ingest_dhcp(now, port, &frame, out) {
            return taken;
        }
        if destination.is_multicast()
            || destination.is_broadcast()
            || EthernetAddress::from_bytes(&frame.bytes[0..6]).is_multicast()
        {
            // RFC 1812 5.3.4: what came as a link's broadcast is not forwarded.
            return Err(Discard::Ignored);
        }
        if is_martian(source) || is_martian(destination) || self.routes.is_ours(source.into()) {
            return Err(Discard::Martian);
        }
        let (next_port, next_hop) = match self.routes.find(destination.into()) {
            Some(Target::Local) => {
                let ip = frame.bytes.slice(ETHERNET_HEADER_BYTES..ETHERNET_HEADER_BYTES + ip_bytes);
                return self.deliver_ipv4(now, port, &ip, must_verify(&frame), out);
            }
            Some(Target::Broadcast) => return Err(Discard::Ignored),
            // RFC 3927 7: link-local addresses stay on their link.
            _ if source.is_link_local() || destination.is_link_local() => return Err(Discard::Martian),
            Some(Target::Connected(port)) => (port, IpAddr::V4(destination)),
            Some(Target::Via(port, next_hop)) => (port, next_hop),
            None => return self.refuse(now, port, &frame, ip_bytes, Problem::NoRoute, out),
        };
        if packet.hop_limit() <= 1 {
            return self.refuse(now, port, &frame, ip_bytes, Problem::Expired, out);
        }
        let mtu = self.interfaces[next_port].mtu;
        if ip_bytes > mtu && packet.dont_frag() {
            return self.refuse(now, port, &frame, ip_bytes, Problem::TooBig { mtu }, out);
        }
        let packet = Packet::forwarded(frame, ip_bytes, port);
        self.output(now, next_port, next_hop, packet, out);
        Ok(())
    }

    /// Drops a packet that could have been forwarded, and tells its sender why.
    pub(super) fn refuse(
        &mut self,
        now: Instant,
        port: usize,
        frame: &Frame,
        ip_bytes: usize,
        problem: Problem,
        out: &mut Egress,
    ) -> Result<(), Discard> {
        let original = &frame.bytes[ETHERNET_HEADER_BYTES..][..ip_bytes];
        self.report(now, port, original, problem, out);
        Err(match problem {
            Problem::Expired => Discard::Expired,
            Problem::TooBig { .. } => Discard::TooBig,
            Problem::NoRoute | Problem::AddressUnreachable => Discard::NoRoute,
            Problem::PortUnreachable | Problem::UnknownProtocol { .. } => Discard::Ignored,
        })
    }
}

/// Addresses that are never one host's on a network: "this network", loopback, multicast and class E
/// (RFC 1812 5.3.7, RFC 1122 3.2.1.3).
fn is_martian(address: Ipv4Addr) -> bool {
    matches!(address.octets()[0], 0 | 127 | 224..)
}
