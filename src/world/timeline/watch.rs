//! What entries wait for: text that a guest prints, its start, its end, a packet at a port.

use std::collections::BTreeMap;

use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket, UdpPacket,
};

use super::{World, world_port};
use crate::capture::{Record, Session};
use crate::filter::{Dissector, Filter};
use crate::node::{Output, OutputStream};
use crate::scenario::plan::{PacketMatch, ProtocolMatch, TcpMatch, When};

/// Connections and flows of one port that filters remember; then they begin anew.
const REMEMBERED_MAX: usize = 65_536;

/// Entries that wait; each waits once.
#[derive(Default)]
pub(super) struct Watches {
    /// Guest, entry.
    started: Vec<(usize, usize)>,
    exited: Vec<(usize, usize)>,
    printed: Vec<Printed>,
    /// Port of the world, what the packet must be, entry.
    packets: Vec<(usize, Wanted, usize)>,
    /// Of each port that a filter waits at; all of its packets go through, so that connections are known.
    dissectors: BTreeMap<usize, Dissector>,
}

enum Wanted {
    Kind(PacketMatch),
    Filter(Filter),
}

struct Printed {
    guest: usize,
    text: Vec<u8>,
    /// Of standard output and standard error: what came last, shorter than the text.
    tails: [Vec<u8>; 2],
    entry: usize,
}

impl Watches {
    pub fn add(&mut self, entry: usize, when: &When, session: &Session) {
        match when {
            When::Time(_) => {}
            When::Started { guests } => self.started.extend(guests.iter().map(|&guest| (guest, entry))),
            When::Exited { guests } => self.exited.extend(guests.iter().map(|&guest| (guest, entry))),
            When::Printed { guests, text } => self.printed.extend(guests.iter().map(|&guest| Printed {
                guest,
                text: text.clone().into_bytes(),
                tails: Default::default(),
                entry,
            })),
            When::Packet { port, packet } => {
                self.packets.push((world_port(*port), Wanted::Kind(*packet), entry));
            }
            When::Matching { port, filter } => {
                let port = world_port(*port);
                if !self.dissectors.contains_key(&port) {
                    let another = self.dissectors.values().next().map(Dissector::fresh);
                    let dissector = another.unwrap_or_else(|| Dissector::new(session));
                    self.dissectors.insert(port, dissector);
                }
                self.packets.push((port, Wanted::Filter(filter.clone()), entry));
            }
        }
    }

    /// Entries that this packet is the event of. They wait no longer.
    fn take_packets(&mut self, record: &Record) -> Vec<usize> {
        let port = record.port as usize;
        let packet = self.dissectors.get_mut(&port).map(|dissector| {
            if dissector.known() > REMEMBERED_MAX {
                *dissector = dissector.fresh();
            }
            dissector.dissect(record)
        });
        let mut seen = Vec::new();
        self.packets.retain(|(at, wanted, entry)| {
            let found = *at == port
                && match (wanted, &packet) {
                    (Wanted::Kind(kind), _) => is(kind, &record.frame.bytes).unwrap_or(false),
                    (Wanted::Filter(filter), Some(packet)) => filter.matches(packet),
                    (Wanted::Filter(_), None) => false,
                };
            if found {
                seen.push(*entry);
            }
            !found
        });
        let waits = |(at, wanted, _): &(usize, Wanted, usize)| {
            *at == port
                && match wanted {
                    Wanted::Filter(_) => true,
                    Wanted::Kind(_) => false,
                }
        };
        if !self.packets.iter().any(waits) {
            self.dissectors.remove(&port);
        }
        seen
    }
}

impl Printed {
    /// True if the text is there, be it in parts.
    fn sees(&mut self, output: &Output) -> bool {
        let tail = match output.stream {
            OutputStream::Stdout => &mut self.tails[0],
            OutputStream::Stderr => &mut self.tails[1],
            OutputStream::Trace => return false,
        };
        tail.extend_from_slice(&output.bytes);
        let found = tail.windows(self.text.len()).any(|window| window == self.text);
        tail.drain(..tail.len().saturating_sub(self.text.len() - 1));
        found
    }
}

impl World {
    pub(in crate::world) fn saw_start(&mut self, guest: usize) {
        let entries = take_first(&mut self.timeline.watches.started, guest);
        entries.into_iter().for_each(|entry| self.trigger_entry(entry));
    }

