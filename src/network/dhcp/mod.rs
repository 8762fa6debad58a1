//! DHCPv4 (RFC 2131, RFC 2132): messages, and a server of leases.
//!
//! ```text
//! router/dhcp.rs --Message--> server/        who may have which address, and for how long
//! node/stack/configure/dhcp/                 the client, in a guest's stack
//! ```
//!
//! Sans-IO, and without frames: whoever has a message says where it came from, and sends the answer.

mod server;

pub use server::{Reply, Sender, Server, ServerConfig, Statistics};

use std::net::Ipv4Addr;

use smoltcp::wire::{DhcpMessageType, DhcpPacket, EthernetAddress, IpProtocol};

use super::ip::transport_sum;

pub const SERVER_PORT: u16 = 67;
pub const CLIENT_PORT: u16 = 68;

const UDP_HEADER_BYTES: usize = 8;
/// Fixed part, magic cookie included.
const HEADER_BYTES: usize = 240;
/// What every host must take, and some old relays need (RFC 1542, section 2.1).
const MESSAGE_BYTES_MIN: usize = 300;
const MAGIC: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
/// The operation code of what clients send, and of what servers do.
const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const BROADCAST_FLAG: u16 = 0x8000;
/// Addresses taken from one option: more than anybody uses.
const LIST_MAX: usize = 8;

/// Options by their numbers (RFC 2132).
mod option {
    pub const SUBNET_MASK: u8 = 1;
    pub const ROUTER: u8 = 3;
    pub const DNS: u8 = 6;
    pub const REQUESTED_ADDRESS: u8 = 50;
    pub const LEASE_TIME: u8 = 51;
    pub const MESSAGE_TYPE: u8 = 53;
    pub const SERVER_IDENTIFIER: u8 = 54;
    pub const PARAMETER_LIST: u8 = 55;
    pub const RENEWAL_TIME: u8 = 58;
    pub const REBINDING_TIME: u8 = 59;
    pub const CLIENT_IDENTIFIER: u8 = 61;
    pub const END: u8 = 255;
}

/// A message, as far as this client and this server use it. Times are in seconds, as on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub kind: DhcpMessageType,
    pub transaction: u32,
    /// Since the client began.
    pub seconds: u16,
    /// The client cannot take unicast yet.
    pub broadcast: bool,
    /// `ciaddr`: the address that the client has and uses.
    pub client_address: Ipv4Addr,
    /// `yiaddr`: the address that it is given.
    pub your_address: Ipv4Addr,
    /// `giaddr`: not zero if a relay sent it on.
    pub relay_address: Ipv4Addr,
    /// `chaddr`.
    pub client_mac: EthernetAddress,
    pub client_identifier: Option<Vec<u8>>,
    pub requested: Option<Ipv4Addr>,
    pub server: Option<Ipv4Addr>,
    pub lease_s: Option<u32>,
    pub renew_s: Option<u32>,
    pub rebind_s: Option<u32>,
    pub mask: Option<Ipv4Addr>,
    pub routers: Vec<Ipv4Addr>,
    pub dns: Vec<Ipv4Addr>,
}

impl Message {
    /// One with nothing in it but what every message has.
    pub fn new(kind: DhcpMessageType, transaction: u32, client_mac: EthernetAddress) -> Self {
        Self {
            kind,
            transaction,
            seconds: 0,
            broadcast: false,
            client_address: Ipv4Addr::UNSPECIFIED,
            your_address: Ipv4Addr::UNSPECIFIED,
            relay_address: Ipv4Addr::UNSPECIFIED,
            client_mac,
            client_identifier: None,
            requested: None,
            server: None,
            lease_s: None,
            renew_s: None,
            rebind_s: None,
            mask: None,
            routers: Vec::new(),
            dns: Vec::new(),
        }
    }

