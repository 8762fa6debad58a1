//! Frames that nobody should send: whole ones to begin with, and what can be done to them.

use guestnet::rng::Rng;
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, Icmpv4Packet, Icmpv6Packet, IpAddress, IpProtocol, Ipv4Packet,
    Ipv6Packet, TcpPacket, UdpPacket,
};

/// The first guest of a lab, as its neighbours see it.
pub const GUEST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const GUEST: [u8; 4] = [10, 0, 0, 2];
pub const GUEST6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
/// Who sends what is wrong.
pub const STRANGER_MAC: [u8; 6] = [6, 6, 6, 6, 6, 6];
pub const STRANGER: [u8; 4] = [10, 0, 0, 66];
pub const STRANGER6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x66];

const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&GUEST_MAC[..], &STRANGER_MAC, &ethertype.to_be_bytes(), payload].concat()
}

fn ipv4(source: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = (20 + payload.len() as u16).to_be_bytes();
    let header = [0x45, 0, length[0], length[1], 0, 7, 0x40, 0, 64, protocol, 0, 0];
    let mut frame = ethernet(IPV4, &[&header[..], &source, &GUEST, payload].concat());
    repair(&mut frame);
    frame
}

/// A third of an echo request of 96 bytes.
fn fragment(third: u16, more: bool) -> Vec<u8> {
    let mut frame = ipv4(STRANGER, ICMP, &[8; 32]);
    let word = (third * 4) | (u16::from(more) << 13);
    frame[20..22].copy_from_slice(&word.to_be_bytes());
    frame[24..26].fill(0);
    repair(&mut frame);
    frame
}

fn ipv6(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16).to_be_bytes();
    let header = [0x60, 0, 0, 0, length[0], length[1], protocol, 255];
    let mut frame = ethernet(IPV6, &[&header[..], &STRANGER6, &GUEST6, payload].concat());
    repair(&mut frame);
    frame
}

fn tcp(from: u16, to: u16, flags: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let (from, to) = (from.to_be_bytes(), to.to_be_bytes());
    let offset = (((20 + options.len()) / 4) << 4) as u8;
    let header =
        [from[0], from[1], to[0], to[1], 0, 0, 1, 0, 0, 0, 0, 0, offset, flags, 0xff, 0xff, 0, 0, 0, 0];
    [&header, options, payload].concat()
}

fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let length = 8 + payload.len() as u16;
    [&from.to_be_bytes()[..], &to.to_be_bytes(), &length.to_be_bytes(), &[0; 2], payload].concat()
}

/// The start of a connection to `port`, from wherever it says.
pub fn syn(source: [u8; 4], from: u16, port: u16) -> Vec<u8> {
    ipv4(source, TCP, &tcp(from, port, 0x02, &[2, 4, 5, 0xb4], &[]))
}

/// A datagram to `port`, from wherever it says.
pub fn datagram(source: [u8; 4], from: u16, port: u16) -> Vec<u8> {
    ipv4(source, UDP, &udp(from, port, &[7; 1000]))
}

/// An echo request, to be answered.
pub fn echo_request(identifier: u16) -> Vec<u8> {
    let id = identifier.to_be_bytes();
    ipv4(STRANGER, ICMP, &[8, 0, 0, 0, id[0], id[1], 0, 1, b'?'])
}

/// Who has the guest's address? Tells it the stranger's besides.
pub fn arp_request() -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4, 0, 1];
    ethernet(ARP, &[&head[..], &STRANGER_MAC, &STRANGER, &[0; 6], &GUEST].concat())
}

