//! What is counted in a run, for expectations.

use std::collections::BTreeMap;

use super::Report;
use super::packets::Selection;
use crate::filter::{Field, Packet};
use crate::scenario::expectation::Counter;
use crate::time::Instant;

impl Report {
    /// How much of this there was, where and when it is looked for; and if that is more than `most`, when it came to be, as far as
    /// that is known.
    pub(super) fn count(
        &self,
        counter: Counter,
        selection: &Selection<'_>,
        most: u64,
    ) -> (u64, Option<Instant>) {
        let (mut count, mut over) = (0, None);
        let mut add = |at: Instant, amount: u64| {
            count += amount;
            if count > most {
                over.get_or_insert(at);
            }
        };
        match counter {
            Counter::Frames => self.look_at(selection, |packet| add(packet.record().at, 1)),
            Counter::Bytes => self.look_at(selection, |packet| {
                add(packet.record().at, packet.record().frame.len() as u64);
            }),
            // Wherever it happens, unless a place is named.
            Counter::LinkDrops(reason) => {
                let is_it = |record: &&crate::capture::Record| {
                    record.dropped.is_some_and(|dropped| reason.is_none_or(|reason| reason == dropped))
                        && (selection.from..=selection.until).contains(&record.at)
                        && self.is_at(record, selection.at)
                };
                self.judged().iter().filter(is_it).for_each(|record| add(record.at, 1));
            }
            Counter::DeviceDrops(reason) => {
                let of_reason = self.device_drops.iter().find(|(why, _)| *why == reason);
                count = of_reason.map_or(0, |(_, drops)| *drops);
            }
            Counter::Retransmissions => self.look_at(selection, |packet| {
                add(packet.record().at, u64::from(packet.has(Field::TcpAnalysisRetransmission)));
            }),
            Counter::Handshakes => {
                let mut handshakes = Handshakes::default();
                self.look_at(selection, |packet| {
                    add(packet.record().at, u64::from(handshakes.completes(packet)));
                });
            }
        }
        (count, over)
    }
}

/// TCP connections that are being made.
#[derive(Default)]
struct Handshakes(BTreeMap<u64, Handshake>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Handshake {
    /// The port that the SYN came from.
    Asked(u64),
    Answered(u64),
    Done,
}

impl Handshakes {
    /// True for the segment that completes one: SYN, SYN and ACK, ACK (RFC 9293, section 3.5).
    fn completes(&mut self, packet: &Packet) -> bool {
        let (Some(stream), Some(port)) = (packet.uint(Field::TcpStream), packet.uint(Field::TcpSrcport))
        else {
            return false;
        };
        // An ICMP error has the ports of a segment, and no flags.
        let [Some(syn), Some(ack), Some(reset)] =
            [Field::TcpFlagsSyn, Field::TcpFlagsAck, Field::TcpFlagsReset].map(|flag| packet.bool(flag))
        else {
            return false;
        };
        let state = self.0.get(&stream).copied();
        let next = match (state, syn, ack) {
            (None | Some(Handshake::Asked(_)), true, false) => Handshake::Asked(port),
            (Some(Handshake::Asked(from)), true, true) if from != port => Handshake::Answered(from),
            (Some(Handshake::Answered(from)), false, true) if from == port && !reset => Handshake::Done,
            _ => return false,
        };
        self.0.insert(stream, next);
        next == Handshake::Done
    }
}
