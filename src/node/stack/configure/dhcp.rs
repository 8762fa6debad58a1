//! The DHCPv4 client (RFC 2131, section 4.4): from nothing to a lease, and keeping it.
//!
//! ```text
//! Idle --> Selecting --offer--> Requesting --ack--> Probing --nobody has it--> Bound --expired, refused--> Idle
//! ```
//!
//! The first offer is taken. Before an address is used, one ARP question asks whether somebody has it (RFC 5227, with
//! one probe for its three); if so it is declined. Whatever goes wrong twice in a row is tried again more and more
//! slowly, so that servers which refuse, or give leases of no length, get no storm out of a client.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::BytesMut;
use smoltcp::wire::{DhcpMessageType, EthernetAddress, IpAddress, IpProtocol, Ipv4Cidr};

use crate::network::dhcp::{self, CLIENT_PORT, Message, SERVER_PORT};
use crate::network::ip::ipv4;
use crate::rng::Rng;
use crate::time::Instant;

/// Questions are repeated after 4 s, then 8, up to 64, each a second more or less (section 4.1).
const FIRST_WAIT: Duration = Duration::from_secs(4);
const DOUBLINGS_MAX: u32 = 4;
/// Requests for an offered address before all begins anew.
const REQUESTS_MAX: u32 = 4;
/// How long an answer to the ARP question may take.
const PROBE: Duration = Duration::from_millis(500);
/// After a conflict (section 3.1, step 5).
const DECLINED: Duration = Duration::from_secs(10);
/// Shorter leases are none.
const LEASE_S_MIN: u32 = 4;
/// Between requests while renewing and rebinding, if the lease is that long (section 4.4.5).
const RENEW_WAIT_MIN: Duration = Duration::from_secs(60);
/// "For ever", as a lease time.
const INFINITE_S: u32 = u32::MAX;

/// What a server gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    pub address: Ipv4Cidr,
    pub routers: Vec<Ipv4Addr>,
    pub dns: Vec<Ipv4Addr>,
    server: Ipv4Addr,
    renew: Instant,
    rebind: Instant,
    expires: Instant,
}

#[derive(Clone, Debug)]
enum State {
    Idle {
        at: Instant,
    },
    Selecting {
        asking: Asking,
    },
    Requesting {
        asking: Asking,
        offered: Ipv4Addr,
        server: Ipv4Addr,
    },
    Probing {
        lease: Lease,
        until: Instant,
    },
    /// `asking` once it is time to renew.
    Bound {
        lease: Lease,
        asking: Option<Asking>,
    },
}

/// What the client has to send.
#[derive(Debug)]
pub(super) enum Send {
    /// A packet of IPv4.
    Packet(BytesMut),
    /// "Does anybody have this address?" (RFC 5227, section 2.1.1)
    Probe(Ipv4Addr),
}

/// A question that is out.
#[derive(Clone, Copy, Debug)]
struct Asking {
    transaction: u32,
    since: Instant,
    tries: u32,
    again: Instant,
}

pub(super) struct Client {
    mac: EthernetAddress,
    state: State,
    /// Attempts in a row that came to nothing.
    setbacks: u32,
    /// The address that it had last, to be asked for again.
    last: Option<Ipv4Addr>,
}

impl Client {
    pub fn new(mac: EthernetAddress) -> Self {
        Self { mac, state: State::Idle { at: Instant::START }, setbacks: 0, last: None }
    }

    pub fn lease(&self) -> Option<&Lease> {
        match &self.state {
            State::Bound { lease, .. } => Some(lease),
            State::Idle { .. }
            | State::Selecting { .. }
            | State::Requesting { .. }
            | State::Probing { .. } => None,
        }
    }

    pub fn poll_at(&self) -> Instant {
        match &self.state {
            State::Idle { at } => *at,
            State::Selecting { asking } | State::Requesting { asking, .. } => asking.again,
            State::Probing { until, .. } => *until,
            State::Bound { lease, asking: None } => lease.renew.min(lease.expires),
            State::Bound { lease, asking: Some(asking) } => asking.again.min(lease.expires),
        }
    }