/// Whole frames of all kinds that a stack looks into; `port` is one where it listens.
pub fn whole(port: u16) -> Vec<Vec<u8>> {
    let quoted = &ipv4(GUEST, TCP, &tcp(port, 9, 0x10, &[], &[1; 8]))[14..];
    let quoted6 = &ipv6(UDP, &udp(port, 9, &[1; 8]))[14..];
    let neighbour = |kind: u8, target: [u8; 16], option: u8| {
        ipv6(ICMPV6, &[&[kind, 0, 0, 0, 0x60, 0, 0, 0][..], &target, &[option, 1], &STRANGER_MAC].concat())
    };
    let extended = [&[TCP, 0, 1, 4, 0, 0, 0, 0][..], &tcp(1003, port, 0x02, &[], &[])].concat();
    let report = [&[143, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0][..], &GUEST6].concat();
    vec![
        arp_request(),
        echo_request(1),
        syn(STRANGER, 1000, port),
        syn(STRANGER, 1001, port + 1),
        syn(GUEST, port, port),
        syn([127, 0, 0, 1], 1002, port),
        syn([255; 4], 1002, port),
        syn([224, 0, 0, 1], 1002, port),
        ipv4(STRANGER, TCP, &tcp(1000, port, 0x10, &[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2], &[7; 100])),
        ipv4(STRANGER, TCP, &tcp(1000, port, 0x11, &[4, 2, 5, 10, 0, 0, 0, 1, 0, 0, 0, 9, 3, 3, 14, 0], &[])),
        ipv4(STRANGER, TCP, &tcp(1000, port, 0x04, &[], &[])),
        ipv4(STRANGER, TCP, &tcp(1000, port, 0xff, &[], &[7; 1])),
        ipv4(STRANGER, UDP, &udp(1000, port, &[7; 64])),
        ipv4(STRANGER, UDP, &udp(0, port, &[])),
        ipv4(STRANGER, UDP, &udp(1000, port + 1, &[7; 64])),
        ipv4(STRANGER, ICMP, &[&[3, 3, 0, 0, 0, 0, 0, 0][..], quoted].concat()),
        ipv4(STRANGER, ICMP, &[&[11, 0, 0, 0, 0, 0, 0, 0][..], quoted].concat()),
        ipv4(STRANGER, ICMP, &[5, 1, 0, 0, 10, 0, 0, 66]),
        ipv4(STRANGER, 2, &[0x11, 100, 0, 0, 0, 0, 0, 0]),
        ipv6(TCP, &tcp(1000, port, 0x02, &[2, 4, 5, 0xb4], &[])),
        ipv6(UDP, &udp(1000, port, &[7; 64])),
        ipv6(ICMPV6, &[128, 0, 0, 0, 0, 1, 0, 1, b'?']),
        ipv6(ICMPV6, &[&[1, 4, 0, 0, 0, 0, 0, 0][..], quoted6].concat()),
        ipv6(ICMPV6, &[&[2, 0, 0, 0, 0, 0, 5, 0][..], quoted6].concat()),
        neighbour(135, GUEST6, 1),
        neighbour(136, STRANGER6, 2),
        ipv6(ICMPV6, &[134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 6, 6, 6, 6, 6, 6]),
        ipv6(ICMPV6, &report),
        ipv6(0, &extended),
        ipv6(43, &extended),
        ipv6(44, &extended),
        ipv6(59, &[]),
        fragment(0, true),
        fragment(1, true),
        fragment(2, false),
        // Two of the same packet, the second of which begins within the first.
        ipv6(44, &[&[UDP, 0, 0, 1, 0, 0, 0, 7][..], &udp(1000, port, &[7; 56])].concat()),
        ipv6(44, &[&[UDP, 0, 0, 56, 0, 0, 0, 7][..], &[7; 64]].concat()),
        ipv6(44, &[&[UDP, 0, 0, 64, 0, 0, 0, 8][..], &[7; 64]].concat()),
    ]
}

/// Whole frames of those who tell a stack of addresses, routers and groups, and of those who answer its echo request.
pub fn configuring() -> Vec<Vec<u8>> {
    let hours = [0, 0, 0x0e, 0x10];
    let information = [&[3, 4, 64, 0xc0][..], &hours, &hours, &[0; 4], &[0xfd, 0, 0, 9], &[0; 12]].concat();
    let advertisement = |options: &[u8], lifetime: [u8; 2]| {
        let head = [134, 0, 0, 0, 64, 0, lifetime[0], lifetime[1], 0, 0, 0, 0, 0, 0, 0, 0];
        let mut frame = ipv6(ICMPV6, &[&head[..], options].concat());
        // From a link-local address, or it does not count.
        frame[22..38].copy_from_slice(&[&[0xfe, 0x80][..], &[0; 13], &[0x66]].concat());
        repair(&mut frame);
        frame
    };
    let short = [&[3, 4, 64, 0xc0, 0, 0, 0, 2, 0, 0, 0, 1][..], &[0; 4], &[0xfd, 0, 0, 8], &[0; 12]].concat();
    let servers = [&[25, 3, 0, 0, 0, 0, 0, 60][..], &STRANGER6].concat();
    vec![
        advertisement(&information, [7, 8]),
        advertisement(&short, [0, 0]),
        advertisement(&servers, [0, 1]),
        advertisement(&[1, 1, 6, 6, 6, 6, 6, 6, 5, 1, 0, 0, 0, 0, 5, 0], [7, 8]),
        ipv6(ICMPV6, &[&[130, 0, 0, 0, 0, 100, 0, 0][..], &[0; 16]].concat()),
        ipv6(
            ICMPV6,
            &[&[130, 0, 0, 0, 0, 1, 0, 0][..], &[0xff, 2], &[0; 13], &[0xfb], &[2, 60, 0, 0]].concat(),
        ),
        ipv4(STRANGER, 2, &[0x11, 1, 0xee, 0xfe, 0, 0, 0, 0]),
        ipv4(STRANGER, 2, &[0x11, 10, 0x0c, 0xf9, 224, 0, 0, 251, 2, 60, 0, 0]),
        ipv4(STRANGER, ICMP, &[0, 0, 0, 0, 0x14, 0xe9, 0, 1]),
        ipv6(ICMPV6, &[129, 0, 0, 0, 0x14, 0xe9, 0, 1]),
        ipv4(STRANGER, UDP, &udp(67, 68, &[2; 300])),
    ]
}

