//! What the router itself answers: echo requests, and refusals to whoever takes it for a host.

use std::net::{IpAddr, Ipv6Addr};

use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv6Packet, checksum};

use super::icmp::Problem;
use super::{Discard, Router};
use crate::network::Egress;
use crate::network::ip::ndp::{NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION, ROUTER_SOLICITATION};
use crate::network::ip::{Upper, transport_sum};
use crate::time::Instant;

const ICMPV4_ECHO_REPLY: u8 = 0;
const ICMPV4_ECHO_REQUEST: u8 = 8;
const ICMPV6_ECHO_REQUEST: u8 = 128;
const ICMPV6_ECHO_REPLY: u8 = 129;
const ICMP_BYTES_MIN: usize = 8;
const UDP_BYTES_MIN: usize = 8;
/// The two bits of the service byte that are not the differentiated service (RFC 3168 5).
const EXPLICIT_CONGESTION: u8 = 3;
/// "Behind this header comes nothing" (RFC 8200 4.7).
const NO_NEXT_HEADER: IpProtocol = IpProtocol::Ipv6NoNxt;

impl Router {
    /// Takes an IPv4 packet to one of the router's addresses: `ip` without padding.
    pub(super) fn deliver_ipv4(
        &mut self,
        now: Instant,
        port: usize,
        ip: &[u8],
        must_verify: bool,
        out: &mut Egress,
    ) -> Result<(), Discard> {
        let packet = Ipv4Packet::new_unchecked(ip);
        let (source, destination) = (packet.src_addr(), packet.dst_addr());
        if packet.more_frags() || packet.frag_offset() != 0 {
            return Err(Discard::Ignored);
        }
        let payload = packet.payload();
        match packet.next_header() {
            IpProtocol::Icmp => {
                if payload.len() < ICMP_BYTES_MIN {
                    return Err(Discard::Malformed);
                }
                if checksum::data(payload) != 0xFFFF {
                    return Err(Discard::BadChecksum);
                }
                if payload[0] != ICMPV4_ECHO_REQUEST {
                    return Err(Discard::Ignored);
                }
                let mut reply = payload.to_vec();
                reply[0] = ICMPV4_ECHO_REPLY;
                reply[2..4].fill(0);
                let sum = !checksum::data(&reply);
                reply[2..4].copy_from_slice(&sum.to_be_bytes());
                let service = ip[1] & !EXPLICIT_CONGESTION;
                self.originate_ipv4(now, destination, source, IpProtocol::Icmp, service, &reply, out);
            }
            IpProtocol::Udp => self.refuse_udp(now, port, ip, payload, out)?,
            IpProtocol::Tcp => {
                if let Some(reset) = refuse_tcp(source.into(), destination.into(), payload, must_verify)? {
                    self.originate_ipv4(now, destination, source, IpProtocol::Tcp, 0, &reset, out);
                }
            }
            _ => self.report(now, port, ip, Problem::UnknownProtocol { pointer: 9 }, out),
        }
        self.statistics.delivered += 1;
        Ok(())
    }

    /// Takes an IPv6 packet to one of the router's addresses or groups: `ip` without padding.
    pub(super) fn deliver_ipv6(
        &mut self,
        now: Instant,
        port: usize,
        ip: &[u8],
        must_verify: bool,
        out: &mut Egress,
    ) -> Result<(), Discard> {
        let packet = Ipv6Packet::new_unchecked(ip);
        let (source, destination) = (packet.src_addr(), packet.dst_addr());
        let upper = Upper::find(ip).ok_or(Discard::Malformed)?;
        if upper.is_fragment || upper.has_stops_left {
            return Err(Discard::Ignored);
        }
        let payload = &ip[upper.offset..];
        match upper.protocol {
            IpProtocol::Icmpv6 => {
                self.deliver_icmpv6(now, port, (source, destination), packet.hop_limit(), payload, out)?;
            }
            _ if destination.is_multicast() || source.is_unspecified() => return Err(Discard::Ignored),
            IpProtocol::Udp => self.refuse_udp(now, port, ip, payload, out)?,
            IpProtocol::Tcp => {
                if let Some(reset) = refuse_tcp(source.into(), destination.into(), payload, must_verify)? {
                    self.originate_ipv6(now, port, destination, source, IpProtocol::Tcp, &reset, out);
                }
            }
            NO_NEXT_HEADER => {}
            _ => self.report(now, port, ip, Problem::UnknownProtocol { pointer: upper.pointer }, out),
        }
        self.statistics.delivered += 1;
        Ok(())
    }

