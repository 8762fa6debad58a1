//! What a segment does: to its connection, to a listener, to what is left of a connection in TIME-WAIT.

use bytes::Bytes;
use smoltcp::socket::tcp::State;

use super::time_wait::Answer;
use super::{Phase, Tcp, reply};
use crate::error::Error;
use crate::node::stack::Stack;
use crate::node::stack::demux::Segment;
use crate::node::stack::flows::Tuple;
use crate::time::Instant;

impl Tcp {
    /// True for one more acknowledgement of the same while nothing but our FIN is not acknowledged. smoltcp takes
    /// three for a loss, finds no data to send again, and has stopped the FIN's timer for it: nothing would
    /// ever be sent again.
    fn is_idle_duplicate(&self, segment: &Segment) -> bool {
        let socket = self.socket();
        segment.acknowledgement == self.acknowledged
            && segment.payload_len == 0
            && segment.ack
            && !(segment.syn || segment.fin || segment.rst)
            && matches!(socket.state(), State::FinWait1 | State::Closing | State::LastAck)
            && socket.send_queue() == 0
    }
}

impl Stack {
    /// A segment for this node, in `packet`.
    pub(in super::super) fn receive_segment(
        &mut self,
        now: Instant,
        nic: usize,
        tuple: Tuple,
        segment: Segment,
        packet: Bytes,
    ) {
        let id = match self.flows_by_tuple.get(&tuple) {
            Some(&id) => id,
            None => match self.time_wait.segment(now, &tuple, &segment) {
                Answer::Ignore => return,
                Answer::Acknowledge => {
                    if let Some(answer) = reply::acknowledge(&packet) {
                        self.send(now, nic, answer);
                    }
                    return;
                }
                Answer::GiveWay | Answer::Unknown => {
                    if !segment.syn || segment.ack || segment.rst {
                        // RFC 9293, 3.10.7.2: a listener ignores what makes no connection and belongs to none.
                        let stray = !segment.syn && !segment.ack && self.listener_for(tuple.local).is_some();
                        if !stray {
                            self.receive_for_nobody(now, nic, packet);
                        }
                        return;
                    }
                    match self.passive_open(now, nic, tuple) {
                        Some(Some(id)) => id,
                        // Past the backlog: dropped, so that the peer tries again.
                        Some(None) => return,
                        None => return self.receive_for_nobody(now, nic, packet),
                    }
                }
            },
        };
        let Stack { nics, connections, .. } = self;
        let Some(connection) = connections.get_mut(id) else { return };
        connection.heard = now;
        if segment.fin {
            connection.peer_next = segment.sequence.wrapping_add(segment.payload_len as u32).wrapping_add(1);
        }
        if connection.is_idle_duplicate(&segment) {
            return;
        }
        if segment.acknowledgement != connection.acknowledged {
            connection.soft_error = None;
        }
        connection.acknowledged = segment.acknowledgement;
        let before = connection.socket().state();
        nics[nic].receive(now, packet, &mut connection.socket.set);
        let after = connection.socket().state();
        if segment.rst && before != State::Closed && after == State::Closed {
            connection.error = Some(match (connection.phase, before) {
                (Phase::Connecting, _) => Error::ConnectionRefused,
                // It had closed already, and does not want what came after.
                (_, State::CloseWait) => Error::Pipe,
                _ => Error::ConnectionReset,
            });
        }
        let eager = nics[nic].eager;
        self.flush(now, nic);
        if eager {
            self.pump(now, id);
        } else {
            // What it led to is looked at and sent at the turn's end, once for all segments of the turn.
            self.mark_dirty(id);
        }
    }
}