    /// Does what is due; frames to be sent are added to `out`.
    pub fn poll(&mut self, now: Instant, rng: &mut Rng, out: &mut Vec<Send>) {
        if self.poll_at() > now {
            return;
        }
        self.state = match std::mem::replace(&mut self.state, State::Idle { at: now }) {
            State::Idle { .. } => {
                State::Selecting { asking: self.discover(Asking::new(now, rng), now, rng, out) }
            }
            State::Selecting { asking } => State::Selecting { asking: self.discover(asking, now, rng, out) },
            State::Requesting { asking, .. } if asking.tries >= REQUESTS_MAX => self.setback(now),
            State::Requesting { asking, offered, server } => {
                let mut request = self.message(DhcpMessageType::Request, &asking, now);
                (request.requested, request.server) = (Some(offered), Some(server));
                out.push(to_all(&request));
                State::Requesting { asking: asking.asked(now, rng), offered, server }
            }
            State::Probing { lease, .. } => {
                self.last = Some(lease.address.address());
                State::Bound { lease, asking: None }
            }
            State::Bound { lease, .. } if lease.expires <= now => self.setback(now),
            State::Bound { lease, asking } => {
                let asking = asking.unwrap_or_else(|| Asking::new(now, rng));
                let mut request = self.message(DhcpMessageType::Request, &asking, now);
                let own = lease.address.address();
                request.client_address = own;
                let (to, limit) = if now < lease.rebind {
                    (lease.server, lease.rebind)
                } else {
                    (Ipv4Addr::BROADCAST, lease.expires)
                };
                out.push(Send::Packet(datagram(own, to, &request)));
                let wait = (limit.since(now) / 2).max(RENEW_WAIT_MIN);
                let again = (now + wait).min(limit).max(now + Duration::from_millis(1));
                State::Bound { lease, asking: Some(Asking { tries: asking.tries + 1, again, ..asking }) }
            }
        };
    }

    /// Takes an answer.
    pub fn ingest(&mut self, now: Instant, rng: &mut Rng, message: &Message, out: &mut Vec<Send>) {
        let Some(server) = message.server else { return };
        if message.client_mac != self.mac || Some(message.transaction) != self.transaction() {
            return;
        }
        let state = std::mem::replace(&mut self.state, State::Idle { at: now });
        self.state = match (state, message.kind) {
            (State::Selecting { asking }, DhcpMessageType::Offer) => match lease(now, message) {
                Some(offer) => {
                    let asking = Asking { tries: 0, again: now, ..asking };
                    State::Requesting { asking, offered: offer.address.address(), server }
                }
                None => State::Selecting { asking },
            },
            (State::Requesting { asking, offered, server: chosen }, DhcpMessageType::Ack) => {
                match lease(now, message).filter(|it| it.address.address() == offered && server == chosen) {
                    Some(lease) => {
                        out.push(Send::Probe(offered));
                        State::Probing { lease, until: now + PROBE }
                    }
                    None => State::Requesting { asking, offered, server: chosen },
                }
            }
            (State::Requesting { server: chosen, .. }, DhcpMessageType::Nak) if server == chosen => {
                self.setback(now)
            }
            (State::Bound { lease: held, asking: Some(_) }, DhcpMessageType::Ack)
                if server == held.server || now >= held.rebind =>
            {
                match lease(now, message) {
                    Some(renewed) if renewed.address.address() == held.address.address() => {
                        self.setbacks = 0;
                        State::Bound { lease: renewed, asking: None }
                    }
                    Some(_) => self.setback(now),
                    None => State::Bound { lease: held, asking: None }.hold(now, rng),
                }
            }
            (State::Bound { lease: held, asking: Some(_) }, DhcpMessageType::Nak)
                if server == held.server || now >= held.rebind =>
            {
                self.last = None;
                self.setback(now)
            }
            (state, _) => state,
        };
        self.poll(now, rng, out);
    }

    /// Somebody at `mac` uses `address`.
    pub fn heard(
        &mut self,
        now: Instant,
        address: Ipv4Addr,
        mac: EthernetAddress,
        out: &mut Vec<Send>,
    ) -> bool {
        let State::Probing { lease, .. } = &self.state else { return false };
        if lease.address.address() != address || mac == self.mac {
            return false;
        }
        let asking = Asking { transaction: 0, since: now, tries: 0, again: now };
        let mut decline = self.message(DhcpMessageType::Decline, &asking, now);
        (decline.requested, decline.server) = (Some(address), Some(lease.server));
        out.push(to_all(&decline));
        self.setbacks += 1;
        self.last = None;
        self.state = State::Idle { at: now + DECLINED };
        true
    }

