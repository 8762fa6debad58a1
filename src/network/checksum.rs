//! Checksums filled in after a packet was written: that of IPv4's header always, in a quarter of smoltcp's time, those of TCP and
//! UDP only where the packet can be seen or broken; for a capture, by whoever writes it.

use bytes::{Bytes, BytesMut};

use super::ip::ETHERNET_HEADER_BYTES;

const IPV6_BYTES: usize = 40;
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Where the header of a protocol over IP has its checksum, if that may be left out here.
fn place(protocol: u8) -> Option<usize> {
    match protocol {
        TCP => Some(16),
        UDP => Some(6),
        _ => None,
    }
}

/// Completes a packet of this world, an Ethernet frame or a bare IP packet without padding, if it is a whole TCP segment or UDP
/// datagram with a checksum of zero. A segment whose checksum *is* zero keeps it.
pub fn complete(packet: &mut [u8], ethernet: bool) {
    let ip = if ethernet { packet.get_mut(ETHERNET_HEADER_BYTES..) } else { Some(packet) };
    let _ = ip.and_then(complete_ip);
}

/// The same of a bare IP packet that others may share.
pub fn completed(packet: Bytes) -> Bytes {
    let mut own = BytesMut::from(packet);
    complete(&mut own, false);
    own.freeze()
}

/// Gives the header of an IPv4 packet the checksum that was left out (RFC 791, 3.1); any other is left alone.
pub fn complete_ipv4(ip: &mut [u8]) {
    const HEADER_CHECKSUM: std::ops::Range<usize> = 10..12;
    let Some(&first) = ip.first().filter(|first| **first >> 4 == 4) else { return };
    let Some(header) = ip.get_mut(..usize::from(first & 0x0F) * 4) else { return };
    if let Some(field) = header.get_mut(HEADER_CHECKSUM) {
        field.fill(0);
        let checksum = !fold(sum(header));
        header[HEADER_CHECKSUM].copy_from_slice(&checksum.to_ne_bytes());
    }
    if ip.get(9) == Some(&ICMP) {
        let start = usize::from(first & 0x0F) * 4;
        let _ = ip.get_mut(start..).and_then(complete_quote);
    }
}

/// An ICMP error quotes a packet's header (RFC 792), which smoltcp writes without its checksum like any other. `None`
/// for other messages.
fn complete_quote(icmp: &mut [u8]) -> Option<()> {
    const QUOTE: usize = 8;
    const ICMP_CHECKSUM: std::ops::Range<usize> = 2..4;
    // Destination unreachable, source quench, redirect, time exceeded, parameter problem.
    if !matches!(icmp.first()?, 3 | 4 | 5 | 11 | 12) || icmp.get(QUOTE + 10..QUOTE + 12)? != [0, 0] {
        return None;
    }
    let length = usize::from(icmp.get(QUOTE)? & 0x0F) * 4;
    let checksum = !fold(sum(icmp.get(QUOTE..QUOTE + length)?));
    icmp[QUOTE + 10..QUOTE + 12].copy_from_slice(&checksum.to_ne_bytes());
    icmp[ICMP_CHECKSUM].fill(0);
    let checksum = !fold(sum(icmp));
    icmp[ICMP_CHECKSUM].copy_from_slice(&checksum.to_ne_bytes());
    Some(())
}

/// `None` for anything else.
fn complete_ip(ip: &mut [u8]) -> Option<()> {
    const FRAGMENT: u16 = 0x3FFF;
    let (start, protocol, addresses) = match ip.first()? >> 4 {
        4 if u16::from_be_bytes([*ip.get(6)?, *ip.get(7)?]) & FRAGMENT != 0 => return None,
        4 => (usize::from(ip[0] & 0x0F) * 4, *ip.get(9)?, 12..20),
        6 => (IPV6_BYTES, *ip.get(6)?, 8..40),
        _ => return None,
    };
    let place = place(protocol)?;
    if ip.get(start + place..start + place + 2)? != [0, 0] {
        return None;
    }
    let length = u32::try_from(ip.len().checked_sub(start)?).ok()?;
    // RFC 9293, 3.1, and RFC 768: the pseudo-header's addresses, protocol and length, then the segment.
    let pseudo = sum(ip.get(addresses)?) + u64::from(u32::from(protocol).to_be()) + u64::from(length.to_be());
    let segment = ip.get_mut(start..)?;
    let checksum = match !fold(pseudo + sum(segment)) {
        // Zero says that there is none (RFC 768).
        0 if protocol == UDP => 0xFFFF,
        checksum => checksum,
    };
    segment.get_mut(place..place + 2)?.copy_from_slice(&checksum.to_ne_bytes());
    Some(())
}

/// The one's complement sum of `bytes` as words of network byte order (RFC 1071).
pub fn data(bytes: &[u8]) -> u16 {
    u16::from_be(fold(sum(bytes)))
}

/// Adds words of the machine's own byte order: the one's complement sum comes out in that order too (RFC 1071, 2B).
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    let total: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
    total + u64::from(u32::from_ne_bytes(last))
}

fn fold(mut total: u64) -> u16 {
    while total > 0xFFFF {
        total = (total & 0xFFFF) + (total >> 16);
    }
    total as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use smoltcp::wire::{TcpPacket, UdpPacket};
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    proptest! {
        #[test]
        fn smoltcp_finds_it_right(
            payload in proptest::collection::vec(any::<u8>(), 0..64), v6: bool, udp: bool, seed: [u8; 32],
        ) {
            let (protocol, header_bytes) = if udp { (UDP, 8) } else { (TCP, 20) };
            let segment_bytes = header_bytes + payload.len();
            let mut ip = if v6 { vec![0; IPV6_BYTES] } else { vec![0; 20] };
            let addresses = if v6 { 8..40 } else { 12..20 };
            ip[0] = if v6 { 0x60 } else { 0x45 };
            ip[if v6 { 6 } else { 9 }] = protocol;
            let count = addresses.len();
            ip[addresses].copy_from_slice(&seed[..count]);
            let start = ip.len();
            ip.extend_from_slice(&seed[..header_bytes]);
            ip.extend_from_slice(&payload);
            if udp {
                ip[start + 4..start + 6].copy_from_slice(&(segment_bytes as u16).to_be_bytes());
            } else {
                ip[start + 12] = 0x50;
            }
            let place = start + place(protocol).unwrap();
            ip[place..place + 2].fill(0);
            if !v6 {
                complete_ipv4(&mut ip);
                prop_assert!(smoltcp::wire::Ipv4Packet::new_unchecked(&ip).verify_checksum());
            }
            complete(&mut ip, false);
            let ends: [IpAddr; 2] = if v6 {
                let at = |from: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&ip[from..from + 16]).unwrap()).into();
                [at(8), at(24)]
            } else {
                let at = |from: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&ip[from..from + 4]).unwrap()).into();
                [at(12), at(16)]
            };
            let (from, to) = (ends[0].into(), ends[1].into());
            prop_assert!(!udp || ip[place..place + 2] != [0, 0]);
            let holds = match udp {
                true => UdpPacket::new_unchecked(&ip[start..]).verify_checksum(&from, &to),
                false => TcpPacket::new_unchecked(&ip[start..]).verify_checksum(&from, &to),
            };
            prop_assert!(holds, "{segment_bytes} bytes");
        }
    }
}
