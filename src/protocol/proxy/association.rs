//! The task behind datagrams through a SOCKS 5 server (RFC 1928, 7): makes the association, and hands datagrams of the relay
//! to the flows that they are for.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use super::Settings;
use super::dialogue::Dialogue;
use super::socks5::{Client, Command, read_target};
use crate::error::{Error, Result};
use crate::node::object::{Context, Control};
use crate::node::task::{Task, TaskId};
use crate::node::wake::Watch;
use crate::node::{Interest, Readiness, Waiter};
use crate::protocol::layer::{Carrier, HANDSHAKE, Upgrade};
use crate::protocol::target::{Host, Target};
use crate::time::Instant;

/// Flows of one association.
const FLOWS_MAX: usize = 256;
/// Datagrams that wait in one flow to be read, by number and bytes; one more is dropped.
const QUEUED_MAX: usize = 256;
const QUEUED_BYTES_MAX: usize = 256 * 1024;
/// RSV and FRAG.
pub(super) const PREFIX: [u8; 3] = [0; 3];
const DATAGRAM_BYTES_MAX: usize = 65_535;

pub(super) struct Association {
    pub settings: Settings,
    pub stream: Box<dyn Control>,
    pub datagrams: Box<dyn Control>,
    pub stage: Stage,
    pub flows: BTreeMap<u32, Flow>,
    pub next_flow: u32,
    /// The control's own watch, for a connect that waits for the server.
    pub watch: Watch,
    /// False once the guest closed it.
    pub held: bool,
    /// Room for one datagram, which would cost more to make each time than the datagram itself.
    pub buffer: Vec<u8>,
}

pub(super) enum Stage {
    Idle,
    Connecting,
    Talking {
        upgrade: Box<dyn Upgrade>,
        peer: String,
        deadline: Instant,
    },
    /// The server has said where its relay is; if by a name, that is looked up.
    Reaching {
        association: Carrier,
        relay: String,
        deadline: Instant,
    },
    Ready {
        association: Carrier,
        relay: Carrier,
    },
    Over(Error),
}

/// Datagrams exchanged with one peer through the relay.
pub(super) struct Flow {
    pub target: Target,
    /// Where its datagrams come from: the target, or what the server found for its name.
    pub source: Option<Target>,
    pub received: VecDeque<Vec<u8>>,
    pub received_bytes: usize,
    pub watch: Watch,
    pub holders: u8,
}

/// What a datagram that waits takes of the guest's buffers, as with those of UDP.
fn cost(payload: &[u8]) -> usize {
    payload.len() + size_of::<Vec<u8>>()
}

impl Flow {
    /// Takes the datagram that waits longest.
    pub fn pop(&mut self, cx: &mut Context) {
        if let Some(datagram) = self.received.pop_front() {
            self.received_bytes -= datagram.len();
            cx.stack.give_buffers(cost(&datagram));
        }
    }

    fn forget(&mut self, cx: &mut Context) {
        while !self.received.is_empty() {
            self.pop(cx);
        }
    }
}

impl Association {
    /// One that nobody has connected by yet; of the guest's buffers it takes a datagram's, for as long as it is there.
    ///
    /// # Errors
    /// `NoBuffers` if they have no room for it.
    pub fn new(
        cx: &mut Context,
        settings: Settings,
        mut stream: Box<dyn Control>,
        mut datagrams: Box<dyn Control>,
    ) -> Result<Self> {
        if !cx.stack.take_buffers(DATAGRAM_BYTES_MAX) {
            stream.close(cx);
            datagrams.close(cx);
            return Err(Error::NoBuffers);
        }
        Ok(Self {
            settings,
            stream,
            datagrams,
            stage: Stage::Idle,
            flows: BTreeMap::new(),
            next_flow: 0,
            watch: Watch::default(),
            held: true,
            buffer: vec![0; DATAGRAM_BYTES_MAX],
        })
    }

    /// True once the relay takes datagrams.
    pub fn is_ready(&self) -> Result<bool> {
        match self.stage {
            Stage::Ready { .. } => Ok(true),
            Stage::Idle | Stage::Connecting | Stage::Talking { .. } | Stage::Reaching { .. } => Ok(false),
            Stage::Over(error) => Err(error),
        }
    }

