//! ICMP errors, true ones and those that somebody made up: whom they reach, and what paths are believed to take.

use bytes::Bytes;
use guestnet::error::Error;
use guestnet::network::Frame;
use guestnet::node::Stack;
use guestnet::node::slab::Id;
use guestnet::node::stack::{Tcp, TcpOptions};
use guestnet::rng::Seed;
use smoltcp::wire::checksum;

use crate::cable::{address, at, connect, exchange, feed, flow, run, settle, stack, udp};

/// An ICMP error from 10.0.0.2 or fd00::2 to the first stack, about an IP packet of which it quotes `quoted`.
pub fn error(kind: [u8; 2], word: u32, quoted: &[u8]) -> Vec<u8> {
    let mut icmp = vec![kind[0], kind[1], 0, 0];
    icmp.extend_from_slice(&word.to_be_bytes());
    icmp.extend_from_slice(quoted);
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    if quoted[0] >> 4 == 4 {
        let sum = !checksum::data(&icmp);
        icmp[2..4].copy_from_slice(&sum.to_be_bytes());
        let length = (20 + icmp.len() as u16).to_be_bytes();
        let mut ip = vec![0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1];
        let sum = !checksum::data(&ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        return [&frame[..], &[8, 0], &ip, &icmp].concat();
    }
    let (from, to): (std::net::Ipv6Addr, std::net::Ipv6Addr) =
        ("fd00::2".parse().unwrap(), "fd00::1".parse().unwrap());
    let length = icmp.len() as u32;
    let pseudo = checksum::pseudo_header(&from.into(), &to.into(), smoltcp::wire::IpProtocol::Icmpv6, length);
    let sum = !checksum::combine(&[pseudo, checksum::data(&icmp)]);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    frame.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0]);
    frame.extend_from_slice(&(length as u16).to_be_bytes());
    frame.extend_from_slice(&[58, 64]);
    frame.extend_from_slice(&from.octets());
    frame.extend_from_slice(&to.octets());
    frame.extend_from_slice(&icmp);
    frame
}

/// The IP header and the first 8 bytes behind it, which is as little as an error may quote.
pub fn quote(frame: &Bytes) -> Vec<u8> {
    let header = if frame[12] == 8 { 20 } else { 40 };
    frame[14..14 + header + 8].to_vec()
}

const TOO_BIG: [[u8; 2]; 2] = [[3, 4], [2, 0]];
const SERVERS: [&str; 2] = ["10.0.0.2:7", "[fd00::2]:7"];
const LOCAL: [&str; 2] = ["10.0.0.1:1000", "[fd00::1]:1000"];

/// A connection from the first stack to the second, which has accepted it.
fn established(one: &mut Stack, two: &mut Stack, family: usize) -> (Id<Tcp>, Id<Tcp>) {
    let listener = two.listen(address(["0.0.0.0:7", "[::]:7"][family]), 8, TcpOptions::default());
    let tcp = connect(one, at(0), LOCAL[family], SERVERS[family]);
    exchange(one, two, at(0));
    assert_eq!(one.tcp_connected(tcp), Ok(true));
    (tcp, two.accept(listener).unwrap())
}

fn longest(frames: &[Bytes]) -> usize {
    frames.iter().map(|frame| frame.len() - 14).max().unwrap_or(0)
}

#[test]
fn a_connection_learns_how_narrow_its_path_is() {
    for (family, too_big) in TOO_BIG.into_iter().enumerate() {
        let (mut one, mut two) = (stack(1), stack(2));
        let (tcp, back) = established(&mut one, &mut two, family);
        let sent: Vec<u8> = (0..60_000u32).map(|number| (number / 3) as u8).collect();
        assert_eq!(one.tcp_write(tcp, &sent), Ok(sent.len()));
        // All of these are too long for a router on the way.
        let lost = settle(&mut one, at(10));
        assert_eq!(longest(&lost), 1500);
        let told = error(too_big, 1280, &quote(&lost[0]));
        // What was lost is sent again at once, and once.
        let again = feed(&mut one, at(11), told.clone());
        assert_eq!((again.len(), longest(&again)), (2, 1280));
        assert!(feed(&mut one, at(11), told).is_empty());
        assert_eq!(one.statistics().forged, 0);
        for frame in again {
            two.ingest(at(11), 0, Frame::from_outside(frame));
        }
        let crossed = run(&mut one, &mut two, at(12), at(500));
        assert_eq!(longest(&crossed), 1280);
        let mut got = vec![0; 70_000];
        assert_eq!(two.tcp_read(back, &mut got, false), Ok(sent.len()));
        assert!(got[..sent.len()] == sent);
        // Ten minutes later it tries again.
        one.tcp_write(tcp, &[7; 3000]).unwrap();
        assert_eq!(longest(&exchange(&mut one, &mut two, at(620_000))), 1500);
    }
}

