//! Datagrams past the MTU, and fragments that nobody should send.

use bytes::Bytes;
use guestnet::node::Stack;
use guestnet::rng::Seed;

use crate::cable::{at, exchange, feed, flow, is_question, run, settle, stack, stack_with, udp};

fn is_fragment(frame: &Bytes) -> bool {
    match frame[12..14] {
        [8, 0] => frame[20] & 0x20 != 0 || frame[20..22] != [0x40, 0] && frame[20..22] != [0, 0],
        [0x86, 0xdd] => frame[20] == 44,
        _ => false,
    }
}

fn echo(one: &mut Stack, two: &mut Stack, local: &str, remote: &str, bytes: usize) -> Vec<Bytes> {
    let listener = udp(two, &local.replace(":0", ":7"));
    two.udp_listen(listener, 8).unwrap();
    let port = udp(one, local);
    let there = flow(one, port, remote);
    let sent: Vec<u8> = (0..bytes).map(|number| (number / 3) as u8).collect();
    let mut crossed = Vec::new();
    // Several at once.
    for number in 0..3 {
        let mut sent = sent.clone();
        sent[0] = number;
        one.flow_write(there, &sent).unwrap();
        crossed.extend(exchange(one, two, at(0)));
    }
    let back = two.udp_accept(listener).unwrap();
    let mut got = vec![0; 65_536];
    for number in 0..3 {
        assert_eq!(two.flow_read(back, &mut got, false), Ok((bytes, bytes)));
        assert!(got[0] == number && got[1..bytes] == sent[1..]);
        two.flow_write(back, &got[..bytes]).unwrap();
        crossed.extend(exchange(one, two, at(0)));
    }
    for _ in 0..3 {
        assert_eq!(one.flow_read(there, &mut got, false), Ok((bytes, bytes)));
    }
    crossed
}

#[test]
fn the_longest_datagrams_go_both_ways() {
    for (local, remote, bytes) in [("0.0.0.0:0", "10.0.0.2:7", 65_507), ("[::]:0", "[fd00::2]:7", 65_527)] {
        for (mtu, fragments) in [(1500, 6 * 45), (1280, 6 * 53)] {
            let (mut one, mut two) = (stack_with(1, mtu, &[]), stack_with(2, mtu, &[]));
            let crossed = echo(&mut one, &mut two, local, remote, bytes);
            let count = crossed.iter().filter(|frame| is_fragment(frame)).count();
            assert!((fragments - 6..=fragments + 6).contains(&count), "{count}");
            assert!(crossed.iter().all(|frame| frame.len() <= mtu + 14));
        }
        let (mut one, mut two) = (stack(1), stack(2));
        let crossed = echo(&mut one, &mut two, local, remote, 1452);
        assert_eq!(crossed.iter().filter(|frame| is_fragment(frame)).count(), 0, "what fits is not cut");
    }
}

#[test]
fn inside_a_node_too() {
    let mut one = stack(1);
    for (local, remote, bytes) in [("127.0.0.1:7", "127.0.0.1:7", 65_507), ("[::1]:7", "[::1]:7", 65_527)] {
        let listener = udp(&mut one, local);
        one.udp_listen(listener, 8).unwrap();
        let port = udp(&mut one, &local.replace(":7", ":0"));
        let there = flow(&mut one, port, remote);
        one.flow_write(there, &vec![7; bytes]).unwrap();
        settle(&mut one, at(0));
        let back = one.udp_accept(listener).unwrap();
        assert_eq!(one.flow_read(back, &mut vec![0; 65_536], false), Ok((bytes, bytes)));
    }
}

