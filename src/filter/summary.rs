//! A packet in one line, in the manner of tshark.

use std::fmt::{self, Display, Write};
use std::net::SocketAddr;

use super::field::Field;
use super::packet::Packet;
use crate::capture::Way;

/// What the analysis is called in a line; of a retransmission of a named kind, only that.
const NOTES: &[(Field, &str)] = &[
    (Field::TcpAnalysisReusedPorts, "TCP Port numbers reused"),
    (Field::TcpAnalysisFastRetransmission, "TCP Fast Retransmission"),
    (Field::TcpAnalysisSpuriousRetransmission, "TCP Spurious Retransmission"),
    (Field::TcpAnalysisRetransmission, "TCP Retransmission"),
    (Field::TcpAnalysisOutOfOrder, "TCP Out-Of-Order"),
    (Field::TcpAnalysisLostSegment, "TCP Previous segment not captured"),
    (Field::TcpAnalysisAckLostSegment, "TCP ACKed unseen segment"),
    (Field::TcpAnalysisDuplicateAck, "TCP Dup ACK"),
    (Field::TcpAnalysisKeepAlive, "TCP Keep-Alive"),
    (Field::TcpAnalysisKeepAliveAck, "TCP Keep-Alive ACK"),
    (Field::TcpAnalysisWindowUpdate, "TCP Window Update"),
    (Field::TcpAnalysisWindowFull, "TCP Window Full"),
    (Field::TcpAnalysisZeroWindow, "TCP ZeroWindow"),
    (Field::TcpAnalysisZeroWindowProbe, "TCP ZeroWindowProbe"),
    (Field::TcpAnalysisZeroWindowProbeAck, "TCP ZeroWindowProbeAck"),
];

const FLAGS: &[(Field, &str)] = &[
    (Field::TcpFlagsFin, "FIN"),
    (Field::TcpFlagsSyn, "SYN"),
    (Field::TcpFlagsReset, "RST"),
    (Field::TcpFlagsPush, "PSH"),
    (Field::TcpFlagsAck, "ACK"),
    (Field::TcpFlagsUrg, "URG"),
    (Field::TcpFlagsEce, "ECE"),
    (Field::TcpFlagsCwr, "CWR"),
];

/// `12 0.060864 client > 10.2.0.2:54100 -> 10.1.0.2:80 TCP [SYN] Seq=0 Win=65535 Len=0`: number, seconds since the lab
/// began, port, whether it left (`>`) or came (`<`), and what it is.
impl Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.record();
        let micros = record.at.nanos() / 1_000;
        write!(f, "{} {}.{:06} ", self.number(), micros / 1_000_000, micros % 1_000_000)?;
        match self.text(Field::FrameInterfaceName) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "port {}", record.port)?,
        }
        f.write_str(match record.way {
            Way::Inbound => " < ",
            Way::Outbound => " > ",
        })?;
        self.info(f)?;
        match record.dropped {
            Some(reason) => write!(f, " (dropped: {})", reason.as_str()),
            None => Ok(()),
        }
    }
}

impl Packet {
    fn info(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.has(Field::Arp) {
            return self.arp(f);
        }
        let ends = [(Field::IpSrc, Field::IpDst), (Field::Ipv6Src, Field::Ipv6Dst)];
        let ends = ends.iter().find_map(|(from, to)| Some((self.address(*from)?, self.address(*to)?)));
        let Some((from, to)) = ends else { return self.frame(f) };
        // An ICMP error has the ports of the packet that it quotes as well.
        if self.has(Field::Icmp) || self.has(Field::Icmpv6) {
            write!(f, "{from} -> {to} ")?;
            return self.icmp(f);
        }
        let ports = [(Field::TcpSrcport, Field::TcpDstport), (Field::UdpSrcport, Field::UdpDstport)];
        let port = |field| self.uint(field).and_then(|port| u16::try_from(port).ok());
        match ports.iter().find_map(|(from, to)| Some((port(*from)?, port(*to)?))) {
            Some((source, destination)) => {
                let (from, to) = (SocketAddr::new(from, source), SocketAddr::new(to, destination));
                write!(f, "{from} -> {to} ")?;
            }
            None => write!(f, "{from} -> {to} ")?,
        }
        if self.has(Field::Tcp) {
            self.tcp(f)
        } else if let Some(length) = self.uint(Field::UdpLength) {
            write!(f, "UDP Len={}", length.saturating_sub(8))
        } else if let Some(offset) = self.uint(Field::IpFragOffset).filter(|offset| *offset > 0) {
            write!(f, "IPv4 fragment at byte {}", offset * 8)
        } else {
            let protocol = self.uint(Field::IpProto).or(self.uint(Field::Ipv6Nxt)).unwrap_or_default();
            write!(f, "protocol {protocol}")
        }
    }

