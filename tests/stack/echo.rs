//! Echo requests of a node's own: whom answers and errors reach, and how much of them waits.

use bytes::Bytes;
use guestnet::error::Error;
use guestnet::node::Stack;
use guestnet::node::slab::Id;
use guestnet::node::stack::{Flow, Udp};

use crate::cable::{address, at, exchange, feed, flow, settle, stack};
use crate::path_mtu::{error, quote};

const ANY: [&str; 2] = ["0.0.0.0:0", "[::]:0"];
const PEER: [&str; 2] = ["10.0.0.2:0", "[fd00::2]:0"];
const REQUEST: [u8; 2] = [8, 128];
const REPLY: [u8; 2] = [0, 129];

fn bound(stack: &mut Stack, family: usize) -> Id<Udp> {
    stack.echo_bind(address(ANY[family])).unwrap()
}

/// A request with a wrong checksum and a wrong identifier, which the stack sets right.
fn request(family: usize, number: u8) -> Vec<u8> {
    [&[REQUEST[family], 0, 0xAA, 0xBB, 0xCC, 0xDD, 0, number][..], b"payload"].concat()
}

fn read(stack: &mut Stack, flow: Id<Flow>) -> Result<Vec<u8>, Error> {
    let mut buffer = [0; 100];
    let (count, _) = stack.flow_read(flow, &mut buffer, false)?;
    Ok(buffer[..count].to_vec())
}

/// The frame that has an ICMP message of this type.
fn of_type(frames: &[Bytes], kind: u8) -> &Bytes {
    let of = |frame: &&Bytes| match frame[12..14] {
        [8, 0] => frame[23] == 1 && frame[34] == kind,
        [0x86, 0xdd] => frame[20] == 58 && frame[54] == kind,
        _ => false,
    };
    frames.iter().find(of).expect("one of that type")
}

#[test]
fn an_answer_belongs_to_its_identifier_and_its_peer() {
    for family in 0..2 {
        let (mut one, mut two) = (stack(1), stack(2));
        let (first, second) = (bound(&mut one, family), bound(&mut one, family));
        let asking = flow(&mut one, first, PEER[family]);
        let elsewhere = flow(&mut one, first, ["10.0.0.9:0", "[fd00::9]:0"][family]);
        let other = flow(&mut one, second, PEER[family]);
        one.flow_write(asking, &request(family, 7)).unwrap();
        let crossed = exchange(&mut one, &mut two, at(0));
        let answer = read(&mut one, asking).unwrap();
        let identifier = one.udp_local(first).unwrap().port().to_be_bytes();
        assert_eq!((&answer[..2], &answer[4..6]), (&[REPLY[family], 0][..], &identifier[..]));
        assert_eq!(answer[6..], *b"\0\x07payload");
        for idle in [asking, elsewhere, other] {
            assert_eq!(read(&mut one, idle), Err(Error::WouldBlock));
        }
        // The same once more is the guest's to tell; what is broken is not.
        let frame = of_type(&crossed, REPLY[family]).clone();
        feed(&mut one, at(1), frame.clone());
        assert_eq!(read(&mut one, asking).unwrap(), answer);
        let mut broken = frame.to_vec();
        *broken.last_mut().unwrap() ^= 1;
        feed(&mut one, at(1), broken);
        assert_eq!((read(&mut one, asking), one.statistics().bad_checksum), (Err(Error::WouldBlock), 1));
        // Nobody hears it once the flow is gone.
        one.flow_release(asking);
        assert!(feed(&mut one, at(2), frame).is_empty());
        assert_eq!(read(&mut one, other), Err(Error::WouldBlock));
    }
}

#[test]
fn nothing_but_requests_is_sent() {
    for family in 0..2 {
        let mut one = stack(1);
        let socket = bound(&mut one, family);
        let there = flow(&mut one, socket, PEER[family]);
        let good = request(family, 1);
        let mut wrong: Vec<Vec<u8>> = (0..8).map(|length| good[..length].to_vec()).collect();
        for kind in (0..=255).filter(|&kind| kind != REQUEST[family]) {
            wrong.push([&[kind], &good[1..]].concat());
        }
        wrong.push([&[REQUEST[family], 1], &good[2..]].concat());
        for message in wrong {
            assert_eq!(one.flow_write(there, &message), Err(Error::Invalid), "{message:?}");
        }
        let most = if family == 0 { 65_515 } else { 65_535 };
        let long = [&good[..8], &vec![0; most - 7][..]].concat();
        assert_eq!(one.flow_write(there, &long), Err(Error::MessageSize));
        assert_eq!(one.flow_write(there, &long[..most]), Ok(()));
        let many = ["224.0.0.1:0", "10.0.0.255:0", "255.255.255.255:0", "[ff02::1]:0"];
        for group in many.into_iter().filter(|group| group.starts_with('[') == (family == 1)) {
            assert_eq!(one.udp_connect(at(0), socket, address(group)), Err(Error::NetworkUnreachable));
        }
    }
}

