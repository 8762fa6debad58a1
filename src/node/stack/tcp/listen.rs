//! Listening: a SYN makes a connection of its own, up to the backlog.
//!
//! A smoltcp socket that listens turns into the connection, and the next SYN would be reset. So a listener
//! is no socket at all: each SYN gets a fresh listening socket that only it will ever reach.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::socket::TcpOptions;
use super::{Phase, Tcp};
use crate::error::{Error, Result};
use crate::node::slab::Id;
use crate::node::stack::flows::Tuple;
use crate::node::stack::{Admission, Stack, ports};
use crate::node::wake::{Interest, Readiness, Waiter, Watch};
use crate::time::Instant;

/// A half-open connection.
const HALF_OPEN: Duration = Duration::from_secs(60);

/// Linux's net.core.somaxconn.
const BACKLOG_MAX: usize = 4096;
/// As long as the first answer may take before it is sent again (RFC 6298): no half-open connection gives way before.
const YOUNG: Duration = Duration::from_secs(1);

pub struct Listener {
    local: SocketAddr,
    backlog: usize,
    /// Oldest first.
    half_open: VecDeque<Id<Tcp>>,
    queue: VecDeque<Id<Tcp>>,
    waiting: Watch,
    options: TcpOptions,
    /// `None`: everybody is let in.
    pub(in super::super) admission: Option<Arc<dyn Admission>>,
}

impl Listener {
    /// Where it listens, and how many connections nobody accepted.
    pub(in super::super) fn standing(&self) -> (SocketAddr, usize) {
        (self.local, self.queue.len())
    }

    fn no_longer_half_open(&mut self, connection: Id<Tcp>) {
        if let Some(at) = self.half_open.iter().position(|&other| other == connection) {
            self.half_open.remove(at);
        }
    }
}

impl Stack {
    pub fn listen(&mut self, local: SocketAddr, backlog: usize, options: TcpOptions) -> Id<Listener> {
        let id = self.listeners.insert(Listener {
            local,
            backlog: backlog.clamp(1, BACKLOG_MAX),
            half_open: VecDeque::new(),
            queue: VecDeque::new(),
            waiting: Watch::default(),
            options,
            admission: None,
        });
        self.listening.entry(local.port()).or_default().push(id);
        id
    }

    pub fn set_backlog(&mut self, id: Id<Listener>, backlog: usize) {
        if let Some(listener) = self.listeners.get_mut(id) {
            listener.backlog = backlog.clamp(1, BACKLOG_MAX);
        }
    }

    pub fn accept(&mut self, id: Id<Listener>) -> Result<Id<Tcp>> {
        let listener = self.listeners.get_mut(id).ok_or(Error::BadDescriptor)?;
        let connection = listener.queue.pop_front().ok_or(Error::WouldBlock)?;
        if let Some(connection) = self.connections.get_mut(connection) {
            connection.phase = Phase::Open;
        }
        self.tcp_hold(connection);
        Ok(connection)
    }

    pub fn listener_readiness(&self, id: Id<Listener>) -> Readiness {
        let waiting = self.listeners.get(id).map_or(0, |listener| listener.queue.len());
        Readiness { read: waiting > 0, read_bytes: waiting, ..Default::default() }
    }

    pub fn listener_watch(&mut self, id: Id<Listener>, interest: Interest, waiter: Waiter) {
        if let Some(listener) = self.listeners.get_mut(id) {
            listener.waiting.join(interest, waiter);
        }
    }

    /// Stops listening; who waited in the queue is reset, as Linux does.
    pub fn unlisten(&mut self, now: Instant, id: Id<Listener>) {
        let Some(listener) = self.listeners.remove(id) else { return };
        if let Some(list) = self.listening.get_mut(&listener.local.port()) {
            list.retain(|&other| other != id);
            if list.is_empty() {
                self.listening.remove(&listener.local.port());
            }
        }
        let left = self.connections.ids().filter(|&connection| {
            self.connections.get(connection).is_some_and(
                |connection| matches!(connection.phase, Phase::HalfOpen(of) | Phase::Queued(of) if of == id),
            )
        });
        for connection in left.collect::<Vec<_>>() {
            self.tcp_hold(connection);
            if let Some(connection) = self.connections.get_mut(connection) {
                // Released as one that was being made: with a reset.
                connection.phase = Phase::Connecting;
            }
            self.tcp_release(now, connection, true);
        }
    }

