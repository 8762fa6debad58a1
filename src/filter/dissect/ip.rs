//! IPv4 (RFC 791), IPv6 (RFC 8200), and ICMP for both (RFC 792, RFC 4443).

use std::net::IpAddr;

use smoltcp::wire::{IPV4_HEADER_LEN, IPV6_HEADER_LEN, IpProtocol, Ipv4Packet, Ipv6Packet};

use super::{Dissector, Layer};
use crate::capture::Record;
use crate::filter::field::Field;
use crate::filter::packet::Packet;
use crate::filter::value::Value;

/// Extension headers of one packet that are looked at.
const EXTENSIONS_MAX: usize = 16;
/// Type, code, checksum and four bytes whose meaning depends on the type.
const ICMP_HEADER_LEN: usize = 8;

/// Both addresses of a packet, source first.
pub(super) type Route = [IpAddr; 2];

impl Dissector {
    pub(super) fn ipv4(&mut self, packet: &mut Packet, record: &Record, layer: &Layer) {
        let ip = Ipv4Packet::new_unchecked(&layer.bytes[..]);
        if layer.bytes.len() < IPV4_HEADER_LEN || ip.version() != 4 {
            return;
        }
        let header_len = usize::from(ip.header_len());
        if header_len < IPV4_HEADER_LEN || header_len > layer.bytes.len() {
            return;
        }
        let layer = match usize::from(ip.total_len()) {
            // Cut by an offload that fills in the length later; Wireshark reads it so too.
            0 => layer.clone(),
            total_len => layer.first(total_len.max(header_len)),
        };
        packet.add(Field::Ip, layer.value());
        packet.add(Field::IpDsfieldEcn, Value::Uint(ip.ecn().into()));
        packet.add(Field::IpLen, Value::Uint(ip.total_len().into()));
        packet.add(Field::IpId, Value::Uint(ip.ident().into()));
        packet.add(Field::IpFlagsDf, Value::Bool(ip.dont_frag()));
        packet.add(Field::IpFlagsMf, Value::Bool(ip.more_frags()));
        packet.add(Field::IpFragOffset, Value::Uint((ip.frag_offset() / 8).into()));
        packet.add(Field::IpTtl, Value::Uint(ip.hop_limit().into()));
        packet.add(Field::IpProto, Value::Uint(u8::from(ip.next_header()).into()));
        let route = [ip.src_addr(), ip.dst_addr()];
        for (field, address) in [Field::IpSrc, Field::IpDst].into_iter().zip(route) {
            packet.add(field, Value::Ipv4(address));
            packet.add(Field::IpAddr, Value::Ipv4(address));
        }
        // Only the first fragment has what comes next.
        if ip.frag_offset() == 0 {
            let payload = layer.after(header_len);
            self.upper(packet, record, route.map(IpAddr::V4), ip.next_header(), &payload);
        }
    }

    pub(super) fn ipv6(&mut self, packet: &mut Packet, record: &Record, layer: &Layer) {
        let ip = Ipv6Packet::new_unchecked(&layer.bytes[..]);
        if layer.bytes.len() < IPV6_HEADER_LEN || ip.version() != 6 {
            return;
        }
        let layer = layer.first(ip.total_len());
        packet.add(Field::Ipv6Packet, layer.value());
        packet.add(Field::Ipv6Plen, Value::Uint(ip.payload_len().into()));
        packet.add(Field::Ipv6Nxt, Value::Uint(u8::from(ip.next_header()).into()));
        packet.add(Field::Ipv6Hlim, Value::Uint(ip.hop_limit().into()));
        let route = [ip.src_addr(), ip.dst_addr()];
        for (field, address) in [Field::Ipv6Src, Field::Ipv6Dst].into_iter().zip(route) {
            packet.add(field, Value::Ipv6(address));
            packet.add(Field::Ipv6Addr, Value::Ipv6(address));
        }
        let payload = layer.after(IPV6_HEADER_LEN);
        if let Some((protocol, payload)) = after_extensions(ip.next_header(), payload) {
            self.upper(packet, record, route.map(IpAddr::V6), protocol, &payload);
        }
    }

    fn upper(
        &mut self,
        packet: &mut Packet,
        record: &Record,
        route: Route,
        protocol: IpProtocol,
        layer: &Layer,
    ) {
        match protocol {
            IpProtocol::Tcp => self.tcp(packet, record, route, layer),
            IpProtocol::Udp => self.udp(packet, route, layer),
            IpProtocol::Icmp => {
                let quotes = |kind| matches!(kind, 3 | 4 | 5 | 11 | 12);
                if let Some(quoted) = icmp(packet, ICMP, quotes, layer) {
                    self.ipv4(packet, record, &quoted);
                }
            }
            IpProtocol::Icmpv6 => {
                let quotes = |kind| matches!(kind, 1..=4);
                if let Some(quoted) = icmp(packet, ICMPV6, quotes, layer) {
                    self.ipv6(packet, record, &quoted);
                }
            }
            _ => {}
        }
    }
}

const ICMP: [Field; 3] = [Field::Icmp, Field::IcmpType, Field::IcmpCode];
const ICMPV6: [Field; 3] = [Field::Icmpv6, Field::Icmpv6Type, Field::Icmpv6Code];

/// Reads a message; the packet that it quotes, if it is an error and not itself quoted.
fn icmp(packet: &mut Packet, fields: [Field; 3], quotes: fn(u8) -> bool, layer: &Layer) -> Option<Layer> {
    let &[kind, code, ..] = &layer.bytes[..] else { return None };
    let [message, kind_field, code_field] = fields;
    packet.add(message, layer.value());
    packet.add(kind_field, Value::Uint(kind.into()));
    packet.add(code_field, Value::Uint(code.into()));
    let quoted = Layer { quoted: true, ..layer.after(ICMP_HEADER_LEN) };
    (quotes(kind) && !layer.quoted).then_some(quoted)
}

/// The protocol after IPv6's extension headers, and its bytes. None in fragments but the first.
fn after_extensions(mut protocol: IpProtocol, mut layer: Layer) -> Option<(IpProtocol, Layer)> {
    for _ in 0..EXTENSIONS_MAX {
        let len = match protocol {
            IpProtocol::HopByHop | IpProtocol::Ipv6Route | IpProtocol::Ipv6Opts => {
                8 * (usize::from(*layer.bytes.get(1)?) + 1)
            }
            IpProtocol::Ipv6Frag => {
                let offset = layer.bytes.get(2..4)?;
                if u16::from_be_bytes([offset[0], offset[1]]) >> 3 != 0 {
                    return None;
                }
                8
            }
            _ => return Some((protocol, layer)),
        };
        let next = *layer.bytes.first()?;
        if layer.bytes.len() < len {
            return None;
        }
        protocol = next.into();
        layer = layer.after(len);
    }
    None
}
