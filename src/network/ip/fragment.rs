//! Fragmentation: of IPv4 packets (RFC 791 3.2, RFC 1812 4.2.2.7) by whoever meets a narrower link, of IPv6 packets
//! (RFC 8200 4.5) by their sender alone.

use bytes::BytesMut;

use super::{ETHERNET_HEADER_BYTES, IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, fill_ipv4_checksum};

const MORE_FRAGMENTS: u16 = 0x2000;

/// Cuts `packet` (Ethernet header, then IPv4) into fragments whose IP packets are at most `mtu` bytes, each
/// with the same Ethernet header; `None` if the MTU has no room for a header and eight bytes.
///
/// A packet that is a fragment itself is cut into fragments of the whole.
pub fn fragment(packet: &[u8], mtu: usize) -> Option<Vec<BytesMut>> {
    let (ethernet, ip) = packet.split_at(ETHERNET_HEADER_BYTES);
    let header_bytes = usize::from(ip[0] & 0xF) * 4;
    let (first_header, payload) = ip.split_at(header_bytes);
    let later_header = header_of_later_fragments(first_header);
    let flags_and_offset = u16::from_be_bytes([ip[6], ip[7]]);

    let mut fragments = vec![];
    let mut done = 0;
    while done < payload.len() {
        let header = if done == 0 { first_header } else { &later_header };
        // All but the last carry a multiple of eight bytes: offsets count in eights.
        let room = mtu.checked_sub(header.len())? & !7;
        if room == 0 {
            return None;
        }
        let rest = payload.len() - done;
        let (len, more) = if rest <= mtu - header.len() { (rest, 0) } else { (room, MORE_FRAGMENTS) };

        let mut bytes = BytesMut::with_capacity(ETHERNET_HEADER_BYTES + header.len() + len);
        bytes.extend_from_slice(ethernet);
        bytes.extend_from_slice(header);
        bytes.extend_from_slice(&payload[done..done + len]);
        let ip = &mut bytes[ETHERNET_HEADER_BYTES..];
        let total = ip.len() as u16;
        ip[2..4].copy_from_slice(&total.to_be_bytes());
        let word = (flags_and_offset | more) + (done / 8) as u16;
        ip[6..8].copy_from_slice(&word.to_be_bytes());
        fill_ipv4_checksum(ip);
        fragments.push(bytes);
        done += len;
    }
    Some(fragments)
}

/// Next header, reserved, offset and flags, identification.
const IPV6_FRAGMENT_HEADER_BYTES: usize = 8;
const IPV6_FRAGMENT: u8 = 44;

/// Cuts `packet` (Ethernet header, then IPv6 without extension headers) into fragments whose IP packets are at most
/// `mtu` bytes; `None` if the MTU has no room for the headers and eight bytes.
pub fn fragment_ipv6(packet: &[u8], mtu: usize, identification: u32) -> Option<Vec<BytesMut>> {
    let (header, payload) = packet.split_at(ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES);
    let room = mtu.checked_sub(IPV6_HEADER_BYTES + IPV6_FRAGMENT_HEADER_BYTES)? & !7;
    if room == 0 {
        return None;
    }
    let count = payload.len().div_ceil(room);
    let fragments = payload.chunks(room).enumerate().map(|(number, part)| {
        let mut bytes = BytesMut::with_capacity(header.len() + IPV6_FRAGMENT_HEADER_BYTES + part.len());
        bytes.extend_from_slice(header);
        let ip = &mut bytes[ETHERNET_HEADER_BYTES..];
        let next_header = std::mem::replace(&mut ip[6], IPV6_FRAGMENT);
        let length = (IPV6_FRAGMENT_HEADER_BYTES + part.len()) as u16;
        ip[4..6].copy_from_slice(&length.to_be_bytes());
        let word = (number * room) as u16 | u16::from(number + 1 < count);
        bytes.extend_from_slice(&[next_header, 0]);
        bytes.extend_from_slice(&word.to_be_bytes());
        bytes.extend_from_slice(&identification.to_be_bytes());
        bytes.extend_from_slice(part);
        bytes
    });
    Some(fragments.collect())
}

