//! Group membership on the wire: IGMP (RFC 1112, RFC 2236, RFC 3376) and MLD (RFC 2710, RFC 3810), as far as hosts that
//! listen to all sources and switches that listen to hosts need it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use bytes::BytesMut;
use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv6Packet, checksum};

use super::{ETHERNET_HEADER_BYTES, Upper, fill_ipv4_checksum, transport_sum};

/// 224.0.0.2 and 224.0.0.22.
const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
const REPORTS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
/// ff02::16
const REPORTS_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

/// Header length 24: one option, router alert (RFC 2113).
const IPV4_BYTES: usize = 24;
const ROUTER_ALERT_V4: [u8; 4] = [0x94, 4, 0, 0];
/// Hop-by-hop header with router alert for MLD (RFC 2711) and padding.
const HOP_BY_HOP: [u8; 8] = [58, 0, 5, 2, 0, 0, 1, 0];

const IGMP_QUERY: u8 = 0x11;
const IGMP_REPORT_V1: u8 = 0x12;
const IGMP_REPORT_V2: u8 = 0x16;
const IGMP_LEAVE: u8 = 0x17;
const IGMP_REPORT_V3: u8 = 0x22;
const MLD_QUERY: u8 = 130;
const MLD_REPORT_V1: u8 = 131;
const MLD_DONE: u8 = 132;
const MLD_REPORT_V2: u8 = 143;

/// What one packet says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// "Who listens?", to a group or, without one, to any.
    Query {
        /// 0.0.0.0 or `::` for one that does not count in the election of queriers.
        source: IpAddr,
        group: Option<IpAddr>,
        /// Answers come within this time.
        within: Duration,
        /// The querier is one of IGMPv1 or v2, and understands no other reports.
        old: bool,
    },
    /// Groups that a host listens to from now on or still (true), or no longer.
    Report(Vec<(IpAddr, bool)>),
}

/// Reads an IP packet; `None` for what is no such message, or is against its format. Checksums are verified, as switches
/// do not look at others.
pub fn parse(ip: &[u8]) -> Option<Message> {
    match ip.first()? >> 4 {
        4 => {
            let packet = Ipv4Packet::new_checked(ip).ok()?;
            if packet.next_header() != IpProtocol::Igmp || packet.more_frags() || packet.frag_offset() != 0 {
                return None;
            }
            igmp(packet.src_addr(), packet.payload())
        }
        6 => {
            let packet = Ipv6Packet::new_checked(ip).ok()?;
            let ip = ip.get(..packet.total_len())?;
            let upper = Upper::find(ip)?;
            // One that passed a router says nothing of this link (RFC 3810, 5).
            if upper.protocol != IpProtocol::Icmpv6 || upper.is_fragment || packet.hop_limit() != 1 {
                return None;
            }
            mld(packet.src_addr(), packet.dst_addr(), ip.get(upper.offset..)?)
        }
        _ => None,
    }
}

fn igmp(source: Ipv4Addr, message: &[u8]) -> Option<Message> {
    let head = message.first_chunk::<8>()?;
    let group = Ipv4Addr::new(head[4], head[5], head[6], head[7]);
    let of_group = |joined| group.is_multicast().then(|| Message::Report(vec![(group.into(), joined)]));
    let kind = head[0];
    if ![IGMP_QUERY, IGMP_REPORT_V1, IGMP_REPORT_V2, IGMP_LEAVE, IGMP_REPORT_V3].contains(&kind)
        || checksum::data(message) != 0xFFFF
    {
        return None;
    }
    match kind {
        IGMP_QUERY => {
            let old = message.len() < 12;
            let tenths = match head[1] {
                // IGMPv1 (RFC 2236, 4).
                0 => 100,
                code if old || code < 128 => u64::from(code),
                code => floating(code.into(), 4),
            };
            let group = (!group.is_unspecified()).then_some(group);
            let fits = group.is_none_or(|group| group.is_multicast());
            let within = Duration::from_millis(100 * tenths);
            fits.then(|| Message::Query { source: source.into(), group: group.map(IpAddr::V4), within, old })
        }
        IGMP_REPORT_V1 | IGMP_REPORT_V2 => of_group(true),
        IGMP_LEAVE => of_group(false),
        _ => records(message, 4),
    }
}

