//! The language, one frame's fields, one line for each packet, and what never panics.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::capture::{PortInfo, Record, Session, Way};
use crate::network::link::DropReason;
use crate::network::{Frame, PacketId};
use crate::time::Instant;

fn session() -> Session {
    let port = |name: &str| PortInfo { name: name.into(), description: String::new() };
    Session {
        name: "filters".into(),
        seed: 0,
        digest: String::new(),
        epoch: Duration::ZERO,
        ports: vec![port("client"), port("server")],
        names: vec![],
    }
}

/// A SYN from 10.2.0.2:54100 to 10.1.0.2:80, as the issue's own example has it.
fn syn() -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend([0x45, 0, 0, 44, 0x1C, 0x46, 0x40, 0, 64, 6, 0, 0, 10, 2, 0, 2, 10, 1, 0, 2]);
    frame.extend([
        0xD3, 0x54, 0, 80, 0x80, 0, 0, 1, 0, 0, 0, 0, 0x60, 2, 0xFF, 0xFF, 0, 0, 0, 0, 2, 4, 5, 0xB4,
    ]);
    frame
}

fn arp() -> Vec<u8> {
    let mut frame = vec![0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2, 0, 0, 0, 0, 2, 8, 6];
    frame.extend([0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 10, 2, 0, 2, 0, 0, 0, 0, 0, 0, 10, 2, 0, 1]);
    frame
}

fn record(bytes: Vec<u8>) -> Record {
    let frame = Frame { id: PacketId(12), ..Frame::new(Bytes::from(bytes)) };
    Record {
        at: Instant::from_micros(60_864),
        port: 0,
        way: Way::Outbound,
        frame,
        dropped: None,
        late: false,
    }
}

fn lost(bytes: Vec<u8>) -> Record {
    Record { dropped: Some(DropReason::Loss), ..record(bytes) }
}

fn packet(record: &Record) -> Packet {
    Dissector::new(&session()).dissect(record)
}

fn matches(filter: &str, packet: &Packet) -> bool {
    Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}")).matches(packet)
}

#[test]
fn what_the_capture_says_is_in_guestnets_own_words() {
    let (lost, sent) = (packet(&lost(syn())), packet(&record(syn())));
    for filter in [
        "guestnet.dropped",
        "guestnet.dropped == \"lost on the link\"",
        "frame.comment == \"dropped: lost on the link\"",
    ] {
        assert!(matches(filter, &lost) && !matches(filter, &sent), "{filter}");
    }
    for filter in [
        "guestnet.direction == out && guestnet.direction != \"in\"",
        "guestnet.packet_id == 12",
        "guestnet.time == 0.060864 && frame.time_relative == 0",
    ] {
        assert!(matches(filter, &sent), "{filter}");
    }
}

#[test]
fn and_binds_before_xor_and_xor_before_or() {
    let packet = packet(&record(syn()));
    // With t for true and f for false.
    let (t, f) = ("tcp", "udp");
    for (filter, expected) in [
        (format!("{t} || {t} && {f}"), true),
        (format!("({t} || {t}) && {f}"), false),
        (format!("{t} ^^ {t} && {f}"), true),
        (format!("{t} || {t} ^^ {t}"), true),
        (format!("{t} xor {t} xor {t}"), true),
        (format!("!{t} || {t}"), true),
        (format!("!({t} || {t})"), false),
        (format!("not not {t}"), true),
    ] {
        assert_eq!(matches(&filter, &packet), expected, "{filter}");
    }
}

#[test]
fn many_values_are_asked_for_one_or_for_all() {
    let packet = packet(&record(syn()));
    for (filter, expected) in [
        ("ip.addr == 10.1.0.2", true),
        ("ip.addr != 10.1.0.2", false),
        ("ip.addr !== 10.1.0.2", true),
        ("ip.addr === 10.0.0.0/8", true),
        ("ip.addr != 192.168.0.0/16", true),
        // Of an absent field nothing holds, but that it is in no set.
        ("udp.port != 7", false),
        ("udp.port !== 7", false),
        ("udp.port not in {7}", true),
        ("tcp.flags.syn && tcp.flags.reset", true),
        ("tcp.flags.syn == 1 && tcp.flags.reset == 1", false),
        ("tcp.flags & 0x12", true),
        ("tcp.flags & 0x10", false),
        ("tcp.flags & 0x12 == 2", true),
        ("tcp.port in {1..79, 81..100}", false),
        ("tcp.port in {1 .. 80}", true),
    ] {
        assert_eq!(matches(filter, &packet), expected, "{filter}");
    }
}

