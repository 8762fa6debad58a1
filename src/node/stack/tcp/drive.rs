//! What time and a connection's state call for: it sends, gives up, and is followed until it ends.

use std::time::Duration;

use smoltcp::socket::tcp::State;

use super::{ORPHAN, Phase, Tcp};
use crate::error::Error;
use crate::network::ip::ETHERNET_HEADER_BYTES;
use crate::node::slab::Id;
use crate::node::stack::{BURST_PACKETS_MAX, Stack, Work, demux};
use crate::time::Instant;

/// smoltcp's longest, until it sends again what was not acknowledged.
const TIME_OUT_MAX: Duration = Duration::from_secs(60);
/// Keep-alives that nobody answers, one after another, before the peer is given up (Linux's tcp_keepalive_probes).
const KEEP_ALIVES: u32 = 9;

impl Tcp {
    /// When an idle peer that answers no keep-alive is given up: the first is sent after one interval, and the last one
    /// has as long to be answered. While something waits to be acknowledged, that is asked again instead.
    fn gone_at(&self) -> Option<Instant> {
        let interval = self.options.keep_alive?;
        let socket = self.socket();
        let idle = self.phase == Phase::Open && socket.state() != State::Closed && socket.send_queue() == 0;
        idle.then(|| self.heard + interval * (KEEP_ALIVES + 1))
    }
}

impl Stack {
    /// Sends what a connection has to send, within its burst, and looks at what became of it.
    pub(in super::super) fn pump(&mut self, now: Instant, id: Id<Tcp>) {
        let Stack { nics, connections, .. } = self;
        let Some(connection) = connections.get_mut(id) else { return };
        connection.dirty = false;
        let nic = connection.nic;
        if [connection.deadline, connection.gone_at()].iter().flatten().any(|&at| at <= now) {
            connection.deadline = None;
            if connection.error.is_none() {
                connection.error = Some(connection.soft_error.unwrap_or(Error::TimedOut));
            }
            connection.socket_mut().abort();
        }
        let expired =
            connection.holders == 0 && connection.phase == Phase::Open && connection.deadline.is_none();
        let was_open = connection.socket().state() != State::Closed;
        let mut sent = 0;
        while sent < BURST_PACKETS_MAX && nics[nic].transmit(now, &mut connection.socket.set) {
            sent += 1;
        }
        if was_open && connection.socket().state() == State::Closed && connection.error.is_none() {
            // smoltcp gave up on unacknowledged data.
            connection.error = Some(connection.soft_error.unwrap_or(Error::TimedOut));
        }
        if connection.phase == Phase::Connecting && connection.error.is_some() {
            // Nobody there knows of a connection to reset.
            let sent = &mut nics[nic].wire.sent;
            sent.retain(|packet| demux::sequence(&packet[ETHERNET_HEADER_BYTES..]).is_none());
        }
        if let (Phase::Connecting | Phase::HalfOpen(_), None) = (connection.phase, connection.initial)
            && let Some(syn) = nics[nic].wire.sent.last()
        {
            connection.initial = demux::sequence(&syn[ETHERNET_HEADER_BYTES..]);
        }
        self.flush(now, nic);
        if expired {
            // The reset was sent, or cannot be.
            return self.remove(id);
        }
        if sent == BURST_PACKETS_MAX {
            self.mark_dirty(id);
        }
        self.settle(now, id);
    }

    /// Has what a connection has under way sent again, from the first byte that is not acknowledged. smoltcp does so when
    /// its time-out is over, and in no other way: it is told that it is.
    pub(in super::super) fn resend(&mut self, now: Instant, id: Id<Tcp>) {
        self.pump(now, id);
        // An acknowledgement that was put off may come before the time-out.
        for _ in 0..2 {
            let Stack { nics, connections, .. } = self;
            let Some(connection) = connections.get_mut(id) else { return };
            let nic = connection.nic;
            let due = nics[nic].poll_at(now, &connection.socket.set);
            let Some(at) = due.filter(|at| at.since(now) <= TIME_OUT_MAX) else { return };
            nics[nic].transmit(at, &mut connection.socket.set);
            let sent = nics[nic].wire.sent.last();
            let is_data = sent.is_some_and(|packet| demux::has_payload(&packet[ETHERNET_HEADER_BYTES..]));
            self.flush(now, nic);
            if is_data {
                break;
            }
        }
        self.mark_dirty(id);
    }

    /// Follows a connection's state: queues it for `accept`, wakes who waits, schedules or ends it.
    pub(in super::super) fn settle(&mut self, now: Instant, id: Id<Tcp>) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let state = connection.socket().state();
        match connection.phase {
            Phase::Connecting => match state {
                State::SynSent | State::SynReceived => {}
                State::Closed => {}
                _ => {
                    connection.phase = Phase::Open;
                    connection.deadline = None;
                }
            },
            Phase::HalfOpen(listener) => match state {
                State::SynReceived => {}
                State::Closed | State::Listen => return self.discard_half_open(id, listener),
                _ => {
                    connection.phase = Phase::Queued(listener);
                    connection.deadline = None;
                    self.enqueue(id, listener);
                }
            },
            Phase::Queued(listener) => {
                if state == State::Closed {
                    self.unqueue(id, listener);
                    return self.remove(id);
                }
            }
            Phase::Open => {}
        }
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.holders == 0 && connection.phase == Phase::Open {
            let socket = connection.socket();
            if socket.recv_queue() > 0 && socket.state() != State::Closed {
                // Data that nobody will read: the peer is told so (RFC 1122, 4.2.2.13).
                connection.socket_mut().abort();
                return self.mark_dirty(id);
            }
            match connection.socket().state() {
                // All was acknowledged, and lingering is over; the peer's own end may take longer.
                State::FinWait2 if connection.options.linger.take().is_some() => {
                    connection.deadline = Some(now + ORPHAN);
                }
                State::Closed if connection.socket().remote_endpoint().is_none() => return self.remove(id),
                State::TimeWait if !connection.dirty => {
                    let (tuple, peer_next) = (connection.tuple, connection.peer_next);
                    self.remove(id);
                    return self.time_wait.insert(now, tuple, peer_next);
                }
                _ => {}
            }
        }
        let readiness = connection.readiness();
        if connection.socket().send_queue() == 0 && connection.socket().timeout().is_some() {
            connection.socket_mut().set_timeout(None);
        }
        connection.waiting.fire(readiness, &mut self.wakes);
        self.schedule(now, id);
    }

    fn schedule(&mut self, now: Instant, id: Id<Tcp>) {
        let Stack { nics, connections, timers, .. } = self;
        let Some(connection) = connections.get_mut(id) else { return };
        if connection.dirty {
            return;
        }
        let polled = nics[connection.nic].poll_at(now, &connection.socket.set);
        let due = [polled, connection.deadline, connection.gone_at()];
        let Some(at) = due.into_iter().flatten().min() else {
            connection.timer = None;
            return;
        };
        if at <= now {
            connection.dirty = true;
            self.dirty.push_back(Work::Tcp(id));
        } else if connection.timer.is_none_or(|timer| timer > at || timer <= now) {
            // A timer that fires early is looked at again then; one that is due later is set anew.
            connection.timer = Some(at);
            timers.push(at, (id, at));
        }
    }
}
