//! Checksums filled in after smoltcp has written a packet, in a quarter of its time: that of IPv4's header always, TCP's only
//! where the packet can be seen or broken; for a capture, by whoever writes it.

use super::ip::ETHERNET_HEADER_BYTES;

const IPV6_BYTES: usize = 40;
const ICMP: u8 = 1;
const TCP: u8 = 6;
/// Where a TCP header has its checksum.
const CHECKSUM: usize = 16;

/// Completes a packet, an Ethernet frame or a bare IP packet without padding, if it is a whole TCP segment with a
/// checksum of zero. One whose checksum *is* zero keeps it.
pub fn complete(packet: &mut [u8], ethernet: bool) {
    let ip = if ethernet { packet.get_mut(ETHERNET_HEADER_BYTES..) } else { Some(packet) };
    let _ = ip.and_then(complete_ip);
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
    if protocol != TCP || ip.get(start + CHECKSUM..start + CHECKSUM + 2)? != [0, 0] {
        return None;
    }
    let length = u32::try_from(ip.len().checked_sub(start)?).ok()?;
    // RFC 9293, 3.1: the pseudo-header's addresses, protocol and length, then the segment.
    let pseudo = sum(ip.get(addresses)?) + u64::from(u32::from(TCP).to_be()) + u64::from(length.to_be());
    let segment = ip.get_mut(start..)?;
    let checksum = !fold(pseudo + sum(segment));
    segment.get_mut(CHECKSUM..CHECKSUM + 2)?.copy_from_slice(&checksum.to_ne_bytes());
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
    use smoltcp::wire::TcpPacket;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    proptest! {
        #[test]
        fn smoltcp_finds_it_right(payload in proptest::collection::vec(any::<u8>(), 0..64), v6: bool, seed: [u8; 32]) {
            let segment_bytes = 20 + payload.len();
            let mut ip = if v6 { vec![0; IPV6_BYTES] } else { vec![0; 20] };
            let addresses = if v6 { 8..40 } else { 12..20 };
            ip[0] = if v6 { 0x60 } else { 0x45 };
            ip[if v6 { 6 } else { 9 }] = TCP;
            let count = addresses.len();
            ip[addresses].copy_from_slice(&seed[..count]);
            let start = ip.len();
            ip.extend_from_slice(&seed[..20]);
            ip.extend_from_slice(&payload);
            ip[start + 12] = 0x50;
            ip[start + CHECKSUM..start + CHECKSUM + 2].fill(0);
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
            let segment = TcpPacket::new_unchecked(&ip[start..]);
            prop_assert!(segment.verify_checksum(&ends[0].into(), &ends[1].into()), "{segment_bytes} bytes");
        }
    }
}
