//! TCP segments cut to fit a path that is narrower than smoltcp knows: it takes its segments' size from the interface and
//! the peer's MSS when a connection is made, and what a path takes can turn out later.

use bytes::BytesMut;

use crate::network::checksum;
use crate::network::ip::{ETHERNET_HEADER_BYTES, IPV6_HEADER_BYTES, fill_ipv4_checksum};

/// Within a TCP header.
const SEQUENCE: usize = 4;
const OFFSET: usize = 12;
const FLAGS: usize = 13;
const CHECKSUM: usize = 16;
/// FIN and PSH speak of the end of what is sent (RFC 9293, 3.1), CWR of its beginning (RFC 3168, 6.1.2).
const LAST_FLAGS: u8 = 0x01 | 0x08;
const FIRST_FLAGS: u8 = 0x80;

/// Cuts a segment (room for an Ethernet header, then IP without extension headers, then TCP) into some of at most `mtu`
/// bytes of IP each; `None` if there is no room for a byte of data. `checksums`: they are to be filled in.
pub fn split(packet: &[u8], mtu: usize, checksums: bool) -> Option<Vec<BytesMut>> {
    let ip = &packet[ETHERNET_HEADER_BYTES..];
    let is_ipv4 = ip.first()? >> 4 == 4;
    let ip_bytes = if is_ipv4 { usize::from(ip[0] & 0xF) * 4 } else { IPV6_HEADER_BYTES };
    let tcp_bytes = usize::from(ip.get(ip_bytes + OFFSET)? >> 4) * 4;
    let (headers, payload) = packet.split_at_checked(ETHERNET_HEADER_BYTES + ip_bytes + tcp_bytes)?;
    let room = mtu.checked_sub(ip_bytes + tcp_bytes).filter(|&room| room > 0)?;
    let count = payload.len().div_ceil(room);
    let parts = payload.chunks(room).enumerate().map(|(number, part)| {
        let mut bytes = BytesMut::with_capacity(headers.len() + part.len());
        bytes.extend_from_slice(headers);
        bytes.extend_from_slice(part);
        let ip = &mut bytes[ETHERNET_HEADER_BYTES..];
        if is_ipv4 {
            let total = ip.len() as u16;
            ip[2..4].copy_from_slice(&total.to_be_bytes());
            fill_ipv4_checksum(ip);
        } else {
            let length = (ip.len() - IPV6_HEADER_BYTES) as u16;
            ip[4..6].copy_from_slice(&length.to_be_bytes());
        }
        let tcp = &mut ip[ip_bytes..];
        let mut sequence = [0; 4];
        sequence.copy_from_slice(&tcp[SEQUENCE..SEQUENCE + 4]);
        let sequence = u32::from_be_bytes(sequence).wrapping_add((number * room) as u32);
        tcp[SEQUENCE..SEQUENCE + 4].copy_from_slice(&sequence.to_be_bytes());
        if number > 0 {
            tcp[FLAGS] &= !FIRST_FLAGS;
        }
        if number + 1 < count {
            tcp[FLAGS] &= !LAST_FLAGS;
        }
        tcp[CHECKSUM..CHECKSUM + 2].fill(0);
        if checksums {
            checksum::complete(ip, false);
        }
        bytes
    });
    Some(parts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use smoltcp::wire::{IpAddress, Ipv4Packet, Ipv6Packet, TcpPacket};

    fn packet(v6: bool, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut tcp = vec![0, 80, 1, 0];
        tcp.extend_from_slice(&sequence.to_be_bytes());
        tcp.extend_from_slice(&[0, 0, 0, 9, 0x50, flags, 1, 0, 0, 0, 0, 0]);
        tcp.extend_from_slice(payload);
        let mut bytes = vec![0; ETHERNET_HEADER_BYTES];
        if v6 {
            bytes.extend_from_slice(&[0x60, 0, 0, 0]);
            bytes.extend_from_slice(&(tcp.len() as u16).to_be_bytes());
            bytes.extend_from_slice(&[6, 64]);
            bytes.extend_from_slice(&[7; 32]);
        } else {
            bytes.extend_from_slice(&[0x45, 0]);
            bytes.extend_from_slice(&(20 + tcp.len() as u16).to_be_bytes());
            bytes.extend_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        }
        bytes.extend_from_slice(&tcp);
        bytes
    }

    proptest! {
        #[test]
        fn the_parts_are_the_segment(
            payload in proptest::collection::vec(any::<u8>(), 1..5000),
            sequence: u32, flags: u8, v6: bool, mtu in 100usize..1500,
        ) {
            let parts = split(&packet(v6, sequence, flags, &payload), mtu, true).unwrap();
            let mut together = vec![];
            let last = parts.len() - 1;
            for (number, part) in parts.iter().enumerate() {
                let ip = &part[ETHERNET_HEADER_BYTES..];
                prop_assert!(ip.len() <= mtu);
                let (from, to, tcp): (IpAddress, IpAddress, &[u8]) = if v6 {
                    let ip = Ipv6Packet::new_checked(ip).unwrap();
                    (ip.src_addr().into(), ip.dst_addr().into(), ip.payload())
                } else {
                    let ip = Ipv4Packet::new_checked(ip).unwrap();
                    prop_assert!(ip.verify_checksum());
                    (ip.src_addr().into(), ip.dst_addr().into(), ip.payload())
                };
                let tcp = TcpPacket::new_checked(tcp).unwrap();
                prop_assert!(tcp.verify_checksum(&from, &to));
                prop_assert_eq!(tcp.seq_number().0 as u32, sequence.wrapping_add(together.len() as u32));
                prop_assert_eq!(tcp.fin(), flags & 1 != 0 && number == last);
                prop_assert_eq!(tcp.psh(), flags & 8 != 0 && number == last);
                prop_assert_eq!(tcp.ack(), flags & 16 != 0);
                together.extend_from_slice(tcp.payload());
            }
            prop_assert_eq!(together, payload);
        }
    }
}