/// The header without the options that only the first fragment carries.
fn header_of_later_fragments(first: &[u8]) -> Vec<u8> {
    let (fixed, mut options) = first.split_at(IPV4_HEADER_BYTES);
    let mut header = fixed.to_vec();
    while let [kind, rest @ ..] = options {
        // End of options; no-operation; anything else has a length, its first two bytes included.
        let len = match (kind, rest) {
            (0, _) => break,
            (1, _) => 1,
            (_, [len, ..]) if (2..=options.len()).contains(&usize::from(*len)) => usize::from(*len),
            (_, _) => break,
        };
        let is_copied = kind & 0x80 != 0;
        if is_copied {
            header.extend_from_slice(&options[..len]);
        }
        options = &options[len..];
    }
    header.resize(header.len().next_multiple_of(4), 0);
    header[0] = 0x40 | (header.len() / 4) as u8;
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use smoltcp::wire::Ipv4Packet;

    fn packet(options: &[u8], offset_in_eights: u16, more: bool, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xEE; ETHERNET_HEADER_BYTES];
        let header = IPV4_HEADER_BYTES + options.len();
        bytes.extend_from_slice(&[0x40 | (header / 4) as u8, 0]);
        bytes.extend_from_slice(&((header + payload.len()) as u16).to_be_bytes());
        bytes.extend_from_slice(&[0x12, 0x34]);
        bytes.extend_from_slice(&(offset_in_eights | u16::from(more) << 13).to_be_bytes());
        bytes.extend_from_slice(&[64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 1, 1]);
        bytes.extend_from_slice(options);
        bytes.extend_from_slice(payload);
        fill_ipv4_checksum(&mut bytes[ETHERNET_HEADER_BYTES..]);
        bytes
    }

    proptest! {
        #[test]
        fn fragments_put_together_are_the_packet(
            payload in proptest::collection::vec(any::<u8>(), 1..4000),
            offset in 0u16..1000, more: bool, mtu in 68usize..1500,
        ) {
            let fragments = fragment(&packet(&[], offset, more, &payload), mtu).unwrap();
            let mut together = vec![];
            let last = fragments.len() - 1;
            for (index, bytes) in fragments.iter().enumerate() {
                let ip = Ipv4Packet::new_checked(&bytes[ETHERNET_HEADER_BYTES..]).unwrap();
                prop_assert!(ip.verify_checksum());
                prop_assert!(usize::from(ip.total_len()) <= mtu);
                prop_assert_eq!(usize::from(ip.frag_offset()), usize::from(offset) * 8 + together.len());
                prop_assert_eq!(ip.more_frags(), more || index < last);
                prop_assert_eq!(ip.ident(), 0x1234);
                together.extend_from_slice(ip.payload());
            }
            prop_assert_eq!(together, payload);
        }
    }

    #[test]
    fn ipv6_fragments_put_together_are_the_packet() {
        let payload: Vec<u8> = (0..65_535u32).map(|number| (number * 7) as u8).collect();
        let mut packet = vec![0xEE; ETHERNET_HEADER_BYTES];
        packet.extend_from_slice(&[0x60, 0, 0, 0, 0xFF, 0xFF, 17, 64]);
        packet.extend_from_slice(&[1; 32]);
        packet.extend_from_slice(&payload);
        let fragments = fragment_ipv6(&packet, 1280, 77).unwrap();
        let mut together = vec![];
        for (number, bytes) in fragments.iter().enumerate() {
            let ip = &bytes[ETHERNET_HEADER_BYTES..];
            assert!(ip.len() <= 1280 && ip.len() - 40 == usize::from(u16::from_be_bytes([ip[4], ip[5]])));
            let word = u16::from_be_bytes([ip[42], ip[43]]);
            assert_eq!((ip[6], ip[40], usize::from(word & 0xFFF8)), (44, 17, together.len()));
            assert_eq!(word & 1 == 1, number + 1 < fragments.len());
            assert_eq!(ip[44..48], [0, 0, 0, 77]);
            together.extend_from_slice(&ip[48..]);
        }
        assert!(together == payload);
        assert!(fragment_ipv6(&packet, 55, 0).is_none());
    }

    #[test]
    fn later_fragments_carry_only_copied_options() {
        // Router alert (copied), no-operation, record route (not copied), end, padding.
        let options = [148, 4, 0, 0, 1, 7, 3, 4, 0, 0, 0, 0];
        let fragments = fragment(&packet(&options, 0, false, &[7; 200]), 100).unwrap();
        let headers: Vec<_> = fragments.iter().map(|f| f[ETHERNET_HEADER_BYTES] & 0xF).collect();
        assert_eq!(headers, [8, 6, 6]);
        assert_eq!(fragments[1][34..38], [148, 4, 0, 0]);
    }

    #[test]
    fn an_mtu_without_room_is_refused() {
        assert!(fragment(&packet(&[], 0, false, &[0; 100]), 27).is_none());
        assert!(fragment(&packet(&[], 0, false, &[0; 100]), 10).is_none());
    }
}
