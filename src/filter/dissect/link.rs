//! Ethernet II and ARP (RFC 826).

use smoltcp::wire::{ArpHardware, ArpPacket, EthernetFrame, EthernetProtocol};

use super::{Dissector, Layer};
use crate::capture::Record;
use crate::filter::field::Field;
use crate::filter::packet::Packet;
use crate::filter::value::Value;

/// Less than this in the type's place is a length (IEEE 802.3).
const TYPE_MIN: u16 = 0x0600;

impl Dissector {
    pub(super) fn ethernet(&mut self, packet: &mut Packet, record: &Record) {
        let Ok(frame) = EthernetFrame::new_checked(&record.frame.bytes[..]) else { return };
        let layer = Layer { bytes: record.frame.bytes.clone(), quoted: false };
        let (destination, source) = (Value::Mac(frame.dst_addr()), Value::Mac(frame.src_addr()));
        packet.add(Field::Eth, layer.value());
        packet.add(Field::EthDst, destination.clone());
        packet.add(Field::EthAddr, destination);
        packet.add(Field::EthSrc, source.clone());
        packet.add(Field::EthAddr, source);
        let ethertype = u16::from(frame.ethertype());
        if ethertype < TYPE_MIN {
            return;
        }
        packet.add(Field::EthType, Value::Uint(ethertype.into()));
        let payload = layer.after(EthernetFrame::<&[u8]>::header_len());
        match frame.ethertype() {
            EthernetProtocol::Arp => arp(packet, &payload),
            EthernetProtocol::Ipv4 => self.ipv4(packet, record, &payload),
            EthernetProtocol::Ipv6 => self.ipv6(packet, record, &payload),
            EthernetProtocol::Unknown(_) => {}
        }
    }
}

fn arp(packet: &mut Packet, layer: &Layer) {
    let Ok(arp) = ArpPacket::new_checked(&layer.bytes[..]) else { return };
    packet.add(Field::Arp, layer.value());
    packet.add(Field::ArpOpcode, Value::Uint(u16::from(arp.operation()).into()));
    let addresses =
        arp.protocol_type() == EthernetProtocol::Ipv4 && arp.hardware_type() == ArpHardware::Ethernet;
    if !addresses {
        return;
    }
    let sides = [
        (Field::ArpSrcProtoIpv4, arp.source_protocol_addr()),
        (Field::ArpDstProtoIpv4, arp.target_protocol_addr()),
    ];
    for (field, address) in sides {
        if let Ok(address) = <[u8; 4]>::try_from(address) {
            packet.add(field, Value::Ipv4(address.into()));
        }
    }
}