#[test]
fn errors_about_what_is_not_in_flight_are_counted_and_not_believed() {
    for (family, too_big) in TOO_BIG.into_iter().enumerate() {
        let (mut one, mut two) = (stack(1), stack(2));
        let (tcp, _) = established(&mut one, &mut two, family);
        one.tcp_write(tcp, &[7; 60_000]).unwrap();
        let in_flight = settle(&mut one, at(10));
        let header = if family == 0 { 20 } else { 40 };
        let mut rng = Seed(7).fork("forger");
        let forged = |change: &mut dyn FnMut(&mut Vec<u8>), mtu: u32| {
            let mut quoted = quote(&in_flight[0]);
            change(&mut quoted);
            error(too_big, mtu, &quoted)
        };
        let mut attempts: Vec<Vec<u8>> = Vec::new();
        for _ in 0..100 {
            // A sequence number that was guessed; 60,000 of four thousand million are in flight.
            attempts.push(forged(&mut |quoted| rng.fill(&mut quoted[header + 4..header + 8]), 1280));
        }
        attempts.push(forged(&mut |quoted| quoted[header] ^= 1, 1280));
        attempts.push(forged(&mut |_| {}, 1500));
        attempts.push(forged(&mut |_| {}, 9000));
        if family == 1 {
            attempts.push(forged(&mut |_| {}, 1279));
            attempts.push(forged(&mut |_| {}, 0));
        }
        let count = attempts.len() as u64;
        for attempt in attempts {
            feed(&mut one, at(11), attempt);
        }
        assert_eq!(one.statistics().forged, count);
        assert_eq!(longest(&run(&mut one, &mut two, at(12), at(5000))), 1500);
        assert_eq!(one.tcp_write(tcp, b"alive"), Ok(5));
    }
}

/// Whoever can send a SYN from somebody's address, and an error, teaches us nothing of the way there.
#[test]
fn a_peer_that_has_not_shown_itself_tells_nothing_of_its_path() {
    for (family, too_big) in TOO_BIG.into_iter().enumerate() {
        let (mut one, mut two) = (stack(1), stack(2));
        let listener = one.listen(address(["0.0.0.0:7", "[::]:7"][family]), 8, TcpOptions::default());
        connect(
            &mut two,
            at(0),
            ["10.0.0.2:1000", "[fd00::2]:1000"][family],
            ["10.0.0.1:7", "[fd00::1]:7"][family],
        );
        // The SYN comes through, the answer to it does not.
        let answer = loop {
            for frame in settle(&mut two, at(0)) {
                one.ingest(at(0), 0, Frame::from_outside(frame));
            }
            let mut left = settle(&mut one, at(0));
            if let Some(at) = left.iter().position(is_tcp) {
                break left.swap_remove(at);
            }
            for frame in left {
                two.ingest(at(0), 0, Frame::from_outside(frame));
            }
        };
        let header = if family == 0 { 20 } else { 40 };
        assert_eq!(answer[14 + header + 13], 0x12, "SYN and ACK");
        let whole = quote(&answer);
        let mut forged = whole.clone();
        forged[header + 4..header + 8].copy_from_slice(&[0xde, 0xad, 0xbe, 0xef]);
        for mut quoted in [whole, forged] {
            // As if the packet had been long.
            let length = [1500u16, 1460][family].to_be_bytes();
            quoted[[2, 4][family]..][..2].copy_from_slice(&length);
            feed(&mut one, at(1), error(too_big, 1280, &quoted));
        }
        assert_eq!(one.statistics().forged, 2);
        two.ingest(at(2), 0, Frame::from_outside(answer));
        exchange(&mut one, &mut two, at(2));
        let tcp = one.accept(listener).unwrap();
        one.tcp_write(tcp, &[7; 10_000]).unwrap();
        assert_eq!(longest(&exchange(&mut one, &mut two, at(3))), 1500);
    }
}

