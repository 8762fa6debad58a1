//! Segments answered without a socket: the acknowledgement of a connection in TIME-WAIT.

use bytes::BytesMut;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    IpProtocol, IpRepr, Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr, TcpControl, TcpPacket, TcpRepr,
};

use crate::network::ip::{ETHERNET_HEADER_BYTES, HOP_LIMIT};

/// The acknowledgement of everything in the segment that `ip` carries, back to where it came from: its own numbers
/// say what both sides had reached. With room for the Ethernet header in front.
pub fn acknowledge(ip: &[u8]) -> Option<BytesMut> {
    let (source, destination, header) = match ip.first()? >> 4 {
        4 => {
            let packet = Ipv4Packet::new_checked(ip).ok()?;
            (packet.src_addr().into(), packet.dst_addr().into(), usize::from(packet.header_len()))
        }
        6 => {
            let packet = Ipv6Packet::new_checked(ip).ok()?;
            (packet.src_addr().into(), packet.dst_addr().into(), packet.header_len())
        }
        _ => return None,
    };
    let segment = TcpPacket::new_checked(ip.get(header..)?).ok()?;
    let repr = TcpRepr {
        src_port: segment.dst_port(),
        dst_port: segment.src_port(),
        control: TcpControl::None,
        seq_number: segment.ack_number(),
        ack_number: Some(segment.seq_number() + segment.segment_len()),
        window_len: 0,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None, None, None],
        timestamp: None,
        payload: &[],
    };
    let repr_ip = match (source, destination) {
        (smoltcp::wire::IpAddress::Ipv4(source), smoltcp::wire::IpAddress::Ipv4(destination)) => {
            IpRepr::Ipv4(Ipv4Repr {
                src_addr: destination,
                dst_addr: source,
                next_header: IpProtocol::Tcp,
                payload_len: repr.buffer_len(),
                hop_limit: HOP_LIMIT,
            })
        }
        (smoltcp::wire::IpAddress::Ipv6(source), smoltcp::wire::IpAddress::Ipv6(destination)) => {
            IpRepr::Ipv6(Ipv6Repr {
                src_addr: destination,
                dst_addr: source,
                next_header: IpProtocol::Tcp,
                payload_len: repr.buffer_len(),
                hop_limit: HOP_LIMIT,
            })
        }
        _ => return None,
    };
    let mut answer = BytesMut::zeroed(ETHERNET_HEADER_BYTES + repr_ip.header_len() + repr.buffer_len());
    let checksums = ChecksumCapabilities::default();
    repr_ip.emit(&mut answer[ETHERNET_HEADER_BYTES..], &checksums);
    let at = ETHERNET_HEADER_BYTES + repr_ip.header_len();
    repr.emit(&mut TcpPacket::new_unchecked(&mut answer[at..]), &destination, &source, &checksums);
    Some(answer)
}
