//! Frames out of a pcap or pcapng file.

use std::time::Duration;

use bytes::Bytes;
use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::PcapNgReader;
use pcap_file::pcapng::blocks::Block;

/// The Section Header Block, which reads the same in both byte orders.
const PCAPNG_MAGIC: [u8; 4] = [0x0A, 0x0D, 0x0D, 0x0A];

/// A capture's Ethernet frames, each with its time after the first; one that seems earlier than the
/// first comes with it.
///
/// # Errors
/// What is wrong with the file: cut short, of neither format, not of Ethernet, or without a frame.
pub fn frames(file: &[u8]) -> Result<Vec<(Duration, Bytes)>, String> {
    let stamped = if file.starts_with(&PCAPNG_MAGIC) { pcapng(file)? } else { pcap(file)? };
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