fn mld(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> Option<Message> {
    let kind = *message.first()?;
    if ![MLD_QUERY, MLD_REPORT_V1, MLD_DONE, MLD_REPORT_V2].contains(&kind)
        || message.len() < 8
        || transport_sum(source.into(), destination.into(), IpProtocol::Icmpv6, message) != 0xFFFF
    {
        return None;
    }
    if kind == MLD_REPORT_V2 {
        return records(message, 16);
    }
    let group = Ipv6Addr::from(<[u8; 16]>::try_from(message.get(8..24)?).ok()?);
    let of_group = |joined| group.is_multicast().then(|| Message::Report(vec![(group.into(), joined)]));
    match kind {
        MLD_QUERY => {
            let code = u16::from_be_bytes([message[4], message[5]]);
            let millis = if code < 32_768 { u64::from(code) } else { floating(code, 12) };
            let group = (!group.is_unspecified()).then_some(group);
            let fits = group.is_none_or(|group| group.is_multicast());
            let within = Duration::from_millis(millis);
            fits.then(|| Message::Query {
                source: source.into(),
                group: group.map(IpAddr::V6),
                within,
                old: false,
            })
        }
        MLD_REPORT_V1 => of_group(true),
        _ => of_group(false),
    }
}

/// Exponent and mantissa (RFC 3376, 4.1.1; RFC 3810, 5.1.3).
fn floating(code: u16, mantissa_bits: u32) -> u64 {
    let mantissa = u64::from(code) & ((1 << mantissa_bits) - 1) | 1 << mantissa_bits;
    mantissa << ((code >> mantissa_bits & 7) + 3)
}

/// The group records of IGMPv3 (RFC 3376, 4.2.4) and MLDv2 (RFC 3810, 5.2), whose addresses have so many bytes. Who
/// names sources listens, for all that switches care.
fn records(message: &[u8], address_bytes: usize) -> Option<Message> {
    let count = u16::from_be_bytes([*message.get(6)?, *message.get(7)?]);
    let mut rest = message.get(8..)?;
    let mut groups = Vec::new();
    for _ in 0..count {
        let (kind, more_words) = (*rest.first()?, usize::from(*rest.get(1)?));
        let sources = usize::from(u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]));
        let group = rest.get(4..4 + address_bytes)?;
        let group = match <[u8; 4]>::try_from(group) {
            Ok(octets) => IpAddr::from(octets),
            Err(_) => IpAddr::from(<[u8; 16]>::try_from(group).ok()?),
        };
        if !group.is_multicast() {
            return None;
        }
        match (kind, sources) {
            (1 | 3, 0) => groups.push((group, false)),
            (1..=5, _) => groups.push((group, true)),
            // Sources that are blocked, and what is unknown.
            _ => {}
        }
        rest = rest.get(4 + address_bytes + sources * address_bytes + more_words * 4..)?;
    }
    Some(Message::Report(groups))
}

/// How a group is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// In answer to a query.
    Member,
    Joined,
    Left,
}

impl Record {
    /// Filter modes: with no source excluded everything is heard, with none included nothing.
    fn kind(self) -> u8 {
        match self {
            Record::Member => 2,
            Record::Joined => 4,
            Record::Left => 3,
        }
    }
}