    /// The connection that a SYN to `tuple.local` makes. `None`: nobody listens, to this peer. `Some(None)`: no room, in the backlog or in the buffers.
    pub(super) fn passive_open(&mut self, now: Instant, nic: usize, tuple: Tuple) -> Option<Option<Id<Tcp>>> {
        let id = self.listener_for(tuple.local)?;
        let listener = self.listeners.get(id)?;
        let options = listener.options;
        let admission = listener.admission.clone();
        if !self.admits(now, admission.as_ref(), tuple.remote) {
            return None;
        }
        let listener = self.listeners.get(id)?;
        if listener.half_open.len() + listener.queue.len() >= listener.backlog {
            let Some(silent) = self.silent_half_open(now, id) else {
                self.statistics.backlog_full += 1;
                return Some(None);
            };
            self.discard_half_open(silent, id);
        }
        let Some(socket) = self.make_socket(nic, &options) else {
            self.statistics.no_buffers += 1;
            return Some(None);
        };
        let connection = self.insert(nic, tuple, socket, Phase::HalfOpen(id), options);
        let deadline = now + HALF_OPEN;
        self.listen_socket(connection, tuple.local, deadline);
        if let Some(listener) = self.listeners.get_mut(id) {
            listener.half_open.push_back(connection);
        }
        Some(Some(connection))
    }

    /// Gives a half-open connection's set a listening socket on `local`.
    fn listen_socket(&mut self, id: Id<Tcp>, local: SocketAddr, deadline: Instant) -> bool {
        let Some(connection) = self.connections.get_mut(id) else { return false };
        connection.deadline = Some(deadline);
        connection.socket_mut().listen((local.ip(), local.port())).is_ok()
    }

    /// The oldest half-open connection, if its peer had [`YOUNG`] to answer and did not: under a flood of SYNs from
    /// nowhere, honest peers get through between such ones. Linux prunes its queue so, too.
    fn silent_half_open(&self, now: Instant, id: Id<Listener>) -> Option<Id<Tcp>> {
        let oldest = *self.listeners.get(id)?.half_open.front()?;
        let deadline = self.connections.get(oldest)?.deadline?;
        (deadline + YOUNG <= now + HALF_OPEN).then_some(oldest)
    }

    /// The most specific listener: an address before the wildcard.
    pub(super) fn listener_for(&self, local: SocketAddr) -> Option<Id<Listener>> {
        let list = self.listening.get(&local.port())?;
        let find =
            |ip| list.iter().copied().find(|&id| self.listeners.get(id).is_some_and(|l| l.local.ip() == ip));
        find(local.ip()).or_else(|| find(ports::wildcard(local.ip())))
    }

    pub(super) fn enqueue(&mut self, connection: Id<Tcp>, id: Id<Listener>) {
        let Some(listener) = self.listeners.get_mut(id) else { return };
        listener.no_longer_half_open(connection);
        listener.queue.push_back(connection);
        let readiness = Readiness { read: true, ..Default::default() };
        listener.waiting.fire(readiness, &mut self.wakes);
    }

    pub(super) fn unqueue(&mut self, connection: Id<Tcp>, id: Id<Listener>) {
        if let Some(listener) = self.listeners.get_mut(id) {
            listener.queue.retain(|&queued| queued != connection);
        }
    }

    pub(in super::super) fn discard_half_open(&mut self, connection: Id<Tcp>, id: Id<Listener>) {
        if let Some(listener) = self.listeners.get_mut(id) {
            listener.no_longer_half_open(connection);
        }
        self.remove(connection);
    }
}