    fn end(&mut self, cx: &mut Context, error: Error) {
        match std::mem::replace(&mut self.stage, Stage::Over(error)) {
            Stage::Idle | Stage::Connecting | Stage::Over(_) => {}
            Stage::Talking { mut upgrade, .. } => upgrade.close(cx),
            Stage::Reaching { mut association, .. } => association.close(cx),
            Stage::Ready { mut association, mut relay } => {
                relay.close(cx);
                association.close(cx);
            }
        }
        self.wake_all(cx, Readiness { read: true, write: true, ..Default::default() });
    }

    fn wake_all(&mut self, cx: &mut Context, readiness: Readiness) {
        self.watch.fire(readiness, cx.stack.wakes());
        for flow in self.flows.values_mut() {
            flow.watch.fire(readiness, cx.stack.wakes());
        }
    }

    fn go_on(&mut self, cx: &mut Context, waiter: Waiter) -> Result<()> {
        loop {
            match &mut self.stage {
                Stage::Idle | Stage::Over(_) => return Err(Error::WouldBlock),
                Stage::Connecting => match self.stream.connect(cx, &self.settings.server) {
                    Err(Error::InProgress) => {
                        self.stream.watch(cx, Interest::WRITE, waiter);
                        return Err(Error::WouldBlock);
                    }
                    connection => {
                        let below = Carrier::connected(cx, connection?)?;
                        // RFC 1928, 7: all zeros where the client does not know yet where it sends from.
                        let anywhere = Target { host: Host::Address(IpAddr::from([0; 4])), port: 0 };
                        let credentials = self.settings.credentials.clone();
                        let script = Client::new(Command::UdpAssociate, anywhere, credentials);
                        let peer = below.peer(cx);
                        let upgrade = Box::new(Dialogue::new(cx, below, script)?);
                        self.stage = Stage::Talking { upgrade, peer, deadline: cx.now + HANDSHAKE };
                    }
                },
                Stage::Talking { upgrade, deadline, .. } => {
                    let connection = upgrade.poll(cx, waiter)?;
                    let relay = connection.peer_address(cx);
                    let association = Carrier::connected(cx, connection)?;
                    self.stage = Stage::Reaching { association, relay: relay?, deadline: *deadline };
                }
                Stage::Reaching { relay, .. } => {
                    let relay = self.settings.relay(relay)?;
                    let relay = match self.datagrams.connect(cx, &relay) {
                        Err(Error::InProgress) => {
                            self.datagrams.watch(cx, Interest::WRITE, waiter);
                            return Err(Error::WouldBlock);
                        }
                        reached => reached
                            .and_then(|connection| Carrier::connected(cx, connection))
                            .inspect_err(|error| {
                                cx.journal
                                    .remark(|| format!("{relay}, the relay of the SOCKS server: {error}"))
                            })?,
                    };
                    self.ready(cx, relay);
                }
                Stage::Ready { association, relay } => {
                    let mut byte = [0];
                    match association.read(cx, &mut byte) {
                        Err(Error::WouldBlock) => association.watch(cx, Interest::READ, waiter),
                        // RFC 1928, 7: the association ends with the connection that made it.
                        Ok(0) | Err(_) => return Err(Error::ConnectionReset),
                        Ok(_) => return Err(Error::ConnectionAborted),
                    }
                    let length = match relay.read(cx, &mut self.buffer) {
                        Ok(length) => length,
                        Err(Error::WouldBlock) => {
                            let blocked = self.flows.values().any(|flow| flow.watch.is_writing());
                            let interest = if blocked { Interest::BOTH } else { Interest::READ };
                            relay.watch(cx, interest, waiter);
                            return Err(Error::WouldBlock);
                        }
                        Err(error) => return Err(error),
                    };
                    let buffer = std::mem::take(&mut self.buffer);
                    self.receive(cx, &buffer[..length]);
                    self.buffer = buffer;
                }
            }
        }
    }

