//! IPv6 extension headers in front of what a stack is sent (RFC 8200, section 4): it takes what is behind them.

use bytes::Bytes;
use guestnet::error::Error;
use guestnet::network::Frame;
use guestnet::node::Stack;
use guestnet::node::stack::TcpOptions;
use guestnet::time::Instant;

use crate::cable::{address, at, connect, exchange, feed, flow, settle, stack, udp};
use crate::path_mtu::{error, quote};

/// Padding hop by hop and for the destination, and a routing header at its last stop; each names the next one.
const HEADERS: [(u8, [u8; 8]); 3] =
    [(0, [0, 0, 1, 4, 0, 0, 0, 0]), (60, [0, 0, 1, 4, 0, 0, 0, 0]), (43, [0, 0, 0, 0, 0, 0, 0, 0])];

/// The same frame with extension headers; one of IPv4 and neighbour discovery as they are.
fn extended(frame: &Bytes) -> Bytes {
    let is_discovery = frame.len() > 54 && frame[20] == 58 && (133..=137).contains(&frame[54]);
    if frame[12..14] != [0x86, 0xdd] || is_discovery || [0, 44].contains(&frame[20]) {
        return frame.clone();
    }
    behind(frame, &HEADERS)
}

fn behind(frame: &[u8], headers: &[(u8, [u8; 8])]) -> Bytes {
    let mut bytes = frame[..54].to_vec();
    let last = std::mem::replace(&mut bytes[20], headers[0].0);
    let length = u16::from_be_bytes([bytes[18], bytes[19]]) + 8 * headers.len() as u16;
    bytes[18..20].copy_from_slice(&length.to_be_bytes());
    for (number, (_, header)) in headers.iter().enumerate() {
        let next = headers.get(number + 1).map_or(last, |&(kind, _)| kind);
        bytes.push(next);
        bytes.extend_from_slice(&header[1..]);
    }
    bytes.extend_from_slice(&frame[54..]);
    bytes.into()
}

/// As [`exchange`], and everything bears extension headers on the way.
fn exchange_extended(one: &mut Stack, other: &mut Stack, now: Instant) -> Vec<Bytes> {
    let mut crossed = Vec::new();
    for _ in 0..1000 {
        let (from_one, from_other) = (settle(one, now), settle(other, now));
        if from_one.is_empty() && from_other.is_empty() {
            return crossed;
        }
        for (frames, to) in [(from_one, &mut *other), (from_other, &mut *one)] {
            for frame in frames {
                to.ingest(now, 0, Frame::from_outside(extended(&frame)));
                crossed.push(frame);
            }
        }
    }
    panic!("they never stop at {now}");
}

#[test]
fn connections_datagrams_and_echoes_are_found_behind_them() {
    let (mut one, mut two) = (stack(1), stack(2));
    let listener = two.listen(address("[::]:7"), 8, TcpOptions::default());
    let tcp = connect(&mut one, at(0), "[fd00::1]:1000", "[fd00::2]:7");
    exchange_extended(&mut one, &mut two, at(0));
    assert_eq!(one.tcp_connected(tcp), Ok(true));
    let back = two.accept(listener).unwrap();
    one.tcp_write(tcp, &[7; 5000]).unwrap();
    // Slow start goes by acknowledgements that are put off.
    for ms in (1..100).step_by(10) {
        exchange_extended(&mut one, &mut two, at(ms));
    }
    assert_eq!(two.tcp_read(back, &mut [0; 9000], false), Ok(5000));

    let (port, there) = (udp(&mut one, "[::]:0"), udp(&mut two, "[::]:9"));
    two.udp_listen(there, 8).unwrap();
    let there_flow = flow(&mut one, port, "[fd00::2]:9");
    one.flow_write(there_flow, b"hello").unwrap();
    exchange_extended(&mut one, &mut two, at(102));
    let back = two.udp_accept(there).unwrap();
    assert_eq!(two.flow_read(back, &mut [0; 9], false), Ok((5, 5)));
    // A port that nobody has: the error comes behind headers, too.
    let nobody = flow(&mut one, port, "[fd00::2]:10");
    one.flow_write(nobody, b"hello").unwrap();
    exchange_extended(&mut one, &mut two, at(103));
    assert_eq!(one.flow_read(nobody, &mut [], false), Err(Error::ConnectionRefused));
    assert_eq!((one.statistics().malformed, two.statistics().malformed), (0, 0));
}

#[test]
fn an_error_behind_them_ends_a_connection_that_is_being_made() {
    let mut one = stack(1);
    let mut two = stack(2);
    let port = udp(&mut one, "[::]:0");
    let there = flow(&mut one, port, "[fd00::2]:9");
    one.flow_write(there, b"x").unwrap();
    exchange(&mut one, &mut two, at(0));
    let tcp = connect(&mut one, at(1), "[fd00::1]:1000", "[fd00::2]:9");
    let syn = settle(&mut one, at(1)).swap_remove(0);
    let told = Bytes::from(error([1, 0], 0, &quote(&syn)));
    feed(&mut one, at(2), extended(&told));
    assert_eq!(one.tcp_connected(tcp), Err(Error::NetworkUnreachable));
}

/// What is refused is said to the sender, with its place; a wrong checksum behind headers is one.
#[test]
fn what_is_not_understood_is_told_to_its_sender() {
    let (mut one, mut two) = (stack(1), stack(2));
    let listener = udp(&mut two, "[::]:9");
    two.udp_listen(listener, 8).unwrap();
    let port = udp(&mut one, "[::]:0");
    let there = flow(&mut one, port, "[fd00::2]:9");
    one.flow_write(there, b"x").unwrap();
    let sent = exchange(&mut one, &mut two, at(0));
    let datagram = sent.iter().find(|frame| frame[20] == 17).unwrap();
    // A hop-by-hop header of 8 bytes is at 40: unknown options at 44, and a routing header with a stop left at 48.
    let option = |kind| [0, 0, 1, 0, kind, 2, 0, 0];
    for (headers, told) in [
        (vec![(0, option(0x40))], None),
        (vec![(0, option(0x80))], Some((2, 44))),
        (vec![(0, option(0xC2))], Some((2, 44))),
        (vec![HEADERS[0], (43, [0, 0, 0, 1, 0, 0, 0, 0])], Some((0, 50))),
        (vec![HEADERS[1], HEADERS[0]], Some((1, 40))),
    ] {
        let before = two.statistics().malformed;
        let left = feed(&mut two, at(1), behind(datagram, &headers));
        assert_eq!(two.statistics().malformed, before + 1, "{headers:?}");
        let answers: Vec<_> = left.iter().map(|frame| (frame[20], frame[54], frame[55], frame[61])).collect();
        let expected: Vec<_> = told.into_iter().map(|(code, pointer)| (58, 4, code, pointer)).collect();
        assert_eq!(answers, expected, "{headers:?}");
    }
    let mut broken = datagram.to_vec();
    *broken.last_mut().unwrap() ^= 1;
    feed(&mut two, at(2), extended(&broken.into()));
    assert_eq!(two.statistics().bad_checksum, 1);
}
