//! Neighbour discovery's messages (RFC 4861 4, 7) and the groups that they go to.

use std::net::Ipv6Addr;

use smoltcp::wire::{EthernetAddress, IpProtocol};

use super::{ipv6, transport_sum};

/// Not routed, or it would be less (RFC 4861 7.1).
pub const HOP_LIMIT_OF_NEIGHBOURS: u8 = 255;
/// Header, flags or reserved word, target address.
const MESSAGE_BYTES_MIN: usize = 24;
/// ICMPv6 types (4.1 to 4.4).
pub const ROUTER_SOLICITATION: u8 = 133;
pub const ROUTER_ADVERTISEMENT: u8 = 134;
pub const NEIGHBOUR_SOLICITATION: u8 = 135;
pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

pub const OPTION_SOURCE_ADDRESS: u8 = 1;
pub const OPTION_TARGET_ADDRESS: u8 = 2;
pub const FLAG_ROUTER: u8 = 0x80;
pub const FLAG_SOLICITED: u8 = 0x40;
pub const FLAG_OVERRIDE: u8 = 0x20;

/// ff02::1
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 0, 0, 1);
/// ff02::2
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 0, 0, 2);

/// The group that the owner of `address` listens to (RFC 4291 2.7.1).
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    let word = |high, low| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 1, word(0xFF, a), word(b, c))
}

/// Checks a solicitation or advertisement (7.1) and returns its target and the Ethernet address in the
/// option `wanted`; `None` if it may not be believed.
pub fn parse(hop_limit: u8, message: &[u8], wanted: u8) -> Option<(Ipv6Addr, Option<EthernetAddress>)> {
    let fixed = message.first_chunk::<MESSAGE_BYTES_MIN>()?;
    let code = fixed[1];
    let target: [u8; 16] = fixed[8..24].try_into().ok()?;
    let target = Ipv6Addr::from(target);
    if hop_limit != HOP_LIMIT_OF_NEIGHBOURS || code != 0 || target.is_multicast() {
        return None;
    }
    Some((target, link_address(&message[MESSAGE_BYTES_MIN..], wanted)?))
}

/// The Ethernet address in the option `wanted`, if there is one among these; `None` if they may not be believed.
pub fn link_address(bytes: &[u8], wanted: u8) -> Option<Option<EthernetAddress>> {
    let mut found = None;
    for option in options(bytes) {
        let (kind, data) = option?;
        if kind == wanted && data.len() == 6 {
            found = Some(EthernetAddress::from_bytes(data));
        }
    }
    found.is_none_or(|mac| mac.is_unicast()).then_some(found)
}

/// The options of a message (4.6), each with its type and what follows its length; `None`, and no more, where they
/// do not add up.
pub fn options(mut bytes: &[u8]) -> impl Iterator<Item = Option<(u8, &[u8])>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let length = bytes.get(1).map_or(0, |&eights| usize::from(eights) * 8);
        let option = bytes.get(..length).filter(|option| !option.is_empty());
        bytes = option.map_or(&[], |option| &bytes[option.len()..]);
        Some(option.map(|option| (option[0], &option[2..])))
    })
}

/// "Who has `target`?", from `mac`; its checksum is zero.
pub fn solicitation(target: Ipv6Addr, mac: EthernetAddress) -> Vec<u8> {
    message(NEIGHBOUR_SOLICITATION, 0, target, OPTION_SOURCE_ADDRESS, mac)
}

/// "`target` is at `mac`"; its checksum is zero.
pub fn advertisement(target: Ipv6Addr, flags: u8, mac: EthernetAddress) -> Vec<u8> {
    message(NEIGHBOUR_ADVERTISEMENT, flags, target, OPTION_TARGET_ADDRESS, mac)
}

/// A message with one option, its checksum zero.
fn message(kind: u8, flags: u8, target: Ipv6Addr, option: u8, mac: EthernetAddress) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    message.extend_from_slice(&target.octets());
    message.extend_from_slice(&[option, 1]);
    message.extend_from_slice(mac.as_bytes());
    message
}

/// The IPv6 packet of a message, its checksum filled in.
pub fn finish(source: Ipv6Addr, destination: Ipv6Addr, mut message: Vec<u8>) -> Vec<u8> {
    let sum = !transport_sum(source.into(), destination.into(), IpProtocol::Icmpv6, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    ipv6(source, destination, IpProtocol::Icmpv6, HOP_LIMIT_OF_NEIGHBOURS, &message)
}

/// The Ethernet address of an IPv6 group (RFC 2464 7).
pub fn group_mac(group: Ipv6Addr) -> EthernetAddress {
    let [.., a, b, c, d] = group.octets();
    EthernetAddress([0x33, 0x33, a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solicited_node_groups() {
        let address: Ipv6Addr = "4037::1:800:200e:8c6c".parse().unwrap();
        assert_eq!(solicited_node(address).to_string(), "ff02::1:ff0e:8c6c");
    }

    #[test]
    fn options_that_do_not_add_up_end_the_list() {
        fn read(bytes: &[u8]) -> Vec<Option<(u8, &[u8])>> {
            options(bytes).collect()
        }
        let one = [1, 1, 2, 0, 0, 0, 0, 9];
        assert_eq!(read(&[]), []);
        assert_eq!(read(&one), [Some((1, &one[2..]))]);
        for rest in [&[5][..], &[5, 0], &[5, 1, 0], &[0]] {
            let bytes = [&one, rest].concat();
            assert_eq!(read(&bytes), [Some((1, &one[2..])), None], "{rest:?}");
        }
        assert_eq!(link_address(&one, 1), Some(Some(EthernetAddress([2, 0, 0, 0, 0, 9]))));
        assert_eq!(link_address(&one, 2), Some(None));
        assert_eq!(link_address(&[1, 1, 3, 0, 0, 0, 0, 9], 1), None, "a group has no place there");
    }
}
