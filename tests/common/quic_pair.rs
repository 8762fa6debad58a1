//! Two nodes of a lab that speak QUIC with each other, without guests, and somebody at the wire between them who does to
//! its datagrams what he likes: as anybody may who is on the lab's network.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use guestnet::error::Error;
use guestnet::network::Frame;
use guestnet::node::{Node, ObjectId, SocketKind};
use guestnet::time::Instant;

#[path = "nodes.rs"]
mod nodes;
#[path = "quic_wire.rs"]
mod wire;

pub use wire::{Datagram, Deed, Wire};

const PORT: u16 = 443;
const SERVER: [u8; 4] = [10, 0, 0, 2];
/// Polls of a node, and turns of the pair, that one instant may take.
const POLLS_MAX: usize = 10_000;

/// Bytes of UDP's payload that the server had from an address and sent to it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Account {
    pub received: usize,
    pub sent: usize,
}

/// One end: a node, and what its program has of it.
pub struct Side {
    pub node: Node,
    protocol: ObjectId,
    control: Option<ObjectId>,
    connections: Vec<ObjectId>,
    streams: Vec<ObjectId>,
}

pub struct Pair {
    pub now: Instant,
    pub server: Side,
    pub client: Side,
    pub wire: Wire,
    /// By whom the server was spoken to.
    pub accounts: BTreeMap<([u8; 4], u16), Account>,
    /// Bytes of echoes that the client had.
    pub echoed: usize,
    /// Of each message, the first four its number.
    pub message_bytes: usize,
    /// Messages that the client wrote.
    written: u32,
    /// By number, how often the server's program read a message, or its beginning.
    pub heard: BTreeMap<u32, usize>,
    /// Of streams of the server's, the bytes of the message's number that came so far.
    numbers: BTreeMap<ObjectId, Vec<u8>>,
}

impl Pair {
    /// With more keys for the server's protocol object; the client has early data if the server does.
    pub fn new(keys: &str) -> Pair {
        let early = if keys.contains("early_data") { ", early_data = true" } else { "" };
        let text = format!(
            "[ca.test]\n[guest.server]\nmodule = \"server.wasm\"\n\
             protocol = {{ ipv4 = {{ private = true }}, quic = {{ over = \"ipv4\", certificate = [{{ ca = \"test\" }}]{keys} }} }}\n\
             [guest.client]\nmodule = \"client.wasm\"\n\
             protocol = {{ ipv4 = {{ private = true }}, quic = {{ over = \"ipv4\", server_name = \"server\"{early} }} }}\n"
        );
        let [mut server, client] = nodes::two(&text, "quic").map(|(node, protocol)| {
            let (connections, streams) = Default::default();
            Side { node, protocol, control: None, connections, streams }
        });
        let control = server.node.open(server.protocol, "0.0.0.0:443", SocketKind::Stream).expect("open");
        server.node.listen(control, 64).expect("listen");
        server.control = Some(control);
        Pair {
            now: Instant::START,
            server,
            client,
            wire: Wire::default(),
            accounts: BTreeMap::new(),
            echoed: 0,
            message_bytes: 3000,
            written: 0,
            heard: BTreeMap::new(),
            numbers: BTreeMap::new(),
        }
    }