    pub(in crate::world) fn saw_exit(&mut self, guest: usize) {
        let entries = take_first(&mut self.timeline.watches.exited, guest);
        entries.into_iter().for_each(|entry| self.trigger_entry(entry));
    }

    pub(in crate::world) fn saw_output(&mut self, guest: usize, outputs: &[Output]) {
        let printed = &mut self.timeline.watches.printed;
        let mut seen = Vec::new();
        printed.retain_mut(|watch| {
            let found = watch.guest == guest && outputs.iter().any(|output| watch.sees(output));
            if found {
                seen.push(watch.entry);
            }
            !found
        });
        // Of several guests the first counts.
        printed.retain(|watch| !seen.contains(&watch.entry));
        seen.into_iter().for_each(|entry| self.trigger_entry(entry));
    }

    /// A packet crosses a port; the record is what a capture has of it.
    pub(in crate::world) fn saw_packet(&mut self, record: &Record) {
        let seen = self.timeline.watches.take_packets(record);
        seen.into_iter().for_each(|entry| self.trigger_entry(entry));
    }

    /// Whether packets are looked at, at all.
    pub(in crate::world) fn awaits_packets(&self) -> bool {
        !self.timeline.watches.packets.is_empty()
    }
}

/// Entries that waited for this guest, whether for it alone or for the first of several.
fn take_first(watches: &mut Vec<(usize, usize)>, guest: usize) -> Vec<usize> {
    let of_guest = watches.iter().filter(|&&(other, _)| other == guest);
    let seen: Vec<usize> = of_guest.map(|&(_, entry)| entry).collect();
    watches.retain(|(_, entry)| !seen.contains(entry));
    seen
}

/// `None`: not even IP, or cut short.
fn is(wanted: &PacketMatch, bytes: &[u8]) -> Option<bool> {
    let frame = EthernetFrame::new_checked(bytes).ok()?;
    let (protocol, payload) = match frame.ethertype() {
        EthernetProtocol::Ipv4 => {
            let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
            if packet.frag_offset() != 0 {
                return None;
            }
            let payload = usize::from(packet.header_len())..usize::from(packet.total_len());
            (packet.next_header(), frame.payload().get(payload)?)
        }
        EthernetProtocol::Ipv6 => {
            let packet = Ipv6Packet::new_checked(frame.payload()).ok()?;
            (packet.next_header(), frame.payload().get(packet.header_len()..packet.total_len())?)
        }
        EthernetProtocol::Arp | EthernetProtocol::Unknown(_) => return None,
    };
    let of_port = |ports: [u16; 2]| wanted.port.is_none_or(|port| ports.contains(&port));
    Some(match (wanted.protocol, protocol) {
        (ProtocolMatch::Tcp(tcp), IpProtocol::Tcp) => {
            let segment = TcpPacket::new_checked(payload).ok()?;
            of_port([segment.src_port(), segment.dst_port()])
                && match tcp {
                    TcpMatch::Any => true,
                    TcpMatch::Syn => segment.syn() && !segment.ack(),
                    TcpMatch::SynAck => segment.syn() && segment.ack(),
                    TcpMatch::Fin => segment.fin(),
                    TcpMatch::Rst => segment.rst(),
                    TcpMatch::Data => !segment.payload().is_empty(),
                }
        }
        (ProtocolMatch::Udp, IpProtocol::Udp) => {
            let datagram = UdpPacket::new_checked(payload).ok()?;
            of_port([datagram.src_port(), datagram.dst_port()])
        }
        (ProtocolMatch::Tcp(_) | ProtocolMatch::Udp, _) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_across_writes_and_not_across_streams() {
        let watch = || Printed { guest: 0, text: b"ready".into(), tails: Default::default(), entry: 0 };
        let out = |text: &str| Output { stream: OutputStream::Stdout, bytes: text.into() };
        let err = |text: &str| Output { stream: OutputStream::Stderr, bytes: text.into() };
        let sees = |outputs: &[Output]| {
            let mut watch = watch();
            outputs.iter().any(|output| watch.sees(output))
        };
        assert!(sees(&[out("already")]));
        assert!(sees(&[out("not rea"), err("!"), out("dy yet")]));
        assert!(sees(&[out("r"), out("e"), out("a"), out("d"), out("y")]));
        assert!(!sees(&[out("rea"), err("dy")]));
        assert!(!sees(&[out("rea"), out("d"), out(" y")]));
    }
}
