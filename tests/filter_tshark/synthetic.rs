//! What no lab of ours puts on the wire: probes of windows and of peers, segments that overtake one another, errors
//! that quote packets. One port, written as a capture.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use guestnet::capture::{PortInfo, Record, Session, Way};
use guestnet::network::{Frame, PacketId};
use guestnet::time::Instant;

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
const SYN: u8 = 2;
const FIN: u8 = 1;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

pub fn session() -> Session {
    Session {
        name: "synthetic".into(),
        seed: 0,
        digest: String::new(),
        epoch: Duration::from_secs(1_577_836_800),
        ports: vec![PortInfo { name: "client".into(), description: String::new() }],
        names: vec![],
    }
}

/// A conversation that is being written down. Sequence numbers are relative to the two initial ones, of which the
/// client's is near the end of their range.
struct Script {
    records: Vec<Record>,
    now: Instant,
    port: u16,
    initial: [u32; 2],
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Client,
    Server,
}
use Side::{Client, Server};

impl Script {
    fn push(&mut self, after_us: u64, side: Side, packet: &[u8]) {
        self.now += Duration::from_micros(after_us);
        let (to, from) = if side == Client { (3, 2) } else { (2, 3) };
        let ethertype: &[u8] = if packet[0] >> 4 == 4 { &[8, 0] } else { &[0x86, 0xDD] };
        let macs = [[2, 0, 0, 0, 0, to], [2, 0, 0, 0, 0, from]].concat();
        let frame = Frame {
            id: PacketId(1 + self.records.len() as u64),
            ..Frame::new(Bytes::from([&macs[..], ethertype, packet].concat()))
        };
        let way = if side == Client { Way::Outbound } else { Way::Inbound };
        self.records.push(Record { at: self.now, port: 0, way, frame, dropped: None, late: false });
    }

    fn segment(&mut self, after_us: u64, side: Side, flags: u8, numbers: [u32; 2], window: u16, len: usize) {
        self.with_options(after_us, side, flags, numbers, window, len, &[]);
    }

    #[allow(clippy::too_many_arguments, reason = "a segment's header, in its order")]
    fn with_options(
        &mut self,
        after_us: u64,
        side: Side,
        flags: u8,
        [seq, ack]: [u32; 2],
        window: u16,
        len: usize,
        options: &[u8],
    ) {
        let [client, server] = self.initial;
        let (ports, own, peer) = match side {
            Client => ([self.port, 9000], client, server),
            Server => ([9000, self.port], server, client),
        };
        let seq = own.wrapping_add(seq).to_be_bytes();
        let ack = if flags & ACK == 0 { 0 } else { peer.wrapping_add(ack) }.to_be_bytes();
        let offset = ((20 + options.len()) / 4 * 16) as u8;
        let head = [
            &ports[0].to_be_bytes()[..],
            &ports[1].to_be_bytes(),
            &seq,
            &ack,
            &[offset, flags],
            &window.to_be_bytes(),
            &[0; 4],
            options,
        ]
        .concat();
        let segment = [&head[..], &vec![b'a'; len]].concat();
        let packet = ipv4(side, 6, &segment);
        self.push(after_us, side, &packet);
    }

    /// A handshake with a window scale of 1, and a maximum segment size.
    fn open(&mut self, round_trip_us: u64) {
        let options = [2, 4, 5, 0xB4, 3, 3, 1, 0];
        self.with_options(1_000_000, Client, SYN, [0, 0], 8000, 0, &options);
        self.with_options(round_trip_us, Server, SYN | ACK, [0, 1], 8000, 0, &options);
        self.segment(10, Client, ACK, [1, 1], 4000, 0);
    }
}

fn ipv4(side: Side, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let (from, to) = if side == Client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
    let [high, low] = (20 + payload.len() as u16).to_be_bytes();
    let head = [0x45, 0, high, low, 0, 1, 0x40, 0, 64, protocol, 0, 0];
    [&head[..], &from.octets(), &to.octets(), payload].concat()
}

