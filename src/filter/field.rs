//! The registry of fields: a new one is a line here, and the place that fills it in under `dissect/`.

use std::fmt;

use super::value::Kind;

macro_rules! fields {
    ($($variant:ident $name:literal $kind:expr, $about:literal, $example:literal;)*) => {
        /// A field of a packet, by the name that Wireshark has for it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Field {
            $(#[doc = $about] $variant,)*
        }

        impl Field {
            /// Every field, in the order of the page docs/filters.md.
            pub const ALL: &[Field] = &[$(Field::$variant),*];

            /// `tcp.srcport` ...
            pub const fn name(self) -> &'static str {
                match self { $(Field::$variant => $name),* }
            }

            /// What its values are.
            pub const fn kind(self) -> Kind {
                match self { $(Field::$variant => $kind),* }
            }

            /// What it is, in a few words.
            pub const fn about(self) -> &'static str {
                match self { $(Field::$variant => $about),* }
            }

            /// A filter with it.
            pub const fn example(self) -> &'static str {
                match self { $(Field::$variant => $example),* }
            }
        }
    };
}

use Kind::{Bool, Bytes, Ipv4, Ipv6, Label, Mac, Text, Time, Uint};

fields! {
    Frame "frame" Bytes, "the whole frame", "frame contains \"GET /\"";
    FrameNumber "frame.number" Uint(32), "its place in the capture, from 1", "frame.number in {1..20}";
    FrameLen "frame.len" Uint(32), "length in bytes, Ethernet header included", "frame.len > 1514";
    FrameTimeRelative "frame.time_relative" Time, "seconds since the first frame of the capture", "frame.time_relative < 0.25";
    FrameInterfaceName "frame.interface_name" Text, "the port it was seen at", "frame.interface_name == \"client\"";
    FramePacketId "frame.packet_id" Uint(64), "the same at every port that a packet crosses", "frame.packet_id == 7";
    FrameComment "frame.comment" Text, "the comment in the capture: that the link dropped the frame, and why", "frame.comment contains \"dropped\"";
    GuestnetDropped "guestnet.dropped" Text, "why the link dropped it; absent if it did not", "guestnet.dropped == \"queue full\"";
    GuestnetDirection "guestnet.direction" Text, "\"in\" if it came from the link, \"out\" if it went there", "guestnet.direction == \"out\"";
    GuestnetPacketId "guestnet.packet_id" Uint(64), "frame.packet_id under guestnet's own name", "guestnet.packet_id == 7";
    GuestnetTime "guestnet.time" Time, "seconds since the lab began", "guestnet.time >= 1.5";

    Eth "eth" Bytes, "Ethernet II", "eth";
    EthDst "eth.dst" Mac, "destination", "eth.dst == ff:ff:ff:ff:ff:ff";
    EthSrc "eth.src" Mac, "source", "eth.src == 02:00:00:00:00:01";
    EthAddr "eth.addr" Mac, "source and destination", "eth.addr == 02:00:00:00:00:01";
    EthType "eth.type" Uint(16), "EtherType", "eth.type == 0x0806";

    Arp "arp" Bytes, "ARP", "arp";
    ArpOpcode "arp.opcode" Uint(16), "1 request, 2 reply", "arp.opcode == 1";
    ArpSrcProtoIpv4 "arp.src.proto_ipv4" Ipv4, "the sender's address", "arp.src.proto_ipv4 == 10.0.0.1";
    ArpDstProtoIpv4 "arp.dst.proto_ipv4" Ipv4, "the address asked for", "arp.dst.proto_ipv4 == 10.0.0.2";

    Ip "ip" Bytes, "IPv4", "ip";
    IpDsfieldEcn "ip.dsfield.ecn" Uint(2), "3 is congestion experienced (RFC 3168)", "ip.dsfield.ecn == 3";
    IpLen "ip.len" Uint(16), "total length in bytes", "ip.len > 1400";
    IpId "ip.id" Uint(16), "identification", "ip.id == 0x1c46";
    IpFlagsDf "ip.flags.df" Bool, "do not fragment", "ip.flags.df == 1";
    IpFlagsMf "ip.flags.mf" Bool, "more fragments", "ip.flags.mf == 1";
    IpFragOffset "ip.frag_offset" Uint(16), "offset of a fragment in units of eight bytes", "ip.frag_offset > 0";
    IpTtl "ip.ttl" Uint(8), "time to live", "ip.ttl < 64";
    IpProto "ip.proto" Uint(8), "1 ICMP, 6 TCP, 17 UDP", "ip.proto == 6";
    IpSrc "ip.src" Ipv4, "source", "ip.src == 10.1.0.0/16";
    IpDst "ip.dst" Ipv4, "destination", "ip.dst == 10.1.0.2";
    IpAddr "ip.addr" Ipv4, "source and destination", "ip.addr == 10.1.0.2";

    Ipv6Packet "ipv6" Bytes, "IPv6", "ipv6";
    Ipv6Plen "ipv6.plen" Uint(16), "payload length in bytes", "ipv6.plen > 1400";
    Ipv6Nxt "ipv6.nxt" Uint(8), "next header: 6 TCP, 17 UDP, 58 ICMPv6", "ipv6.nxt == 58";
    Ipv6Hlim "ipv6.hlim" Uint(8), "hop limit", "ipv6.hlim == 255";
    Ipv6Src "ipv6.src" Ipv6, "source", "ipv6.src == fd00:1::/64";
    Ipv6Dst "ipv6.dst" Ipv6, "destination", "ipv6.dst == fd00:1::2";
    Ipv6Addr "ipv6.addr" Ipv6, "source and destination", "ipv6.addr == fd00:1::2";

    Icmp "icmp" Bytes, "ICMP", "icmp";
    IcmpType "icmp.type" Uint(8), "8 echo request, 0 reply, 3 unreachable, 11 time exceeded", "icmp.type == 3";
    IcmpCode "icmp.code" Uint(8), "of type 3: 3 port unreachable, 4 fragmentation needed", "icmp.code == 4";
    Icmpv6 "icmpv6" Bytes, "ICMPv6", "icmpv6";
    Icmpv6Type "icmpv6.type" Uint(8), "128 echo request, 129 reply, 2 packet too big, 135 neighbour solicitation", "icmpv6.type == 2";
    Icmpv6Code "icmpv6.code" Uint(8), "of type 1: 4 port unreachable", "icmpv6.code == 4";

    Udp "udp" Bytes, "UDP", "udp";
    UdpSrcport "udp.srcport" Uint(16), "source port", "udp.srcport == 53";
    UdpDstport "udp.dstport" Uint(16), "destination port", "udp.dstport == 53";
    UdpPort "udp.port" Uint(16), "both ports", "udp.port in {53, 123}";
    UdpLength "udp.length" Uint(16), "length in bytes, header included", "udp.length > 512";
    UdpStream "udp.stream" Uint(32), "number of the flow, from 0", "udp.stream == 0";
    UdpPayload "udp.payload" Bytes, "what it carries", "udp.payload contains de:ad:be:ef";

    Tcp "tcp" Bytes, "TCP", "tcp";
    TcpSrcport "tcp.srcport" Uint(16), "source port", "tcp.srcport == 80";
    TcpDstport "tcp.dstport" Uint(16), "destination port", "tcp.dstport == 80";
    TcpPort "tcp.port" Uint(16), "both ports", "tcp.port in {80, 443, 8000..8010}";
    TcpStream "tcp.stream" Uint(32), "number of the connection, from 0", "tcp.stream == 0";
    TcpLen "tcp.len" Uint(32), "bytes of payload", "tcp.len > 0";
    TcpSeq "tcp.seq" Uint(32), "sequence number; that of the SYN is 0", "tcp.seq == 1";
    TcpSeqRaw "tcp.seq_raw" Uint(32), "sequence number on the wire", "tcp.seq_raw == 0x5f3a0001";
    TcpAck "tcp.ack" Uint(32), "acknowledgement, counted from the peer's SYN", "tcp.ack > 1";
    TcpAckRaw "tcp.ack_raw" Uint(32), "acknowledgement on the wire", "tcp.ack_raw == 0";
    TcpFlags "tcp.flags" Uint(12), "all flags", "tcp.flags & 0x12 == 0x12";
    TcpFlagsCwr "tcp.flags.cwr" Bool, "congestion window reduced", "tcp.flags.cwr == 1";
    TcpFlagsEce "tcp.flags.ece" Bool, "ECN echo", "tcp.flags.ece == 1";
    TcpFlagsUrg "tcp.flags.urg" Bool, "urgent", "tcp.flags.urg == 1";
    TcpFlagsAck "tcp.flags.ack" Bool, "acknowledgement", "tcp.flags.ack == 0";
    TcpFlagsPush "tcp.flags.push" Bool, "push", "tcp.flags.push == 1";
    TcpFlagsReset "tcp.flags.reset" Bool, "reset", "tcp.flags.reset == 1";
    TcpFlagsSyn "tcp.flags.syn" Bool, "synchronise", "tcp.flags.syn == 1 && tcp.flags.ack == 0";
    TcpFlagsFin "tcp.flags.fin" Bool, "finish", "tcp.flags.fin == 1";
    TcpWindowSizeValue "tcp.window_size_value" Uint(16), "window on the wire, not scaled", "tcp.window_size_value == 0";
    TcpOptionsMssVal "tcp.options.mss_val" Uint(16), "maximum segment size of a SYN", "tcp.options.mss_val < 1460";
    TcpPayload "tcp.payload" Bytes, "what it carries", "tcp.payload contains \"HTTP/1.1 200\"";
    TcpAnalysisFlags "tcp.analysis.flags" Label, "any of the words below", "tcp.analysis.flags";
    TcpAnalysisRetransmission "tcp.analysis.retransmission" Label, "sent before", "tcp.analysis.retransmission";
    TcpAnalysisFastRetransmission "tcp.analysis.fast_retransmission" Label, "a retransmission that duplicate ACKs asked for", "tcp.analysis.fast_retransmission";
    TcpAnalysisSpuriousRetransmission "tcp.analysis.spurious_retransmission" Label, "a retransmission of what was acknowledged already", "tcp.analysis.spurious_retransmission";
    TcpAnalysisOutOfOrder "tcp.analysis.out_of_order" Label, "fills a gap, too soon for a retransmission", "tcp.analysis.out_of_order";
    TcpAnalysisLostSegment "tcp.analysis.lost_segment" Label, "a segment before this one was not seen", "tcp.analysis.lost_segment";
    TcpAnalysisAckLostSegment "tcp.analysis.ack_lost_segment" Label, "acknowledges what was not seen", "tcp.analysis.ack_lost_segment";
    TcpAnalysisDuplicateAck "tcp.analysis.duplicate_ack" Label, "the same acknowledgement again", "tcp.analysis.duplicate_ack";
    TcpAnalysisZeroWindow "tcp.analysis.zero_window" Label, "the receiver has no room", "tcp.analysis.zero_window";
    TcpAnalysisZeroWindowProbe "tcp.analysis.zero_window_probe" Label, "a byte sent into a closed window", "tcp.analysis.zero_window_probe";
    TcpAnalysisZeroWindowProbeAck "tcp.analysis.zero_window_probe_ack" Label, "the answer to that", "tcp.analysis.zero_window_probe_ack";
    TcpAnalysisWindowUpdate "tcp.analysis.window_update" Label, "an ACK that changes the window alone", "tcp.analysis.window_update";
    TcpAnalysisWindowFull "tcp.analysis.window_full" Label, "fills the receiver's window", "tcp.analysis.window_full";
    TcpAnalysisKeepAlive "tcp.analysis.keep_alive" Label, "asks whether the peer is there", "tcp.analysis.keep_alive";
    TcpAnalysisKeepAliveAck "tcp.analysis.keep_alive_ack" Label, "the answer to that", "tcp.analysis.keep_alive_ack";
    TcpAnalysisReusedPorts "tcp.analysis.reused_ports" Label, "a SYN for a new connection between the ports of an old one", "tcp.analysis.reused_ports";

    Data "data" Bytes, "what TCP or UDP carries, if anything", "data contains 00:01:02";
}

