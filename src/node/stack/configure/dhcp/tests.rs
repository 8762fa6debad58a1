use super::*;
use crate::network::dhcp::{Sender, Server, ServerConfig};
use crate::network::ip::ETHERNET_HEADER_BYTES;
use crate::rng::Seed;
use smoltcp::wire::{Ipv4Cidr, Ipv4Packet, UdpPacket};

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

/// The DHCP message that is sent, and to whom.
fn message(sent: &Send) -> Option<(Message, Ipv4Addr)> {
    let Send::Packet(packet) = sent else { return None };
    let packet = Ipv4Packet::new_checked(&packet[ETHERNET_HEADER_BYTES..]).unwrap();
    let datagram = UdpPacket::new_checked(packet.payload()).unwrap();
    assert!(datagram.verify_checksum(&packet.src_addr().into(), &packet.dst_addr().into()));
    Some((Message::parse(datagram.payload()).unwrap(), packet.dst_addr()))
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

    /// Runs for so long, with every message answered by `server`, at 10.0.0.1, if there is one.
    fn run(&mut self, seconds: u64, server: Option<&mut Server>) {
        let mut servers: Vec<_> = server.into_iter().map(|server| (ip(1), server)).collect();
        self.run_among(seconds, &mut servers);
    }

    /// The same with several of them, each at its address; they answer in that order.
    fn run_among(&mut self, seconds: u64, servers: &mut [(Ipv4Addr, &mut Server)]) {
        let end = self.now + Duration::from_secs(seconds);
        for _ in 0..10_000 {
            let mut out = Vec::new();
            self.client.poll(self.now, &mut self.rng, &mut out);
            while let Some((message, to)) = (!out.is_empty()).then(|| message(&out.remove(0))).flatten() {
                let to_all = to.is_broadcast();
                self.sent.push((self.now.elapsed().as_secs(), message.kind, to_all));
                for (_, server) in servers.iter_mut().filter(|(own, _)| to_all || to == *own) {
                    if let Some(reply) = server.ingest(self.now, Sender { mac: MAC, to_all }, &message) {
                        self.client.ingest(self.now, &mut self.rng, &reply.message, &mut out);
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
    assert!((3..=5).contains(&gaps[0]) && gaps[5..].iter().all(|gap| (62..=66).contains(gap)), "{gaps:?}");
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
    server.ingest(lab.now, Sender { mac: MAC, to_all: true }, &declined);
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
    let taken = |message: Message| Lease::granted(Instant::START, &message);
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

/// The second of two servers, with its own part of the subnet.
fn second(first: u8, last: u8) -> Server {
    Server::new(ServerConfig {
        own: Ipv4Cidr::new(ip(2), 24),
        range: (ip(first), ip(last)),
        lease: Duration::from_secs(1000),
        routers: vec![ip(2)],
        dns: vec![ip(2)],
        reservations: Default::default(),
        excluded: Default::default(),
    })
}

#[test]
fn of_two_servers_the_first_to_offer_is_asked_and_the_other_does_not_end_its_lease() {
    let (mut lab, mut one, mut two) = (Lab::new(), server(1000), second(120, 129));
    lab.run_among(1, &mut [(ip(1), &mut one), (ip(2), &mut two)]);
    assert_eq!((lab.address(), lab.kinds()), (Some(ip(100)), vec![Discover, Request]));
    // The first is gone: it rebinds from 875 s on, in vain.
    lab.run_among(990, &mut [(ip(2), &mut two)]);
    assert!(lab.sent.iter().any(|&(at, _, to_all)| to_all && at >= 875), "{:?}", lab.sent);
    assert_eq!(lab.address(), Some(ip(100)));
    lab.run_among(20, &mut [(ip(2), &mut two)]);
    assert_eq!(lab.address(), Some(ip(121)), "the lease is over");
    assert_eq!((one.statistics().refused, two.statistics().refused), (0, 0));
}

#[test]
fn another_server_that_gives_out_the_address_as_well_extends_the_lease() {
    let (mut lab, mut one, mut two) = (Lab::new(), server(1000), second(100, 109));
    lab.run_among(1, &mut [(ip(1), &mut one), (ip(2), &mut two)]);
    lab.run_among(1500, &mut [(ip(2), &mut two)]);
    assert_eq!((lab.address(), one.statistics().acknowledged), (Some(ip(100)), 1));
    assert_eq!(lab.client.lease().map(|lease| lease.server), Some(ip(2)), "it renews there from now on");
    assert!(!lab.kinds()[1..].contains(&Discover), "{:?}", lab.sent);
}

#[test]
fn acknowledgements_that_are_not_of_what_was_asked_for_count_for_nothing() {
    let mut lab = Lab::new();
    let mut out = Vec::new();
    lab.client.poll(lab.now, &mut lab.rng, &mut out);
    let (discover, _) = message(&out.remove(0)).unwrap();
    let answer = |kind, address, server, transaction| Message {
        your_address: address,
        mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
        lease_s: Some(1000),
        server: Some(server),
        ..Message::new(kind, transaction, MAC)
    };
    let (ack, offer, nak) = (DhcpMessageType::Ack, DhcpMessageType::Offer, DhcpMessageType::Nak);
    let told = |lab: &mut Lab, kind, address, server| {
        let mut out = Vec::new();
        let answer = answer(kind, address, server, discover.transaction);
        lab.client.ingest(lab.now, &mut lab.rng, &answer, &mut out);
        out
    };
    assert!(told(&mut lab, ack, ip(50), ip(1)).is_empty(), "before it asked for one");
    let (request, _) = message(&told(&mut lab, offer, ip(50), ip(1))[0]).unwrap();
    assert_eq!((request.kind, request.requested, request.server), (Request, Some(ip(50)), Some(ip(1))));
    for (kind, address, server, why) in [
        (offer, ip(60), ip(2), "a later offer"),
        (ack, ip(51), ip(1), "another address"),
        (ack, ip(50), ip(2), "another server"),
        (nak, ip(50), ip(2), "refused by another"),
    ] {
        assert!(told(&mut lab, kind, address, server).is_empty(), "{why}");
        assert!(matches!(lab.client.state, State::Requesting { .. }), "{why}: {:?}", lab.client.state);
    }
    // A probe of the address, and then it is used.
    assert_eq!(told(&mut lab, ack, ip(50), ip(1)).len(), 1);
    lab.run(1, None);
    assert_eq!(lab.address(), Some(ip(50)));

    // While it renews, at 500 s, with the server that it has its lease of, nobody else extends or ends that.
    lab.run(500, None);
    let transaction = lab.client.transaction().unwrap();
    for (kind, server) in [(ack, ip(2)), (nak, ip(2))] {
        let mut out = Vec::new();
        lab.client.ingest(lab.now, &mut lab.rng, &answer(kind, ip(50), server, transaction), &mut out);
        let lease = lab.client.lease().map(|lease| (lease.server, lease.expires));
        assert_eq!(lease, Some((ip(1), Instant::START + Duration::from_secs(1000))), "{kind:?}");
    }
}