/// The records, the first of them after `start`.
pub fn records(start: Instant) -> Vec<Record> {
    let mut script =
        Script { records: vec![], now: start, port: 50_000, initial: [u32::MAX - 150, 0x1234_5678] };
    for part in [windows, keep_alives, overtaking, losses, unseen, reuse, no_handshake, errors, headers] {
        part(&mut script);
        script.port += 1;
    }
    script.records
}

/// The server's window closes, is probed, and opens again.
fn windows(script: &mut Script) {
    script.open(400);
    script.segment(10, Client, ACK | PSH, [1, 1], 4000, 1000);
    script.segment(300, Server, ACK, [1, 1001], 500, 0);
    script.segment(10, Client, ACK, [1001, 1], 4000, 1000);
    script.segment(300, Server, ACK, [1, 2001], 0, 0);
    script.segment(500_000, Client, ACK, [2001, 1], 4000, 1);
    script.segment(300, Server, ACK, [1, 2001], 0, 0);
    script.segment(900_000, Client, ACK, [2001, 1], 4000, 1);
    script.segment(300, Server, ACK, [1, 2001], 0, 0);
    script.segment(700_000, Server, ACK, [1, 2001], 4000, 0);
    script.segment(10, Client, ACK, [2001, 1], 4000, 1000);
    script.segment(300, Server, ACK, [1, 3001], 4000, 0);
    script.segment(300, Server, ACK, [1, 3001], 4500, 0);
    script.segment(10, Client, ACK | FIN, [3001, 1], 4000, 0);
    script.segment(300, Server, ACK | FIN, [1, 3002], 4500, 0);
    script.segment(10, Client, ACK, [3002, 2], 4000, 0);
}

fn keep_alives(script: &mut Script) {
    script.open(400);
    script.segment(10, Client, ACK | PSH, [1, 1], 4000, 100);
    script.segment(300, Server, ACK, [1, 101], 4000, 0);
    for len in [0, 1] {
        script.segment(9_000_000, Client, ACK, [100, 1], 4000, len);
        script.segment(300, Server, ACK, [1, 101], 4000, 0);
    }
    script.segment(9_000_000, Client, ACK, [101, 1], 4000, 10);
    script.segment(300, Server, ACK | RST, [1, 111], 4000, 0);
}

/// Segments that arrive too late for their place, within a round trip and after it.
fn overtaking(script: &mut Script) {
    script.open(5_000);
    script.segment(10, Server, ACK, [1001, 1], 4000, 1000);
    script.segment(10, Client, ACK, [1, 1], 4000, 0);
    script.segment(1_000, Server, ACK, [1, 1], 4000, 1000);
    script.segment(10, Client, ACK, [1, 2001], 4000, 0);
    script.segment(10, Server, ACK, [3001, 1], 4000, 1000);
    script.segment(10, Server, ACK, [4001, 1], 4000, 1000);
    script.segment(9_000, Server, ACK, [2001, 1], 4000, 1000);
    script.segment(10, Client, ACK, [1, 5001], 4000, 0);
    script.segment(10, Client, ACK | RST, [1, 5001], 4000, 0);
}

/// Retransmissions: asked for by duplicate ACKs, after a timeout, and of what was acknowledged.
fn losses(script: &mut Script) {
    script.open(400);
    for number in 0..5 {
        script.segment(10, Client, ACK, [1 + 1000 * number, 1], 4000, 1000);
    }
    for _ in 0..4 {
        script.segment(10, Server, ACK, [1, 1001], 4000, 0);
    }
    script.segment(10, Client, ACK, [1001, 1], 4000, 1000);
    script.segment(10, Client, ACK, [2001, 1], 4000, 1000);
    script.segment(400, Server, ACK, [1, 5001], 4000, 0);
    script.segment(10, Client, ACK, [1, 1], 4000, 1000);
    script.segment(10, Client, ACK | PSH, [5001, 1], 4000, 100);
    script.segment(1_000_000, Client, ACK | PSH, [5001, 1], 4000, 100);
    script.segment(400, Server, ACK, [1, 5101], 4000, 0);
    script.segment(10, Client, ACK | FIN, [5101, 1], 4000, 0);
    script.segment(1_000_000, Client, ACK | FIN, [5101, 1], 4000, 0);
    script.segment(400, Server, ACK | FIN, [1, 5102], 4000, 0);
    script.segment(10, Client, ACK, [5102, 2], 4000, 0);
}

