//! An interface's addresses change while the stack is at work.
//!
//! Connections from an address that is gone are over: smoltcp sends nothing from there any more, and their holders
//! find that they timed out (Linux would let them try in vain for a quarter of an hour first). Their peers hear
//! nothing. Whoever has a flow of datagrams from there is told once (`AddressNotAvailable`), and may open another. Listeners
//! on the wildcard address go on at the new ones. Neighbours are told by a gratuitous ARP request
//! (RFC 5227) or an unsolicited neighbour advertisement (RFC 4861, 7.2.6).

use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpRepr, ETHERNET_HEADER_LEN, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr, Icmpv6Repr, IpAddress, IpCidr, IpProtocol, Ipv6Repr, NdiscNeighborFlags, NdiscRepr,
    RawHardwareAddress,
};

use super::Stack;
use crate::network::Frame;
use crate::time::Instant;

impl Stack {
    /// Gives interface `index` these addresses in place of those that it was given.
    pub fn rebind(&mut self, now: Instant, index: usize, addresses: &[IpCidr]) {
        self.regive(now, index, addresses);
    }

    /// Whether the addresses of an interface have changed since the last call.
    pub fn take_readdressed(&mut self) -> bool {
        std::mem::take(&mut self.readdressed)
    }

    /// What interface `index` has from now on.
    pub(super) fn set_addresses(&mut self, index: usize, addresses: &[IpCidr]) {
        let before = std::mem::replace(&mut self.interfaces[index].addresses, addresses.to_vec());
        self.readdressed |= before != addresses;
        self.nics[index].rebind(addresses);
        if let Some(loopback) = self.loopback {
            let own: Vec<IpCidr> = self.addresses().collect();
            self.nics[loopback].rebind_loopback(&own);
        }
        for id in self.connections.ids().collect::<Vec<_>>() {
            // smoltcp looks at its address when it is polled.
            if self.connections.get(id).is_some_and(|connection| !self.is_own(connection.tuple.local.ip())) {
                self.mark_dirty(id);
            }
        }
        self.udp_addresses_gone(|gone| {
            before.iter().any(|cidr| cidr.address() == gone)
                && !addresses.iter().any(|cidr| cidr.address() == gone)
        });
        for cidr in addresses.iter().filter(|cidr| !before.contains(cidr)) {
            let address = cidr.address();
            if !self.is_unannounced(index, address.into()) {
                self.announce(index, address);
            }
        }
    }

    /// Tells neighbours of an address.
    pub(super) fn announce(&mut self, index: usize, address: IpAddress) {
        let mac = self.interfaces[index].mac;
        self.egress.push((index, Frame::new(announcement(mac, address))));
    }
}

/// "This address is here."
fn announcement(mac: EthernetAddress, address: IpAddress) -> Bytes {
    match address {
        IpAddress::Ipv4(address) => gratuitous_arp(mac, address),
        IpAddress::Ipv6(address) => unsolicited_advertisement(mac, address),
    }
}

fn gratuitous_arp(mac: EthernetAddress, address: Ipv4Addr) -> Bytes {
    let arp = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: mac,
        source_protocol_addr: address,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: address,
    };
    ethernet(mac, EthernetAddress::BROADCAST, EthernetProtocol::Arp, arp.buffer_len(), |payload| {
        arp.emit(&mut smoltcp::wire::ArpPacket::new_unchecked(payload));
    })
}

fn unsolicited_advertisement(mac: EthernetAddress, address: Ipv6Addr) -> Bytes {
    const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let icmp = Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert {
        flags: NdiscNeighborFlags::OVERRIDE,
        target_addr: address,
        lladdr: Some(RawHardwareAddress::from(mac)),
    });
    let ip = Ipv6Repr {
        src_addr: address,
        dst_addr: ALL_NODES,
        next_header: IpProtocol::Icmpv6,
        payload_len: icmp.buffer_len(),
        // Anything less has passed a router, and is not believed (RFC 4861, 7.1.2).
        hop_limit: 255,
    };
    let to = EthernetAddress([0x33, 0x33, 0, 0, 0, 1]);
    let bytes = ip.buffer_len() + icmp.buffer_len();
    ethernet(mac, to, EthernetProtocol::Ipv6, bytes, |payload| {
        let mut packet = smoltcp::wire::Ipv6Packet::new_unchecked(payload);
        ip.emit(&mut packet);
        icmp.emit(
            &address,
            &ALL_NODES,
            &mut smoltcp::wire::Icmpv6Packet::new_unchecked(packet.payload_mut()),
            &ChecksumCapabilities::default(),
        );
    })
}

fn ethernet(
    from: EthernetAddress,
    to: EthernetAddress,
    ethertype: EthernetProtocol,
    payload_bytes: usize,
    emit: impl FnOnce(&mut [u8]),
) -> Bytes {
    let mut bytes = vec![0; ETHERNET_HEADER_LEN + payload_bytes];
    let header = EthernetRepr { src_addr: from, dst_addr: to, ethertype };
    header.emit(&mut EthernetFrame::new_unchecked(&mut bytes[..]));
    emit(&mut bytes[ETHERNET_HEADER_LEN..]);
    bytes.into()
}