impl Field {
    /// The field of that name.
    pub fn named(name: &str) -> Option<Field> {
        Field::ALL.iter().copied().find(|field| field.name() == name)
    }

    /// The field whose name is nearest to `name`, if one is near.
    pub(super) fn near(name: &str) -> Option<Field> {
        // One letter is near to every other, and what is longer than any name is not cheap to compare.
        if !(2..=64).contains(&name.len()) {
            return None;
        }
        let name = name.to_ascii_lowercase();
        let distance_max = (name.len() / 4).clamp(1, 4);
        let distances = Field::ALL.iter().map(|field| (strsim::osa_distance(&name, field.name()), *field));
        distances.min().filter(|(distance, _)| *distance <= distance_max).map(|(_, field)| field)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Filter;

    #[test]
    fn every_example_is_a_filter() {
        for field in Field::ALL {
            assert!(field.example().contains(field.name()), "{field}");
            if let Err(error) = Filter::parse(field.example()) {
                panic!("{}: {error}", field.example());
            }
        }
    }

    #[test]
    fn the_page_has_every_field() {
        let page = include_str!("../../docs/filters.md");
        let row = |field: &Field| {
            let (name, kind) = (field.name(), field.kind());
            // A bar inside a table's cell is escaped.
            format!("| `{name}` | {kind} | {} | `{}` |\n", field.about(), field.example().replace('|', "\\|"))
        };
        let missing: String = Field::ALL.iter().map(row).filter(|row| !page.contains(row)).collect();
        assert!(missing.is_empty(), "docs/filters.md has not:\n{missing}");
    }
}
