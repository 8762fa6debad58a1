//! What a guest's sockets cost its host is bounded, whatever the guest and its peers do.

use guestnet::error::Error;
use guestnet::network::Frame;
use guestnet::node::Stack;
use guestnet::node::slab::Id;
use guestnet::node::stack::{Flow, TcpOptions};

use crate::cable::{address, at, connect, exchange, flow, settle, stack, udp};

const USUAL: usize = 128 * 1024;

#[test]
fn past_its_buffers_a_node_neither_connects_nor_accepts() {
    let (mut one, mut two) = (stack(1), stack(2));
    two.set_buffers(3 * USUAL);
    two.listen(address("0.0.0.0:80"), 100, TcpOptions::default());
    let tcp =
        (0..5).map(|number| connect(&mut one, at(0), &format!("10.0.0.1:{}", 1000 + number), "10.0.0.2:80"));
    let tcp: Vec<_> = tcp.collect();
    exchange(&mut one, &mut two, at(0));
    let made: Vec<_> = tcp.iter().map(|&id| one.tcp_connected(id)).collect();
    assert_eq!(made, [Ok(true), Ok(true), Ok(true), Ok(false), Ok(false)]);
    assert_eq!((two.statistics().no_buffers, two.buffers_in_use()), (2, 3 * USUAL));
    let refused =
        two.tcp_connect(at(0), address("10.0.0.2:9"), address("10.0.0.1:9"), &TcpOptions::default());
    assert_eq!(refused, Err(Error::NoBuffers));
    // One ends; the peer's next try finds room.
    one.tcp_release(at(10), tcp[0], true);
    exchange(&mut one, &mut two, at(10));
    let listener = two.netstat();
    assert!(listener.iter().any(|line| line.state == "CLOSE_WAIT"), "{listener:?}");
    two.tcp_abort_all();
    exchange(&mut one, &mut two, at(11));
    assert_eq!(two.buffers_in_use(), 0);
    exchange(&mut one, &mut two, at(1000));
    assert_eq!(tcp[3..].iter().map(|&id| one.tcp_connected(id)).collect::<Vec<_>>(), [Ok(true), Ok(true)]);
}

#[test]
fn larger_buffers_cost_more() {
    let mut one = stack(1);
    one.set_buffers(8 << 20);
    let options = TcpOptions { receive_buffer: 6 << 20, ..TcpOptions::default() };
    one.tcp_connect(at(0), address("10.0.0.1:5"), address("10.0.0.2:5"), &options).unwrap();
    let again = one.tcp_connect(at(0), address("10.0.0.1:6"), address("10.0.0.2:5"), &options);
    assert_eq!(again, Err(Error::NoBuffers));
    assert_eq!(one.buffers_in_use(), (6 << 20) + (64 << 10));
}

#[test]
fn datagrams_that_wait_count_both_ways() {
    let (mut one, mut two) = (stack(1), stack(2));
    two.set_buffers(100_000);
    let listener = udp(&mut two, "0.0.0.0:7");
    two.udp_listen(listener, 100).unwrap();
    for port in 0..10 {
        let from = udp(&mut one, &format!("0.0.0.0:{}", 2000 + port));
        let to = flow(&mut one, from, "10.0.0.2:7");
        for _ in 0..20 {
            one.flow_write(to, &[1; 1000]).unwrap();
        }
    }
    exchange(&mut one, &mut two, at(0));
    // 79 of 1,256 bytes each.
    assert_eq!((two.statistics().no_buffers, two.buffers_in_use()), (200 - 79, 79 * 1256));
    let accepted = two.udp_accept(listener).unwrap();
    assert_eq!(two.flow_write(accepted, &[1; 1000]), Err(Error::NoBuffers));
    two.flow_read(accepted, &mut [0; 1000], false).unwrap();
    two.flow_write(accepted, &[1; 900]).unwrap();
    assert_eq!(two.flow_write(accepted, &[1; 900]), Err(Error::NoBuffers));
    settle(&mut two, at(0));
    two.flow_release(accepted);
    two.udp_release(listener);
    settle(&mut two, at(0));
    assert_eq!(two.buffers_in_use(), 0, "all is given back");
}

