//! A fragment, as it comes: which packet it is of, and where its bytes belong.

use std::net::IpAddr;

use crate::network::ip::IPV6_HEADER_BYTES;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub identification: u32,
    /// IPv4 counts for each protocol; IPv6 does not look at it.
    pub protocol: u8,
}

/// A fragment of an IP packet.
pub struct Part<'a> {
    pub key: Key,
    /// What every fragment has in front: as it is in a whole packet, but for lengths and sums.
    pub header: Vec<u8>,
    pub start: usize,
    pub payload: &'a [u8],
    pub is_last: bool,
}

/// True for a part of a packet, and for what says so of itself.
pub fn is_fragment(ip: &[u8]) -> bool {
    match ip.first().map(|byte| byte >> 4) {
        Some(4) => ip.get(6..8).is_some_and(|word| u16::from_be_bytes([word[0], word[1]]) & 0x3FFF != 0),
        Some(6) => match ip.get(6) {
            Some(&FRAGMENT) => true,
            Some(&(HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS)) => fragment_header(ip).is_some(),
            _ => false,
        },
        _ => false,
    }
}

/// Where the fragment header is, and the byte that names it; `None` if there is none in front of the upper layer.
fn fragment_header(ip: &[u8]) -> Option<(usize, usize)> {
    let (mut offset, mut pointer) = (IPV6_HEADER_BYTES, 6);
    loop {
        match *ip.get(pointer)? {
            FRAGMENT => return Some((offset, pointer)),
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => {
                pointer = offset;
                offset += usize::from(*ip.get(offset + 1)?) * 8 + 8;
            }
            _ => return None,
        }
    }
}

/// `None`: cut short, or against the format.
pub fn parse(ip: &[u8]) -> Option<Part<'_>> {
    if ip[0] >> 4 == 4 { parse_ipv4(ip) } else { parse_ipv6(ip) }
}

fn parse_ipv4(ip: &[u8]) -> Option<Part<'_>> {
    let packet = smoltcp::wire::Ipv4Packet::new_checked(ip).ok()?;
    let header_bytes = usize::from(packet.header_len());
    let payload = ip.get(header_bytes..usize::from(packet.total_len()))?;
    let mut header = ip.get(..header_bytes)?.to_vec();
    header[6..8].fill(0);
    Some(Part {
        key: Key {
            source: packet.src_addr().into(),
            destination: packet.dst_addr().into(),
            identification: packet.ident().into(),
            protocol: packet.next_header().into(),
        },
        start: packet.frag_offset().into(),
        is_last: !packet.more_frags(),
        header,
        payload,
    })
}

fn parse_ipv6(ip: &[u8]) -> Option<Part<'_>> {
    let packet = smoltcp::wire::Ipv6Packet::new_checked(ip).ok()?;
    let ip = ip.get(..packet.total_len())?;
    let (offset, pointer) = fragment_header(ip)?;
    let fragment = ip.get(offset..offset + 8)?;
    let mut header = ip[..offset].to_vec();
    header[pointer] = fragment[0];
    let word = u16::from_be_bytes([fragment[2], fragment[3]]);
    Some(Part {
        key: Key {
            source: packet.src_addr().into(),
            destination: packet.dst_addr().into(),
            identification: u32::from_be_bytes(fragment[4..8].try_into().ok()?),
            protocol: 0,
        },
        start: usize::from(word & 0xFFF8),
        is_last: word & 1 == 0,
        header,
        payload: &ip[offset + 8..],
    })
}
