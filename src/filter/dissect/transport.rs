//! TCP (RFC 9293) and UDP (RFC 768).

use smoltcp::wire::{TcpOption, TcpPacket, UDP_HEADER_LEN, UdpPacket};

use super::ip::Route;
use super::{Dissector, Layer};
use crate::capture::Record;
use crate::filter::field::Field;
use crate::filter::packet::Packet;
use crate::filter::tcp::{Segment, flag};
use crate::filter::value::Value;

/// Without options.
const TCP_HEADER_LEN: usize = 20;
/// Both ports and the sequence number: what an ICMP error quotes at least.
const TCP_QUOTED_LEN: usize = 8;

const FLAGS: &[(u16, Field)] = &[
    (flag::CWR, Field::TcpFlagsCwr),
    (flag::ECE, Field::TcpFlagsEce),
    (flag::URG, Field::TcpFlagsUrg),
    (flag::ACK, Field::TcpFlagsAck),
    (flag::PSH, Field::TcpFlagsPush),
    (flag::RST, Field::TcpFlagsReset),
    (flag::SYN, Field::TcpFlagsSyn),
    (flag::FIN, Field::TcpFlagsFin),
];

impl Dissector {
    pub(super) fn udp(&mut self, packet: &mut Packet, [from, to]: Route, layer: &Layer) {
        if layer.bytes.len() < UDP_HEADER_LEN {
            return;
        }
        let udp = UdpPacket::new_unchecked(&layer.bytes[..]);
        let ports = [udp.src_port(), udp.dst_port()];
        packet.add(Field::Udp, layer.value());
        add_ports(packet, [Field::UdpSrcport, Field::UdpDstport], Field::UdpPort, ports);
        packet.add(Field::UdpLength, Value::Uint(udp.len().into()));
        let stream = self.flows.number((from, ports[0]), (to, ports[1]));
        packet.add(Field::UdpStream, Value::Uint(stream.into()));
        if layer.quoted {
            return;
        }
        let payload = layer.first(udp.len().into()).after(UDP_HEADER_LEN);
        add_payload(packet, Field::UdpPayload, &payload);
    }

    pub(super) fn tcp(&mut self, packet: &mut Packet, record: &Record, [from, to]: Route, layer: &Layer) {
        if layer.bytes.len() < TCP_QUOTED_LEN || (layer.bytes.len() < TCP_HEADER_LEN && !layer.quoted) {
            return;
        }
        let tcp = TcpPacket::new_unchecked(&layer.bytes[..]);
        let ports = [tcp.src_port(), tcp.dst_port()];
        packet.add(Field::Tcp, layer.value());
        add_ports(packet, [Field::TcpSrcport, Field::TcpDstport], Field::TcpPort, ports);
        let seq = tcp.seq_number().0.cast_unsigned();
        packet.add(Field::TcpSeqRaw, Value::Uint(seq.into()));
        if layer.quoted {
            return;
        }
        let header_len = usize::from(tcp.header_len());
        let payload = layer.after(header_len.max(TCP_HEADER_LEN));
        let mut segment = Segment {
            from: (from, ports[0]),
            to: (to, ports[1]),
            seq,
            ack: tcp.ack_number().0.cast_unsigned(),
            // The four bits before these are the header's length.
            flags: u16::from_be_bytes([layer.bytes[12], layer.bytes[13]]) & 0x0FFF,
            window: tcp.window_len(),
            scale: None,
            len: payload.bytes.len() as u32,
        };
        let mss = options(&layer.bytes, header_len, &mut segment);
        let placed = self.connections.place(record.at, record.port, &segment);

        packet.add(Field::TcpStream, Value::Uint(placed.stream.into()));
        packet.add(Field::TcpLen, Value::Uint(segment.len.into()));
        packet.add(Field::TcpSeq, Value::Uint(placed.seq.into()));
        packet.add(Field::TcpAck, Value::Uint(placed.ack.into()));
        packet.add(Field::TcpAckRaw, Value::Uint(segment.ack.into()));
        packet.add(Field::TcpFlags, Value::Uint(segment.flags.into()));
        for (bit, field) in FLAGS {
            packet.add(*field, Value::Bool(segment.flags & bit != 0));
        }
        packet.add(Field::TcpWindowSizeValue, Value::Uint(segment.window.into()));
        if let Some(mss) = mss {
            packet.add(Field::TcpOptionsMssVal, Value::Uint(mss.into()));
        }
        if !placed.analysis.is_empty() {
            packet.add(Field::TcpAnalysisFlags, Value::Label);
        }
        for word in placed.analysis {
            packet.add(word, Value::Label);
        }
        add_payload(packet, Field::TcpPayload, &payload);
    }
}

fn add_ports(packet: &mut Packet, fields: [Field; 2], both: Field, ports: [u16; 2]) {
    for (field, port) in fields.into_iter().zip(ports) {
        packet.add(field, Value::Uint(port.into()));
        packet.add(both, Value::Uint(port.into()));
    }
}

fn add_payload(packet: &mut Packet, field: Field, payload: &Layer) {
    if !payload.bytes.is_empty() {
        packet.add(field, payload.value());
        packet.add(Field::Data, payload.value());
    }
}

/// Fills in what the options say of the window; the maximum segment size. Ends at the first option
/// that cannot be read.
fn options(bytes: &[u8], header_len: usize, segment: &mut Segment) -> Option<u16> {
    let mut mss = None;
    let mut rest = bytes.get(TCP_HEADER_LEN..header_len).unwrap_or_default();
    while !rest.is_empty() {
        let Ok((after, option)) = TcpOption::parse(rest) else { break };
        match option {
            TcpOption::EndOfList => break,
            TcpOption::MaxSegmentSize(size) => mss = Some(size),
            TcpOption::WindowScale(scale) => segment.scale = Some(scale),
            TcpOption::NoOperation
            | TcpOption::SackPermitted
            | TcpOption::SackRange(_)
            | TcpOption::TimeStamp { .. }
            | TcpOption::Unknown { .. } => {}
        }
        rest = after;
    }
    mss
}
