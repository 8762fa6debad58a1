//! Two nodes of a lab that speak QUIC with each other, without guests, and somebody at the wire between them who does to
//! its datagrams what he likes: as anybody may who is on the lab's network.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use guestnet::error::Error;
use guestnet::network::Frame;
use guestnet::node::{Node, ObjectId, SocketKind};
use guestnet::protocol::Making;
use guestnet::protocol::tls::provider::Entropy;
use guestnet::protocol::tls::supplies::Supplies;
use guestnet::rng::Seed;
use guestnet::scenario;
use guestnet::time::Instant;

const PORT: u16 = 443;
const SERVER: [u8; 4] = [10, 0, 0, 2];
/// Polls of a node, and turns of the pair, that one instant may take.
const POLLS_MAX: usize = 10_000;
/// Datagrams that are remembered for being sent once more.
const HISTORY_MAX: usize = 64;
const MESSAGE: &[u8] = &[b'm'; 3000];

/// What is done to one datagram.
#[derive(Clone, Debug)]
pub enum Deed {
    Pass,
    Drop,
    /// So many of its bytes are left.
    Cut(u16),
    Flip(u16),
    Twice,
    /// It comes after the next one.
    Hold,
    /// One that came before comes again, and then this one.
    Replay(u16),
    /// Bytes of somebody's own go first.
    Invent(Vec<u8>),
    /// More bytes stand behind it.
    Stretch(Vec<u8>),
    /// It seems to come from another port of the same host.
    Elsewhere(u8),
}

/// A UDP datagram over IPv4, in its frame.
#[derive(Clone, PartialEq, Eq)]
pub struct Datagram {
    frame: Vec<u8>,
}

impl Datagram {
    /// `None`: the frame is something else.
    fn parse(frame: &[u8]) -> Option<Datagram> {
        let is_udp = frame.len() >= 42 && frame[12..15] == [8, 0, 0x45] && frame[23] == 17;
        is_udp.then(|| {
            let length = 34 + usize::from(u16::from_be_bytes([frame[38], frame[39]]));
            Datagram { frame: frame[..length.min(frame.len())].to_vec() }
        })
    }

    pub fn payload(&self) -> &[u8] {
        &self.frame[42..]
    }

    pub fn from(&self) -> ([u8; 4], u16) {
        let f = &self.frame;
        ([f[26], f[27], f[28], f[29]], u16::from_be_bytes([f[34], f[35]]))
    }

    pub fn to(&self) -> ([u8; 4], u16) {
        let f = &self.frame;
        ([f[30], f[31], f[32], f[33]], u16::from_be_bytes([f[36], f[37]]))
    }

    pub fn with(&self, payload: &[u8]) -> Datagram {
        Datagram { frame: [&self.frame[..42], payload].concat() }
    }

    pub fn coming_from(&self, (address, port): ([u8; 4], u16)) -> Datagram {
        let mut frame = self.frame.clone();
        frame[26..30].copy_from_slice(&address);
        frame[34..36].copy_from_slice(&port.to_be_bytes());
        Datagram { frame }
    }

    /// With lengths and the header's checksum as they should be, and none over the payload (RFC 768 has that).
    fn into_frame(mut self) -> Frame {
        let length = self.frame.len();
        self.frame[16..18].copy_from_slice(&((length - 14) as u16).to_be_bytes());
        self.frame[38..40].copy_from_slice(&((length - 34) as u16).to_be_bytes());
        self.frame[40..42].fill(0);
        self.frame[24..26].fill(0);
        let words =
            self.frame[14..34].chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
        let sum: u32 = words.sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        self.frame[24..26].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
        Frame::from_outside(self.frame.into())
    }
}

/// Whoever is at the wire.
#[derive(Default)]
pub struct Wire {
    deeds: Vec<Deed>,
    next: usize,
    held: Vec<Datagram>,
    history: Vec<Datagram>,
}

impl Wire {
    /// Does one deed after the other, and then nothing more.
    pub fn new(deeds: Vec<Deed>) -> Wire {
        Wire { deeds, ..Wire::default() }
    }

