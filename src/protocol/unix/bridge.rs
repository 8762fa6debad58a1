//! The task between a socket of the host and its connection in the lab: hands bytes over, both ways, as far as each side
//! takes them.

use std::collections::VecDeque;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use super::datagram::Datagrams;
use super::host::{CREDIT_BYTES, Door, HostCall, HostNews, datagram_cost};
use super::porter::reset;
use super::wire::{HELLO_BYTES, Hello};
use super::{DATAGRAM, STREAM};
use crate::error::{Error, Result};
use crate::node::object::Context;
use crate::node::slab::Id;
use crate::node::stack::{Stack, Tcp};
use crate::node::task::{Handle, Task, TaskId};
use crate::node::{Interest, SocketKind, Waiter};
use crate::time::Instant;

/// As long as a guest may take to say which socket it has come for.
const HELLO: Duration = Duration::from_secs(30);

pub struct Bridge {
    tcp: Id<Tcp>,
    door: Handle<Door>,
    state: State,
}

enum State {
    /// A guest's connection, which has to say what for.
    Greeted {
        until: Instant,
    },
    /// A connection to a guest that listens, for this socket of the host.
    Calling {
        id: u64,
        hello: Hello,
    },
    Open(Lanes),
    Over,
}

/// Both directions.
struct Lanes {
    id: u64,
    lane: Lane,
    host_ended: bool,
    /// Bytes that the driver has not written yet.
    outward: usize,
    guest_ended: bool,
    /// The end that was passed on: to the guest, to the host.
    told: [bool; 2],
}

/// What TCP carries for the guest, and what came from the host and was not taken by TCP yet.
enum Lane {
    Bytes(BytesMut),
    Datagrams(Datagrams, VecDeque<Bytes>),
}

impl Lane {
    fn new(tcp: Id<Tcp>, kind: SocketKind) -> Self {
        match kind {
            SocketKind::Stream => Lane::Bytes(BytesMut::new()),
            SocketKind::Datagram => Lane::Datagrams(Datagrams::new(tcp), VecDeque::new()),
        }
    }

    fn push(&mut self, bytes: Bytes) {
        match self {
            Lane::Bytes(inward) => inward.extend_from_slice(&bytes),
            Lane::Datagrams(_, inward) => inward.push_back(bytes),
        }
    }

    /// What so many bytes of the guest count.
    fn cost(&self, bytes: usize) -> usize {
        match self {
            Lane::Bytes(_) => bytes,
            Lane::Datagrams(..) => datagram_cost(bytes),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Lane::Bytes(inward) => inward.is_empty(),
            Lane::Datagrams(_, inward) => inward.is_empty(),
        }
    }

    /// Has TCP take what it can; what that counts.
    fn inward(&mut self, stack: &mut Stack, tcp: Id<Tcp>) -> Result<usize> {
        let mut taken = 0;
        while !self.is_empty() {
            let written = match self {
                Lane::Bytes(inward) => stack.tcp_write(tcp, inward).inspect(|count| inward.advance(*count)),
                Lane::Datagrams(datagrams, inward) => {
                    let next = inward.front().map_or(&[][..], |next| next);
                    let written = datagrams.write(stack, next).map(datagram_cost);
                    written.inspect(|_| drop(inward.pop_front()))
                }
            };
            match written {
                Ok(count) => taken += count,
                Err(Error::WouldBlock) => break,
                Err(error) => match self {
                    // Nobody is there to have datagrams; what was written there before is still to be sent.
                    Lane::Datagrams(_, inward) if error == Error::ConnectionRefused => inward.clear(),
                    Lane::Datagrams(..) | Lane::Bytes(_) => return Err(error),
                },
            }
        }
        Ok(taken)
    }