#[test]
fn a_mistake_has_its_place_and_what_would_be_right() {
    let mistakes = [
        "",
        "tcp.flags.rest == 1",
        "tcp.port = 80",
        "tcp.port == \"80\"",
        "tcp.port == 70000",
        "ip.src == 10.0.0.0/33",
        "ip.src == fd00::1",
        "eth.src == 02:00",
        "frame.time_relative < 5s",
        "tcp.port in {80 443}",
        "tcp.port in {443..80}",
        "tcp.port == 80 udp",
        "(tcp",
        "tcp)",
        "tcp &&",
        "tcp.port ==",
        "tcp.analysis.retransmission == 1",
        "tcp.port contains \"a\"",
        "frame contains \"a",
        "ip.src & 1",
        "80 == tcp.port",
        "tcp.payload[0:2] == 00:01",
        "nothing.like.it",
    ];
    let told = mistakes.map(|text| {
        let error = Filter::parse(text).unwrap_err();
        let Some(place) = text.get(error.span()) else { panic!("{text}: {error:?}") };
        format!("{text}\n    {place:?} {error}\n")
    });
    insta::assert_snapshot!(told.concat(), @r##"

        "" at byte 0: a field is missing at the end
    tcp.flags.rest == 1
        "tcp.flags.rest" at byte 0: `tcp.flags.rest` is no field; did you mean `tcp.flags.reset`?
    tcp.port = 80
        "=" at byte 9: `=` has no place in a filter; equality is `==`
    tcp.port == "80"
        "\"80\"" at byte 12: a string is no value of `tcp.port`, an integer; right is an integer from 0 to 65535, decimal or as in 0x1f
    tcp.port == 70000
        "70000" at byte 12: `70000` is no value of `tcp.port`, an integer; right is an integer from 0 to 65535, decimal or as in 0x1f
    ip.src == 10.0.0.0/33
        "10.0.0.0/33" at byte 10: `10.0.0.0/33` is no value of `ip.src`, an IPv4 address; right is an address as in 10.0.0.1 or a prefix as in 10.0.0.0/24
    ip.src == fd00::1
        "fd00::1" at byte 10: `fd00::1` is no value of `ip.src`, an IPv4 address; right is an address as in 10.0.0.1 or a prefix as in 10.0.0.0/24
    eth.src == 02:00
        "02:00" at byte 11: `02:00` is no value of `eth.src`, a MAC address; right is six bytes as in 02:00:00:00:00:01
    frame.time_relative < 5s
        "5s" at byte 22: `5s` is no value of `frame.time_relative`, a time in seconds; right is seconds as in 0.25, with up to nine decimals
    tcp.port in {80 443}
        "443" at byte 16: `,` or `}` goes here
    tcp.port in {443..80}
        "443" at byte 13: a range that ends before it begins
    tcp.port == 80 udp
        "udp" at byte 15: the filter is complete before this; `&&` or `||` goes between two tests
    (tcp
        "" at byte 4: `)` is missing; the bracket opens at byte 0
    tcp)
        ")" at byte 3: `)` closes nothing
    tcp &&
        "" at byte 6: a field is missing at the end
    tcp.port ==
        "" at byte 11: a value is missing at the end
    tcp.analysis.retransmission == 1
        "tcp.analysis.retransmission" at byte 0: `tcp.analysis.retransmission` has no value to compare; alone it asks whether the packet has it
    tcp.port contains "a"
        "tcp.port" at byte 0: `contains` looks into strings and bytes, and `tcp.port` is neither; as in `frame contains "GET"`
    frame contains "a
        "\"a" at byte 15: a string that does not end; `"` ends it
    ip.src & 1
        "ip.src" at byte 0: `&` takes bits of an integer, and `ip.src` is none
    80 == tcp.port
        "80" at byte 0: `80` is no field
    tcp.payload[0:2] == 00:01
        "[" at byte 11: `[` has no place in a filter; slices of fields are not supported
    nothing.like.it
        "nothing.like.it" at byte 0: `nothing.like.it` is no field
    "##);
}

#[test]
fn what_is_too_deep_or_too_long_is_refused() {
    let deep = |depth: usize| format!("{}tcp{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Filter::parse(&deep(64)).is_ok());
    assert_eq!(Filter::parse(&deep(65)).unwrap_err().span(), 64..65);
    assert!(Filter::parse(&format!("{}tcp", "!".repeat(65))).is_err());
    // Brackets side by side are not deep.
    assert!(Filter::parse(&vec!["(tcp)"; 1000].join("||")).is_ok());
    assert!(Filter::parse(&" ".repeat(20_000)).unwrap_err().message().contains("at most"));
}

#[test]
fn a_packet_in_one_line() {
    let mut dissector = Dissector::new(&session());
    let mut other = syn();
    other[23] = 89;
    let ethertype = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xCC, 1];
    let mut late = record(syn());
    late.at = Instant::from_micros(1_060_864);
    let inbound = Record { port: 1, way: Way::Inbound, ..record(syn()) };
    let records = [arp(), other, ethertype, vec![1, 2, 3]].map(record);
    let records = [lost(syn()), late, inbound].into_iter().chain(records);
    let lines: String = records.map(|record| format!("{}\n", dissector.dissect(&record))).collect();
    insta::assert_snapshot!(lines, @r##"
    1 0.060864 client > 10.2.0.2:54100 -> 10.1.0.2:80 TCP [SYN] Seq=0 Win=65535 Len=0 (dropped: lost on the link)
    2 1.060864 client > 10.2.0.2:54100 -> 10.1.0.2:80 TCP [TCP Retransmission] [SYN] Seq=0 Win=65535 Len=0
    3 0.060864 server < 10.2.0.2:54100 -> 10.1.0.2:80 TCP [SYN] Seq=0 Win=65535 Len=0
    4 0.060864 client > ARP who has 10.2.0.1? tell 10.2.0.2
    5 0.060864 client > 10.2.0.2 -> 10.1.0.2 protocol 89
    6 0.060864 client > Ethernet type 0x88cc, 15 bytes
    7 0.060864 client > frame of 3 bytes
    "##);
}

#[test]
fn what_is_cut_short_ends_the_packet() {
    let whole = packet(&record(syn()));
    for len in 0..syn().len() {
        let short = packet(&record(syn()[..len].to_vec()));
        for field in Field::ALL {
            assert!(whole.has(*field) || !short.has(*field), "{field} in {len} bytes");
        }
        let has =
            [Field::Frame, Field::Eth, Field::Ip, Field::Tcp, Field::TcpOptionsMssVal].map(|f| short.has(f));
        assert_eq!(has, [true, len >= 14, len >= 34, len >= 54, false], "{len} bytes");
    }
}

/// Words of the language in any order: far more of them parse, or nearly do, than of arbitrary text.
fn words() -> impl Strategy<Value = String> {
    let rest =
        ["==", "!=", "<", "&", "&&", "||", "^^", "!", "(", ")", "{", "}", ",", "..", "in", "not", "contains"];
    let values =
        ["0", "80", "0x1f", "10.0.0.0/8", "fd00::/7", "02:00:00:00:00:01", "\"a\"", "1.5", "true", "-1"];
    let all: Vec<_> =
        rest.into_iter().chain(values).chain(Field::ALL.iter().map(|field| field.name())).collect();
    proptest::collection::vec(proptest::sample::select(all), 0..12).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn any_text_is_a_filter_or_a_mistake_with_its_place(text in prop_oneof![words(), "\\PC{0,60}", ".{0,60}"]) {
        match Filter::parse(&text) {
            Ok(filter) => { filter.matches(&packet(&record(syn()))); }
            Err(error) => prop_assert!(text.get(error.span()).is_some(), "{:?}", error),
        }
    }

    #[test]
    fn any_bytes_are_dissected(
        cut in 0usize..58,
        tail in proptest::collection::vec(any::<u8>(), 0..120),
        frame in prop_oneof![Just(syn()), Just(arp())],
        patches in proptest::collection::vec((0usize..150, any::<u8>()), 0..6),
    ) {
        let mut dissector = Dissector::new(&session());
        let mut bytes = frame;
        bytes.truncate(cut);
        bytes.extend(tail);
        for (at, byte) in patches {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        for port in [0, 1, 7] {
            let packet = dissector.dissect(&Record { port, ..record(bytes.clone()) });
            prop_assert!(packet.to_string().starts_with(&packet.number().to_string()));
            prop_assert_eq!(packet.bytes(Field::Frame), Some(&bytes[..]));
        }
    }
}