    fn tcp(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TCP ")?;
        let named = self.has(Field::TcpAnalysisFastRetransmission)
            || self.has(Field::TcpAnalysisSpuriousRetransmission);
        for (word, note) in NOTES {
            if self.has(*word) && !(named && *word == Field::TcpAnalysisRetransmission) {
                write!(f, "[{note}] ")?;
            }
        }
        let set = FLAGS.iter().filter(|(field, _)| self.bool(*field) == Some(true));
        f.write_char('[')?;
        for (number, (_, name)) in set.enumerate() {
            write!(f, "{}{name}", if number == 0 { "" } else { ", " })?;
        }
        f.write_char(']')?;
        let acked = self.bool(Field::TcpFlagsAck) == Some(true);
        let numbers = [
            ("Seq", Some(Field::TcpSeq)),
            ("Ack", acked.then_some(Field::TcpAck)),
            ("Win", Some(Field::TcpWindowSizeValue)),
            ("Len", Some(Field::TcpLen)),
        ];
        for (name, field) in numbers {
            if let Some(value) = field.and_then(|field| self.uint(field)) {
                write!(f, " {name}={value}")?;
            }
        }
        Ok(())
    }

    fn icmp(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = |kind, code| Some((self.uint(kind)?, self.uint(code)?));
        let (name, found) = match message(Field::IcmpType, Field::IcmpCode) {
            Some(found) => ("ICMP", Some(found)),
            None => ("ICMPv6", message(Field::Icmpv6Type, Field::Icmpv6Code)),
        };
        let (kind, code) = found.unwrap_or_default();
        let told = match (name, kind) {
            ("ICMP", 0) | ("ICMPv6", 129) => "echo reply",
            ("ICMP", 8) | ("ICMPv6", 128) => "echo request",
            ("ICMP", 3) | ("ICMPv6", 1) => "destination unreachable",
            ("ICMP", 11) | ("ICMPv6", 3) => "time exceeded",
            ("ICMPv6", 2) => "packet too big",
            ("ICMPv6", 133) => "router solicitation",
            ("ICMPv6", 134) => "router advertisement",
            ("ICMPv6", 135) => "neighbour solicitation",
            ("ICMPv6", 136) => "neighbour advertisement",
            ("ICMPv6", 143) => "multicast listener report",
            _ => return write!(f, "{name} type {kind} code {code}"),
        };
        write!(f, "{name} {told}")?;
        if code == 0 { Ok(()) } else { write!(f, " (code {code})") }
    }

    fn arp(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(asker), Some(target)) =
            (self.address(Field::ArpSrcProtoIpv4), self.address(Field::ArpDstProtoIpv4))
        else {
            return f.write_str("ARP");
        };
        match self.uint(Field::ArpOpcode) {
            Some(1) => write!(f, "ARP who has {target}? tell {asker}"),
            Some(2) => write!(f, "ARP {asker} answers {target}"),
            other => write!(f, "ARP opcode {}", other.unwrap_or_default()),
        }
    }

    fn frame(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.record().frame.len();
        match self.uint(Field::EthType) {
            Some(ethertype) => write!(f, "Ethernet type 0x{ethertype:04x}, {len} bytes"),
            None => write!(f, "frame of {len} bytes"),
        }
    }
}