    fn deliver_icmpv6(
        &mut self,
        now: Instant,
        port: usize,
        (source, destination): (Ipv6Addr, Ipv6Addr),
        hop_limit: u8,
        message: &[u8],
        out: &mut Egress,
    ) -> Result<(), Discard> {
        if message.len() < ICMP_BYTES_MIN {
            return Err(Discard::Malformed);
        }
        if transport_sum(source.into(), destination.into(), IpProtocol::Icmpv6, message) != 0xFFFF {
            return Err(Discard::BadChecksum);
        }
        match message[0] {
            ROUTER_SOLICITATION => {
                self.ingest_router_solicitation(now, port, source, hop_limit, message, out)
            }
            NEIGHBOUR_SOLICITATION => {
                self.ingest_solicitation(now, port, (source, destination), hop_limit, message, out)
            }
            NEIGHBOUR_ADVERTISEMENT => {
                self.ingest_advertisement(now, port, destination, hop_limit, message, out)
            }
            ICMPV6_ECHO_REQUEST if !source.is_unspecified() => {
                let mut reply = message.to_vec();
                reply[0] = ICMPV6_ECHO_REPLY;
                // RFC 4443 4.2: a group is answered from the interface's own address.
                let from = if destination.is_multicast() {
                    self.interfaces[port].ipv6_towards(source).ok_or(Discard::Ignored)?
                } else {
                    destination
                };
                self.originate_icmpv6(now, port, from, source, reply, out);
                Ok(())
            }
            _ => Err(Discard::Ignored),
        }
    }

    /// No port of the router is open.
    fn refuse_udp(
        &mut self,
        now: Instant,
        port: usize,
        ip: &[u8],
        datagram: &[u8],
        out: &mut Egress,
    ) -> Result<(), Discard> {
        if datagram.len() < UDP_BYTES_MIN {
            return Err(Discard::Malformed);
        }
        self.report(now, port, ip, Problem::PortUnreachable, out);
        Ok(())
    }
}

/// The reset that answers a segment to a closed port (RFC 9293 3.10.7.1); none to a reset.
fn refuse_tcp(
    source: IpAddr,
    destination: IpAddr,
    segment: &[u8],
    must_verify: bool,
) -> Result<Option<Vec<u8>>, Discard> {
    const FIN: u8 = 0x01;
    const SYN: u8 = 0x02;
    const RST: u8 = 0x04;
    const ACK: u8 = 0x10;
    let header = segment.first_chunk::<20>().ok_or(Discard::Malformed)?;
    let header_bytes = usize::from(header[12] >> 4) * 4;
    let data_bytes = segment.len().checked_sub(header_bytes).ok_or(Discard::Malformed)?;
    if header_bytes < header.len() {
        return Err(Discard::Malformed);
    }
    if must_verify && transport_sum(source, destination, IpProtocol::Tcp, segment) != 0xFFFF {
        return Err(Discard::BadChecksum);
    }
    let flags = header[13];
    if flags & RST != 0 {
        return Ok(None);
    }
    let mut reset = [0; 20];
    reset[0..2].copy_from_slice(&header[2..4]);
    reset[2..4].copy_from_slice(&header[0..2]);
    if flags & ACK != 0 {
        reset[4..8].copy_from_slice(&header[8..12]);
        reset[13] = RST;
    } else {
        let sequence = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        let occupied = data_bytes as u32 + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
        reset[8..12].copy_from_slice(&sequence.wrapping_add(occupied).to_be_bytes());
        reset[13] = RST | ACK;
    }
    reset[12] = 5 << 4;
    let sum = !transport_sum(destination, source, IpProtocol::Tcp, &reset);
    reset[16..18].copy_from_slice(&sum.to_be_bytes());
    Ok(Some(reset.to_vec()))
}
