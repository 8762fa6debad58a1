//! A capture as other programs read it: pcap-file's reader, and tshark.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::tshark;
use guestnet::capture::{PortInfo, Record, Session, Way, Writer};
use guestnet::network::link::DropReason;
use guestnet::network::{Frame, PacketId};
use guestnet::time::Instant;
use pcap_file::pcapng::blocks::Block;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::{PcapNgBlock, PcapNgReader};
use smoltcp::wire::{IpAddress, IpProtocol, checksum};

const SERVER4: [u8; 4] = [10, 0, 0, 1];
const CLIENT4: [u8; 4] = [10, 0, 0, 2];
const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

fn session() -> Session {
    let port =
        |name: &str, description: &str| PortInfo { name: name.into(), description: description.into() };
    Session {
        name: "capture test".into(),
        seed: 7,
        digest: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".into(),
        epoch: Duration::from_secs(1_577_836_800),
        ports: vec![port("client", "guest client, to server"), port("server", "guest server, to client")],
        names: vec![
            (SERVER4.into(), "server.lab".into()),
            (CLIENT4.into(), "client.lab".into()),
            ("2001:db8::1".parse().unwrap(), "server.lab".into()),
        ],
    }
}

/// What two hosts say to each other before their first bytes, each frame seen at both ports.
fn records() -> Vec<Record> {
    let mut records = vec![];
    let frames = [
        (false, arp()),
        (true, udp()),
        (false, tcp_syn()),
        (true, neighbour_solicitation()),
        (false, jumbo()),
    ];
    for (number, (from_server, bytes)) in frames.into_iter().enumerate() {
        let frame = Frame { id: PacketId(1 + number as u64), ..Frame::new(Bytes::from(bytes)) };
        let (from, to) = if from_server { (1, 0) } else { (0, 1) };
        let sent = Instant::from_nanos(number as u64 * 1_000_000 + 1);
        let outbound = Record {
            at: sent,
            port: from,
            way: Way::Outbound,
            frame: frame.clone(),
            dropped: None,
            late: false,
        };
        if number == 2 {
            records.push(Record { dropped: Some(DropReason::Loss), ..outbound });
            continue;
        }
        records.push(outbound);
        let arrived = sent + Duration::from_nanos(250_123);
        records.push(Record { at: arrived, port: to, way: Way::Inbound, frame, dropped: None, late: false });
    }
    records
}

fn capture() -> Vec<u8> {
    let mut writer = Writer::new(vec![], &session()).unwrap();
    records().iter().for_each(|record| writer.record(record).unwrap());
    writer.finish(Instant::from_nanos(10_000_000)).unwrap()
}

#[test]
fn pcap_file_reads_what_was_written() {
    let bytes = capture();
    let mut reader = PcapNgReader::with_capacity(&bytes[..], 1 << 20).unwrap();
    let (mut interfaces, mut packets, mut names, mut statistics) = (0, vec![], 0, 0);
    while let Some(block) = reader.next_block() {
        let (block, _) = block.unwrap();
        match block {
            Block::InterfaceDescription(_) => interfaces += 1,
            Block::NameResolution(block) => names += block.records.len(),
            Block::EnhancedPacket(packet) => packets.push(packet.into_block().into_owned()),
            Block::InterfaceStatistics(_) => statistics += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((interfaces, names, statistics), (2, 3, 2));
    let expected = records();
    assert_eq!(packets.len(), expected.len());
    for (packet, record) in packets.iter().zip(&expected) {
        let Block::EnhancedPacket(packet) = packet else { unreachable!() };
        assert_eq!(packet.interface_id, record.port);
        assert_eq!(packet.timestamp, session().epoch + record.at.elapsed());
        assert_eq!(packet.data[..], record.frame.bytes[..]);
        assert_eq!(packet.original_len as usize, record.frame.len());
        let direction = if record.way == Way::Inbound { 1 } else { 2 };
        assert!(packet.options.contains(&EnhancedPacketOption::Flags(direction)));
        let dropped = format!("{:?}", packet.options).contains("dropped: lost on the link");
        assert_eq!(dropped, record.dropped.is_some());
    }
}

#[test]
fn tshark_reads_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab.pcapng");
    std::fs::write(&path, capture()).unwrap();
    let fields = [
        "frame.interface_name",
        "frame.time_epoch",
        "frame.packet_flags_direction",
        "frame.packet_id",
        "frame.len",
        "frame.protocols",
        "frame.comment",
    ];
    let mut packets = tshark::tshark(&path);
    packets.args(["-T", "fields", "-E", "separator=|"]);
    for field in fields {
        packets.args(["-e", field]);
    }
    insta::assert_snapshot!(tshark::output(&mut packets), @r#"
    client|1577836800.000000001|0x00000002|1|42|eth:ethertype:arp|
    server|1577836800.000250124|0x00000001|1|42|eth:ethertype:arp|
    server|1577836800.001000001|0x00000002|2|46|eth:ethertype:ip:udp:data|
    client|1577836800.001250124|0x00000001|2|46|eth:ethertype:ip:udp:data|
    client|1577836800.002000001|0x00000002|3|58|eth:ethertype:ip:tcp|dropped: lost on the link
    server|1577836800.003000001|0x00000002|4|86|eth:ethertype:ipv6:icmpv6|
    client|1577836800.003250124|0x00000001|4|86|eth:ethertype:ipv6:icmpv6|
    client|1577836800.004000001|0x00000002|5|65549|eth:ethertype:ip:tcp|
    server|1577836800.004250124|0x00000001|5|65549|eth:ethertype:ip:tcp|
    "#);

    assert_eq!(tshark::faults(&path), "");
    let mut broken = capture();
    let syn = broken.windows(4).position(|bytes| bytes == [2, 4, 5, 0xB4]).unwrap();
    broken[syn] ^= 1;
    let broken_path = folder.path().join("broken.pcapng");
    std::fs::write(&broken_path, broken).unwrap();
    assert_eq!(tshark::faults(&broken_path).lines().count(), 1, "the filter finds faults");

    let hosts = tshark::output(tshark::tshark(&path).args(["-q", "-z", "hosts"]));
    for name in ["10.0.0.1\tserver.lab", "10.0.0.2\tclient.lab", "2001:db8::1\tserver.lab"] {
        assert!(hosts.contains(name), "{name:?} is missing in\n{hosts}");
    }
}

fn ethernet(to: [u8; 6], from: [u8; 6], protocol: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from, &protocol.to_be_bytes(), payload].concat()
}

fn arp() -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4, 0, 1];
    let arp = [&head[..], &CLIENT_MAC, &CLIENT4, &[0; 6], &SERVER4].concat();
    ethernet([0xFF; 6], CLIENT_MAC, 0x0806, &arp)
}

