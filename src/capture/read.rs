//! Frames out of a pcap or pcapng file; and records out of a capture that guestnet wrote.

use std::time::Duration;

use bytes::Bytes;
use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::PcapNgReader;
use pcap_file::pcapng::blocks::Block;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::pcapng::blocks::opt_common::CommonOption;

use super::{PortInfo, Record, Session, Way};
use crate::network::link::DropReason;
use crate::network::{Frame, PacketId};
use crate::time::Instant;

/// The Section Header Block, which reads the same in both byte orders.
const PCAPNG_MAGIC: [u8; 4] = [0x0A, 0x0D, 0x0D, 0x0A];
/// With microseconds and with nanoseconds, in both byte orders.
const PCAP_MAGICS: [[u8; 4]; 4] =
    [[0xA1, 0xB2, 0xC3, 0xD4], [0xD4, 0xC3, 0xB2, 0xA1], [0xA1, 0xB2, 0x3C, 0x4D], [0x4D, 0x3C, 0xB2, 0xA1]];

/// A capture's Ethernet frames, each with its time after the first; one that seems earlier than the
/// first comes with it.
///
/// # Errors
/// What is wrong with the file: cut short, of neither format, not of Ethernet, or without a frame.
pub fn frames(file: &[u8]) -> Result<Vec<(Duration, Bytes)>, String> {
    let stamped = match file {
        _ if file.starts_with(&PCAPNG_MAGIC) => pcapng(file)?,
        _ if PCAP_MAGICS.iter().any(|magic| file.starts_with(magic)) => pcap(file)?,
        _ => return Err("is no capture: neither pcap nor pcapng, by its first bytes".to_owned()),
    };
    let Some(&(first, _)) = stamped.first() else { return Err("has no frame in it".to_owned()) };
    Ok(stamped.into_iter().map(|(at, bytes)| (at.saturating_sub(first), bytes)).collect())
}

fn pcap(file: &[u8]) -> Result<Vec<(Duration, Bytes)>, String> {
    let mut reader = PcapReader::new(file).map_err(|error| format!("is no capture: {error}"))?;
    ethernet(reader.header().datalink)?;
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.map_err(|error| format!("frame {}: {error}", frames.len() + 1))?;
        frames.push((packet.timestamp(), Bytes::copy_from_slice(packet.data())));
    }
    Ok(frames)
}

fn pcapng(file: &[u8]) -> Result<Vec<(Duration, Bytes)>, String> {
    let mut reader = PcapNgReader::new(file).map_err(|error| format!("is no capture: {error}"))?;
    let mut frames: Vec<(Duration, Bytes)> = Vec::new();
    while let Some(block) = reader.next_block() {
        let (block, _) = block.map_err(|error| format!("after {} frames: {error}", frames.len()))?;
        match block {
            Block::InterfaceDescription(interface) => ethernet(interface.linktype)?,
            Block::EnhancedPacket(packet) => {
                frames.push((packet.timestamp, Bytes::copy_from_slice(&packet.data)));
            }
            // Without a time of its own: right behind the one before.
            Block::SimplePacket(packet) => {
                let at = frames.last().map_or(Duration::ZERO, |(at, _)| *at);
                frames.push((at, Bytes::copy_from_slice(&packet.data)));
            }
            _ => {}
        }
    }
    Ok(frames)
}

fn ethernet(link: DataLink) -> Result<(), String> {
    if link == DataLink::ETHERNET { Ok(()) } else { Err(format!("is of {link:?}, not of Ethernet")) }
}

/// `epb_packetid`, which pcap-file does not know.
const OPTION_PACKET_ID: u16 = 5;

/// A pcapng file as the records that [`super::Writer`] wrote it from. Of the session there are the ports, and the epoch is the
/// first frame's whole second: a file does not tell when its lab began. Captures of other programs read as frames that left
/// their interface, unless they are marked as having come in.
///
/// # Errors
/// What is wrong with the file: cut short, no pcapng, not of Ethernet.
pub fn records(file: &[u8]) -> Result<(Session, Vec<Record>), String> {
    if !file.starts_with(&PCAPNG_MAGIC) {
        return Err("is no capture in pcapng, by its first bytes".to_owned());
    }
    let mut reader = PcapNgReader::new(file).map_err(|error| format!("is no capture: {error}"))?;
    let mut ports: Vec<PortInfo> = Vec::new();
    let mut packets: Vec<EnhancedPacketBlock<'static>> = Vec::new();
    while let Some(block) = reader.next_block() {
        let (block, _) = block.map_err(|error| format!("after {} frames: {error}", packets.len()))?;
        match block {
            Block::InterfaceDescription(interface) => {
                ethernet(interface.linktype)?;
                let name = interface.options.iter().find_map(|option| match option {
                    InterfaceDescriptionOption::IfName(name) => Some(name.clone().into_owned()),
                    _ => None,
                });
                let name = name.unwrap_or_else(|| format!("interface {}", ports.len()));
                ports.push(PortInfo { name, description: String::new() });
            }
            Block::EnhancedPacket(packet) => packets.push(packet.into_owned()),
            _ => {}
        }
    }
    let epoch =
        packets.first().map_or(Duration::ZERO, |packet| Duration::from_secs(packet.timestamp.as_secs()));
    let session =
        Session { name: String::new(), seed: 0, digest: String::new(), epoch, ports, names: Vec::new() };
    Ok((session, packets.into_iter().map(|packet| record(packet, epoch)).collect()))
}

fn record(packet: EnhancedPacketBlock<'static>, epoch: Duration) -> Record {
    let mut record = Record {
        at: Instant::START + packet.timestamp.saturating_sub(epoch),
        port: packet.interface_id,
        way: Way::Outbound,
        frame: Frame::new(packet.data.into_owned().into()),
        dropped: None,
        late: false,
    };
    for option in &packet.options {
        match option {
            // Its two lowest bits are the direction; 1 is inbound.
            EnhancedPacketOption::Flags(flags) if flags & 3 == 1 => record.way = Way::Inbound,
            EnhancedPacketOption::Common(CommonOption::Unknown(option))
                if option.code == OPTION_PACKET_ID =>
            {
                let id = option.value[..].try_into().map_or(0, u64::from_le_bytes);
                record.frame.id = PacketId(id);
            }
            EnhancedPacketOption::Common(CommonOption::Comment(comment)) => {
                let why = comment.strip_prefix("dropped: ");
                record.dropped = DropReason::ALL.into_iter().find(|reason| Some(reason.as_str()) == why);
            }
            _ => {}
        }
    }
    record
}
