//! The directory of a namespace: the program of a node of its own, that knows which path is bound where.
//!
//! Each question comes on a connection of its own, which a task (`Asker`) answers. One that bound a path stays, and the
//! path is bound until it ends. The table itself is a task too, that all of them share.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::bridge::Bridge;
use super::host::{Door, HostCall, HostNews};
use super::path::UnixPath;
use super::porter::reset;
use super::table::{Entry, Table};
use super::wire::{Found, Hello, Op, Place, REQUEST_BYTES, Request, encode_reply};
use super::{DATAGRAM, DATAGRAM_GATE_PORT, DIRECTORY, DIRECTORY_PORT, GATE_PORT, SMALL, STREAM};
use crate::error::{Error, Result};
use crate::node::object::Context;
use crate::node::slab::Id;
use crate::node::stack::{Listener, Tcp};
use crate::node::task::{Handle, Task, TaskId};
use crate::node::{Interest, Node, SocketKind, Waiter};
use crate::time::Instant;

/// As long as a question may take to come.
const QUESTION: Duration = Duration::from_secs(30);
/// Questions taken up in one turn.
const TURN_MAX: usize = 256;
/// As long as the driver may take to answer.
const HOST: Duration = Duration::from_secs(10);
const BACKLOG: usize = 4096;

#[derive(Default)]
pub struct Directory {
    listener: Option<Id<Listener>>,
    /// For streams and for datagrams.
    gates: Vec<Id<Listener>>,
    table: Option<Handle<Table>>,
    door: Option<Handle<Door>>,
}

impl Directory {
    fn start(&mut self, cx: &mut Context) -> Result<()> {
        if self.listener.is_none() {
            let any = |port| SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
            let local = cx.stack.tcp_bind(any(DIRECTORY_PORT))?;
            self.listener = Some(cx.stack.listen(local, BACKLOG, SMALL));
            for (port, options) in [(GATE_PORT, STREAM), (DATAGRAM_GATE_PORT, DATAGRAM)] {
                let local = cx.stack.tcp_bind(any(port))?;
                self.gates.push(cx.stack.listen(local, BACKLOG, options));
            }
            self.table = Some(cx.spawn(Table::default()));
            self.door = Some(cx.spawn(Door::default()));
        }
        Ok(())
    }

    /// What the driver is to do with sockets of the host.
    pub fn take_host_calls(&self, cx: &mut Context) -> Vec<HostCall> {
        let door = self.door.and_then(|door| cx.with_task(door, |door, _| door.take_calls()));
        door.unwrap_or_default()
    }

    /// Connections that began with nothing that they could: no question, and nothing that a guest says at a gate.
    pub fn malformed(&self, node: &Node) -> u64 {
        let table = self.table.and_then(|table| node.task(table)).map_or(0, |table| table.malformed);
        let door = self.door.and_then(|door| node.task(door)).map_or(0, |door| door.malformed);
        table + door
    }

    /// What became of it.
    pub fn hear(&self, cx: &mut Context, news: HostNews) {
        if let Some(door) = self.door {
            cx.with_task(door, |door, cx| door.hear(cx, news));
        }
    }
}

