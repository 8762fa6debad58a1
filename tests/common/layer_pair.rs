//! Two nodes of a lab, without guests: one echoes, the other connects, each by a protocol object called `top` with what stands
//! below it.

use std::time::Duration;

use guestnet::error::{Error, Result};
use guestnet::node::{Node, ObjectId, SocketKind};
use guestnet::time::Instant;

#[path = "nodes.rs"]
mod nodes;

/// Polls of a node, and turns of the pair, that one instant may take.
const POLLS_MAX: usize = 10_000;

pub struct Side {
    pub node: Node,
    top: ObjectId,
}

pub struct Pair {
    pub now: Instant,
    pub server: Side,
    pub client: Side,
    control: ObjectId,
    connections: Vec<ObjectId>,
    streams: Vec<(ObjectId, Vec<u8>)>,
}

impl Pair {
    /// With the protocols of each, as a scenario has them, and where the server listens.
    pub fn new(server: &str, client: &str, bind: &str) -> Pair {
        let text = format!(
            "[ca.test]\n[guest.server]\nmodule = \"server.wasm\"\n[guest.server.protocol]\n{server}\n\
             [guest.client]\nmodule = \"client.wasm\"\n[guest.client.protocol]\n{client}\n"
        );
        let [mut server, client] = nodes::two(&text, "top").map(|(node, top)| Side { node, top });
        let control = server.node.open(server.top, bind, SocketKind::Stream).expect("open");
        server.node.listen(control, 64).expect("listen");
        let (connections, streams) = Default::default();
        Pair { now: Instant::START, server, client, control, connections, streams }
    }

    /// The client connects, and so many times says something and hears it again: bytes that came back.
    pub fn echo(&mut self, address: &str, message: &[u8], times: usize) -> Result<usize> {
        self.client.node.now = self.now;
        let control = self.client.node.open(self.client.top, "0.0.0.0:0", SocketKind::Stream)?;
        let connection = self.until(|node| node.connect(control, address));
        let echoed = connection.and_then(|connection| {
            let stream = self.client.node.stream_create(connection)?;
            let echoed = (0..times).map(|_| self.say(stream, message)).sum();
            self.client.node.close(stream);
            self.client.node.close(connection);
            echoed
        });
        self.client.node.close(control);
        self.settle();
        echoed
    }

    /// The client connects, and goes on having the connection.
    pub fn hold(&mut self, address: &str) -> Result<ObjectId> {
        self.client.node.now = self.now;
        let control = self.client.node.open(self.client.top, "0.0.0.0:0", SocketKind::Stream)?;
        let connection = self.until(|node| node.connect(control, address));
        self.client.node.close(control);
        connection
    }

    fn say(&mut self, stream: ObjectId, message: &[u8]) -> Result<usize> {
        let (mut sent, mut echoed, mut buffer) = (0, 0, vec![0; 65536]);
        while echoed < message.len() {
            if sent < message.len() {
                match self.client.node.write(stream, &message[sent..]) {
                    Ok(count) => sent += count,
                    Err(Error::WouldBlock) => {}
                    Err(error) => return Err(error),
                }
            }
            match self.until(|node| node.read(stream, &mut buffer, false))?.count {
                0 => break,
                count => echoed += count,
            }
        }
        Ok(echoed)
    }

    /// Has the lab go on until the client's node has an answer.
    fn until<R>(&mut self, mut ask: impl FnMut(&mut Node) -> Result<R>) -> Result<R> {
        let mut is_over = false;
        loop {
            self.client.node.now = self.now;
            match ask(&mut self.client.node) {
                Err(Error::WouldBlock | Error::InProgress) => {}
                answer => return answer,
            }
            assert!(!is_over, "nothing is to come any more");
            // What needs no frame is asked for once more, too.
            is_over = !self.settle() && !self.step(None);
        }
    }

    pub fn run(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            self.settle();
            if !self.step(Some(until)) {
                break;
            }
        }
        self.now = self.now.max(until);
    }

    /// On to the next instant at which there is something to do; false if there is none.
    fn step(&mut self, until: Option<Instant>) -> bool {
        let next = [self.server.node.poll_at(), self.client.node.poll_at()].into_iter().flatten().min();
        let next = next.filter(|next| until.is_none_or(|until| *next <= until));
        self.now = next.map_or(self.now, |next| self.now.max(next) + Duration::from_nanos(1));
        next.is_some()
    }

    /// Everything that is to happen at this instant; true if there was anything.
    pub fn settle(&mut self) -> bool {
        for turn in 0..POLLS_MAX {
            self.serve();
            let from_client = poll(&mut self.client.node, self.now);
            let from_server = poll(&mut self.server.node, self.now);
            if from_client.is_empty() && from_server.is_empty() {
                return turn > 0;
            }
            from_client.into_iter().for_each(|frame| self.server.node.ingest(self.now, 0, frame));
            from_server.into_iter().for_each(|frame| self.client.node.ingest(self.now, 0, frame));
        }
        panic!("the pair keeps itself busy at {}", self.now);
    }

    /// The server's program: it echoes whatever comes.
    fn serve(&mut self) {
        let node = &mut self.server.node;
        node.now = self.now;
        while let Ok(connection) = node.accept(self.control) {
            self.connections.push(connection);
        }
        self.connections.retain(|connection| match node.stream_accept(*connection) {
            Ok(stream) => {
                node.close(*connection);
                self.streams.push((stream, Vec::new()));
                false
            }
            Err(Error::WouldBlock) => true,
            Err(_) => {
                node.close(*connection);
                false
            }
        });
        let mut buffer = [0; 16384];
        self.streams.retain_mut(|(stream, waiting)| {
            let outcome = loop {
                if !waiting.is_empty() {
                    match node.write(*stream, waiting) {
                        Ok(count) => drop(waiting.drain(..count)),
                        Err(error) => break error,
                    }
                    continue;
                }
                match node.read(*stream, &mut buffer, false) {
                    Ok(read) if read.count > 0 => waiting.extend_from_slice(&buffer[..read.count]),
                    Ok(_) => break Error::ConnectionAborted,
                    Err(error) => break error,
                }
            };
            let open = outcome == Error::WouldBlock;
            if !open {
                node.close(*stream);
            }
            open
        });
    }
}

fn poll(node: &mut Node, now: Instant) -> Vec<guestnet::network::Frame> {
    let mut left = Vec::new();
    for _ in 0..POLLS_MAX {
        if !node.poll(now) {
            node.take_egress(&mut left);
            return left.into_iter().map(|(_, frame)| frame).collect();
        }
    }
    panic!("a node keeps itself busy at {now}");
}