    fn ready(&mut self, cx: &mut Context, mut relay: Carrier) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Reaching { association, .. } => Stage::Ready { association, relay },
            stage @ (Stage::Idle
            | Stage::Connecting
            | Stage::Talking { .. }
            | Stage::Ready { .. }
            | Stage::Over(_)) => {
                relay.close(cx);
                stage
            }
        };
        self.wake_all(cx, Readiness { write: true, ..Default::default() });
    }

    /// Until when the server has to have said where its relay is, and whose server that is.
    fn deadline(&self) -> Option<(Instant, &str)> {
        match &self.stage {
            Stage::Talking { peer, deadline, .. } => Some((*deadline, peer)),
            Stage::Reaching { relay, deadline, .. } => Some((*deadline, relay)),
            Stage::Idle | Stage::Connecting | Stage::Ready { .. } | Stage::Over(_) => None,
        }
    }

    fn receive(&mut self, cx: &mut Context, datagram: &[u8]) {
        // Fragments (FRAG other than 0) are dropped, as RFC 1928, 7 lets a client do.
        let Some(rest) = datagram.strip_prefix(&PREFIX) else { return };
        let Ok(Some((source, length))) = read_target(rest) else { return };
        let known = self.flows.values().any(|flow| flow.source.as_ref() == Some(&source));
        // A name's first answer tells which address it is.
        let fits = |flow: &&mut Flow| match known {
            true => flow.source.as_ref() == Some(&source),
            false => flow.source.is_none() && flow.target.port == source.port,
        };
        let Some(flow) = self.flows.values_mut().find(fits) else { return };
        flow.source = Some(source);
        let payload = &rest[length..];
        let full = flow.received_bytes + payload.len() > QUEUED_BYTES_MAX;
        if full || flow.received.len() >= QUEUED_MAX || !cx.stack.take_buffers(cost(payload)) {
            return;
        }
        flow.received_bytes += payload.len();
        flow.received.push_back(payload.to_vec());
        flow.watch.fire(Readiness { read: true, ..Default::default() }, cx.stack.wakes());
    }

    pub fn add_flow(&mut self, target: Target) -> Result<u32> {
        if self.flows.len() >= FLOWS_MAX {
            return Err(Error::NoBuffers);
        }
        let source = matches!(target.host, Host::Address(_)).then(|| target.clone());
        if source.is_some() && self.flows.values().any(|flow| flow.source == source) {
            return Err(Error::AddressInUse);
        }
        let number = self.next_flow;
        self.next_flow = self.next_flow.wrapping_add(1);
        let flow = Flow {
            target,
            source,
            received: VecDeque::new(),
            received_bytes: 0,
            watch: Watch::default(),
            holders: 1,
        };
        self.flows.insert(number, flow);
        Ok(number)
    }

    pub fn release(&mut self, cx: &mut Context, number: u32) {
        if let Some(flow) = self.flows.get_mut(&number) {
            flow.holders -= 1;
            if flow.holders == 0
                && let Some(mut flow) = self.flows.remove(&number)
            {
                flow.forget(cx);
            }
        }
        self.close_if_alone(cx);
    }

    pub fn close_if_alone(&mut self, cx: &mut Context) {
        if !self.held && self.flows.is_empty() {
            self.abort(cx);
        }
    }
}

impl Task for Association {
    fn poll(&mut self, cx: &mut Context, me: TaskId) {
        match self.go_on(cx, Waiter::Task(me)) {
            Err(Error::WouldBlock) => {
                if let Some((deadline, peer)) = self.deadline()
                    && deadline <= cx.now
                {
                    let waited = HANDSHAKE.as_secs();
                    cx.journal.remark(|| format!("{peer}: association given up after {waited} s"));
                    self.end(cx, Error::TimedOut);
                }
            }
            Ok(()) => {}
            Err(error) => self.end(cx, error),
        }
        if let Stage::Ready { relay, .. } = &self.stage {
            let readiness = Readiness { read: false, ..relay.readiness(cx) };
            self.wake_all(cx, readiness);
        }
    }

    fn poll_at(&self) -> Option<Instant> {
        let upgrade = match &self.stage {
            Stage::Talking { upgrade, .. } => upgrade.poll_at(),
            Stage::Idle
            | Stage::Connecting
            | Stage::Reaching { .. }
            | Stage::Ready { .. }
            | Stage::Over(_) => None,
        };
        let deadline = self.deadline().map(|(at, _)| at);
        deadline.into_iter().chain(upgrade).min()
    }

    fn is_over(&self) -> bool {
        !self.held && self.flows.is_empty()
    }

    fn abort(&mut self, cx: &mut Context) {
        self.held = false;
        self.end(cx, Error::ConnectionAborted);
        std::mem::take(&mut self.flows).into_values().for_each(|mut flow| flow.forget(cx));
        cx.stack.give_buffers(std::mem::take(&mut self.buffer).len());
        self.stream.close(cx);
        self.datagrams.close(cx);
    }
}