    /// The client begins another connection.
    pub fn knock(&mut self) {
        self.client.node.now = self.now;
        let Side { node, protocol, control, .. } = &mut self.client;
        if let Some(before) = control.take() {
            node.close(before);
        }
        let new = node.open(*protocol, "0.0.0.0:0", SocketKind::Stream).expect("open");
        match node.connect(new, "10.0.0.2:443") {
            Err(Error::InProgress) => *control = Some(new),
            // Early.
            Ok(connection) => {
                node.close(new);
                self.speak(connection);
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Three streams with a message each.
    fn speak(&mut self, connection: ObjectId) {
        let Side { node, connections, streams, .. } = &mut self.client;
        for _ in 0..3 {
            let Ok(stream) = node.stream_create(connection) else { continue };
            let mut message = vec![b'm'; self.message_bytes];
            message[..4].copy_from_slice(&self.written.to_be_bytes());
            self.written += 1;
            let _ = node.write(stream, &message);
            let _ = node.shutdown(stream, false, true);
            streams.push(stream);
        }
        connections.push(connection);
    }

    /// Has everything happen that is to happen until `until`.
    pub fn run(&mut self, until: Instant) {
        loop {
            self.settle();
            let next = [self.server.node.poll_at(), self.client.node.poll_at()].into_iter().flatten().min();
            match next.filter(|next| *next <= until) {
                Some(next) => self.now = self.now.max(next) + Duration::from_nanos(1),
                None => break,
            }
        }
        self.now = self.now.max(until);
    }

    /// Everything that is to happen at this instant, which has to come to an end.
    pub fn settle(&mut self) {
        for _ in 0..POLLS_MAX {
            self.serve();
            self.talk();
            let from_client = poll(&mut self.client.node, self.now);
            let from_server = poll(&mut self.server.node, self.now);
            let is_quiet = from_client.is_empty() && from_server.is_empty();
            from_client.into_iter().for_each(|frame| self.carry(frame, true));
            from_server.into_iter().for_each(|frame| self.carry(frame, false));
            if is_quiet {
                return;
            }
        }
        panic!("the pair keeps itself busy at {}", self.now);
    }

    fn carry(&mut self, frame: Frame, to_server: bool) {
        let Some(datagram) = Datagram::parse(&frame.bytes) else {
            return match to_server {
                true => self.server.node.ingest(self.now, 0, frame),
                false => self.answer_or_pass(frame),
            };
        };
        if !to_server {
            self.accounts.entry(datagram.to()).or_default().sent += datagram.payload().len();
        }
        for datagram in self.wire.treat(datagram) {
            // One that was held may go the other way.
            match datagram.to() {
                (SERVER, PORT) => self.strike(datagram),
                _ => self.client.node.ingest(self.now, 0, datagram.into_frame()),
            }
        }
    }

    /// A datagram for the server, whoever sends it.
    pub fn strike(&mut self, datagram: Datagram) {
        self.accounts.entry(datagram.from()).or_default().received += datagram.payload().len();
        self.server.node.ingest(self.now, 0, datagram.into_frame());
    }

    /// The server takes what has come, and nobody hears what it says to that.
    pub fn hear(&mut self) {
        poll(&mut self.server.node, self.now);
        self.serve();
        poll(&mut self.server.node, self.now);
    }

    /// Whoever the server asks for is at the client's hardware address.
    fn answer_or_pass(&mut self, frame: Frame) {
        let asks = &frame.bytes;
        let for_client = asks.len() < 42 || asks[12..14] != [8, 6] || asks[38..42] == [10, 0, 0, 3];
        if for_client {
            return self.client.node.ingest(self.now, 0, frame);
        }
        let client = [2, 0, 0, 0, 0, 2];
        let head = [0, 1, 8, 0, 6, 4, 0, 2];
        let answer =
            [&asks[6..12], &client, &[8, 6], &head, &client, &asks[38..42], &asks[22..28], &asks[28..32]]
                .concat();
        self.server.node.ingest(self.now, 0, Frame::from_outside(Bytes::from(answer)));
    }

    /// The server's program: it echoes whatever comes.
    fn serve(&mut self) {
        self.server.node.now = self.now;
        let Side { node, control, connections, streams, .. } = &mut self.server;
        let (heard, numbers) = (&mut self.heard, &mut self.numbers);
        while let Some(Ok(connection)) = control.map(|control| node.accept(control)) {
            connections.push(connection);
        }
        connections.retain(|connection| {
            loop {
                match node.stream_accept(*connection) {
                    Ok(stream) => streams.push(stream),
                    Err(Error::WouldBlock) => return true,
                    Err(_) => {
                        node.close(*connection);
                        return false;
                    }
                }
            }
        });
        let mut buffer = [0; 4096];
        streams.retain(|stream| {
            loop {
                match node.read(*stream, &mut buffer, false) {
                    Ok(read) if read.count > 0 => {
                        let number = numbers.entry(*stream).or_default();
                        let missing = 4_usize.saturating_sub(number.len()).min(read.count);
                        number.extend_from_slice(&buffer[..missing]);
                        if let (1.., &[a, b, c, d]) = (missing, &number[..]) {
                            *heard.entry(u32::from_be_bytes([a, b, c, d])).or_default() += 1;
                        }
                        // What finds no room is lost, as with a program that does not look.
                        let _ = node.write(*stream, &buffer[..read.count]);
                    }
                    Err(Error::WouldBlock) => return true,
                    Ok(_) | Err(_) => {
                        numbers.remove(stream);
                        node.close(*stream);
                        return false;
                    }
                }
            }
        });
    }

    /// The client's: what it has to say, and its echoes.
    fn talk(&mut self) {
        self.client.node.now = self.now;
        if let Some(open) = self.client.control {
            match self.client.node.connect(open, "10.0.0.2:443") {
                Err(Error::InProgress) => {}
                answer => {
                    self.client.node.close(open);
                    self.client.control = None;
                    if let Ok(connection) = answer {
                        self.speak(connection);
                    }
                }
            }
        }
        let Side { node, connections, streams, .. } = &mut self.client;
        let (mut buffer, echoed) = ([0; 4096], &mut self.echoed);
        streams.retain(|stream| {
            loop {
                match node.read(*stream, &mut buffer, false) {
                    Ok(read) if read.count > 0 => *echoed += read.count,
                    Err(Error::WouldBlock) => return true,
                    Ok(_) | Err(_) => {
                        node.close(*stream);
                        return false;
                    }
                }
            }
        });
        if streams.is_empty() {
            connections.drain(..).for_each(|connection| node.close(connection));
        }
    }

    /// An honest client, with nobody at the wire any more: whether its echo came whole.
    pub fn is_well(&mut self) -> bool {
        self.wire = Wire::default();
        self.run(self.now + Duration::from_secs(120));
        (self.echoed, self.message_bytes) = (0, 3000);
        self.knock();
        self.run(self.now + Duration::from_secs(120));
        self.echoed == 3 * self.message_bytes
    }

    /// The first datagram of a new connection of the client's, which does not arrive; the client gives up at once, and
    /// nobody hears of that either.
    pub fn first_datagram(&mut self) -> Datagram {
        self.knock();
        let mut first = None;
        while first.is_none() {
            let frames = poll(&mut self.client.node, self.now);
            assert!(!frames.is_empty(), "nothing comes");
            for frame in frames {
                match Datagram::parse(&frame.bytes) {
                    Some(datagram) => first = first.or(Some(datagram)),
                    None => self.carry(frame, true),
                }
            }
            poll(&mut self.server.node, self.now).into_iter().for_each(|frame| self.carry(frame, false));
        }
        if let Some(control) = self.client.control.take() {
            self.client.node.close(control);
        }
        poll(&mut self.client.node, self.now);
        first.expect("a datagram")
    }
}

fn poll(node: &mut Node, now: Instant) -> Vec<Frame> {
    let mut left = Vec::new();
    for _ in 0..POLLS_MAX {
        if !node.poll(now) {
            node.take_egress(&mut left);
            return left.into_iter().map(|(_, frame)| frame).collect();
        }
    }
    panic!("a node keeps itself busy at {now}");
}
