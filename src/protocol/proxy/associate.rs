//! Datagrams through a SOCKS 5 server: UDP ASSOCIATE (RFC 1928, 7).
//!
//! ```text
//! AssociateControl --.                  .--> a stream to the server: the association lives as long as it does
//! flow, flow ... ----+--> Association --+
//!                                       '--> a datagram flow to the server's relay, each datagram with a header
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use super::Settings;
use super::dialogue::Dialogue;
use super::socks5::{Client, Command, read_target, write_target};
use crate::error::{Error, Result};
use crate::node::object::{Connection, Context, Control, Endpoint, Protocol, Read, SocketOption, Stream};
use crate::node::task::{Handle, Task, TaskId};
use crate::node::wake::Watch;
use crate::node::{Interest, Readiness, SocketKind, Waiter};
use crate::protocol::layer::{Carrier, Upgrade};
use crate::protocol::target::{Host, Target};

/// Flows of one association.
const FLOWS_MAX: usize = 256;
/// Datagrams that wait in one flow to be read, by number and bytes; one more is dropped.
const QUEUED_MAX: usize = 256;
const QUEUED_BYTES_MAX: usize = 256 * 1024;
/// RSV and FRAG.
const PREFIX: [u8; 3] = [0; 3];
const DATAGRAM_BYTES_MAX: usize = 65_535;

struct Association {
    settings: Settings,
    stream: Box<dyn Control>,
    datagrams: Box<dyn Control>,
    stage: Stage,
    flows: BTreeMap<u32, Flow>,
    next_flow: u32,
    /// The control's own watch, for a connect that waits for the server.
    watch: Watch,
    /// False once the guest closed it.
    held: bool,
    /// Room for one datagram, which would cost more to make each time than the datagram itself.
    buffer: Vec<u8>,
}

enum Stage {
    Idle,
    Connecting,
    Talking(Box<dyn Upgrade>),
    Ready { association: Carrier, relay: Carrier },
    Over(Error),
}

/// Datagrams exchanged with one peer through the relay.
struct Flow {
    target: Target,
    /// Where its datagrams come from: the target, or what the server found for its name.
    source: Option<Target>,
    received: VecDeque<Vec<u8>>,
    received_bytes: usize,
    watch: Watch,
    holders: u8,
}

impl Association {
    /// True once the relay takes datagrams.
    fn is_ready(&self) -> Result<bool> {
        match self.stage {
            Stage::Ready { .. } => Ok(true),
            Stage::Idle | Stage::Connecting | Stage::Talking(_) => Ok(false),
            Stage::Over(error) => Err(error),
        }
    }