    /// Reads the payload of a datagram. `None` for what is no DHCP message of an Ethernet host. Options of a length that
    /// they cannot have are as if they were not there; of an option that comes twice the last one counts.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let packet = DhcpPacket::new_checked(payload).ok()?;
        if payload.len() < HEADER_BYTES || payload[236..240] != MAGIC || payload[1] != 1 || payload[2] != 6 {
            return None;
        }
        let mut kind = None;
        let mut message =
            Self::new(DhcpMessageType::Discover, packet.transaction_id(), packet.client_hardware_address());
        for option in packet.options() {
            let address = || <[u8; 4]>::try_from(option.data).ok().map(Ipv4Addr::from);
            let seconds = || <[u8; 4]>::try_from(option.data).ok().map(u32::from_be_bytes);
            match option.kind {
                option::MESSAGE_TYPE if option.data.len() == 1 => {
                    kind = Some(DhcpMessageType::from(option.data[0]));
                }
                option::CLIENT_IDENTIFIER if !option.data.is_empty() => {
                    message.client_identifier = Some(option.data.to_vec());
                }
                option::REQUESTED_ADDRESS => message.requested = address(),
                option::SERVER_IDENTIFIER => message.server = address(),
                option::LEASE_TIME => message.lease_s = seconds(),
                option::RENEWAL_TIME => message.renew_s = seconds(),
                option::REBINDING_TIME => message.rebind_s = seconds(),
                option::SUBNET_MASK => message.mask = address(),
                option::ROUTER => message.routers = addresses(option.data),
                option::DNS => message.dns = addresses(option.data),
                _ => {}
            }
        }
        if payload[0] != REQUEST && payload[0] != REPLY {
            return None;
        }
        message.kind = kind.filter(|&kind| is_from_client(kind) == Some(payload[0] == REQUEST))?;
        message.seconds = packet.secs();
        message.broadcast = payload[10] & 0x80 != 0;
        message.client_address = packet.client_ip();
        message.your_address = packet.your_ip();
        message.relay_address = packet.relay_agent_ip();
        Some(message)
    }

    /// The payload of a datagram.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        let from_client = is_from_client(self.kind) == Some(true);
        bytes[0] = if from_client { REQUEST } else { REPLY };
        // Ethernet, and the length of its addresses.
        (bytes[1], bytes[2]) = (1, 6);
        bytes[4..8].copy_from_slice(&self.transaction.to_be_bytes());
        bytes[8..10].copy_from_slice(&self.seconds.to_be_bytes());
        let flags = if self.broadcast { BROADCAST_FLAG } else { 0 };
        bytes[10..12].copy_from_slice(&flags.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.client_address.octets());
        bytes[16..20].copy_from_slice(&self.your_address.octets());
        bytes[24..28].copy_from_slice(&self.relay_address.octets());
        bytes[28..34].copy_from_slice(self.client_mac.as_bytes());
        bytes[236..240].copy_from_slice(&MAGIC);

        let mut put = |kind: u8, data: &[u8]| {
            // An option holds 255 bytes; what is longer was not read here and is not written.
            if let Ok(length) = u8::try_from(data.len()) {
                bytes.extend_from_slice(&[kind, length]);
                bytes.extend_from_slice(data);
            }
        };
        put(option::MESSAGE_TYPE, &[self.kind.into()]);
        if let Some(identifier) = &self.client_identifier {
            put(option::CLIENT_IDENTIFIER, identifier);
        }
        let addresses = [
            (option::SERVER_IDENTIFIER, self.server),
            (option::REQUESTED_ADDRESS, self.requested),
            (option::SUBNET_MASK, self.mask),
        ];
        for (kind, address) in addresses.into_iter().filter_map(|(kind, it)| Some((kind, it?))) {
            put(kind, &address.octets());
        }
        let times = [
            (option::LEASE_TIME, self.lease_s),
            (option::RENEWAL_TIME, self.renew_s),
            (option::REBINDING_TIME, self.rebind_s),
        ];
        for (kind, seconds) in times.into_iter().filter_map(|(kind, it)| Some((kind, it?))) {
            put(kind, &seconds.to_be_bytes());
        }
        for (kind, list) in [(option::ROUTER, &self.routers), (option::DNS, &self.dns)] {
            let octets: Vec<u8> = list.iter().take(LIST_MAX).flat_map(|address| address.octets()).collect();
            if !octets.is_empty() {
                put(kind, &octets);
            }
        }
        if from_client {
            put(option::PARAMETER_LIST, &[option::SUBNET_MASK, option::ROUTER, option::DNS]);
        }
        bytes.push(option::END);
        bytes.resize(bytes.len().max(MESSAGE_BYTES_MIN), 0);
        bytes
    }
}