fn is_tcp(frame: &Bytes) -> bool {
    frame[12..14] == [8, 0] && frame[23] == 6 || frame[12..14] == [0x86, 0xdd] && frame[20] == 6
}

#[test]
fn a_datagram_is_lost_for_it_and_the_next_are_cut() {
    for family in 0..2 {
        let (mut one, mut two) = (stack(1), stack(2));
        let listener = udp(&mut two, ["0.0.0.0:7", "[::]:7"][family]);
        two.udp_listen(listener, 8).unwrap();
        let port = udp(&mut one, ["0.0.0.0:0", "[::]:0"][family]);
        let there = flow(&mut one, port, SERVERS[family]);
        one.flow_write(there, b"x").unwrap();
        exchange(&mut one, &mut two, at(0));
        one.flow_write(there, &[7; 1400]).unwrap();
        let lost = settle(&mut one, at(1));
        assert_eq!(lost.len(), 1);
        feed(&mut one, at(2), error(TOO_BIG[family], 1280, &quote(&lost[0])));
        assert_eq!(one.flow_read(there, &mut [], false), Err(Error::MessageSize));
        one.flow_write(there, &[7; 1400]).unwrap();
        let crossed = exchange(&mut one, &mut two, at(3));
        assert_eq!((crossed.len(), longest(&crossed) <= 1280), (2, true));
        let back = two.udp_accept(listener).unwrap();
        assert_eq!(two.flow_read(back, &mut [0; 9], false), Ok((1, 1)));
        assert_eq!(two.flow_read(back, &mut [0; 1500], false), Ok((1400, 1400)));
        // A port of ours to which nobody spoke.
        let mut other = quote(&lost[0]);
        let at_port = if family == 0 { 20 } else { 40 };
        other[at_port + 2] ^= 1;
        feed(&mut one, at(4), error(TOO_BIG[family], 1280, &other));
        assert_eq!(one.statistics().forged, 1);
    }
}

/// Such a flow finds out by what is lost: nothing of it is cut, whatever routers say, or somebody who says that he is one.
#[test]
fn a_flow_that_keeps_its_datagrams_whole_is_neither_cut_nor_told() {
    for family in 0..2 {
        let (mut one, mut two) = (stack(1), stack(2));
        let listener = udp(&mut two, ["0.0.0.0:7", "[::]:7"][family]);
        two.udp_listen(listener, 8).unwrap();
        let port = udp(&mut one, ["0.0.0.0:0", "[::]:0"][family]);
        let there = flow(&mut one, port, SERVERS[family]);
        one.flow_keep_whole(there);
        one.flow_write(there, &[7; 1400]).unwrap();
        let sent = exchange(&mut one, &mut two, at(0)).pop().unwrap();
        feed(&mut one, at(2), error(TOO_BIG[family], 1280, &quote(&sent)));
        assert_eq!(one.flow_read(there, &mut [], false), Err(Error::WouldBlock));
        assert_eq!(one.statistics().forged, 0);
        one.flow_write(there, &[7; 1400]).unwrap();
        let crossed = exchange(&mut one, &mut two, at(3));
        assert_eq!((crossed.len(), longest(&crossed)), (1, sent.len() - 14));
        if family == 0 {
            // Nor may others cut it.
            assert_eq!(crossed[0][20] & 0xe0, 0x40);
        }
        // More than the link takes.
        one.flow_write(there, &[7; 1500]).unwrap();
        assert!(exchange(&mut one, &mut two, at(4)).is_empty());
        assert_eq!(one.statistics().too_big, 1);
        // Others are cut, as narrow as the router said.
        let other = flow(&mut one, port, ["10.0.0.2:8", "[fd00::2]:8"][family]);
        one.flow_write(other, &[7; 1400]).unwrap();
        let cut = settle(&mut one, at(5));
        assert_eq!((cut.len(), longest(&cut) <= 1280), (2, true));
    }
}