#[test]
fn errors_reach_the_request_that_they_quote() {
    let cases = [
        (0, [11, 0], 0, Error::HostUnreachable),
        (0, [3, 0], 0, Error::NetworkUnreachable),
        (0, [3, 4], 1280, Error::MessageSize),
        (1, [3, 0], 0, Error::HostUnreachable),
        (1, [1, 0], 0, Error::NetworkUnreachable),
        (1, [2, 0], 1280, Error::MessageSize),
    ];
    for (family, kind, word, expected) in cases {
        let (mut one, mut two) = (stack(1), stack(2));
        let socket = bound(&mut one, family);
        let there = flow(&mut one, socket, PEER[family]);
        one.flow_write(there, &request(family, 1)).unwrap();
        exchange(&mut one, &mut two, at(0));
        read(&mut one, there).unwrap();
        let long = [request(family, 2), vec![7; 1400]].concat();
        one.flow_write(there, &long).unwrap();
        let sent = settle(&mut one, at(1));
        let quoted = quote(of_type(&sent, REQUEST[family]));
        // Of another identifier, or about an answer: made up.
        let header = quoted.len() - 8;
        for at_byte in [header, header + 1, header + 5] {
            let mut forged = quoted.clone();
            forged[at_byte] ^= 1;
            feed(&mut one, at(2), error(kind, word, &forged));
            assert_eq!(read(&mut one, there), Err(Error::WouldBlock), "{kind:?}");
        }
        feed(&mut one, at(3), error(kind, word, &quoted));
        assert_eq!(read(&mut one, there), Err(expected), "{kind:?}");
        assert_eq!(read(&mut one, there), Err(Error::WouldBlock), "{kind:?}");
    }
}

/// Of the answers to somebody's requests a router may say that they are too long; others may not.
#[test]
fn answers_are_cut_for_a_path_that_a_router_calls_narrow() {
    let (mut one, mut two) = (stack(1), stack(2));
    let socket = two.echo_bind(address("[fd00::2]:0")).unwrap();
    let there = flow(&mut two, socket, "[fd00::1]:0");
    two.flow_write(there, &request(1, 1)).unwrap();
    exchange(&mut one, &mut two, at(0));
    let mut ask = |one: &mut Stack, number: u8| {
        let long = [request(1, number), vec![7; 1400]].concat();
        two.flow_write(there, &long).unwrap();
        let asked = settle(&mut two, at(u64::from(number)));
        feed(one, at(u64::from(number)), of_type(&asked, REQUEST[1]).to_vec())
    };
    let longest = |frames: &[Bytes]| frames.iter().map(|frame| frame.len() - 14).max();
    let answer = ask(&mut one, 2);
    assert_eq!(longest(&answer), Some(1455));
    let quoted = quote(&answer[0]);
    let header = quoted.len() - 8;
    // Of another type, identifier or number.
    for byte in [header, header + 4, header + 7] {
        let mut forged = quoted.clone();
        forged[byte] ^= 1;
        feed(&mut one, at(3), error([2, 0], 1280, &forged));
    }
    assert_eq!(one.statistics().forged, 3);
    assert_eq!(longest(&ask(&mut one, 4)), Some(1455));
    // True, but too late to be told from what somebody made up.
    for number in 5..13 {
        ask(&mut one, number);
    }
    feed(&mut one, at(14), error([2, 0], 1280, &quoted));
    assert_eq!((one.statistics().forged, longest(&ask(&mut one, 15))), (4, Some(1455)));
    let newest = quote(&ask(&mut one, 16)[0]);
    feed(&mut one, at(17), error([2, 0], 1280, &newest));
    assert_eq!((one.statistics().forged, longest(&ask(&mut one, 18))), (4, Some(1280)));
}

#[test]
fn what_is_not_read_is_bounded_and_counts() {
    let (mut one, mut two) = (stack(1), stack(2));
    let socket = bound(&mut one, 0);
    let there = flow(&mut one, socket, PEER[0]);
    one.flow_write(there, &request(0, 1)).unwrap();
    let crossed = exchange(&mut one, &mut two, at(0));
    let answer = of_type(&crossed, REPLY[0]).clone();
    for _ in 0..5000 {
        feed(&mut one, at(1), answer.clone());
    }
    assert!(one.buffers_in_use() <= 208 * 1024, "{}", one.buffers_in_use());
    assert!(one.statistics().datagrams_dropped > 4000);
    one.set_buffers(0);
    assert_eq!(one.flow_write(there, &request(0, 2)), Err(Error::NoBuffers));
    one.flow_release(there);
    one.udp_release(socket);
    assert_eq!((one.buffers_in_use(), one.is_drained()), (0, true));
    // Its identifier is free again.
    assert!(one.echo_bind(address("10.0.0.1:77")).is_ok());
    assert_eq!(one.echo_bind(address("0.0.0.0:77")).err(), Some(Error::AddressInUse));
    assert!(one.udp_bind(address("0.0.0.0:77")).is_ok());
}