/// The datagram that carries a message, its checksum filled in.
pub fn datagram(source: (Ipv4Addr, u16), destination: (Ipv4Addr, u16), message: &Message) -> Vec<u8> {
    let payload = message.to_bytes();
    // At most eight addresses a list and 255 bytes of identifier: far from what 16 bits hold.
    let length = (UDP_HEADER_BYTES + payload.len()) as u16;
    let mut datagram = Vec::with_capacity(usize::from(length));
    for word in [source.1, destination.1, length, 0] {
        datagram.extend_from_slice(&word.to_be_bytes());
    }
    datagram.extend_from_slice(&payload);
    let sum = !transport_sum(source.0.into(), destination.0.into(), IpProtocol::Udp, &datagram);
    // Zero would say that there is none (RFC 768).
    let sum = if sum == 0 { 0xFFFF } else { sum };
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    datagram
}

/// Which side sends such messages; `None` for a kind that is unknown.
fn is_from_client(kind: DhcpMessageType) -> Option<bool> {
    match kind {
        DhcpMessageType::Discover
        | DhcpMessageType::Request
        | DhcpMessageType::Decline
        | DhcpMessageType::Release
        | DhcpMessageType::Inform => Some(true),
        DhcpMessageType::Offer | DhcpMessageType::Ack | DhcpMessageType::Nak => Some(false),
        DhcpMessageType::Unknown(_) => None,
    }
}

fn addresses(data: &[u8]) -> Vec<Ipv4Addr> {
    let (words, _) = data.as_chunks::<4>();
    words.iter().take(LIST_MAX).map(|octets| Ipv4Addr::from(*octets)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 9]);

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let message = Message {
            seconds: 3,
            broadcast: true,
            your_address: Ipv4Addr::new(10, 0, 0, 9),
            client_identifier: Some(vec![1, 2, 0, 0, 0, 0, 9]),
            server: Some(Ipv4Addr::new(10, 0, 0, 1)),
            lease_s: Some(3600),
            renew_s: Some(1800),
            rebind_s: Some(3150),
            mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
            routers: vec![Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)],
            dns: vec![Ipv4Addr::new(10, 0, 0, 3)],
            ..Message::new(DhcpMessageType::Ack, 0x1234_5678, MAC)
        };
        let bytes = message.to_bytes();
        assert_eq!(Message::parse(&bytes), Some(message));
        assert_eq!((bytes.len(), bytes[0]), (300, 2));
        let discover = Message::new(DhcpMessageType::Discover, 1, MAC);
        assert_eq!(discover.to_bytes()[0], 1);
        assert_eq!(Message::parse(&discover.to_bytes()), Some(discover));
    }

    #[test]
    fn what_is_no_message_is_none() {
        let good = Message::new(DhcpMessageType::Offer, 1, MAC).to_bytes();
        let broken = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = good.clone();
            change(&mut bytes);
            Message::parse(&bytes)
        };
        assert!(broken(&|_| ()).is_some());
        assert!(broken(&|bytes| bytes.truncate(239)).is_none(), "cut short");
        assert!(broken(&|bytes| bytes[236] = 0).is_none(), "another cookie");
        assert!(broken(&|bytes| bytes[2] = 16).is_none(), "a long hardware address");
        assert!(broken(&|bytes| bytes[0] = 1).is_none(), "an offer by a client");
        assert!(broken(&|bytes| bytes[240] = 0).is_none(), "without a type");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), whole: bool) {
            if whole && bytes.len() >= HEADER_BYTES {
                (bytes[1], bytes[2]) = (1, 6);
                bytes[236..240].copy_from_slice(&MAGIC);
            }
            if let Some(message) = Message::parse(&bytes) {
                prop_assert!(message.routers.len() <= LIST_MAX && message.dns.len() <= LIST_MAX);
                message.to_bytes();
            }
        }
    }
}