    fn end(&mut self, cx: &mut Context, error: Error) {
        match std::mem::replace(&mut self.stage, Stage::Over(error)) {
            Stage::Idle | Stage::Connecting | Stage::Over(_) => {}
            Stage::Talking(mut upgrade) => upgrade.close(cx),
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
                        self.stage = Stage::Talking(Box::new(Dialogue::new(below, script)));
                    }
                },
                Stage::Talking(upgrade) => {
                    let connection = upgrade.poll(cx, waiter)?;
                    let relay = self.relay(&connection.peer_address(cx)?)?;
                    let association = Carrier::connected(cx, connection)?;
                    let relay = self.datagrams.connect(cx, &relay)?;
                    let relay = Carrier::connected(cx, relay)?;
                    self.stage = Stage::Ready { association, relay };
                    self.wake_all(cx, Readiness { write: true, ..Default::default() });
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

    /// The relay's address; a server that does not say where means itself.
    fn relay(&self, bound: &str) -> Result<String> {
        let mut relay = Target::parse(bound)?;
        if matches!(relay.host, Host::Address(address) if address.is_unspecified()) {
            relay.host = Target::parse(&self.settings.server)?.host;
        }
        Ok(relay.to_string())
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
        if full || flow.received.len() >= QUEUED_MAX {
            return;
        }
        flow.received_bytes += payload.len();
        flow.received.push_back(payload.to_vec());
        flow.watch.fire(Readiness { read: true, ..Default::default() }, cx.stack.wakes());
    }

    fn add_flow(&mut self, target: Target) -> Result<u32> {
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

    fn release(&mut self, cx: &mut Context, number: u32) {
        if let Some(flow) = self.flows.get_mut(&number) {
            flow.holders -= 1;
            if flow.holders == 0 {
                self.flows.remove(&number);
            }
        }
        self.close_if_alone(cx);
    }

    fn close_if_alone(&mut self, cx: &mut Context) {
        if !self.held && self.flows.is_empty() {
            self.abort(cx);
        }
    }
}

impl Task for Association {
    fn poll(&mut self, cx: &mut Context, me: TaskId) {
        match self.go_on(cx, Waiter::Task(me)) {
            Ok(()) | Err(Error::WouldBlock) => {}
            Err(error) => self.end(cx, error),
        }
        if let Stage::Ready { relay, .. } = &self.stage {
            let readiness = Readiness { read: false, ..relay.readiness(cx) };
            self.wake_all(cx, readiness);
        }
    }

    fn is_over(&self) -> bool {
        !self.held && self.flows.is_empty()
    }

    fn abort(&mut self, cx: &mut Context) {
        self.held = false;
        self.end(cx, Error::ConnectionAborted);
        self.flows.clear();
        self.stream.close(cx);
        self.datagrams.close(cx);
    }
}

/// The guest's control.
pub(super) struct AssociateControl {
    association: Handle<Association>,
}

impl AssociateControl {
    pub fn open(cx: &mut Context, below: &mut dyn Protocol, bind: &str, settings: Settings) -> Result<Self> {
        let own = bind.parse::<SocketAddr>().map_err(|_| Error::Invalid)?.ip();
        let mut datagrams = below.open(cx, bind, SocketKind::Datagram)?;
        let stream = match below.open(cx, &SocketAddr::new(own, 0).to_string(), SocketKind::Stream) {
            Ok(stream) => stream,
            Err(error) => {
                datagrams.close(cx);
                return Err(error);
            }
        };
        let association = cx.spawn(Association {
            settings,
            stream,
            datagrams,
            stage: Stage::Idle,
            flows: BTreeMap::new(),
            next_flow: 0,
            watch: Watch::default(),
            held: true,
            buffer: vec![0; DATAGRAM_BYTES_MAX],
        });
        Ok(Self { association })
    }
}

fn with<R>(
    cx: &mut Context,
    association: Handle<Association>,
    work: impl FnOnce(&mut Association, &mut Context) -> Result<R>,
) -> Result<R> {
    cx.with_task(association, work).unwrap_or(Err(Error::BadDescriptor))
}

impl Control for AssociateControl {
    /// RFC 1928 has no way to be sent to by strangers.
    fn listen(&mut self, _: &mut Context, _: usize) -> Result<()> {
        Err(Error::NotSupported)
    }

    fn accept(&mut self, _: &mut Context) -> Result<Box<dyn Connection>> {
        Err(Error::Invalid)
    }

    fn connect(&mut self, cx: &mut Context, address: &str) -> Result<Box<dyn Connection>> {
        let target = Target::parse(address)?;
        let me = self.association;
        let flow = with(cx, me, |association, cx| {
            association.settings.check(cx, "socks5", &target)?;
            if matches!(association.stage, Stage::Idle) {
                association.stage = Stage::Connecting;
                cx.wake_task(me.id());
            }
            match association.is_ready()? {
                true => association.add_flow(target),
                false => Err(Error::InProgress),
            }
        })?;
        Ok(Box::new(AssociateConnection(End { association: me, flow }, false)))
    }
}

impl Endpoint for AssociateControl {
    fn readiness(&self, cx: &Context) -> Readiness {
        let ready = cx.tasks.get(self.association).is_none_or(|all| !matches!(all.is_ready(), Ok(false)));
        Readiness { write: ready, ..Default::default() }
    }

    fn never(&self, _: &Context, interest: Interest) -> Option<Error> {
        interest.read.then_some(Error::Invalid)
    }

    fn watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter) {
        cx.with_task(self.association, |association, _| association.watch.join(interest, waiter));
    }

    fn close(&mut self, cx: &mut Context) {
        cx.with_task(self.association, |association, cx| {
            association.held = false;
            association.close_if_alone(cx);
        });
    }

    fn local_address(&self, cx: &Context) -> Result<String> {
        cx.tasks.get(self.association).ok_or(Error::BadDescriptor)?.datagrams.local_address(cx)
    }

    fn peer_address(&self, _: &Context) -> Result<String> {
        Err(Error::NotConnected)
    }

    fn option(&self, cx: &Context, option: SocketOption) -> Result<u64> {
        cx.tasks.get(self.association).ok_or(Error::BadDescriptor)?.datagrams.option(cx, option)
    }

    fn set_option(&mut self, cx: &mut Context, option: SocketOption, value: u64) -> Result<()> {
        with(cx, self.association, |association, cx| association.datagrams.set_option(cx, option, value))
    }

    fn kind(&self) -> SocketKind {
        SocketKind::Datagram
    }
}

/// One holder of a flow.
#[derive(Clone, Copy)]
struct End {
    association: Handle<Association>,
    flow: u32,
}

/// A flow, and whether its one stream was taken.
struct AssociateConnection(End, bool);

struct AssociateStream(End);

impl AssociateConnection {
    fn stream(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        if std::mem::replace(&mut self.1, true) {
            return Err(Error::NotSupported);
        }
        let End { association, flow } = self.0;
        with(cx, association, |association, _| {
            association.flows.get_mut(&flow).ok_or(Error::BadDescriptor)?.holders += 1;
            Ok(())
        })?;
        Ok(Box::new(AssociateStream(self.0)))
    }
}

impl Connection for AssociateConnection {
    fn stream_create(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        self.stream(cx)
    }

