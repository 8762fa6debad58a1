//! The directory of a namespace: the program of a node of its own, that knows which path is bound where.
//!
//! Each question comes on a connection of its own, which a task (`Asker`) answers. One that bound a path stays, and the
//! path is bound until it ends. The table itself is a task too, that all of them share.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::path::UnixPath;
use super::porter::reset;
use super::wire::{Found, Op, Place, REQUEST_BYTES, Request, encode_reply};
use super::{DIRECTORY_PORT, SMALL};
use crate::error::{Error, Result};
use crate::node::object::Context;
use crate::node::slab::Id;
use crate::node::stack::{Listener, Tcp};
use crate::node::task::{Handle, Task, TaskId};
use crate::node::{Interest, SocketKind, Waiter};
use crate::time::Instant;

/// As long as a question may take to come.
const QUESTION: Duration = Duration::from_secs(30);
/// Questions taken up in one turn.
const TURN_MAX: usize = 256;
const BACKLOG: usize = 4096;
/// Paths of one node, and of all.
const NODE_PATHS_MAX: usize = 1024;
const PATHS_MAX: usize = 32_768;

#[derive(Default)]
pub struct Directory {
    listener: Option<Id<Listener>>,
    table: Option<Handle<Table>>,
}

impl Directory {
    fn start(&mut self, cx: &mut Context) -> Result<(Id<Listener>, Handle<Table>)> {
        if let (Some(listener), Some(table)) = (self.listener, self.table) {
            return Ok((listener, table));
        }
        let local = cx.stack.tcp_bind(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), DIRECTORY_PORT))?;
        let listener = cx.stack.listen(local, BACKLOG, SMALL);
        let table = cx.spawn(Table::default());
        (self.listener, self.table) = (Some(listener), Some(table));
        Ok((listener, table))
    }
}

impl Task for Directory {
    fn poll(&mut self, cx: &mut Context, me: TaskId) {
        // Its port is its own: nobody else is on its node.
        let Ok((listener, table)) = self.start(cx) else { return };
        for _ in 0..TURN_MAX {
            match cx.stack.accept(listener) {
                Ok(tcp) => {
                    let state = State::Listening { until: cx.now + QUESTION };
                    cx.spawn(Asker { tcp, table, state });
                }
                Err(_) => return cx.stack.listener_watch(listener, Interest::READ, Waiter::Task(me)),
            }
        }
        cx.wake_task(me);
    }

    fn is_over(&self) -> bool {
        false
    }

    fn abort(&mut self, _: &mut Context) {}
}

/// Who has bound what.
#[derive(Default)]
struct Table {
    paths: BTreeMap<UnixPath, Entry>,
    nodes: BTreeMap<Ipv6Addr, NodePaths>,
}

struct Entry {
    kind: SocketKind,
    address: Ipv6Addr,
    port: u16,
    asker: TaskId,
}

struct NodePaths {
    boot: u32,
    count: usize,
}

impl Table {
    /// What a node bound before it was switched on anew is gone.
    fn meet(&mut self, address: Ipv6Addr, boot: u32) {
        let node = self.nodes.entry(address).or_insert(NodePaths { boot, count: 0 });
        if node.boot != boot {
            *node = NodePaths { boot, count: 0 };
            self.paths.retain(|_, entry| entry.address != address);
        }
    }

    fn bind(&mut self, path: UnixPath, entry: Entry) -> Result<Found> {
        let found = Found { address: entry.address, port: entry.port, token: 0 };
        let count = self.nodes.get(&entry.address).map_or(0, |node| node.count);
        if self.paths.contains_key(&path) {
            return Err(Error::AddressInUse);
        }
        if count >= NODE_PATHS_MAX || self.paths.len() >= PATHS_MAX {
            return Err(Error::NoBuffers);
        }
        if let Some(node) = self.nodes.get_mut(&entry.address) {
            node.count += 1;
        }
        self.paths.insert(path, entry);
        Ok(found)
    }

    fn find(&self, path: &UnixPath, kind: SocketKind) -> Result<Found> {
        let entry = self.paths.get(path).ok_or(Error::NoEntry)?;
        if entry.kind != kind {
            return Err(Error::Prototype);
        }
        Ok(Found { address: entry.address, port: entry.port, token: 0 })
    }

    fn unbind(&mut self, path: &UnixPath, asker: TaskId) {
        let Some(entry) = self.paths.get(path).filter(|entry| entry.asker == asker) else { return };
        if let Some(node) = self.nodes.get_mut(&entry.address) {
            node.count -= 1;
        }
        self.paths.remove(path);
    }
}

impl Task for Table {
    fn poll(&mut self, _: &mut Context, _: TaskId) {}

    fn is_over(&self) -> bool {
        false
    }

    fn abort(&mut self, _: &mut Context) {}
}

/// Who asks, over one connection.
struct Asker {
    tcp: Id<Tcp>,
    table: Handle<Table>,
    state: State,
}

enum State {
    Listening { until: Instant },
    Bound(UnixPath),
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
        let Request { op, kind, place: Place { folder, path }, boot } = request;
        let address = match cx.stack.tcp_addresses(self.tcp) {
            Some((_, peer)) => match peer.ip() {
                IpAddr::V6(address) => address,
                IpAddr::V4(_) => return Err(Error::Invalid),
            },
            None => return Err(Error::ConnectionReset),
        };
        if *folder != 0 {
            return Err(Error::NoEntry);
        }
        let work = |table: &mut Table, _: &mut Context| {
            table.meet(address, *boot);
            match *op {
                Op::Find => table.find(path, *kind),
                Op::Bind { port } => {
                    table.bind(path.clone(), Entry { kind: *kind, address, port, asker: me })
                }
            }
        };
        cx.with_task(self.table, work).unwrap_or(Err(Error::NoBuffers))
    }

    fn leave(&mut self, cx: &mut Context, in_order: bool) {
        self.state = State::Over;
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
                Err(_) => return self.leave(cx, false),
                Ok(request) => {
                    let answer = self.answer(cx, me, &request);
                    // An empty buffer has room for it.
                    let _ = cx.stack.tcp_write(self.tcp, &encode_reply(answer));
                    match (answer, request.op) {
                        (Ok(_), Op::Bind { .. }) => self.state = State::Bound(request.place.path),
                        (Ok(_), Op::Find) | (Err(_), _) => return self.leave(cx, true),
                    }
                }
            }
        }
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
            State::Listening { until } => Some(until),
            State::Bound(_) | State::Over => None,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    fn abort(&mut self, cx: &mut Context) {
        self.leave(cx, false);
    }
}
