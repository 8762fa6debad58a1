//! What tshark cannot be asked: connections that cross several ports.

use std::time::Duration;

use super::*;

/// A segment of `len` bytes from the client.
fn segment(flags: u16, seq: u32, len: u32) -> Segment {
    Segment {
        from: ([10, 0, 0, 2].into(), 50_000),
        to: ([10, 0, 0, 1].into(), 80),
        seq,
        ack: 0,
        flags,
        window: 1000,
        scale: None,
        len,
    }
}

#[test]
fn a_packet_at_two_ports_is_no_retransmission() {
    let mut connections = Connections::default();
    let mut now = Instant::START;
    for (flags, seq, len) in [(flag::SYN, 100, 0), (flag::ACK, 101, 10), (flag::ACK, 111, 10)] {
        for port in 0..3 {
            now += Duration::from_millis(30);
            let placed = connections.place(now, port, &segment(flags, seq, len));
            assert_eq!(
                (placed.stream, placed.seq, &placed.analysis[..]),
                (0, seq - 100, &[][..]),
                "port {port}"
            );
        }
    }
    now += Duration::from_secs(1);
    let again = connections.place(now, 2, &segment(flag::ACK, 111, 10));
    assert_eq!(again.analysis, [Field::TcpAnalysisRetransmission]);
}

#[test]
fn a_loss_between_two_ports_shows_behind_it_alone() {
    let mut connections = Connections::default();
    let now = Instant::START;
    let mut seen = |port, seq| connections.place(now, port, &segment(flag::ACK, seq, 10)).analysis;
    for seq in [1, 11, 21] {
        assert_eq!(seen(0, seq), []);
    }
    assert_eq!(seen(1, 1), []);
    assert_eq!(seen(1, 21), [Field::TcpAnalysisLostSegment]);
}

#[test]
fn a_new_connection_between_old_ports_is_told_at_every_port() {
    let mut connections = Connections::default();
    let now = Instant::START;
    for (initial, stream, words) in [(100, 0, &[][..]), (900, 1, &[Field::TcpAnalysisReusedPorts])] {
        for port in 0..2 {
            let placed = connections.place(now, port, &segment(flag::SYN, initial, 0));
            assert_eq!((placed.stream, &placed.analysis[..]), (stream, words), "port {port}");
        }
    }
}
