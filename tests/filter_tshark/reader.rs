//! A capture file as the records that it was written from.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use guestnet::capture::{PortInfo, Record, Session, Way};
use guestnet::network::link::DropReason;
use guestnet::network::{Frame, PacketId};
use guestnet::time::Instant;
use pcap_file::pcapng::PcapNgReader;
use pcap_file::pcapng::blocks::Block;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::pcapng::blocks::opt_common::CommonOption;

/// epb_packetid, which pcap-file does not know.
const PACKET_ID: u16 = 5;

pub fn read(path: &Path) -> (Session, Vec<Record>) {
    let file = BufReader::new(File::open(path).unwrap());
    let mut reader = PcapNgReader::with_capacity(file, 1 << 20).unwrap();
    let (mut ports, mut records) = (vec![], vec![]);
    while let Some(block) = reader.next_block() {
        match block.unwrap().0 {
            Block::InterfaceDescription(interface) => {
                let name = interface.options.iter().find_map(|option| match option {
                    InterfaceDescriptionOption::IfName(name) => Some(name.clone().into_owned()),
                    _ => None,
                });
                ports.push(PortInfo { name: name.unwrap(), description: String::new() });
            }
            Block::EnhancedPacket(packet) => {
                let mut record = Record {
                    at: Instant::from_nanos(packet.timestamp.as_nanos() as u64),
                    port: packet.interface_id,
                    way: Way::Outbound,
                    frame: Frame::new(Bytes::copy_from_slice(&packet.data)),
                    dropped: None,
                    late: false,
                };
                for option in &packet.options {
                    match option {
                        EnhancedPacketOption::Flags(1) => record.way = Way::Inbound,
                        EnhancedPacketOption::Common(CommonOption::Unknown(option))
                            if option.code == PACKET_ID =>
                        {
                            let id = option.value[..].try_into().unwrap();
                            record.frame.id = PacketId(u64::from_le_bytes(id));
                        }
                        EnhancedPacketOption::Common(CommonOption::Comment(comment)) => {
                            record.dropped = Some(reason(comment));
                        }
                        _ => {}
                    }
                }
                records.push(record);
            }
            _ => {}
        }
    }
    let session = Session {
        name: String::new(),
        seed: 0,
        digest: String::new(),
        epoch: Duration::ZERO,
        ports,
        names: vec![],
    };
    (session, records)
}

fn reason(comment: &str) -> DropReason {
    let reasons = [DropReason::Loss, DropReason::QueueFull, DropReason::Unplugged];
    let told = comment.strip_prefix("dropped: ").unwrap();
    reasons.into_iter().find(|reason| reason.as_str() == told).unwrap()
}