impl Task for Directory {
    fn poll(&mut self, cx: &mut Context, me: TaskId) {
        // Its port is its own: nobody else is on its node.
        if self.start(cx).is_err() {
            return;
        }
        let (Some(table), Some(door)) = (self.table, self.door) else { return };
        let gates = self.gates.iter().map(|gate| (*gate, true));
        let listeners: Vec<_> =
            self.listener.map(|listener| (listener, false)).into_iter().chain(gates).collect();
        for (listener, is_gate) in listeners {
            for turn in 0.. {
                if turn == TURN_MAX {
                    cx.wake_task(me);
                    break;
                }
                match cx.stack.accept(listener) {
                    Ok(tcp) if is_gate => {
                        let bridge = Bridge::greeted(cx, tcp, door);
                        cx.spawn(bridge);
                    }
                    Ok(tcp) => {
                        let state = State::Listening { until: cx.now + QUESTION };
                        cx.spawn(Asker { tcp, table, door, state });
                    }
                    Err(_) => {
                        cx.stack.listener_watch(listener, Interest::READ, Waiter::Task(me));
                        break;
                    }
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        false
    }

    fn abort(&mut self, _: &mut Context) {}
}

/// Who asks, over one connection.
struct Asker {
    tcp: Id<Tcp>,
    table: Handle<Table>,
    door: Handle<Door>,
    state: State,
}

enum State {
    Listening {
        until: Instant,
    },
    Bound(UnixPath),
    /// The driver was asked for this socket of the host, with this question.
    Asking {
        until: Instant,
        id: u64,
        request: Request,
    },
    /// The path of this socket, which listens for a guest at this address.
    HostBound {
        id: u64,
        kind: SocketKind,
        path: UnixPath,
        at: SocketAddr,
    },
    Over,
}

impl Asker {
    /// The question, once it is all there; an error for what is none.
    fn question(&self, cx: &mut Context) -> Result<Request> {
        let readiness = cx.stack.tcp_readiness(self.tcp);
        if readiness.read_bytes < REQUEST_BYTES {
            return Err(if readiness.hangup { Error::ConnectionReset } else { Error::WouldBlock });
        }
        let mut bytes = [0; REQUEST_BYTES];
        cx.stack.tcp_read(self.tcp, &mut bytes, false)?;
        Request::decode(&bytes).ok_or(Error::Invalid)
    }

    fn answer(&self, cx: &mut Context, me: TaskId, request: &Request) -> Result<Found> {
        let Request { op, kind, place: Place { path, .. }, boot } = request;
        let address = self.peer(cx)?;
        let work = |table: &mut Table, _: &mut Context| {
            table.meet(address, *boot);
            match *op {
                Op::Find { .. } => table.find(path, *kind),
                Op::Bind { port } => {
                    table.bind(path.clone(), *boot, Entry { kind: *kind, address, port, asker: me })
                }
            }
        };
        cx.with_task(self.table, work).unwrap_or(Err(Error::NoBuffers))
    }

    /// The node that asks.
    fn peer(&self, cx: &Context) -> Result<Ipv6Addr> {
        match cx.stack.tcp_addresses(self.tcp).map(|(_, peer)| peer.ip()) {
            Some(IpAddr::V6(address)) => Ok(address),
            Some(IpAddr::V4(_)) => Err(Error::Invalid),
            None => Err(Error::ConnectionReset),
        }
    }

    /// Has the driver look after a path of the host's.
    fn ask_host(&mut self, cx: &mut Context, me: TaskId, request: Request) {
        let Place { folder, path } = request.place.clone();
        let name = path.as_str().trim_start_matches('/').to_owned();
        let kind = request.kind;
        let opened = match request.op {
            Op::Find { from } => {
                let from = self.peer(cx).ok().zip(from).map(|(ip, port)| SocketAddr::new(ip.into(), port));
                let from = from.and_then(|at| cx.tasks.get(self.table)?.host(&at));
                self.open(cx, me, kind, |id| HostCall::Connect { id, kind, folder, name, from })
            }
            Op::Bind { .. } => self.open(cx, me, kind, |id| HostCall::Listen { id, kind, folder, name }),
        };
        match opened {
            Ok(id) => self.state = State::Asking { until: cx.now + HOST, id, request },
            Err(error) => self.refuse(cx, error),
        }
    }

    fn open(
        &self,
        cx: &mut Context,
        me: TaskId,
        kind: SocketKind,
        call: impl FnOnce(u64) -> HostCall,
    ) -> Result<u64> {
        cx.with_task(self.door, |door, _| door.open(me, kind, call)).unwrap_or(Err(Error::NoBuffers))
    }

    fn refuse(&mut self, cx: &mut Context, error: Error) {
        let _ = cx.stack.tcp_write(self.tcp, &encode_reply(Err(error)));
        self.leave(cx, true);
    }

    /// The driver's answer, if it has come.
    fn hear_host(&mut self, cx: &mut Context) {
        let State::Asking { until, id, request } = &self.state else { return };
        let (until, id, request) = (*until, *id, request.clone());
        let hangup = cx.stack.tcp_readiness(self.tcp).hangup;
        let error = match cx.with_task(self.door, |door, _| door.next(id)).flatten() {
            Some(HostNews::Ready { .. }) => match (request.op, self.peer(cx)) {
                (Op::Find { .. }, _) => {
                    let now = cx.now;
                    cx.with_task(self.door, |door, _| door.leave(now, id));
                    let port = match request.kind {
                        SocketKind::Stream => GATE_PORT,
                        SocketKind::Datagram => DATAGRAM_GATE_PORT,
                    };
                    let found = Found { address: DIRECTORY, port, token: id };
                    let _ = cx.stack.tcp_write(self.tcp, &encode_reply(Ok(found)));
                    return self.leave(cx, true);
                }
                (Op::Bind { port }, Ok(address)) => {
                    let found = Found { address, port, token: 0 };
                    let _ = cx.stack.tcp_write(self.tcp, &encode_reply(Ok(found)));
                    let at = SocketAddr::new(address.into(), port);
                    cx.with_task(self.table, |table, _| table.put_host(at, id));
                    self.state = State::HostBound { id, kind: request.kind, path: request.place.path, at };
                    return;
                }
                (Op::Bind { .. }, Err(error)) => error,
            },
            Some(HostNews::Failed { error, .. }) => error,
            Some(_) => Error::Invalid,
            None if hangup => Error::ConnectionReset,
            None if cx.now >= until => Error::TimedOut,
            None => return,
        };
        cx.with_task(self.door, |door, _| door.close(id));
        self.refuse(cx, error);
    }

    /// Takes whoever has come to a path of the host's on to the guest that listens there.
    fn usher(&mut self, cx: &mut Context, me: TaskId) {
        let State::HostBound { id, kind, path, at } = &self.state else { return };
        let (id, kind, path, at) = (*id, *kind, path.clone(), *at);
        while let Some(news) = cx.with_task(self.door, |door, _| door.next(id)).flatten() {
            let HostNews::Accepted { id: socket, .. } = news else { continue };
            let hello = Hello { kind, own: None, target: path.clone(), token: 0 };
            match Bridge::call(cx, self.door, socket, at, hello) {
                Ok(bridge) => {
                    cx.spawn(bridge);
                }
                Err(_) => {
                    cx.with_task(self.door, |door, _| door.close(socket));
                }
            }
        }
        let readiness = cx.stack.tcp_readiness(self.tcp);
        if !readiness.read {
            return cx.stack.tcp_watch(self.tcp, Interest::READ, Waiter::Task(me));
        }
        cx.with_task(self.door, |door, _| door.close(id));
        self.leave(cx, readiness.read_bytes == 0);
    }

    fn leave(&mut self, cx: &mut Context, in_order: bool) {
        if let State::HostBound { id, at, .. } = std::mem::replace(&mut self.state, State::Over) {
            cx.with_task(self.table, |table, _| table.forget_host(&at, id));
        }
        if in_order {
            cx.stack.tcp_release(cx.now, self.tcp, true);
        } else {
            reset(cx.stack, cx.now, self.tcp);
        }
    }
}

impl Task for Asker {
    fn poll(&mut self, cx: &mut Context, me: TaskId) {
        if let State::Listening { until } = self.state {
            match self.question(cx) {
                Err(Error::WouldBlock) if cx.now < until => {
                    return cx.stack.tcp_watch(self.tcp, Interest::READ, Waiter::Task(me));
                }
                Err(error) => {
                    if error == Error::Invalid {
                        cx.with_task(self.table, |table, _| table.malformed += 1);
                    }
                    return self.leave(cx, false);
                }
                Ok(request) if request.place.folder != 0 => self.ask_host(cx, me, request),
                Ok(request) => {
                    let answer = self.answer(cx, me, &request);
                    // An empty buffer has room for it.
                    let _ = cx.stack.tcp_write(self.tcp, &encode_reply(answer));
                    match (answer, request.op) {
                        (Ok(_), Op::Bind { .. }) => self.state = State::Bound(request.place.path),
                        (Ok(_), Op::Find { .. }) | (Err(_), _) => return self.leave(cx, true),
                    }
                }
            }
        }
        self.hear_host(cx);
        self.usher(cx, me);
        if let State::Bound(path) = &self.state {
            let readiness = cx.stack.tcp_readiness(self.tcp);
            if !readiness.read {
                return cx.stack.tcp_watch(self.tcp, Interest::READ, Waiter::Task(me));
            }
            let path = path.clone();
            cx.with_task(self.table, |table, _| table.unbind(&path, me));
            self.leave(cx, readiness.read_bytes == 0);
        }
    }

    fn poll_at(&self) -> Option<Instant> {
        match self.state {
            State::Listening { until } | State::Asking { until, .. } => Some(until),
            State::Bound(_) | State::HostBound { .. } | State::Over => None,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    fn abort(&mut self, cx: &mut Context) {
        let id = match &self.state {
            State::Asking { id, .. } | State::HostBound { id, .. } => Some(*id),
            State::Listening { .. } | State::Bound(_) | State::Over => None,
        };
        if let Some(id) = id {
            cx.with_task(self.door, |door, _| door.close(id));
        }
        self.leave(cx, false);
    }
}
