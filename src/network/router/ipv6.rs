//! IPv6 forwarding (RFC 8200).

use std::net::{IpAddr, Ipv6Addr};

use smoltcp::wire::{EthernetAddress, IpProtocol, Ipv6Packet};

use super::icmp::Problem;
use super::packet::{ETHERNET_HEADER_BYTES, IPV6_HEADER_BYTES, Packet};
use super::{Discard, Router, Target, must_verify};
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

/// ff02::1
pub(super) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 0, 0, 1);
/// ff02::2
pub(super) const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 0, 0, 2);

/// The group that the owner of `address` listens to (RFC 4291 2.7.1).
pub(super) fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    let word = |high, low| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 1, word(0xFF, a), word(b, c))
}

/// Addresses that never stand in a packet on a link: loopback and IPv4-mapped (RFC 4291 2.5.3, RFC 4942 2.2).
fn is_martian(address: Ipv6Addr) -> bool {
    address.is_loopback() || address.to_ipv4_mapped().is_some()
}

/// What an IPv6 packet carries behind its extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Upper {
    pub(super) protocol: IpProtocol,
    /// Where it begins; at most the packet's length.
    pub(super) offset: usize,
    /// Where the field is that names the protocol.
    pub(super) pointer: usize,
    /// Part of a fragmented packet: what follows is incomplete.
    pub(super) is_fragment: bool,
    /// Not its first part: what follows is not even the protocol's header.
    pub(super) is_later_fragment: bool,
    /// A routing header names further stops.
    pub(super) has_stops_left: bool,
}

impl Upper {
    /// Walks the extension headers of `ip` (RFC 8200 4); `None` if they run past its end.
    pub(super) fn find(ip: &[u8]) -> Option<Self> {
        let mut upper = Self {
            protocol: IpProtocol::from(*ip.get(6)?),
            offset: IPV6_HEADER_BYTES,
            pointer: 6,
            is_fragment: false,
            is_later_fragment: false,
            has_stops_left: false,
        };
        loop {
            let header = ip.get(upper.offset..)?;
            let length = match upper.protocol {
                _ if upper.is_later_fragment => return Some(upper),
                IpProtocol::HopByHop | IpProtocol::Ipv6Opts => usize::from(*header.get(1)?) * 8 + 8,
                IpProtocol::Ipv6Route => {
                    upper.has_stops_left |= *header.get(3)? != 0;
                    usize::from(*header.get(1)?) * 8 + 8
                }
                IpProtocol::Ipv6Frag => {
                    let word = u16::from_be_bytes([*header.get(2)?, *header.get(3)?]);
                    upper.is_fragment |= word & 0xFFF9 != 0;
                    upper.is_later_fragment = word & 0xFFF8 != 0;
                    8
                }
                IpProtocol::IpSecAh => usize::from(*header.get(1)?) * 4 + 8,
                _ => return Some(upper),
            };
            upper.protocol = IpProtocol::from(*header.first()?);
            upper.pointer = upper.offset;
            upper.offset += length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(next_header: u8, rest: &[u8]) -> Option<(u8, usize, usize, bool, bool)> {
        let mut ip = vec![0; 40];
        ip[6] = next_header;
        ip.extend_from_slice(rest);
        let upper = Upper::find(&ip)?;
        let protocol = upper.protocol.into();
        Some((protocol, upper.offset, upper.pointer, upper.is_fragment, upper.is_later_fragment))
    }

    #[test]
    fn walks_extension_headers() {
        assert_eq!(find(17, &[]), Some((17, 40, 6, false, false)));
        let hop_by_hop = [60, 0, 0, 0, 0, 0, 0, 0];
        let options = [6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(find(0, &[&hop_by_hop[..], &options].concat()), Some((6, 64, 48, false, false)));
        assert_eq!(find(44, &[58, 0, 0, 1, 0, 0, 0, 1]), Some((58, 48, 40, true, false)));
        assert_eq!(find(44, &[58, 0, 0, 8, 0, 0, 0, 1]), Some((58, 48, 40, true, true)));
        assert_eq!(find(44, &[58, 0, 0, 0, 0, 0, 0, 1]), Some((58, 48, 40, false, false)), "atomic fragment");
        assert_eq!(find(0, &hop_by_hop), None, "the next header is missing its length");
        assert_eq!(find(0, &options[..9]), None);
    }

    #[test]
    fn solicited_node_groups() {
        let address: Ipv6Addr = "4037::1:800:200e:8c6c".parse().unwrap();
        assert_eq!(solicited_node(address).to_string(), "ff02::1:ff0e:8c6c");
    }
}
