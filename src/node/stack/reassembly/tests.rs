use super::*;
use crate::network::ip::fragment::{fragment, fragment_ipv6};
use crate::network::ip::{ETHERNET_HEADER_BYTES, ipv4, ipv6, with_room};
use proptest::prelude::*;
use smoltcp::wire::IpProtocol;
use std::net::{Ipv4Addr, Ipv6Addr};

fn packet(v6: bool, number: u8, payload: &[u8]) -> Vec<u8> {
    let udp = IpProtocol::Udp;
    if v6 {
        let from = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number.into());
        return with_room(&ipv6(from, Ipv6Addr::LOCALHOST, udp, 64, payload)).to_vec();
    }
    ipv4(Ipv4Addr::new(10, 0, 0, number), Ipv4Addr::LOCALHOST, udp, 0, 9, payload).to_vec()
}

fn fragments(v6: bool, packet: &[u8], mtu: usize) -> Vec<Bytes> {
    let cut = if v6 { fragment_ipv6(packet, mtu, 9) } else { fragment(packet, mtu) };
    cut.unwrap().into_iter().map(|bytes| bytes.freeze().slice(ETHERNET_HEADER_BYTES..)).collect()
}

fn payload(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|number| (number * 31 / 7) as u8).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn packets_come_together_in_any_order_mixed_and_twice(
        sizes in prop::collection::vec(1usize..9000, 1..8), mtu in 100usize..1500, v6: bool, seed: u64,
    ) {
        let mtu = if v6 { mtu.max(120) } else { mtu };
        let packets: Vec<_> =
            sizes.iter().enumerate().map(|(number, &bytes)| packet(v6, number as u8, &payload(bytes))).collect();
        let mut under_way: Vec<_> = packets.iter().flat_map(|packet| fragments(v6, packet, mtu)).collect();
        under_way.extend(under_way.clone().into_iter().step_by(3));
        let mut rng = crate::rng::Seed(seed).fork("shuffle");
        for at in (1..under_way.len()).rev() {
            under_way.swap(at, rng.below(at as u64 + 1) as usize);
        }
        let mut reassembly = Reassembly::default();
        let mut done = Vec::new();
        for fragment in under_way {
            match reassembly.take(Instant::START, fragment) {
                Outcome::Together(packet) | Outcome::Whole(packet) => done.push(packet.to_vec()),
                Outcome::Waiting => {}
                other => prop_assert!(false, "{other:?}"),
            }
        }
        for packet in &packets {
            prop_assert!(done.iter().any(|done| done[..] == packet[ETHERNET_HEADER_BYTES..]));
        }
    }

    /// Whatever comes, what is kept is bounded, and goes with time.
    #[test]
    fn nothing_piles_up(
        seed: u64, count in 1usize..1000,
    ) {
        let mut rng = crate::rng::Seed(seed).fork("flood");
        let mut reassembly = Reassembly::default();
        for _ in 0..count {
            let v6 = rng.chance(0.5);
            let whole = packet(v6, rng.below(200) as u8, &payload(3000));
            let mut fragment = fragments(v6, &whole, 1400).swap_remove(rng.below(3) as usize).to_vec();
            let at = if v6 { 42 } else { 6 };
            if rng.chance(0.7) {
                fragment[at] = rng.next_u32() as u8;
                fragment[at + 1] = rng.next_u32() as u8;
            }
            let id = if v6 { 44 } else { 4 };
            fragment[id] = rng.below(4) as u8;
            reassembly.take(Instant::START, fragment.into());
            prop_assert!(reassembly.kept() <= BYTES_MAX && reassembly.packets.len() <= PACKETS_MAX);
            prop_assert!(reassembly.order.len() <= 2 * PACKETS_MAX);
        }
        while reassembly.expire(Instant::START + TIMEOUT_IPV6).is_some() {}
        prop_assert_eq!((reassembly.kept(), reassembly.packets.len(), reassembly.order.len()), (0, 0, 0));
        prop_assert_eq!(reassembly.poll_at(), None);
    }
}

#[test]
fn an_overlap_spoils_the_packet_and_what_comes_of_it_later() {
    for v6 in [false, true] {
        let parts = fragments(v6, &packet(v6, 1, &payload(3000)), 1000);
        let at = if v6 { 43 } else { 7 };
        let mut shifted = parts[1].to_vec();
        // Eight bytes earlier: IPv6 counts bytes there, IPv4 eights.
        shifted[at] -= if v6 { 8 } else { 1 };
        let mut reassembly = Reassembly::default();
        assert_eq!(reassembly.take(Instant::START, parts[0].clone()), Outcome::Waiting);
        assert_eq!(reassembly.take(Instant::START, shifted.into()), Outcome::Overlap);
        for part in &parts[1..] {
            assert_eq!(reassembly.take(Instant::START, part.clone()), Outcome::Overlap);
        }
        assert_eq!(reassembly.kept(), 0);
        // The same bytes with other contents are no duplicate.
        let mut other = parts[0].to_vec();
        *other.last_mut().unwrap() ^= 1;
        let mut reassembly = Reassembly::default();
        reassembly.take(Instant::START, parts[0].clone());
        assert_eq!(reassembly.take(Instant::START, parts[0].clone()), Outcome::Waiting);
        assert_eq!(reassembly.take(Instant::START, other.into()), Outcome::Overlap);
        let expired = reassembly.expire(Instant::START + TIMEOUT_IPV6).unwrap();
        assert_eq!(expired, Expired { first: None }, "nobody is told of what was spoilt");
    }
}

