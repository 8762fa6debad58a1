//! A neighbour that does not answer is its own flows' trouble, and nobody else's.

use bytes::Bytes;
use guestnet::error::Error;
use guestnet::node::Stack;

use crate::cable::{address, at, connect, exchange, feed, flow, is_question, settle, stack, udp};

const SILENT: [&str; 2] = ["10.0.0.66:9", "[fd00::66]:9"];
const THERE: [&str; 2] = ["10.0.0.2:7", "[fd00::2]:7"];
const ANY: [&str; 2] = ["0.0.0.0:0", "[::]:0"];

#[test]
fn a_silent_neighbour_holds_up_no_other_flow_of_the_port() {
    for family in 0..2 {
        let (mut one, mut two) = (stack(1), stack(2));
        let listener = udp(&mut two, ["0.0.0.0:7", "[::]:7"][family]);
        two.udp_listen(listener, 8).unwrap();
        let port = udp(&mut one, ANY[family]);
        let silent = flow(&mut one, port, SILENT[family]);
        let there = flow(&mut one, port, THERE[family]);
        for number in 0..200 {
            // As much as poll promises, however long nobody answers.
            assert!(one.flow_readiness(silent).write);
            one.flow_write(silent, &[number; 1000]).unwrap();
            one.flow_write(there, &[number; 1000]).unwrap();
            exchange(&mut one, &mut two, at(0));
        }
        let accepted = two.udp_accept(listener).unwrap();
        for number in 0..100 {
            let mut buffer = [0; 1500];
            assert_eq!(two.flow_read(accepted, &mut buffer, false), Ok((1000, 1000)));
            assert_eq!(buffer[0], number);
        }
    }
}

#[test]
fn who_does_not_answer_three_times_is_unreachable() {
    for family in 0..2 {
        let mut one = stack(1);
        let port = udp(&mut one, ANY[family]);
        let (reader, writer) =
            (flow(&mut one, port, SILENT[family]), flow(&mut one, port, &SILENT[family].replace("66", "67")));
        one.flow_write(reader, b"anybody?").unwrap();
        one.flow_write(writer, b"anybody?").unwrap();
        let tcp = connect(
            &mut one,
            at(0),
            ["10.0.0.1:1000", "[fd00::1]:1000"][family],
            &SILENT[family].replace("66", "68"),
        );
        let mut asked = Vec::new();
        for ms in [0, 999, 1000, 1999, 2000, 2999] {
            let questions = settle(&mut one, at(ms)).iter().filter(|frame| is_question(frame)).count();
            asked.push(questions);
            assert_eq!(one.flow_read(reader, &mut [0; 9], false), Err(Error::WouldBlock));
            assert_eq!(one.tcp_connected(tcp), Ok(false));
            assert!(!one.is_drained(), "what was written is still to be sent");
        }
        assert_eq!(asked, [3, 0, 3, 0, 3, 0]);
        let last = settle(&mut one, at(3000));
        assert!(last.is_empty(), "neither a question nor a reset: {last:?}");
        let readiness = one.flow_readiness(reader);
        assert!(readiness.read && readiness.write);
        assert_eq!(one.flow_read(reader, &mut [0; 9], false), Err(Error::HostUnreachable));
        assert_eq!(one.flow_write(writer, b"and now?"), Err(Error::HostUnreachable));
        // Told once; then it may try again.
        one.flow_write(writer, b"and now?").unwrap();
        assert_eq!(settle(&mut one, at(3001)).iter().filter(|frame| is_question(frame)).count(), 1);
        assert_eq!(one.tcp_connected(tcp), Err(Error::HostUnreachable));
        // Two datagrams, and the SYN twice.
        assert_eq!(one.statistics().unresolved, 4);
    }
}