/// A report of one group from `source`, with room for the Ethernet header in front, and where it goes. `old`: by
/// IGMPv2. `None` if the two are of different families.
pub fn report(source: IpAddr, group: IpAddr, record: Record, old: bool) -> Option<(IpAddr, BytesMut)> {
    match (source, group) {
        (IpAddr::V4(source), IpAddr::V4(group)) if old => {
            let (kind, to) = match record {
                Record::Member | Record::Joined => (IGMP_REPORT_V2, group),
                Record::Left => (IGMP_LEAVE, ALL_ROUTERS),
            };
            let mut message = vec![kind, 0, 0, 0];
            message.extend_from_slice(&group.octets());
            Some((to.into(), ipv4(source, to, message)))
        }
        (IpAddr::V4(source), IpAddr::V4(group)) => {
            let mut message = vec![IGMP_REPORT_V3, 0, 0, 0, 0, 0, 0, 1, record.kind(), 0, 0, 0];
            message.extend_from_slice(&group.octets());
            Some((REPORTS.into(), ipv4(source, REPORTS, message)))
        }
        (IpAddr::V6(source), IpAddr::V6(group)) => {
            let mut message = vec![MLD_REPORT_V2, 0, 0, 0, 0, 0, 0, 1, record.kind(), 0, 0, 0];
            message.extend_from_slice(&group.octets());
            let sum = !transport_sum(source.into(), REPORTS_V6.into(), IpProtocol::Icmpv6, &message);
            message[2..4].copy_from_slice(&sum.to_be_bytes());
            let payload = [&HOP_BY_HOP, message.as_slice()].concat();
            let ip = super::ipv6(source, REPORTS_V6, IpProtocol::HopByHop, 1, &payload);
            Some((REPORTS_V6.into(), super::with_room(&ip)))
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}

fn ipv4(source: Ipv4Addr, destination: Ipv4Addr, mut message: Vec<u8>) -> BytesMut {
    let sum = !checksum::data(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let total = ((IPV4_BYTES + message.len()) as u16).to_be_bytes();
    let mut bytes = BytesMut::zeroed(ETHERNET_HEADER_BYTES);
    bytes.extend_from_slice(&[0x46, 0xC0, total[0], total[1], 0, 0, 0, 0, 1, IpProtocol::Igmp.into(), 0, 0]);
    bytes.extend_from_slice(&source.octets());
    bytes.extend_from_slice(&destination.octets());
    bytes.extend_from_slice(&ROUTER_ALERT_V4);
    fill_ipv4_checksum(&mut bytes[ETHERNET_HEADER_BYTES..]);
    bytes.extend_from_slice(&message);
    bytes
}

/// True for groups that stay on their link, and that every port of a switch gets whatever hosts report: 224.0.0.0/24, and
/// those of interface and link scope (RFC 4541, 2.1.2 and 3).
pub fn is_local(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(group) => group.octets()[..3] == [224, 0, 0],
        IpAddr::V6(group) => group.octets()[0] == 0xff && group.octets()[1] & 0x0f <= 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        for (source, group) in [("10.0.0.2", "239.1.2.3"), ("fe80::2", "ff05::99")] {
            for (record, joined) in [(Record::Member, true), (Record::Joined, true), (Record::Left, false)] {
                for old in [false, true] {
                    let (to, packet) = report(ip(source), ip(group), record, old).unwrap();
                    assert!(to.is_multicast());
                    let read = parse(&packet[ETHERNET_HEADER_BYTES..]);
                    assert_eq!(read, Some(Message::Report(vec![(ip(group), joined)])), "{record:?} {old}");
                    let mut wrong = packet.clone();
                    *wrong.last_mut().unwrap() ^= 1;
                    assert_eq!(parse(&wrong[ETHERNET_HEADER_BYTES..]), None, "its checksum is wrong");
                }
            }
        }
        assert_eq!(report(ip("10.0.0.2"), ip("ff05::99"), Record::Joined, false), None);
    }

    #[test]
    fn queries_say_how_long_there_is_to_answer() {
        let query = |message: &[u8]| {
            let packet = ipv4(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(224, 0, 0, 1), message.to_vec());
            match parse(&packet[ETHERNET_HEADER_BYTES..])? {
                Message::Query { group, within, old, .. } => Some((group, within.as_millis(), old)),
                Message::Report(_) => None,
            }
        };
        assert_eq!(query(&[0x11, 0, 0, 0, 0, 0, 0, 0]), Some((None, 10_000, true)), "version 1");
        assert_eq!(query(&[0x11, 50, 0, 0, 0, 0, 0, 0]), Some((None, 5_000, true)), "version 2");
        let specific = [0x11, 0x8F, 0, 0, 239, 1, 2, 3, 0, 0, 0, 0];
        // Mantissa 15, exponent 0: (16 + 15) << 3 tenths.
        assert_eq!(query(&specific), Some((Some(ip("239.1.2.3")), 24_800, false)), "version 3");
        assert_eq!(query(&[0x11, 0, 0, 0, 10, 0, 0, 1]), None, "no group");
    }

    #[test]
    fn what_names_sources_listens() {
        let record = |kind: u8, sources: u8| {
            let mut message = vec![0x22, 0, 0, 0, 0, 0, 0, 1, kind, 0, 0, sources, 239, 1, 2, 3];
            message.resize(16 + 4 * usize::from(sources), 9);
            let packet = ipv4(Ipv4Addr::new(10, 0, 0, 2), REPORTS, message);
            parse(&packet[ETHERNET_HEADER_BYTES..])
        };
        let report = |joined| Some(Message::Report(vec![(ip("239.1.2.3"), joined)]));
        assert_eq!(record(3, 2), report(true));
        assert_eq!(record(3, 0), report(false));
        assert_eq!(record(5, 1), report(true));
        assert_eq!(record(6, 1), Some(Message::Report(vec![])));
    }

    #[test]
    fn groups_of_the_link() {
        assert!(["224.0.0.251", "ff02::fb", "ff01::1", "ff12::1"].into_iter().map(ip).all(is_local));
        assert!(!["224.0.1.1", "239.1.2.3", "ff05::2", "ff0e::1"].into_iter().map(ip).any(is_local));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), version: bool) {
            if let Some(first) = bytes.first_mut() {
                *first = if version { 0x45 } else { 0x60 };
            }
            if let Some(Message::Report(groups)) = parse(&bytes) {
                prop_assert!(groups.len() <= 120 / 8);
            }
        }
    }
}