    fn treat(&mut self, datagram: Datagram) -> Vec<Datagram> {
        let Some(deed) = self.deeds.get(self.next) else {
            return self.held.drain(..).chain([datagram]).collect();
        };
        self.next += 1;
        let payload = datagram.payload();
        let mut out = match deed {
            Deed::Pass => vec![datagram.clone()],
            Deed::Drop => vec![],
            Deed::Cut(left) => vec![datagram.with(&payload[..usize::from(*left) % (payload.len() + 1)])],
            Deed::Flip(bit) => {
                let mut bytes = payload.to_vec();
                let bit = usize::from(*bit) % (8 * bytes.len().max(1));
                bytes.iter_mut().nth(bit / 8).into_iter().for_each(|byte| *byte ^= 1 << (bit % 8));
                vec![datagram.with(&bytes)]
            }
            Deed::Twice => vec![datagram.clone(), datagram.clone()],
            Deed::Hold => {
                self.held.push(datagram.clone());
                vec![]
            }
            Deed::Replay(which) => {
                let same_way = self.history.iter().filter(|past| past.to() == datagram.to());
                let past: Vec<_> = same_way.collect();
                let again = past.get(usize::from(*which) % past.len().max(1)).map(|past| (*past).clone());
                again.into_iter().chain([datagram.clone()]).collect()
            }
            Deed::Invent(bytes) => vec![datagram.with(bytes), datagram.clone()],
            Deed::Stretch(bytes) => vec![datagram.with(&[payload, bytes].concat())],
            Deed::Elsewhere(port) => {
                let (address, _) = datagram.from();
                // A server's own port would be nobody's then.
                match datagram.to().1 == PORT {
                    true => vec![datagram.coming_from((address, 1 + u16::from(*port)))],
                    false => vec![datagram.clone()],
                }
            }
        };
        if !matches!(deed, Deed::Hold) {
            out.append(&mut self.held);
        }
        if self.history.len() < HISTORY_MAX {
            self.history.push(datagram);
        }
        out
    }
}

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
}

impl Pair {
    /// With more keys for the server's protocol object.
    pub fn new(keys: &str) -> Pair {
        let text = format!(
            "[ca.test]\n[guest.server]\nmodule = \"server.wasm\"\n\
             protocol = {{ ipv4 = {{ private = true }}, quic = {{ over = \"ipv4\", certificate = [{{ ca = \"test\" }}]{keys} }} }}\n\
             [guest.client]\nmodule = \"client.wasm\"\n\
             protocol = {{ ipv4 = {{ private = true }}, quic = {{ over = \"ipv4\", server_name = \"server\" }} }}\n"
        );
        let plan = scenario::parse(&text, Path::new("pair.toml")).unwrap_or_else(|error| panic!("{error:?}"));
        let mut supplies = Supplies::new(Entropy::Seed(Seed(7)), plan.epoch, false);
        plan.authorities.iter().for_each(|authority| supplies.add_authority(authority));
        let mut sides = plan.guests.iter().map(|guest| {
            let rng = |what: &str| Seed(7).fork(&format!("{what}:{}", guest.name));
            let mut node = Node::new(&guest.interfaces, &guest.routes, rng("stack"), rng("guest"));
            let quic = guest.protocols.iter().find(|protocol| protocol.name == "quic").expect("quic");
            let making = Making { supplies: &supplies, label: &guest.name, programs: 0 };
            let protocol = node.grant(quic.grant.clone().into_protocol(making).expect("a protocol object"));
            let (connections, streams) = Default::default();
            Side { node, protocol, control: None, connections, streams }
        });
        let (mut server, client) = (sides.next().expect("a server"), sides.next().expect("a client"));
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
        assert_eq!(node.connect(new, "10.0.0.2:443"), Err(Error::InProgress));
        *control = Some(new);
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
                        // What finds no room is lost, as with a program that does not look.
                        let _ = node.write(*stream, &buffer[..read.count]);
                    }
                    Err(Error::WouldBlock) => return true,
                    Ok(_) | Err(_) => {
                        node.close(*stream);
                        return false;
                    }
                }
            }
        });
    }

    /// The client's: three streams with a message each, and their echoes.
    fn talk(&mut self) {
        self.client.node.now = self.now;
        let Side { node, control, connections, streams, .. } = &mut self.client;
        if let Some(open) = *control {
            match node.connect(open, "10.0.0.2:443") {
                Ok(connection) => {
                    for _ in 0..3 {
                        let Ok(stream) = node.stream_create(connection) else { continue };
                        let _ = node.write(stream, MESSAGE);
                        let _ = node.shutdown(stream, false, true);
                        streams.push(stream);
                    }
                    connections.push(connection);
                    node.close(open);
                    *control = None;
                }
                Err(Error::InProgress) => {}
                Err(_) => {
                    node.close(open);
                    *control = None;
                }
            }
        }
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
        self.echoed = 0;
        self.knock();
        self.run(self.now + Duration::from_secs(120));
        self.echoed == 3 * MESSAGE.len()
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