/// Flows that nobody accepted share what one flow may keep.
#[test]
fn a_crowd_that_nobody_accepts_is_kept_short() {
    let (mut one, mut two) = (stack(1), stack(2));
    let listener = udp(&mut two, "0.0.0.0:7");
    two.udp_listen(listener, 1000).unwrap();
    for port in 0..500 {
        let from = udp(&mut one, &format!("0.0.0.0:{}", 2000 + port));
        let to = flow(&mut one, from, "10.0.0.2:7");
        one.flow_write(to, &[1; 1000]).unwrap();
        exchange(&mut one, &mut two, at(0));
    }
    let bound = 208 * 1024 / 1256;
    assert_eq!(
        (two.buffers_in_use(), two.statistics().datagrams_dropped),
        (bound * 1256, 500 - bound as u64)
    );
    // Whoever is accepted makes room.
    for _ in 0..10 {
        two.udp_accept(listener).unwrap();
    }
    let from = udp(&mut one, "0.0.0.0:1999");
    let late = flow(&mut one, from, "10.0.0.2:7");
    for _ in 0..20 {
        one.flow_write(late, &[1; 1000]).unwrap();
    }
    exchange(&mut one, &mut two, at(0));
    assert_eq!(two.buffers_in_use(), (bound + 10) * 1256);
}

/// Two stacks with a flow between them, over which a datagram went, so that each knows where the other is.
fn acquainted() -> (Stack, Stack, Id<Flow>, Id<Flow>) {
    let (mut one, mut two) = (stack(1), stack(2));
    let listener = udp(&mut two, "0.0.0.0:7");
    two.udp_listen(listener, 1).unwrap();
    let from = udp(&mut one, "0.0.0.0:2000");
    let to = flow(&mut one, from, "10.0.0.2:7");
    one.flow_write(to, b"hello").unwrap();
    exchange(&mut one, &mut two, at(0));
    let accepted = two.udp_accept(listener).unwrap();
    assert_eq!(two.flow_take(accepted).unwrap(), b"hello"[..]);
    (one, two, to, accepted)
}

/// A burst is taken whole where one datagram is, in datagrams of its own; none is where there is no room.
#[test]
fn a_burst_is_taken_whole_or_not_at_all() {
    let (mut one, mut two, to, accepted) = acquainted();
    let bytes: Vec<u8> = (0..60_500).map(|at| (at / 1000) as u8).collect();
    assert_eq!(one.flow_write_burst(to, &bytes, 1000), Ok(60_500));
    assert_eq!(one.flow_write_burst(to, &bytes, 1000), Err(Error::WouldBlock));
    exchange(&mut one, &mut two, at(0));
    let mut came = Vec::new();
    while let Ok(datagram) = two.flow_take(accepted) {
        came.push((datagram.len(), datagram[0]));
    }
    let sent: Vec<_> = (0..60).map(|number| (1000, number)).chain([(500, 60)]).collect();
    assert_eq!(came, sent);
    assert_eq!((one.buffers_in_use(), two.buffers_in_use()), (0, 0));
    assert_eq!(two.flow_take(accepted), Err(Error::WouldBlock));
    assert_eq!(one.flow_write_burst(to, &[0; 70_000], 70_000), Err(Error::MessageSize));
}

/// What a stack of this world made is handed on as it is; a frame from outside may be a slice of something much longer.
#[test]
fn datagrams_from_within_the_world_are_not_copied() {
    for (outside, is_same) in [(false, true), (true, false)] {
        let (mut one, mut two, to, accepted) = acquainted();
        one.flow_write(to, &[7; 1200]).unwrap();
        let frame = settle(&mut one, at(0)).pop().unwrap();
        let payload = frame[42..].as_ptr();
        let frame = if outside { Frame::from_outside(frame) } else { Frame::new(frame) };
        two.ingest(at(0), 0, frame);
        let datagram = two.flow_take(accepted).unwrap();
        assert_eq!((datagram.len(), datagram.as_ptr() == payload), (1200, is_same));
    }
}