#[test]
fn errors_reach_the_flow_that_they_are_about() {
    let cases: [(usize, [u8; 2], Error); 12] = [
        (0, [3, 0], Error::NetworkUnreachable),
        (0, [3, 1], Error::HostUnreachable),
        (0, [3, 3], Error::ConnectionRefused),
        (0, [3, 13], Error::HostUnreachable),
        (0, [11, 0], Error::HostUnreachable),
        (0, [11, 1], Error::HostUnreachable),
        (1, [1, 0], Error::NetworkUnreachable),
        (1, [1, 1], Error::HostUnreachable),
        (1, [1, 3], Error::HostUnreachable),
        (1, [1, 4], Error::ConnectionRefused),
        (1, [3, 0], Error::HostUnreachable),
        (1, [3, 1], Error::HostUnreachable),
    ];
    for (family, kind, expected) in cases {
        let (mut one, mut two) = (stack(1), stack(2));
        let port = udp(&mut one, ["0.0.0.0:0", "[::]:0"][family]);
        let (there, other) = (
            flow(&mut one, port, SERVERS[family]),
            flow(&mut one, port, &SERVERS[family].replace(":7", ":8")),
        );
        one.flow_write(there, b"x").unwrap();
        let sent = exchange(&mut one, &mut two, at(0));
        let datagram = sent
            .iter()
            .find(|frame| frame[frame.len() - 1] == b'x' && frame[frame.len() - 4..][..2] != [0, 0])
            .unwrap();
        // What the second stack said of it itself.
        let _ = one.flow_read(there, &mut [], false);
        feed(&mut one, at(1), error(kind, 0, &quote(datagram)));
        assert_eq!(one.flow_read(there, &mut [], false), Err(expected), "{kind:?}");
        assert_eq!(one.flow_read(other, &mut [], false), Err(Error::WouldBlock), "{kind:?}");

        // A connection that is being made ends with it, if it quotes the SYN.
        let tcp = connect(&mut one, at(1), LOCAL[family], &SERVERS[family].replace(":7", ":9"));
        let syn =
            settle(&mut one, at(1)).into_iter().find(|frame| frame.len() < 100 && frame.len() > 60).unwrap();
        let mut guessed = quote(&syn);
        *guessed.last_mut().unwrap() ^= 1;
        feed(&mut one, at(2), error(kind, 0, &guessed));
        assert_eq!(one.tcp_connected(tcp), Ok(false), "{kind:?}");
        feed(&mut one, at(2), error(kind, 0, &quote(&syn)));
        assert_eq!(one.tcp_connected(tcp), Err(expected), "{kind:?}");
    }
}

/// RFC 1122, 4.2.3.9: an error is no reason to give an established connection up, but tells why it ends if it does.
#[test]
fn an_established_connection_outlives_errors() {
    let (mut one, mut two) = (stack(1), stack(2));
    let (tcp, back) = established(&mut one, &mut two, 0);
    one.tcp_write(tcp, b"hello").unwrap();
    let segment = settle(&mut one, at(1)).swap_remove(0);
    feed(&mut one, at(2), error([3, 1], 0, &quote(&segment)));
    assert_eq!(one.tcp_write(tcp, b"?"), Ok(1));
    run(&mut one, &mut two, at(3), at(5000));
    assert_eq!(two.tcp_read(back, &mut [0; 9], false), Ok(6));
    // Now the peer is gone for good.
    one.tcp_write(tcp, b"hello?").unwrap();
    let segment = settle(&mut one, at(6000)).swap_remove(0);
    feed(&mut one, at(6001), error([3, 1], 0, &quote(&segment)));
    let mut now = 6001;
    while one.tcp_write(tcp, b"").is_ok() {
        now += 500;
        settle(&mut one, at(now));
        assert!(now < 1_000_000, "it never gives up");
    }
    assert_eq!(one.tcp_write(tcp, b"?"), Err(Error::HostUnreachable));
}