/// Acknowledgements and data of what never showed, and ranges that a SACK option tells.
fn unseen(script: &mut Script) {
    script.open(400);
    script.segment(10, Client, ACK, [1, 1], 4000, 500);
    script.segment(400, Server, ACK, [1, 1501], 4000, 0);
    script.segment(10, Client, ACK, [3001, 1], 4000, 500);
    let initial = script.initial[0];
    let range = [initial.wrapping_add(3001).to_be_bytes(), initial.wrapping_add(3501).to_be_bytes()].concat();
    let sack = [&[1, 1, 5, 10][..], &range].concat();
    for window in [4000, 4000, 4100] {
        script.with_options(100, Server, ACK, [1, 1501], window, 0, &sack);
    }
    script.segment(100, Client, ACK, [1501, 1], 4000, 500);
    script.segment(100, Client, ACK, [2001, 1], 4000, 500);
}

/// The same ports again for another connection, whose SYN is lost once.
fn reuse(script: &mut Script) {
    script.open(400);
    script.segment(10, Client, RST, [1, 0], 0, 0);
    script.initial = [77, 88];
    script.open(400);
    script.segment(10, Client, ACK, [1, 1], 4000, 10);
    script.initial = [99_999, 88_888];
    script.segment(1_000_000, Client, SYN, [0, 0], 8000, 0);
    script.segment(1_000_000, Client, SYN, [0, 0], 8000, 0);
}

/// A connection from before the capture.
fn no_handshake(script: &mut Script) {
    script.segment(10, Server, ACK, [5000, 700], 4000, 100);
    script.segment(10, Client, ACK, [700, 5100], 4000, 0);
    script.segment(10, Client, ACK, [700, 5100], 4000, 20);
}

/// An ICMP error that quotes a UDP datagram, and one that quotes the beginning of a TCP segment.
fn errors(script: &mut Script) {
    let datagram = [0xC3, 0x50, 0, 9, 0, 12, 0, 0, 1, 2, 3, 4];
    let sent = ipv4(Client, 17, &datagram);
    script.push(1_000, Client, &sent);
    let message = [&[3, 3, 0, 0, 0, 0, 0, 0][..], &sent].concat();
    script.push(300, Server, &ipv4(Server, 1, &message));
    let segment = [0xC3, 0x51, 0, 80, 0, 0, 1, 0];
    let message = [&[11, 0, 0, 0, 0, 0, 0, 0][..], &ipv4(Client, 6, &segment)].concat();
    script.push(300, Server, &ipv4(Server, 1, &message));
    script.push(300, Client, &ipv4(Client, 1, &[8, 0, 0, 0, 0, 1, 0, 1, 9, 9]));
}

/// Fragments, a packet that has come far through a congested line, and one behind an extension header.
fn headers(script: &mut Script) {
    let datagram = [&[0xC3, 0x50, 0, 9, 5, 220, 0, 0][..], &[7; 1492]].concat();
    for (flags, part) in [(0x20, &datagram[..1480]), (0, &datagram[1480..])] {
        let mut packet = ipv4(Client, 17, part);
        packet[4..8].copy_from_slice(&[0, 9, flags, if flags == 0 { 185 } else { 0 }]);
        script.push(10, Client, &packet);
    }
    let mut packet =
        ipv4(Server, 6, &[0xC3, 0x99, 0, 80, 0, 0, 1, 0, 0, 0, 0, 0, 0x50, 0xE9, 0, 9, 0, 0, 0, 1]);
    (packet[1], packet[8], packet[19]) = (3, 5, 4);
    script.push(10, Server, &packet);

    let address = |last| [&[0xFE, 0x80][..], &[0; 13], &[last]].concat();
    let options = [17, 0, 1, 4, 0, 0, 0, 0];
    let payload = [&options[..], &[0xC3, 0x50, 0, 9, 0, 12, 0, 0, 1, 2, 3, 4]].concat();
    let head = [0x60, 0, 0, 0, 0, payload.len() as u8, 0, 9];
    script.push(10, Client, &[&head[..], &address(2), &address(3), &payload].concat());
}