    /// The transaction that answers may be for.
    fn transaction(&self) -> Option<u32> {
        match &self.state {
            State::Selecting { asking } | State::Requesting { asking, .. } => Some(asking.transaction),
            State::Bound { asking, .. } => asking.map(|asking| asking.transaction),
            State::Idle { .. } | State::Probing { .. } => None,
        }
    }

    fn discover(&self, asking: Asking, now: Instant, rng: &mut Rng, out: &mut Vec<Send>) -> Asking {
        let mut discover = self.message(DhcpMessageType::Discover, &asking, now);
        discover.requested = self.last;
        out.push(to_all(&discover));
        asking.asked(now, rng)
    }

    fn message(&self, kind: DhcpMessageType, asking: &Asking, now: Instant) -> Message {
        let mut identifier = vec![1];
        identifier.extend_from_slice(self.mac.as_bytes());
        Message {
            seconds: u16::try_from(now.since(asking.since).as_secs()).unwrap_or(u16::MAX),
            client_identifier: Some(identifier),
            ..Message::new(kind, asking.transaction, self.mac)
        }
    }

    /// From the beginning: at once after the first time, later and later after more.
    fn setback(&mut self, now: Instant) -> State {
        self.setbacks += 1;
        let wait = match self.setbacks {
            0 | 1 => Duration::ZERO,
            more => FIRST_WAIT * (1 << (more - 2).min(DOUBLINGS_MAX)),
        };
        State::Idle { at: now + wait }
    }
}

impl State {
    /// A bound state that goes on asking later: the answer made no sense.
    fn hold(self, now: Instant, rng: &mut Rng) -> State {
        match self {
            State::Bound { lease, .. } => {
                let asking = Asking { again: now + RENEW_WAIT_MIN, ..Asking::new(now, rng) };
                State::Bound { lease, asking: Some(asking) }
            }
            other => other,
        }
    }
}

impl Asking {
    fn new(now: Instant, rng: &mut Rng) -> Self {
        Self { transaction: rng.next_u32(), since: now, tries: 0, again: now }
    }

    fn asked(self, now: Instant, rng: &mut Rng) -> Self {
        let wait = FIRST_WAIT * (1 << self.tries.min(DOUBLINGS_MAX));
        let spread = Duration::from_micros(rng.below(2_000_001));
        let again = now + (wait + spread - Duration::from_secs(1));
        Self { tries: self.tries.saturating_add(1), again, ..self }
    }
}

/// From nobody yet.
fn to_all(message: &Message) -> Send {
    Send::Packet(datagram(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, message))
}

/// A message of the client, with room for the Ethernet header in front.
fn datagram(source: Ipv4Addr, destination: Ipv4Addr, message: &Message) -> BytesMut {
    let datagram = dhcp::datagram((source, CLIENT_PORT), (destination, SERVER_PORT), message);
    ipv4(source, destination, IpProtocol::Udp, 0, 0, &datagram)
}

/// What a message grants, unless that makes no sense.
fn lease(now: Instant, message: &Message) -> Option<Lease> {
    let length = IpAddress::Ipv4(message.mask?).prefix_len().filter(|&length| length > 0)?;
    let address = Ipv4Cidr::new(message.your_address, length);
    if !is_host(address) {
        return None;
    }
    let lease_s = message.lease_s.filter(|&seconds| seconds >= LEASE_S_MIN)?;
    let lease = u64::from(lease_s);
    // 4.4.5; T1 before T2 before the end, or neither counts.
    let default = (lease / 2, lease * 7 / 8);
    let told = (message.renew_s.map_or(default.0, u64::from), message.rebind_s.map_or(default.1, u64::from));
    let (renew, rebind) = if 0 < told.0 && told.0 < told.1 && told.1 < lease { told } else { default };
    let after = |seconds: u64| {
        if lease_s == INFINITE_S { Instant::FAR_FUTURE } else { now + Duration::from_secs(seconds) }
    };
    let host =
        |address: &Ipv4Addr| !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast();
    Some(Lease {
        address,
        routers: message.routers.iter().copied().filter(host).collect(),
        dns: message.dns.iter().copied().filter(host).collect(),
        server: message.server?,
        renew: after(renew),
        rebind: after(rebind),
        expires: after(lease),
    })
}