#[test]
fn a_packet_with_a_hole_ends_with_its_time() {
    for (v6, timeout) in [(false, TIMEOUT_IPV4), (true, TIMEOUT_IPV6)] {
        let parts = fragments(v6, &packet(v6, 1, &payload(3000)), 1000);
        let mut reassembly = Reassembly::default();
        for part in [&parts[0], &parts[2]] {
            assert_eq!(reassembly.take(Instant::START, part.clone()), Outcome::Waiting);
        }
        assert_eq!(reassembly.poll_at(), Some(Instant::START + timeout));
        assert_eq!(reassembly.expire(Instant::START + (timeout - Duration::from_nanos(1))), None);
        let first = reassembly.expire(Instant::START + timeout).unwrap().first.unwrap();
        let header = if v6 { 40 } else { 20 };
        assert!(first.len() > 900 && first[header..] == payload(first.len() - header));
    }
}

#[test]
fn a_flood_leaves_room_for_who_comes_next() {
    let mut reassembly = Reassembly::default();
    for number in 0..10_000u32 {
        let mut part =
            fragments(false, &packet(false, number as u8, &payload(60_000)), 60_000).swap_remove(0).to_vec();
        part[4..6].copy_from_slice(&(number as u16).to_be_bytes());
        assert_eq!(reassembly.take(Instant::START, part.into()), Outcome::Waiting);
    }
    let honest = packet(true, 1, &payload(60_000));
    let mut last = Outcome::Waiting;
    for part in fragments(true, &honest, 1500) {
        last = reassembly.take(Instant::START, part);
    }
    assert_eq!(last, Outcome::Together(Bytes::copy_from_slice(&honest[ETHERNET_HEADER_BYTES..])));
    assert!(reassembly.displaced() > 9_900);
}

#[test]
fn past_the_longest_packet_there_is_nothing() {
    let mut part = fragments(false, &packet(false, 1, &payload(3000)), 1000)[1].to_vec();
    part[6..8].copy_from_slice(&0x1FFF_u16.to_be_bytes());
    assert_eq!(Reassembly::default().take(Instant::START, part.clone().into()), Outcome::Malformed);
    // Not the last, and no multiple of eight.
    part[6..8].copy_from_slice(&0x2010_u16.to_be_bytes());
    part[3] -= 1;
    assert_eq!(Reassembly::default().take(Instant::START, part.into()), Outcome::Malformed);
}

/// Each fragment may be short enough by itself: the first has more in front.
#[test]
fn what_is_longer_than_a_packet_together_is_malformed() {
    for v6 in [false, true] {
        let longest = if v6 { LENGTH_MAX } else { LENGTH_MAX - 20 };
        let whole = packet(v6, 1, &payload(longest));
        let mut parts = fragments(v6, &whole, 1500);
        let mut first = parts[0].to_vec();
        if v6 {
            // Destination options, of padding, between the header and the fragment header.
            let next = std::mem::replace(&mut first[6], 60);
            first.splice(40..40, [next, 0, 1, 4, 0, 0, 0, 0]);
        } else {
            first[0] += 1;
            first.splice(20..20, [1; 4]);
        }
        let at = if v6 { 4 } else { 2 };
        let length = (first.len() - if v6 { 40 } else { 0 }) as u16;
        first[at..at + 2].copy_from_slice(&length.to_be_bytes());
        let mut all = Reassembly::default();
        let outcomes: Vec<_> = parts.iter().map(|part| all.take(Instant::START, part.clone())).collect();
        assert!(matches!(outcomes.last(), Some(Outcome::Together(_))), "as long as a packet can be");
        parts[0] = first.into();
        let mut reassembly = Reassembly::default();
        let outcomes: Vec<_> =
            parts.iter().map(|part| reassembly.take(Instant::START, part.clone())).collect();
        assert_eq!(outcomes.last(), Some(&Outcome::Malformed));
        assert!(outcomes[..outcomes.len() - 1].iter().all(|outcome| *outcome == Outcome::Waiting));
        assert_eq!(reassembly.kept(), 0);
    }
}
