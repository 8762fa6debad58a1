//! The way out of IP: what is too long for its path is cut, loopback packets come in again, the rest goes to link/.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::{Buf, BytesMut};
use smoltcp::wire::IpProtocol;

use super::{LOOPBACK_PACKETS_MAX, Stack, group, tcp};
use crate::network::checksum;
use crate::network::ip::{ETHERNET_HEADER_BYTES, fill_ipv4_checksum, fragment};
use crate::time::Instant;

impl Stack {
    /// Sends what smoltcp left in interface `index`.
    pub(super) fn flush(&mut self, now: Instant, index: usize) {
        if self.nics[index].wire.sent.is_empty() {
            return;
        }
        let mut sent = std::mem::take(&mut self.nics[index].wire.sent);
        for mut packet in sent.drain(..) {
            group::mend_report(&mut packet);
            self.send(now, index, packet);
        }
        self.nics[index].wire.sent = sent;
    }

    /// Sends an IP packet of this node, with room for the Ethernet header in front, over interface `index`.
    pub(super) fn send(&mut self, now: Instant, index: usize, packet: BytesMut) {
        let ip = &packet[ETHERNET_HEADER_BYTES..];
        let Some(destination) = destination(ip) else { return };
        let mut mtu = self.nics[index].wire.ip_mtu();
        let mut packet = packet;
        if let Some(path) = self.paths.get(now, destination) {
            mtu = mtu.min(path.mtu);
            if path.may_be_cut {
                self.allow_cutting(&mut packet);
            }
        }
        if packet.len() - ETHERNET_HEADER_BYTES <= mtu {
            return self.pass(now, index, destination, packet);
        }
        match self.cut(index, packet, mtu) {
            Some(parts) => parts.into_iter().for_each(|part| self.pass(now, index, destination, part)),
            None => self.statistics.too_big += 1,
        }
    }

    /// As `send`, but what is too long for the link is lost, and what routers told of the path is not asked: whoever sends it
    /// finds out by what is lost, and errors that somebody made up change nothing (RFC 9000, 14.2.1; Linux's
    /// IP_PMTUDISC_PROBE).
    pub(super) fn send_whole(&mut self, now: Instant, index: usize, packet: BytesMut) {
        let Some(destination) = destination(&packet[ETHERNET_HEADER_BYTES..]) else { return };
        if packet.len() - ETHERNET_HEADER_BYTES <= self.nics[index].wire.ip_mtu() {
            self.pass(now, index, destination, packet);
        } else {
            self.statistics.too_big += 1;
        }
    }

    /// The parts of a packet that is longer than its path takes: segments of TCP, fragments of anything else.
    fn cut(&mut self, index: usize, mut packet: BytesMut, mtu: usize) -> Option<Vec<BytesMut>> {
        let ip = &packet[ETHERNET_HEADER_BYTES..];
        let is_ipv4 = ip[0] >> 4 == 4;
        let protocol = IpProtocol::from(if is_ipv4 { ip[9] } else { ip[6] });
        if protocol == IpProtocol::Tcp {
            return tcp::split(&packet, mtu, self.nics[index].wire.checksums);
        }
        // Nobody can fill in that of fragments.
        checksum::complete(&mut packet, true);
        if is_ipv4 {
            self.allow_cutting(&mut packet);
            fragment::fragment(&packet, mtu)
        } else {
            fragment::fragment_ipv6(&packet, mtu, self.next_identification())
        }
    }

    /// Lets routers, and us, cut an IPv4 packet: its parts have to be known by a number (RFC 6864, 4.1).
    fn allow_cutting(&mut self, packet: &mut BytesMut) {
        let identification = self.next_identification() as u16;
        let ip = &mut packet[ETHERNET_HEADER_BYTES..];
        if ip[0] >> 4 == 4 {
            ip[4..6].copy_from_slice(&identification.to_be_bytes());
            ip[6] &= !DO_NOT_FRAGMENT;
            fill_ipv4_checksum(ip);
        }
    }

    fn next_identification(&mut self) -> u32 {
        let last = self.identification.unwrap_or_else(|| self.rng.next_u32());
        let identification = last.wrapping_add(1);
        self.identification = Some(identification);
        identification
    }

    fn pass(&mut self, now: Instant, index: usize, destination: IpAddr, packet: BytesMut) {
        if Some(index) != self.loopback {
            return self.transmit(now, index, destination, packet);
        }
        if self.loopback_queue.len() < LOOPBACK_PACKETS_MAX {
            let mut packet = packet.freeze();
            packet.advance(ETHERNET_HEADER_BYTES);
            self.loopback_queue.push_back(packet);
        } else {
            self.statistics.loopback_dropped += 1;
        }
    }
}

/// In the byte of IPv4's flags.
pub(super) const DO_NOT_FRAGMENT: u8 = 0x40;

/// Where an IP packet goes; `None` for what is none.
fn destination(ip: &[u8]) -> Option<IpAddr> {
    match ip.first()? >> 4 {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(ip.get(16..20)?).ok()?).into()),
        6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(ip.get(24..40)?).ok()?).into()),
        _ => None,
    }
}
