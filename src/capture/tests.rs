use std::fmt::Write as _;
use std::io::Write;

use bytes::Bytes;
use pcap_file::pcapng::blocks::Block;
use pcap_file::pcapng::{PcapNgReader, PcapNgWriter};

use super::*;
use crate::network::PacketId;

fn session() -> Session {
    Session {
        name: "two hosts".into(),
        seed: 42,
        digest: "e3b0c442".into(),
        epoch: Duration::from_secs(1_577_836_800),
        ports: vec![
            PortInfo { name: "client".into(), description: "guest client, to lan.0".into() },
            PortInfo { name: "lan.0".into(), description: String::new() },
        ],
        names: vec![
            ("10.0.0.2".parse().unwrap(), "client".into()),
            ("2001:db8::2".parse().unwrap(), "client".into()),
            ("10.0.0.9".parse().unwrap(), String::new()),
        ],
    }
}

fn record(nanos: u64, port: u32, way: Way, id: u64, bytes: &[u8]) -> Record {
    let frame = Frame { id: PacketId(id), ..Frame::new(Bytes::copy_from_slice(bytes)) };
    Record { at: Instant::from_nanos(nanos), port, way, frame, dropped: None, late: false }
}

fn records() -> Vec<Record> {
    vec![
        record(1, 0, Way::Outbound, 1, b"fourteen bytes"),
        record(1_000_000_001, 1, Way::Inbound, 1, b"fourteen bytes"),
        Record {
            dropped: Some(DropReason::Loss),
            ..record(1_000_000_001, 1, Way::Outbound, 2, b"sixteen bytes ..")
        },
        record(1_000_000_002, 0, Way::Inbound, 0, b""),
    ]
}

/// A frame that a queue took, and dropped when its turn came.
fn dropped_late() -> [Record; 2] {
    let left = record(1_000_000_003, 0, Way::Outbound, 3, b"fifteen bytes .");
    let dropped = Record {
        at: Instant::from_nanos(1_000_000_900),
        dropped: Some(DropReason::CoDel),
        late: true,
        ..left.clone()
    };
    [left, dropped]
}

fn capture(session: &Session, records: &[Record]) -> Vec<u8> {
    let mut writer = Writer::new(vec![], session).unwrap();
    for record in records {
        writer.record(record).unwrap();
    }
    writer.finish(Instant::from_nanos(2_000_000_000)).unwrap()
}

/// Every block, as pcap-file reads it.
fn decode(bytes: &[u8]) -> String {
    let mut reader = PcapNgReader::new(bytes).unwrap();
    let mut text = String::new();
    let section = format!("{:?}", reader.section());
    writeln!(text, "{}", section.replace(env!("CARGO_PKG_VERSION"), "VERSION")).unwrap();
    while let Some(block) = reader.next_block() {
        let (block, _) = block.unwrap();
        match block {
            Block::EnhancedPacket(packet) => {
                let text_of_data = String::from_utf8_lossy(&packet.data);
                let at = packet.timestamp;
                writeln!(text, "port {} at {at:?}: {text_of_data:?}", packet.interface_id).unwrap();
                packet.options.iter().for_each(|option| writeln!(text, "    {option:?}").unwrap());
            }
            other => writeln!(text, "{other:?}").unwrap(),
        }
    }
    text
}