/// The frames of one datagram to the second stack, which has answered the first one's ARP or neighbour solicitation.
fn cut(one: &mut Stack, two: &mut Stack, remote: &str, bytes: usize) -> Vec<Bytes> {
    let port = udp(one, if remote.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" });
    let there = flow(one, port, remote);
    one.flow_write(there, b"x").unwrap();
    exchange(one, two, at(0));
    // It may have been refused.
    let _ = one.flow_read(there, &mut [], false);
    one.flow_write(there, &vec![7; bytes]).unwrap();
    settle(one, at(0))
}

#[test]
fn what_does_not_come_whole_is_told_to_its_sender() {
    for (remote, timeout, error) in [("10.0.0.2:7", 30_000, [11, 1]), ("[fd00::2]:7", 60_000, [3, 1])] {
        let (mut one, mut two) = (stack(1), stack(2));
        let parts = cut(&mut one, &mut two, remote, 4000);
        for (missing, told) in [(1, true), (0, false)] {
            for (number, part) in parts.iter().enumerate() {
                if number != missing {
                    assert!(feed(&mut two, at(0), part.clone()).is_empty());
                }
            }
            assert_eq!(two.poll_at(), Some(at(timeout)));
            let mut said = settle(&mut two, at(timeout));
            said.retain(|frame| !is_question(frame));
            assert_eq!(said.len(), usize::from(told), "only whoever is known by a first fragment is told");
            let v6 = remote.starts_with('[');
            assert!(said.iter().all(|frame| frame[if v6 { 54..56 } else { 34..36 }] == error));
            assert!(said.iter().all(|frame| guestnet::network::verify::holds(frame)));
            assert!(said.iter().all(|frame| frame.len() <= if v6 { 1294 } else { 590 }));
            (one, two) = (stack(1), stack(2));
            cut(&mut one, &mut two, remote, 4000);
        }
        let mut late = stack(2);
        feed(&mut late, at(0), parts[0].clone());
        settle(&mut late, at(timeout));
        assert_eq!(late.statistics().reassembly_expired, 1);
        assert_eq!(
            late.poll_at().filter(|&next| next > at(timeout + 3000)),
            None,
            "nothing else is waited for"
        );
    }
}

#[test]
fn overlapping_fragments_are_dropped_and_counted() {
    for remote in ["10.0.0.2:7", "[fd00::2]:7"] {
        let (mut one, mut two) = (stack(1), stack(2));
        let listener = udp(&mut two, if remote.starts_with('[') { "[::]:7" } else { "0.0.0.0:7" });
        two.udp_listen(listener, 8).unwrap();
        let parts = cut(&mut one, &mut two, remote, 4000);
        two.udp_accept(listener).unwrap();
        let mut shifted = parts[1].to_vec();
        if remote.starts_with('[') {
            shifted[57] -= 8;
        } else {
            shifted[21] -= 1;
            shifted[24..26].fill(0);
            let sum = !smoltcp::wire::checksum::data(&shifted[14..34]);
            shifted[24..26].copy_from_slice(&sum.to_be_bytes());
        }
        feed(&mut two, at(0), parts[0].clone());
        feed(&mut two, at(0), shifted);
        parts[1..].iter().for_each(|part| assert!(feed(&mut two, at(0), part.clone()).is_empty()));
        assert_eq!(two.statistics().fragments_overlapping, parts.len() as u64);
        assert!(!two.udp_readiness(listener).read);
    }
}

/// Long pings are answered, and long packets of other protocols are nobody's.
#[test]
fn a_long_ping_is_answered_in_fragments() {
    let (mut one, mut two) = (stack(1), stack(2));
    // A datagram's fragments made into an echo request's.
    let parts = cut(&mut one, &mut two, "10.0.0.2:7", 4992);
    let mut whole = vec![8, 0, 0, 0, 0, 77, 0, 1];
    whole.resize(5000, b'!');
    let sum = !smoltcp::wire::checksum::data(&whole);
    whole[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut said = Vec::new();
    let mut done = 0;
    for part in parts {
        let mut part = part.to_vec();
        part[23] = 1;
        let bytes = part.len() - 34;
        part[34..].copy_from_slice(&whole[done..done + bytes]);
        done += bytes;
        part[24..26].fill(0);
        let sum = !smoltcp::wire::checksum::data(&part[14..34]);
        part[24..26].copy_from_slice(&sum.to_be_bytes());
        said.extend(feed(&mut two, at(0), part));
    }
    assert_eq!(said.len(), 4);
    assert_eq!((said[0][23], said[0][34], &said[0][38..42]), (1, 0, &[0, 77, 0, 1][..]));
    assert_eq!(said.iter().map(|frame| frame.len() - 34).sum::<usize>(), 5000);
}

/// Fragments with holes, overlaps and nonsense, by the thousand: what is kept stays small, and an honest datagram passes.
#[test]
fn a_flood_of_fragments_leaves_room_for_an_honest_datagram() {
    for remote in ["10.0.0.2:7", "[fd00::2]:7"] {
        let (mut one, mut two) = (stack(1), stack(2));
        let parts = cut(&mut one, &mut two, remote, 4000);
        let v6 = remote.starts_with('[');
        let mut rng = Seed(5).fork("flood");
        for _ in 0..20_000 {
            let mut part = parts[rng.below(3) as usize].to_vec();
            let identification = if v6 { 58..62 } else { 18..20 };
            rng.fill(&mut part[identification]);
            let offset = if v6 { 56..58 } else { 20..22 };
            if rng.chance(0.5) {
                rng.fill(&mut part[offset]);
            }
            if !v6 {
                part[24..26].fill(0);
                let sum = !smoltcp::wire::checksum::data(&part[14..34]);
                part[24..26].copy_from_slice(&sum.to_be_bytes());
            }
            feed(&mut two, at(0), part);
        }
        let statistics = two.statistics();
        assert!(statistics.reassembly_full > 10_000, "{statistics:?}");
        let (local, bytes) = if v6 { ("[::]:0", 65_527) } else { ("0.0.0.0:0", 65_507) };
        echo(&mut one, &mut two, local, remote, bytes);
        run(&mut one, &mut two, at(0), at(100_000));
        assert!(two.statistics().reassembly_expired <= 64);
    }
}

/// smoltcp answers for protocols that nobody has, but takes no packet that is longer than the link.
#[test]
fn long_packets_of_unknown_protocols_are_counted() {
    const SCTP: u8 = 132;
    for (local, remote) in [("0.0.0.0:0", "10.0.0.2:7"), ("[::]:0", "[fd00::2]:7")] {
        let (mut one, mut two) = (stack(1), stack(2));
        let port = udp(&mut one, local);
        let there = flow(&mut one, port, remote);
        one.flow_write(there, b"who is there?").unwrap();
        exchange(&mut one, &mut two, at(0));
        let _ = one.flow_read(there, &mut [], false);
        one.flow_write(there, &[7; 4000]).unwrap();
        for fragment in settle(&mut one, at(1)) {
            assert!(is_fragment(&fragment));
            let mut fragment = fragment.to_vec();
            let (header, protocol) = if fragment[12] == 8 { (20, 23) } else { (40, 54) };
            fragment[protocol] = SCTP;
            if header == 20 {
                fragment[24..26].fill(0);
                let sum = !smoltcp::wire::checksum::data(&fragment[14..34]);
                fragment[24..26].copy_from_slice(&sum.to_be_bytes());
            }
            feed(&mut two, at(1), fragment);
        }
        assert_eq!(two.statistics().unclaimed, 1, "{local}");
    }
}
