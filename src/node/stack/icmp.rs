//! Packets of ours that did not get through, as ICMP errors and our own link say, and whom that concerns.
//!
//! Anybody can send an ICMP error: one about TCP is believed if it quotes a segment that is in flight (RFC 5927, 4.1), one
//! about UDP or an echo request if it quotes a flow that there is, one about an answer to an echo request if that is among the last.

use super::Stack;
use super::demux::{Quote, Quoted, Unreachable};
use super::flows::Tuple;
use super::tcp::{Phase, Tcp};
use super::udp::Carried;
use crate::error::Error;
use crate::time::Instant;

impl Tcp {
    /// True if a segment with this sequence number was sent and not acknowledged, as far as can be told.
    fn is_in_flight(&self, sequence: u32) -> bool {
        match self.phase {
            Phase::Connecting | Phase::HalfOpen(_) => self.initial == Some(sequence),
            // The FIN takes a number, too.
            Phase::Queued(_) | Phase::Open => {
                let behind = sequence.wrapping_sub(self.acknowledged) as usize;
                behind <= self.socket().send_queue() + 1
            }
        }
    }

    /// True once the peer has shown that it is where it says. Until then the connection may be a stranger's work, who sent
    /// the SYN from somebody else's address; and nothing of ours is long enough to be too big for a link.
    fn is_known(&self) -> bool {
        match self.phase {
            Phase::Connecting | Phase::HalfOpen(_) => false,
            Phase::Queued(_) | Phase::Open => true,
        }
    }
}

impl Stack {
    /// An ICMP error about a packet of ours.
    pub(super) fn unreachable(&mut self, now: Instant, quote: Quote, reason: Unreachable) {
        if let Unreachable::TooBig { mtu } = reason
            && !self.too_big(now, &quote, mtu)
        {
            self.statistics.forged += 1;
            return;
        }
        if let Unreachable::TooBig { .. } = reason
            && quote.protocol == Quoted::Tcp
        {
            return self.narrowed(now, quote.tuple);
        }
        match quote.protocol {
            Quoted::Tcp => self.tcp_unreachable(now, quote.tuple, Some(quote.sequence), reason),
            Quoted::Udp => self.udp_unreachable(Carried::Udp, quote.tuple, reason),
            Quoted::Echo => self.udp_unreachable(Carried::Echo, quote.tuple, reason),
            // Nobody here waits to hear of it.
            Quoted::EchoAnswer => {}
        }
    }

    /// Remembers how narrow a path is; false if the error is about no flow of ours, or cannot be true.
    fn too_big(&mut self, now: Instant, quote: &Quote, mtu: usize) -> bool {
        let is_ours = match quote.protocol {
            Quoted::Tcp => {
                let id = self.flows_by_tuple.get(&quote.tuple);
                let connection = id.and_then(|&id| self.connections.get(id));
                connection.is_some_and(|it| it.is_known() && it.is_in_flight(quote.sequence))
            }
            Quoted::Udp => self.has_flow(Carried::Udp, &quote.tuple),
            Quoted::Echo => self.has_flow(Carried::Echo, &quote.tuple),
            Quoted::EchoAnswer => self.has_answered(quote.tuple.remote.ip(), quote.sequence),
        };
        is_ours && self.paths.learn(now, quote.tuple.remote.ip(), quote.bytes, mtu)
    }

    /// What a connection has under way was too long for its path. It is sent again at once, cut to fit (RFC 1191, 6.4), as
    /// Linux does; but once for each width, so that nobody drives a connection by errors.
    fn narrowed(&mut self, now: Instant, tuple: Tuple) {
        let Some(&id) = self.flows_by_tuple.get(&tuple) else { return };
        let Some(path) = self.paths.get(now, tuple.remote.ip()) else { return };
        let Some(connection) = self.connections.get_mut(id) else { return };
        if path.mtu < connection.narrowest {
            connection.narrowest = path.mtu;
            self.resend(now, id);
        }
    }

    /// A packet of a connection of ours did not get through, as an ICMP error or our own link says. RFC 1122, 4.2.3.9: it
    /// ends a connection that is being made, and leaves an established one alone; but if that times out, this is why.
    ///
    /// `sequence`: of the segment, as an ICMP error quotes it; anybody can send one (RFC 5927, 4).
    pub(super) fn tcp_unreachable(
        &mut self,
        now: Instant,
        tuple: Tuple,
        sequence: Option<u32>,
        reason: Unreachable,
    ) {
        let Some(&id) = self.flows_by_tuple.get(&tuple) else { return };
        let Some(connection) = self.connections.get_mut(id) else { return };
        if sequence.is_some_and(|sequence| !connection.is_in_flight(sequence)) {
            self.statistics.forged += 1;
            return;
        }
        let error = match reason {
            Unreachable::Network => Error::NetworkUnreachable,
            Unreachable::Host | Unreachable::Prohibited | Unreachable::Expired => Error::HostUnreachable,
            Unreachable::Port => Error::ConnectionRefused,
            Unreachable::TooBig { .. } => return,
        };
        match connection.phase {
            Phase::Connecting => {
                connection.error = Some(error);
                connection.socket_mut().abort();
                self.settle(now, id);
            }
            Phase::Queued(_) | Phase::Open => connection.soft_error = Some(error),
            // Whoever asked for it is not there.
            Phase::HalfOpen(listener) if sequence.is_none() => self.discard_half_open(id, listener),
            Phase::HalfOpen(_) => {}
        }
    }
}