    fn stream_accept(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        self.stream(cx)
    }
}

impl Stream for AssociateStream {
    fn read(&mut self, cx: &mut Context, buffer: &mut [u8], peek: bool) -> Result<Read> {
        let End { association, flow } = self.0;
        with(cx, association, |association, _| {
            let over = association.is_ready();
            let flow = association.flows.get_mut(&flow).ok_or(Error::BadDescriptor)?;
            let Some(datagram) = flow.received.front() else {
                return over.and(Err(Error::WouldBlock));
            };
            let count = datagram.len().min(buffer.len());
            let truncated = count < datagram.len();
            buffer[..count].copy_from_slice(&datagram[..count]);
            if !peek {
                flow.received_bytes -= datagram.len();
                flow.received.pop_front();
            }
            Ok(Read { count, truncated })
        })
    }

    fn write(&mut self, cx: &mut Context, bytes: &[u8]) -> Result<usize> {
        let End { association, flow } = self.0;
        with(cx, association, |association, cx| {
            association.is_ready()?;
            let Association { stage, flows, .. } = association;
            let (Stage::Ready { relay, .. }, Some(flow)) = (stage, flows.get(&flow)) else {
                return Err(Error::BadDescriptor);
            };
            let mut datagram = PREFIX.to_vec();
            write_target(&mut datagram, &flow.target);
            datagram.extend_from_slice(bytes);
            relay.write(cx, &datagram)?;
            Ok(bytes.len())
        })
    }

    fn shutdown(&mut self, _: &mut Context, _: bool, _: bool) -> Result<()> {
        Ok(())
    }
}

impl End {
    fn readiness(self, cx: &Context, stream: bool) -> Readiness {
        let Some(association) = cx.tasks.get(self.association) else { return Readiness::default() };
        let Some(flow) = association.flows.get(&self.flow) else { return Readiness::default() };
        let over = association.is_ready().is_err();
        let below = match &association.stage {
            Stage::Ready { relay, .. } => relay.readiness(cx),
            Stage::Idle | Stage::Connecting | Stage::Talking(_) | Stage::Over(_) => Readiness::default(),
        };
        Readiness {
            read: over || !stream || !flow.received.is_empty(),
            write: stream && (over || below.write),
            read_bytes: flow.received.front().map_or(0, Vec::len),
            write_bytes: below.write_bytes,
            hangup: over,
        }
    }

    fn watch(self, cx: &mut Context, interest: Interest, waiter: Waiter) {
        cx.with_task(self.association, |association, _| {
            if let Some(flow) = association.flows.get_mut(&self.flow) {
                flow.watch.join(interest, waiter);
            }
        });
        // It waits below for what its flows wait for.
        cx.wake_task(self.association.id());
    }
}

/// A flow and its stream differ only in what waiting means.
macro_rules! endpoint {
    ($type:ty, $stream:literal) => {
        impl Endpoint for $type {
            fn readiness(&self, cx: &Context) -> Readiness {
                self.0.readiness(cx, $stream)
            }

            fn never(&self, _: &Context, interest: Interest) -> Option<Error> {
                // Nothing is written to a connection.
                (!$stream && interest.write).then_some(Error::Invalid)
            }

            fn watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter) {
                self.0.watch(cx, interest, waiter);
            }

            fn close(&mut self, cx: &mut Context) {
                let End { association, flow } = self.0;
                cx.with_task(association, |association, cx| association.release(cx, flow));
            }

            fn local_address(&self, cx: &Context) -> Result<String> {
                cx.tasks.get(self.0.association).ok_or(Error::BadDescriptor)?.datagrams.local_address(cx)
            }

            fn peer_address(&self, cx: &Context) -> Result<String> {
                let association = cx.tasks.get(self.0.association).ok_or(Error::BadDescriptor)?;
                let flow = association.flows.get(&self.0.flow).ok_or(Error::BadDescriptor)?;
                Ok(flow.target.to_string())
            }

            fn option(&self, cx: &Context, option: SocketOption) -> Result<u64> {
                cx.tasks.get(self.0.association).ok_or(Error::BadDescriptor)?.datagrams.option(cx, option)
            }

            fn set_option(&mut self, cx: &mut Context, option: SocketOption, value: u64) -> Result<()> {
                with(cx, self.0.association, |all, cx| all.datagrams.set_option(cx, option, value))
            }

            fn kind(&self) -> SocketKind {
                SocketKind::Datagram
            }
        }
    };
}

endpoint!(AssociateConnection, false);
endpoint!(AssociateStream, true);