    /// The next of the guest: bytes, at most so many, or one datagram; `None` at its end.
    fn outward(&mut self, stack: &mut Stack, tcp: Id<Tcp>, room: usize) -> Result<Option<Bytes>> {
        match self {
            Lane::Bytes(_) => {
                let mut buffer = [0; 16 * 1024];
                let room = buffer.len().min(room);
                let count = stack.tcp_read(tcp, &mut buffer[..room], false)?;
                Ok((count > 0).then(|| Bytes::copy_from_slice(&buffer[..count])))
            }
            Lane::Datagrams(datagrams, _) => {
                let next = datagrams.length(stack).and_then(|length| {
                    let mut buffer = vec![0; length];
                    datagrams.read(stack, &mut buffer, false)?;
                    Ok(Bytes::from(buffer))
                });
                match next {
                    Ok(datagram) => Ok(Some(datagram)),
                    // A flow has no end but that its guest is gone.
                    Err(Error::ConnectionReset) => Ok(None),
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// Waits for more of the guest (`read`), and for room for what came from the host.
    fn watch(&mut self, cx: &mut Context, tcp: Id<Tcp>, read: bool, me: TaskId) {
        let interest = Interest { read, write: !self.is_empty() };
        let ready = match self {
            Lane::Bytes(_) => false,
            Lane::Datagrams(datagrams, _) => datagrams.look(cx.stack, Interest { read, write: false }),
        };
        match ready {
            true => cx.wake_task(me),
            false => cx.stack.tcp_watch(tcp, interest, Waiter::Task(me)),
        }
    }
}

impl Bridge {
    /// For a connection that came in.
    pub fn greeted(cx: &Context, tcp: Id<Tcp>, door: Handle<Door>) -> Self {
        Self { tcp, door, state: State::Greeted { until: cx.now + HELLO } }
    }

    /// To a guest that listens at `remote`, for a socket that the driver accepted.
    pub fn call(
        cx: &mut Context,
        door: Handle<Door>,
        id: u64,
        remote: SocketAddr,
        hello: Hello,
    ) -> Result<Self> {
        let local = cx.stack.tcp_ephemeral(cx.now, Ipv6Addr::UNSPECIFIED.into(), remote)?;
        let options = match hello.kind {
            SocketKind::Stream => STREAM,
            SocketKind::Datagram => DATAGRAM,
        };
        let tcp = cx.stack.tcp_connect(cx.now, local, remote, &options)?;
        Ok(Self { tcp, door, state: State::Calling { id, hello } })
    }

    fn door<R>(&self, cx: &mut Context, work: impl FnOnce(&mut Door) -> R) -> Option<R> {
        cx.with_task(self.door, |door, _| work(door))
    }

    /// `Ok(true)` once it is open.
    fn begin(&mut self, cx: &mut Context, me: TaskId) -> Result<bool> {
        let (id, kind) = match &self.state {
            State::Open(_) => return Ok(true),
            State::Over => return Ok(false),
            State::Greeted { until } => {
                let readiness = cx.stack.tcp_readiness(self.tcp);
                if readiness.read_bytes < HELLO_BYTES {
                    if readiness.hangup || cx.now >= *until {
                        return Err(Error::TimedOut);
                    }
                    cx.stack.tcp_watch(self.tcp, Interest::READ, Waiter::Task(me));
                    return Ok(false);
                }
                let mut bytes = [0; HELLO_BYTES];
                cx.stack.tcp_read(self.tcp, &mut bytes, false)?;
                let hello = Hello::decode(&bytes).ok_or(Error::Invalid)?;
                (hello.token, hello.kind)
            }
            State::Calling { id, hello } => {
                if !cx.stack.tcp_connected(self.tcp)? {
                    cx.stack.tcp_watch(self.tcp, Interest::WRITE, Waiter::Task(me));
                    return Ok(false);
                }
                // An empty buffer has room for it.
                cx.stack.tcp_write(self.tcp, &hello.encode())?;
                (*id, hello.kind)
            }
        };
        self.door(cx, |door| door.claim(id, kind, me)).unwrap_or(Err(Error::NoEntry))?;
        self.state = State::Open(Lanes {
            id,
            lane: Lane::new(self.tcp, kind),
            host_ended: false,
            outward: 0,
            guest_ended: false,
            told: [false; 2],
        });
        Ok(true)
    }

    /// `Ok(true)` once both directions have ended.
    fn carry(&mut self, cx: &mut Context, me: TaskId) -> Result<bool> {
        let (tcp, door) = (self.tcp, self.door);
        let State::Open(lanes) = &mut self.state else { return Ok(false) };
        let id = lanes.id;
        while let Some(news) = cx.with_task(door, |door, _| door.next(id)).flatten() {
            match news {
                HostNews::Received { bytes, .. } => lanes.lane.push(bytes),
                HostNews::Written { bytes, .. } => lanes.outward = lanes.outward.saturating_sub(bytes),
                HostNews::Ended { .. } => lanes.host_ended = true,
                HostNews::Failed { error, .. } => return Err(error),
                HostNews::Ready { .. } | HostNews::Accepted { .. } => {}
            }
        }
        let taken = lanes.lane.inward(cx.stack, tcp)?;
        if taken > 0 {
            cx.with_task(door, |door, _| door.call(HostCall::Read { id, bytes: taken }));
        }
        if lanes.host_ended && lanes.lane.is_empty() && !std::mem::replace(&mut lanes.told[0], true) {
            cx.stack.tcp_shutdown(tcp, false, true)?;
        }
        while !lanes.guest_ended && lanes.outward < CREDIT_BYTES {
            match lanes.lane.outward(cx.stack, tcp, CREDIT_BYTES - lanes.outward) {
                Ok(None) => lanes.guest_ended = true,
                Ok(Some(bytes)) => {
                    lanes.outward += lanes.lane.cost(bytes.len());
                    cx.with_task(door, |door, _| door.call(HostCall::Write { id, bytes }));
                }
                Err(Error::WouldBlock) => break,
                Err(error) => return Err(error),
            }
        }
        if lanes.guest_ended && !std::mem::replace(&mut lanes.told[1], true) {
            cx.with_task(door, |door, _| door.call(HostCall::Shutdown { id }));
        }
        let reads = !lanes.guest_ended && lanes.outward < CREDIT_BYTES;
        lanes.lane.watch(cx, tcp, reads, me);
        let ended = match lanes.lane {
            Lane::Bytes(_) => lanes.told == [true; 2],
            Lane::Datagrams(..) => lanes.told[0] || lanes.told[1],
        };
        Ok(ended && lanes.outward == 0)
    }

    fn end(&mut self, cx: &mut Context, in_order: bool) {
        let id = match std::mem::replace(&mut self.state, State::Over) {
            State::Open(Lanes { id, .. }) | State::Calling { id, .. } => Some(id),
            State::Greeted { .. } => None,
            State::Over => return,
        };
        if let Some(id) = id {
            self.door(cx, |door| door.close(id));
        }
        if in_order {
            cx.stack.tcp_release(cx.now, self.tcp, true);
        } else {
            reset(cx.stack, cx.now, self.tcp);
        }
    }
}

impl Task for Bridge {
    fn poll(&mut self, cx: &mut Context, me: TaskId) {
        let done = match self.begin(cx, me) {
            Ok(true) => self.carry(cx, me),
            Ok(false) => Ok(false),
            Err(error) => Err(error),
        };
        match done {
            Ok(false) => {}
            Ok(true) => self.end(cx, true),
            Err(_) => {
                if matches!(self.state, State::Greeted { .. }) {
                    self.door(cx, |door| door.malformed += 1);
                }
                self.end(cx, false);
            }
        }
    }

    fn poll_at(&self) -> Option<Instant> {
        match &self.state {
            State::Greeted { until } => Some(*until),
            // TCP's own time-outs end the others.
            State::Calling { .. } | State::Open(_) | State::Over => None,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Whatever a guest wrote is with the host: with nothing under way there, all of it was read.
    fn is_drained(&self) -> bool {
        match &self.state {
            State::Open(lanes) => lanes.outward == 0,
            State::Greeted { .. } | State::Calling { .. } | State::Over => true,
        }
    }

    fn abort(&mut self, cx: &mut Context) {
        self.end(cx, false);
    }
}