#[test]
fn what_a_capture_holds() {
    insta::assert_snapshot!(decode(&capture(&session(), &records())), @r#"
    SectionHeaderBlock { endianness: Little, major_version: 1, minor_version: 0, section_length: -1, options: [Common(Comment("lab two hosts, seed 42, scenario SHA-256 e3b0c442")), UserApplication("guestnet VERSION")] }
    InterfaceDescription(InterfaceDescriptionBlock { linktype: ETHERNET, snaplen: 0, options: [IfName("client"), IfDescription("guest client, to lan.0"), IfTsResol(InterfaceTsResolution { is_bin: false, resol: 9 })] })
    InterfaceDescription(InterfaceDescriptionBlock { linktype: ETHERNET, snaplen: 0, options: [IfName("lan.0"), IfTsResol(InterfaceTsResolution { is_bin: false, resol: 9 })] })
    NameResolution(NameResolutionBlock { records: [Ipv4(Ipv4Record { ip_addr: 10.0.0.2, names: ["client"] }), Ipv6(Ipv6Record { ip_addr: 2001:db8::2, names: ["client"] })], options: [] })
    port 0 at 1577836800.000000001s: "fourteen bytes"
        Flags(2)
        Common(Unknown(UnknownOption { code: 5, value: [1, 0, 0, 0, 0, 0, 0, 0] }))
    port 1 at 1577836801.000000001s: "fourteen bytes"
        Flags(1)
        Common(Unknown(UnknownOption { code: 5, value: [1, 0, 0, 0, 0, 0, 0, 0] }))
    port 1 at 1577836801.000000001s: "sixteen bytes .."
        Flags(2)
        Common(Unknown(UnknownOption { code: 5, value: [2, 0, 0, 0, 0, 0, 0, 0] }))
        Common(Comment("dropped: lost on the link"))
    port 0 at 1577836801.000000002s: ""
        Flags(1)
    InterfaceStatistics(InterfaceStatisticsBlock { interface_id: 0, timestamp: 1577836802s, options: [IsbStartTime(1577836800s), IsbEndTime(1577836802s), IsbIfRecv(2), IsbIfDrop(0)] })
    InterfaceStatistics(InterfaceStatisticsBlock { interface_id: 1, timestamp: 1577836802s, options: [IsbStartTime(1577836800s), IsbEndTime(1577836802s), IsbIfRecv(2), IsbIfDrop(0)] })
    "#);
}

/// The last numbers are frames that crossed the port, and those that its queue had no room for: each once.
#[test]
fn statistics_count_each_frame_once() {
    let full = Record { dropped: Some(DropReason::QueueFull), ..records()[2].clone() };
    let all = [&records()[..], &dropped_late(), &[full]].concat();
    let text = decode(&capture(&session(), &all));
    let counts: Vec<_> = text.lines().filter_map(|line| line.split_once("IsbIfRecv")).collect();
    assert_eq!(
        counts.iter().map(|(_, counts)| *counts).collect::<Vec<_>>(),
        ["(3), IsbIfDrop(1)] })", "(3), IsbIfDrop(1)] })"]
    );
}

#[test]
fn a_packet_block_byte_for_byte() {
    let mut head = vec![];
    drop(Writer::new(&mut head, &session()).unwrap());
    let bytes = capture(&session(), &records()[2..3]);
    let packet = &bytes[head.len()..];
    let length = u32::from_le_bytes(packet[4..8].try_into().unwrap()) as usize;
    let lines: Vec<String> = packet[..length]
        .chunks(16)
        .map(|line| line.iter().map(|byte| format!("{byte:02x} ")).collect::<String>().trim_end().to_owned())
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    06 00 00 00 68 00 00 00 01 00 00 00 35 9a e5 15
    01 ca 24 f5 10 00 00 00 10 00 00 00 73 69 78 74
    65 65 6e 20 62 79 74 65 73 20 2e 2e 02 00 04 00
    02 00 00 00 05 00 08 00 02 00 00 00 00 00 00 00
    01 00 19 00 64 72 6f 70 70 65 64 3a 20 6c 6f 73
    74 20 6f 6e 20 74 68 65 20 6c 69 6e 6b 00 00 00
    00 00 00 00 68 00 00 00
    "#);
}

/// Packet blocks are written by hand; pcap-file must write the same bytes from what it read.
#[test]
fn packet_blocks_are_what_the_library_would_write() {
    let bytes = capture(&session(), &records());
    let mut reader = PcapNgReader::new(&bytes[..]).unwrap();
    let mut copy = PcapNgWriter::with_section_header(vec![], reader.section().clone()).unwrap();
    while let Some(block) = reader.next_block() {
        copy.write_block(&block.unwrap().0).unwrap();
    }
    assert_eq!(copy.into_inner(), bytes);
}

#[test]
fn the_same_records_give_the_same_bytes_however_they_are_flushed() {
    let whole = capture(&session(), &records());
    let mut writer = Writer::new(vec![], &session()).unwrap();
    for record in records() {
        writer.record(&record).unwrap();
        writer.flush().unwrap();
    }
    assert_eq!(writer.finish(Instant::from_nanos(2_000_000_000)).unwrap(), whole);
}

#[test]
fn a_fan_gives_each_group_its_own_ports() {
    let groups = vec![Group { ports: vec![1], out: vec![] }, Group { ports: vec![0], out: vec![] }];
    let mut fan = Fan::new(&session(), groups).unwrap();
    for record in records() {
        fan.record(&record).unwrap();
    }
    let captures = fan.finish(Instant::from_nanos(2_000_000_000)).unwrap();
    for (capture_of_one, port) in captures.iter().zip([1, 0]) {
        let alone = Session { ports: vec![session().ports[port as usize].clone()], ..session() };
        let mut expected = records();
        expected.retain(|record| record.port == port);
        expected.iter_mut().for_each(|record| record.port = 0);
        assert_eq!(*capture_of_one, capture(&alone, &expected));
    }
    let missing = vec![Group { ports: vec![2], out: vec![] }];
    assert_eq!(Fan::new(&session(), missing).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

/// A disk that is full after some bytes.
#[derive(Debug)]
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = bytes.len().min(self.0);
        self.0 -= written;
        if written == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_error_is_told_once_and_not_forgotten() {
    let mut sink: Box<dyn Sink> = Box::new(Writer::new(Full(100_000), &session()).unwrap());
    let large = record(0, 0, Way::Outbound, 1, &[0; 1500]);
    let errors: Vec<_> = (0..1000).filter_map(|_| sink.record(&large).err()).collect();
    assert_eq!(errors.iter().map(io::Error::kind).collect::<Vec<_>>(), [io::ErrorKind::StorageFull]);
    sink.flush().unwrap();
    for _ in 0..2 {
        assert_eq!(sink.close(Instant::START).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
    assert_eq!(Writer::new(Full(10), &session()).unwrap_err().kind(), io::ErrorKind::StorageFull);
}

#[test]
fn a_port_that_is_not_there_is_an_error_and_no_more() {
    let mut writer = Writer::new(vec![], &session()).unwrap();
    let error = writer.record(&record(0, 2, Way::Inbound, 1, b"frame")).unwrap_err();
    assert_eq!(error.to_string(), "port 2 is not one of the capture's 2");
    records().iter().for_each(|record| writer.record(record).unwrap());
    assert_eq!(writer.finish(Instant::from_nanos(2_000_000_000)).unwrap(), capture(&session(), &records()));
}

#[test]
fn an_unfinished_capture_keeps_its_frames() {
    let mut kept = vec![];
    let mut writer = Writer::new(&mut kept, &session()).unwrap();
    records().iter().for_each(|record| writer.record(record).unwrap());
    drop(writer);
    let whole = capture(&session(), &records());
    assert!(whole.starts_with(&kept));
    assert_eq!(decode(&kept).lines().count() + 2, decode(&whole).lines().count(), "all but the statistics");
}

#[test]
fn records_and_sinks_may_move_to_another_thread() {
    fn assert_send<T: Send>() {}
    assert_send::<Record>();
    assert_send::<Box<dyn Sink>>();
}

#[test]
fn texts_of_any_length_fit() {
    let long = "ü".repeat(100_000);
    let ports = vec![PortInfo { name: long.clone(), description: long.clone() }];
    let names = vec![("::1".parse().unwrap(), long.clone()), ("::2".parse().unwrap(), "a\0b".into())];
    let session = Session { name: long.clone(), digest: long, ports, names, ..session() };
    decode(&capture(&session, &[]));
}

/// draft-ietf-opsawg-pcapng, 4.7: type, total length, "TLSK", length of the secrets, the secrets padded, total length.
#[test]
fn secrets_stand_before_the_packets_that_need_them() {
    let mut writer = Writer::new(vec![], &session()).unwrap();
    let head = Writer::new(vec![], &session()).unwrap().finish(Instant::START).unwrap();
    let lines = "CLIENT_RANDOM aa bb\n";
    let records = records();
    writer.record(&records[0]).unwrap();
    writer.secrets("").unwrap();
    writer.secrets(lines).unwrap();
    writer.record(&records[1]).unwrap();
    let bytes = writer.finish(Instant::START).unwrap();
    let block: Vec<u8> =
        [10, 40, 0x544c_534b, 20].into_iter().flat_map(u32::to_le_bytes).chain(lines.bytes()).collect();
    let at = bytes.windows(block.len()).position(|window| window == block).unwrap();
    assert_eq!(&bytes[at + block.len()..][..4], 40u32.to_le_bytes());
    let first = bytes.windows(8).position(|window| window == b"fourteen").unwrap();
    let second = bytes.windows(8).rposition(|window| window == b"fourteen").unwrap();
    assert!(first < at && at < second);
    assert!(bytes.len() > head.len() + 40);

    // A key log has them without a capture, and hands them on to one that there is.
    let mut log = KeyLog::new(vec![], Some(Box::new(Writer::new(vec![], &session()).unwrap())));
    log.record(&records[0]).unwrap();
    log.secrets(lines).unwrap();
    assert_eq!(log.into_inner(), lines.as_bytes());
}