/// An address that one host of its subnet may have.
fn is_host(cidr: Ipv4Cidr) -> bool {
    let address = cidr.address();
    let (first, host_bits) = (address.octets()[0], 32 - cidr.prefix_len());
    let hosts = u32::MAX.checked_shr(u32::from(cidr.prefix_len())).unwrap_or(0);
    let number = address.to_bits() & hosts;
    let special = first == 0 || first == 127 || first >= 224;
    !special && (host_bits < 2 || (number != 0 && number != hosts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::dhcp::{Server, ServerConfig};
    use crate::network::ip::ETHERNET_HEADER_BYTES;
    use crate::rng::Seed;
    use smoltcp::wire::{Ipv4Packet, UdpPacket};

    const MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 9]);
    const OTHER: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);

    fn ip(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, last)
    }

    fn server(lease: u64) -> Server {
        Server::new(ServerConfig {
            own: Ipv4Cidr::new(ip(1), 24),
            range: (ip(100), ip(109)),
            lease: Duration::from_secs(lease),
            routers: vec![ip(1)],
            dns: vec![ip(1)],
            reservations: Default::default(),
            excluded: Default::default(),
        })
    }

    /// The DHCP message that is sent, and whether all hear it.
    fn message(sent: &Send) -> Option<(Message, bool)> {
        let Send::Packet(packet) = sent else { return None };
        let packet = Ipv4Packet::new_checked(&packet[ETHERNET_HEADER_BYTES..]).unwrap();
        let datagram = UdpPacket::new_checked(packet.payload()).unwrap();
        assert!(datagram.verify_checksum(&packet.src_addr().into(), &packet.dst_addr().into()));
        Some((Message::parse(datagram.payload()).unwrap(), packet.dst_addr().is_broadcast()))
    }

    struct Lab {
        client: Client,
        rng: Rng,
        now: Instant,
        /// What the client sent: when, what, and whether to all.
        sent: Vec<(u64, DhcpMessageType, bool)>,
    }

    impl Lab {
        fn new() -> Lab {
            let rng = Seed(1).fork("dhcp");
            Lab { client: Client::new(MAC), rng, now: Instant::START, sent: Vec::new() }
        }

        /// Runs for so long, with every message answered by `server`, if there is one.
        fn run(&mut self, seconds: u64, mut server: Option<&mut Server>) {
            let end = self.now + Duration::from_secs(seconds);
            for _ in 0..10_000 {
                let mut out = Vec::new();
                self.client.poll(self.now, &mut self.rng, &mut out);
                for frame in std::mem::take(&mut out) {
                    let Some((message, to_all)) = message(&frame) else { continue };
                    self.sent.push((self.now.elapsed().as_secs(), message.kind, to_all));
                    let reply = server.as_mut().and_then(|server| server.ingest(self.now, MAC, &message));
                    if let Some(reply) = reply {
                        self.client.ingest(self.now, &mut self.rng, &reply.message, &mut out);
                    }
                    // What it said to that is answered in the next round.
                    for frame in out.drain(..) {
                        let Some((message, to_all)) = super::tests::message(&frame) else { continue };
                        self.sent.push((self.now.elapsed().as_secs(), message.kind, to_all));
                        if let Some(reply) =
                            server.as_mut().and_then(|server| server.ingest(self.now, MAC, &message))
                        {
                            self.client.ingest(self.now, &mut self.rng, &reply.message, &mut Vec::new());
                        }
                    }
                }
                let next = self.client.poll_at();
                if next > end {
                    self.now = end;
                    return;
                }
                self.now = self.now.max(next);
            }
            panic!("the client does not come to rest: {:?}", self.client.state);
        }

        fn address(&self) -> Option<Ipv4Addr> {
            self.client.lease().map(|lease| lease.address.address())
        }

        fn kinds(&self) -> Vec<DhcpMessageType> {
            self.sent.iter().map(|&(_, kind, _)| kind).collect()
        }
    }

    use DhcpMessageType::{Decline, Discover, Request};

    #[test]
    fn a_lease_is_had_renewed_rebound_and_lost() {
        let mut lab = Lab::new();
        let mut server = server(1000);
        lab.run(1, Some(&mut server));
        assert_eq!((lab.address(), lab.kinds()), (Some(ip(100)), vec![Discover, Request]));
        lab.run(600, Some(&mut server));
        assert_eq!(lab.sent[2..], [(500, Request, false)], "renewed with the server alone");
        lab.sent.clear();
        // From now on nobody answers: it asks the server from 1000 s on, everybody from 1375 s on, until 1500 s.
        lab.run(890, None);
        assert_eq!(lab.address(), Some(ip(100)));
        let to_all: Vec<bool> = lab.sent.iter().map(|&(.., to_all)| to_all).collect();
        assert!(lab.sent[0].0 == 1000 && to_all.contains(&false) && to_all.contains(&true), "{:?}", lab.sent);
        assert!(to_all.is_sorted() && lab.sent.iter().all(|&(at, _, to_all)| to_all == (at >= 1375)));
        lab.run(20, None);
        assert_eq!(lab.address(), None);
        lab.run(100, Some(&mut server));
        assert_eq!(lab.address(), Some(ip(100)), "it asks for what it had");
    }

    #[test]
    fn questions_come_again_more_and_more_slowly() {
        let mut lab = Lab::new();
        lab.run(600, None);
        let gaps: Vec<u64> = lab.sent.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        assert!(gaps.len() >= 8 && gaps.len() <= 14, "{gaps:?}");
        assert!(
            (3..=5).contains(&gaps[0]) && gaps[5..].iter().all(|gap| (62..=66).contains(gap)),
            "{gaps:?}"
        );
    }

    #[test]
    fn a_server_that_refuses_gets_no_storm() {
        let mut lab = Lab::new();
        for _ in 0..200 {
            let mut out = Vec::new();
            lab.client.poll(lab.now, &mut lab.rng, &mut out);
            while let Some(frame) = out.pop() {
                let Some((message, _)) = message(&frame) else { continue };
                lab.sent.push((lab.now.elapsed().as_secs(), message.kind, true));
                let mut answer = Message::new(DhcpMessageType::Nak, message.transaction, MAC);
                answer.server = Some(ip(1));
                if message.kind == Discover {
                    answer.kind = DhcpMessageType::Offer;
                    (answer.your_address, answer.lease_s) = (ip(50), Some(60));
                    answer.mask = Some(Ipv4Addr::new(255, 255, 255, 0));
                }
                lab.client.ingest(lab.now, &mut lab.rng, &answer, &mut out);
            }
            lab.now = lab.now.max(lab.client.poll_at());
        }
        assert!(lab.now.elapsed() > Duration::from_secs(190 * 60), "{:?}", lab.now);
    }

    #[test]
    fn an_address_that_somebody_has_is_declined() {
        let mut lab = Lab::new();
        let mut server = server(1000);
        lab.run(0, Some(&mut server));
        assert_eq!(lab.address(), None, "not used before it was asked for");
        let mut out = Vec::new();
        assert!(!lab.client.heard(lab.now, ip(100), MAC, &mut out), "its own question");
        assert!(lab.client.heard(lab.now, ip(100), OTHER, &mut out));
        let (declined, _) = message(&out[0]).unwrap();
        assert_eq!((declined.kind, declined.requested), (Decline, Some(ip(100))));
        server.ingest(lab.now, MAC, &declined);
        lab.run(9, Some(&mut server));
        assert_eq!(lab.address(), None);
        lab.run(2, Some(&mut server));
        assert_eq!(lab.address(), Some(ip(101)));
    }

    #[test]
    fn leases_that_make_no_sense_are_not_taken() {
        let good = Message {
            your_address: ip(9),
            mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
            lease_s: Some(60),
            server: Some(ip(1)),
            ..Message::new(DhcpMessageType::Ack, 1, MAC)
        };
        let taken = |message: Message| lease(Instant::START, &message);
        assert!(taken(good.clone()).is_some());
        for address in ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "10.0.0.0", "10.0.0.255"] {
            assert_eq!(
                taken(Message { your_address: address.parse().unwrap(), ..good.clone() }),
                None,
                "{address}"
            );
        }
        for mask in ["0.0.0.0", "255.0.255.0"] {
            assert_eq!(taken(Message { mask: Some(mask.parse().unwrap()), ..good.clone() }), None, "{mask}");
        }
        assert_eq!(taken(Message { mask: None, ..good.clone() }), None);
        assert_eq!(taken(Message { lease_s: None, ..good.clone() }), None);
        assert_eq!(taken(Message { lease_s: Some(0), ..good.clone() }), None);
        // Times in the wrong order: the defaults.
        let odd = taken(Message { renew_s: Some(50), rebind_s: Some(40), ..good.clone() }).unwrap();
        assert_eq!(odd.renew, Instant::START + Duration::from_secs(30));
        let ever = taken(Message { lease_s: Some(u32::MAX), ..good }).unwrap();
        assert_eq!(ever.expires, Instant::FAR_FUTURE);
    }
}
