//! From a record to a [`Packet`]: one file for each layer, on smoltcp's `wire`.
//!
//! What cannot be read is absent, whatever the bytes are; a layer that is cut short ends the packet.

use std::sync::Arc;

use bytes::Bytes;

use super::field::Field;
use super::flows::Flows;
use super::packet::Packet;
use super::tcp::Connections;
use super::value::{Text, Value};
use crate::capture::{Record, Session, Way};
use crate::network::PacketId;
use crate::time::Instant;

mod ip;
mod link;
mod transport;

/// Dissects the frames of a capture, fed in its order: numbers, streams and the analysis of TCP depend on what came
/// before.
#[derive(Debug)]
pub struct Dissector {
    ports: Arc<[Text]>,
    count: u64,
    first_at: Option<Instant>,
    connections: Connections,
    flows: Flows,
}

impl Dissector {
    /// A dissector of a capture from its beginning. The session names the ports.
    pub fn new(session: &Session) -> Self {
        let ports = session.ports.iter().map(|port| Text::Shared(port.name.as_str().into()));
        Self::beginning(ports.collect())
    }

    /// A dissector of another capture of the same session, from its beginning.
    pub fn fresh(&self) -> Self {
        Self::beginning(Arc::clone(&self.ports))
    }

    fn beginning(ports: Arc<[Text]>) -> Self {
        Self { ports, count: 0, first_at: None, connections: Connections::default(), flows: Flows::default() }
    }

    /// Connections and flows that it remembers. They are never forgotten: whoever dissects without end begins anew when
    /// there are too many.
    pub fn known(&self) -> usize {
        self.connections.len() + self.flows.len()
    }

    /// The next frame.
    pub fn dissect(&mut self, record: &Record) -> Packet {
        let mut packet = Packet::new(record.clone());
        self.frame(&mut packet, record);
        self.ethernet(&mut packet, record);
        packet
    }

    /// A frame that nobody looks at has its place in the capture all the same.
    pub fn pass_over(&mut self, record: &Record) {
        self.count += 1;
        self.first_at.get_or_insert(record.at);
    }

    fn frame(&mut self, packet: &mut Packet, record: &Record) {
        self.pass_over(record);
        let first_at = self.first_at.unwrap_or(record.at);
        packet.add(Field::Frame, Value::Bytes(record.frame.bytes.clone()));
        packet.add(Field::FrameNumber, Value::Uint(self.count));
        packet.add(Field::FrameLen, Value::Uint(record.frame.len() as u64));
        packet.add(Field::FrameTimeRelative, Value::Time(record.at.since(first_at)));
        packet.add(Field::GuestnetTime, Value::Time(record.at.elapsed()));
        if let Some(name) = self.ports.get(record.port as usize) {
            packet.add(Field::FrameInterfaceName, Value::Text(name.clone()));
        }
        let direction = match record.way {
            Way::Inbound => "in",
            Way::Outbound => "out",
        };
        packet.add(Field::GuestnetDirection, Value::Text(Text::Static(direction)));
        if record.frame.id != PacketId::NONE {
            packet.add(Field::FramePacketId, Value::Uint(record.frame.id.0));
            packet.add(Field::GuestnetPacketId, Value::Uint(record.frame.id.0));
        }
        if let Some(reason) = record.dropped {
            let comment = format!("dropped: {}", reason.as_str());
            packet.add(Field::FrameComment, Value::Text(Text::Shared(comment.into())));
            packet.add(Field::GuestnetDropped, Value::Text(Text::Static(reason.as_str())));
        }
    }
}

/// A layer's bytes, and where they come from.
#[derive(Clone)]
struct Layer {
    bytes: Bytes,
    /// A packet that an ICMP error tells of: it was not sent here, and may be cut short.
    quoted: bool,
}

impl Layer {
    /// What comes after the first `len` bytes.
    fn after(&self, len: usize) -> Layer {
        Layer { bytes: self.bytes.slice(len.min(self.bytes.len())..), quoted: self.quoted }
    }

    /// The first `len` bytes, or what there is of them.
    fn first(&self, len: usize) -> Layer {
        Layer { bytes: self.bytes.slice(..len.min(self.bytes.len())), quoted: self.quoted }
    }

    fn value(&self) -> Value {
        Value::Bytes(self.bytes.clone())
    }
}
