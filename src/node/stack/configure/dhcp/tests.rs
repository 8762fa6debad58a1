use super::*;
use crate::network::dhcp::{Server, ServerConfig};
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