/// A server's datagram to a guest, or to all.
pub fn from_server(datagram: &[u8], to: [u8; 4]) -> Vec<u8> {
    let mut frame = ipv4([10, 0, 0, 1], UDP, datagram);
    frame[30..34].copy_from_slice(&to);
    repair(&mut frame);
    frame
}

/// Does something to a frame that no honest sender does; half of the time its checksums are right all the same, so
/// that it comes further.
pub fn spoil(frame: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..=rng.below(3) {
        let at = rng.below(frame.len().max(1) as u64) as usize;
        match rng.below(6) {
            0 => frame.truncate(at),
            1 => frame.resize(frame.len() + rng.below(600) as usize, rng.next_u32() as u8),
            2 | 3 if at < frame.len() => frame[at] ^= 1 << rng.below(8),
            4 if at < frame.len() => frame[at] = rng.next_u32() as u8,
            // A length, an offset or a port is most often two bytes, and worst at its ends.
            5 if at + 2 <= frame.len() => {
                let extremes = [[0, 0], [0, 1], [0xff, 0xff], [0x7f, 0xff], [0, 20]];
                frame[at..at + 2].copy_from_slice(&extremes[rng.below(5) as usize]);
            }
            _ => {}
        }
    }
    // Towards the guest it goes all the same, most of the time.
    if frame.len() >= 12 && rng.chance(0.9) {
        frame[..6].copy_from_slice(&GUEST_MAC);
        frame[6..12].copy_from_slice(&STRANGER_MAC);
    }
    if rng.chance(0.5) {
        repair(frame);
    }
}

/// Fills in whatever checksums there is room for.
pub fn repair(frame: &mut [u8]) {
    let Ok(mut ethernet) = EthernetFrame::new_checked(frame) else { return };
    match ethernet.ethertype() {
        EthernetProtocol::Ipv4 => {
            let Ok(mut ip) = Ipv4Packet::new_checked(ethernet.payload_mut()) else { return };
            ip.fill_checksum();
            let (protocol, source, destination) = (ip.next_header(), ip.src_addr(), ip.dst_addr());
            transport(protocol, source.into(), destination.into(), ip.payload_mut());
        }
        EthernetProtocol::Ipv6 => {
            let Ok(mut ip) = Ipv6Packet::new_checked(ethernet.payload_mut()) else { return };
            let (protocol, source, destination) = (ip.next_header(), ip.src_addr(), ip.dst_addr());
            transport(protocol, source.into(), destination.into(), ip.payload_mut());
        }
        EthernetProtocol::Arp | EthernetProtocol::Unknown(_) => {}
    }
}

fn transport(protocol: IpProtocol, source: IpAddress, destination: IpAddress, bytes: &mut [u8]) {
    match (protocol, source, destination) {
        (IpProtocol::Tcp, ..) => {
            if let Ok(mut tcp) = TcpPacket::new_checked(bytes) {
                tcp.fill_checksum(&source, &destination);
            }
        }
        (IpProtocol::Udp, ..) => {
            if let Ok(mut udp) = UdpPacket::new_checked(bytes) {
                udp.fill_checksum(&source, &destination);
            }
        }
        (IpProtocol::Icmp, ..) => {
            if let Ok(mut icmp) = Icmpv4Packet::new_checked(bytes) {
                icmp.fill_checksum();
            }
        }
        (IpProtocol::Icmpv6, IpAddress::Ipv6(source), IpAddress::Ipv6(destination)) => {
            if let Ok(mut icmp) = Icmpv6Packet::new_checked(bytes) {
                icmp.fill_checksum(&source, &destination);
            }
        }
        _ => {}
    }
}