fn udp() -> Vec<u8> {
    // Ports that tshark has no dissector for.
    let mut datagram = vec![0xC0, 1, 0xC0, 2, 0, 12, 0, 0, 1, 2, 3, 4];
    fill(&mut datagram, 6, SERVER4.into(), CLIENT4.into(), IpProtocol::Udp);
    ethernet(CLIENT_MAC, SERVER_MAC, 0x0800, &ipv4(SERVER4, CLIENT4, 17, &datagram))
}

fn tcp_syn() -> Vec<u8> {
    let mut segment =
        vec![0xC0, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x60, 2, 0x10, 0, 0, 0, 0, 0, 2, 4, 5, 0xB4];
    fill(&mut segment, 16, CLIENT4.into(), SERVER4.into(), IpProtocol::Tcp);
    ethernet(SERVER_MAC, CLIENT_MAC, 0x0800, &ipv4(CLIENT4, SERVER4, 6, &segment))
}

/// A frame with the largest IPv4 packet.
fn jumbo() -> Vec<u8> {
    let mut segment = vec![0xC0, 0, 0, 80, 0, 0, 0, 2, 0, 0, 0, 1, 0x50, 0x10, 0x10, 0, 0, 0, 0, 0];
    segment.resize(65_515, b'x');
    fill(&mut segment, 16, CLIENT4.into(), SERVER4.into(), IpProtocol::Tcp);
    ethernet(SERVER_MAC, CLIENT_MAC, 0x0800, &ipv4(CLIENT4, SERVER4, 6, &segment))
}

fn neighbour_solicitation() -> Vec<u8> {
    let source: [u8; 16] = "2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let group: [u8; 16] = "ff02::1:ff00:2".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let target: [u8; 16] = "2001:db8::2".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let mut message = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &target, &[1, 1], &SERVER_MAC].concat();
    fill(&mut message, 2, source.into(), group.into(), IpProtocol::Icmpv6);
    let head = [0x60, 0, 0, 0, 0, message.len() as u8, 58, 255];
    let ip = [&head[..], &source, &group, &message].concat();
    ethernet([0x33, 0x33, 0xFF, 0, 0, 2], SERVER_MAC, 0x86DD, &ip)
}

fn ipv4(source: [u8; 4], destination: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = (20 + payload.len() as u16).to_be_bytes();
    let head = [0x45, 0, high, low, 0, 1, 0x40, 0, 64, protocol, 0, 0];
    let mut header = [&head[..], &source, &destination].concat();
    let sum = !checksum::data(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    [&header[..], payload].concat()
}

/// Fills in the transport checksum at `offset`.
fn fill(
    payload: &mut [u8],
    offset: usize,
    source: std::net::IpAddr,
    destination: std::net::IpAddr,
    protocol: IpProtocol,
) {
    payload[offset..offset + 2].fill(0);
    let (source, destination) = (IpAddress::from(source), IpAddress::from(destination));
    let pseudo = checksum::pseudo_header(&source, &destination, protocol, payload.len() as u32);
    let sum = !checksum::combine(&[pseudo, checksum::data(payload)]);
    payload[offset..offset + 2].copy_from_slice(&sum.to_be_bytes());
}