#[test]
fn what_waits_is_sent_in_order_once_the_neighbour_answers() {
    let mut one = stack(1);
    let port = udp(&mut one, "0.0.0.0:0");
    let late = flow(&mut one, port, "10.0.0.9:9");
    for number in 0..5 {
        one.flow_write(late, &[number]).unwrap();
    }
    assert_eq!(settle(&mut one, at(0)).len(), 1 + 1, "a group is reported, and one question asked");
    let sent = feed(&mut one, at(2500), reply([10, 0, 0, 9], 9));
    assert_eq!(sent.iter().map(|frame| frame[42]).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert!(settle(&mut one, at(10_000)).is_empty());
}

/// Poll's word is kept: as many bytes as it promises are taken, and no more once it does not.
#[test]
fn poll_tells_exactly_what_a_write_takes() {
    let mut one = stack(1);
    let port = udp(&mut one, "0.0.0.0:0");
    let (full, other) = (flow(&mut one, port, SILENT[0]), flow(&mut one, port, "10.0.0.67:9"));
    let mut taken = 0;
    loop {
        let readiness = one.flow_readiness(full);
        match one.flow_write(full, &vec![7; readiness.write_bytes.min(5000)]) {
            Ok(()) => assert!(readiness.write),
            Err(error) => {
                assert_eq!((error, readiness.write, readiness.write_bytes), (Error::WouldBlock, false, 0));
                break;
            }
        }
        taken += 1;
        assert!(taken < 1000, "it takes whatever it gets");
    }
    let readiness = one.flow_readiness(other);
    assert_eq!(
        (readiness.write, readiness.write_bytes),
        (true, 65_507),
        "another flow has a bound of its own"
    );
    one.flow_write(other, &[7; 65_507]).unwrap();
    assert_eq!(one.flow_write(other, &[7; 65_508]), Err(Error::MessageSize));
    settle(&mut one, at(0));
    assert!(one.flow_readiness(full).write, "its turn came, and it can write again");
}

/// A guest that writes to everybody on the subnet keeps no more than its tables' bounds.
#[test]
fn the_neighbours_asked_for_are_bounded() {
    let mut one = stack(1);
    let port = udp(&mut one, "[::]:0");
    for number in 1..3000u32 {
        let to = flow(&mut one, port, &format!("[fd00::{:x}:{:x}]:9", number >> 16, number | 0x1000));
        for _ in 0..10 {
            one.flow_write(to, &[1; 1400]).unwrap();
        }
        one.flow_release(to);
        settle(&mut one, at(0));
    }
    let dropped = one.statistics().queue_full;
    // At most 1 MiB waits, of packets of 1.5 KiB with their overhead.
    assert!(dropped > 29_000, "{dropped}");
    let questions = settle(&mut one, at(1000)).len();
    assert!((50..=256).contains(&questions), "{questions} are asked for again");
    settle(&mut one, at(2000));
    settle(&mut one, at(3000));
    assert_eq!(one.poll_at(), None);
    assert_eq!(one.statistics().unresolved + dropped, 29_990);
}

#[test]
fn an_announcement_moves_a_neighbour() {
    let (mut one, mut two) = (stack(1), stack(2));
    let listener = udp(&mut two, "0.0.0.0:7");
    two.udp_listen(listener, 8).unwrap();
    let port = udp(&mut one, "0.0.0.0:0");
    let there = flow(&mut one, port, "10.0.0.2:7");
    one.flow_write(there, b"x").unwrap();
    exchange(&mut one, &mut two, at(0));
    let mut announcement = reply([10, 0, 0, 2], 77).to_vec();
    announcement[21] = 1;
    announcement[38..42].copy_from_slice(&[10, 0, 0, 2]);
    feed(&mut one, at(1), announcement);
    one.flow_write(there, b"y").unwrap();
    let sent = settle(&mut one, at(1));
    assert_eq!((sent.len(), &sent[0][0..6]), (1, &[2, 0, 0, 0, 0, 77][..]));
}

/// "`ip` is at 02:00:00:00:00:`mac`", to the first stack.
fn reply(ip: [u8; 4], mac: u8) -> Bytes {
    let mac = [2, 0, 0, 0, 0, mac];
    let head = [8, 6, 0, 1, 8, 0, 6, 4, 0, 2];
    [&[2, 0, 0, 0, 0, 1][..], &mac, &head, &mac, &ip, &[2, 0, 0, 0, 0, 1], &[10, 0, 0, 1]].concat().into()
}

#[test]
fn nobody_is_at_port_0() {
    let mut one: Stack = stack(1);
    let port = udp(&mut one, "0.0.0.0:0");
    let nobody = address("10.0.0.2:0");
    assert_eq!(one.udp_connect(at(0), port, nobody), Err(Error::AddressNotAvailable));
    let tcp = one.tcp_connect(at(0), address("10.0.0.1:5"), nobody, &Default::default());
    assert_eq!(tcp, Err(Error::AddressNotAvailable));
}
