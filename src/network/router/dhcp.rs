//! A DHCP server at one of the router's interfaces: datagrams to port 67 there are for it.

use smoltcp::wire::{EthernetAddress, EthernetProtocol, IpProtocol, Ipv4Packet, UdpPacket};

use super::{Discard, Router, must_verify};
use crate::network::dhcp::{self, CLIENT_PORT, Message, Reply, SERVER_PORT, Sender, Server, datagram};
use crate::network::ip::{ETHERNET_HEADER_BYTES, ipv4, transport_sum};
use crate::network::{Egress, Frame};
use crate::time::Instant;

impl Router {
    /// Has `server` answer at `port`, in place of whatever answered there before.
    pub fn serve_dhcp(&mut self, port: usize, server: Server) {
        self.interfaces[port].dhcp = Some(Box::new(server));
    }

    pub fn dhcp_mut(&mut self, port: usize) -> Option<&mut Server> {
        self.interfaces.get_mut(port)?.dhcp.as_deref_mut()
    }

    /// Of all its servers together.
    pub fn dhcp_statistics(&self) -> dhcp::Statistics {
        let mut total = dhcp::Statistics::default();
        for server in self.interfaces.iter().filter_map(|interface| interface.dhcp.as_ref()) {
            let dhcp::Statistics { received, ignored, offered, acknowledged, refused, exhausted } =
                server.statistics();
            total.received += received;
            total.ignored += ignored;
            total.offered += offered;
            total.acknowledged += acknowledged;
            total.refused += refused;
            total.exhausted += exhausted;
        }
        total
    }

    /// Has the process of the server at a port go on: it answers what came meanwhile.
    pub fn resume_dhcp(&mut self, now: Instant, port: usize, out: &mut Egress) {
        let server = self.interfaces.get_mut(port).and_then(|interface| interface.dhcp.as_deref_mut());
        let replies = server.map(|server| server.resume(now)).unwrap_or_default();
        replies.iter().for_each(|reply| self.answer_dhcp(port, reply, out));
    }

    /// Takes a frame whose IPv4 packet is whole and checked, if it is for the server at its port. `None`: it is not.
    pub(super) fn ingest_dhcp(
        &mut self,
        now: Instant,
        port: usize,
        frame: &Frame,
        out: &mut Egress,
    ) -> Option<Result<(), Discard>> {
        let interface = self.interfaces.get_mut(port)?;
        let server = interface.dhcp.as_deref_mut().filter(|server| !server.is_killed())?;
        let packet = Ipv4Packet::new_checked(&frame.bytes[ETHERNET_HEADER_BYTES..]).ok()?;
        let (source, destination) = (packet.src_addr(), packet.dst_addr());
        let here =
            destination.is_broadcast() || interface.ipv4.iter().any(|cidr| cidr.address() == destination);
        if !here
            || packet.next_header() != IpProtocol::Udp
            || packet.more_frags()
            || packet.frag_offset() != 0
        {
            return None;
        }
        let datagram = UdpPacket::new_checked(packet.payload()).ok()?;
        if datagram.dst_port() != SERVER_PORT {
            return None;
        }
        let checked = &packet.payload()[..usize::from(datagram.len())];
        let zero = datagram.checksum() == 0;
        if must_verify(frame)
            && !zero
            && transport_sum(source.into(), destination.into(), IpProtocol::Udp, checked) != 0xFFFF
        {
            return Some(Err(Discard::BadChecksum));
        }
        let Some(message) = Message::parse(datagram.payload()) else {
            return Some(Err(Discard::Malformed));
        };
        let mac = EthernetAddress::from_bytes(&frame.bytes[6..12]);
        let from = Sender { mac, to_all: destination.is_broadcast() };
        let reply = server.receive(now, from, message);
        self.statistics.delivered += 1;
        if let Some(reply) = reply {
            self.answer_dhcp(port, &reply, out);
        }
        Some(Ok(()))
    }

    /// To the Ethernet address that the client gave: it may not answer to its address yet (RFC 2131, section 4.1).
    fn answer_dhcp(&mut self, port: usize, reply: &Reply, out: &mut Egress) {
        let Some(source) = reply.message.server else { return };
        let datagram = datagram((source, SERVER_PORT), (reply.to, CLIENT_PORT), &reply.message);
        let identification = self.next_identification;
        self.next_identification = identification.wrapping_add(1);
        let packet = ipv4(source, reply.to, IpProtocol::Udp, 0, identification, &datagram);
        self.transmit_made(port, reply.mac, EthernetProtocol::Ipv4, &packet[ETHERNET_HEADER_BYTES..], out);
    }
}
