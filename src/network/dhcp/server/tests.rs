//! Leases asked for, kept, refused and given up.

use super::*;

fn at(seconds: u64) -> Instant {
    Instant::START + Duration::from_secs(seconds)
}

fn mac(number: u32) -> EthernetAddress {
    let [a, b, c, d] = number.to_be_bytes();
    EthernetAddress([2, 0, a, b, c, d])
}

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

fn server() -> Server {
    Server::new(ServerConfig {
        own: Ipv4Cidr::new(ip(1), 24),
        range: (ip(10), ip(13)),
        lease: Duration::from_secs(100),
        routers: vec![ip(1)],
        dns: vec![ip(2)],
        reservations: [(mac(50).0, ip(12))].into(),
        excluded: [ip(11)].into(),
    })
}

fn message(kind: DhcpMessageType, client: u32) -> Message {
    Message::new(kind, 7, mac(client))
}

/// From that client, to this server and no other.
fn alone(client: u32) -> Sender {
    Sender { mac: mac(client), to_all: false }
}

fn discover(server: &mut Server, now: u64, client: u32) -> Option<Ipv4Addr> {
    let question = message(DhcpMessageType::Discover, client);
    server.ingest(at(now), alone(client), &question).map(|reply| reply.message.your_address)
}

/// Asks for an address that was offered; `None` for a refusal.
fn select(server: &mut Server, now: u64, client: u32, address: Ipv4Addr) -> Option<Ipv4Addr> {
    let mut request = message(DhcpMessageType::Request, client);
    (request.server, request.requested) = (Some(ip(1)), Some(address));
    acknowledged(server.ingest(at(now), alone(client), &request)?)
}

fn renew(server: &mut Server, now: u64, client: u32, address: Ipv4Addr) -> Option<Ipv4Addr> {
    let mut request = message(DhcpMessageType::Request, client);
    request.client_address = address;
    acknowledged(server.ingest(at(now), alone(client), &request)?)
}

fn acknowledged(reply: Reply) -> Option<Ipv4Addr> {
    (reply.message.kind == DhcpMessageType::Ack).then_some(reply.message.your_address)
}

#[test]
fn a_lease_is_offered_given_renewed_and_runs_out() {
    let mut server = server();
    assert_eq!(discover(&mut server, 0, 1), Some(ip(10)));
    assert_eq!(select(&mut server, 0, 1, ip(10)), Some(ip(10)));
    assert_eq!(renew(&mut server, 50, 1, ip(10)), Some(ip(10)));
    // .11 is somebody else's, .12 reserved.
    assert_eq!(discover(&mut server, 50, 2), Some(ip(13)));
    assert_eq!(select(&mut server, 50, 2, ip(13)), Some(ip(13)));
    assert_eq!(renew(&mut server, 140, 2, ip(13)), Some(ip(13)));
    assert_eq!(discover(&mut server, 149, 3), None);
    assert_eq!(server.statistics().exhausted, 1);
    assert_eq!(discover(&mut server, 150, 3), Some(ip(10)), "the lease is over");
    assert_eq!(select(&mut server, 150, 3, ip(10)), Some(ip(10)));
    assert_eq!(renew(&mut server, 151, 1, ip(10)), None, "it is another's now");
}

#[test]
fn the_answer_says_what_the_subnet_has() {
    let mut server = server();
    let reply = server.ingest(at(0), alone(1), &message(DhcpMessageType::Discover, 1)).unwrap();
    assert_eq!((reply.to, reply.mac), (ip(10), mac(1)));
    let offer = reply.message;
    assert_eq!(offer.mask, Some(Ipv4Addr::new(255, 255, 255, 0)));
    assert_eq!((offer.routers, offer.dns, offer.server), (vec![ip(1)], vec![ip(2)], Some(ip(1))));
    assert_eq!((offer.lease_s, offer.renew_s, offer.rebind_s), (Some(100), Some(50), Some(87)));
    let mut loud = message(DhcpMessageType::Discover, 1);
    loud.broadcast = true;
    assert_eq!(server.ingest(at(0), alone(1), &loud).unwrap().to, Ipv4Addr::BROADCAST);
}

#[test]
fn reservations_are_for_their_client_alone() {
    let mut server = server();
    assert_eq!(discover(&mut server, 0, 50), Some(ip(12)));
    assert_eq!(select(&mut server, 0, 1, ip(12)), None);
    assert_eq!(select(&mut server, 0, 50, ip(12)), Some(ip(12)));
}

#[test]
fn questions_under_invented_names_use_nothing_up() {
    let mut server = server();
    for client in 100..10_100 {
        discover(&mut server, 0, client);
    }
    let (addresses, clients) = server.leases.kept();
    assert!(addresses <= 4 && clients <= 4);
    let offered = discover(&mut server, 0, 1).unwrap();
    discover(&mut server, 0, 99_999);
    discover(&mut server, 0, 99_998);
    assert_eq!(select(&mut server, 0, 1, offered), Some(offered));
    // A lease holds against all who only ask.
    for client in 100..200 {
        assert_ne!(discover(&mut server, 1, client), Some(offered));
        assert_eq!(select(&mut server, 1, client, offered), None);
    }
}

#[test]
fn who_speaks_for_another_is_not_heard() {
    let mut server = server();
    assert_eq!(server.ingest(at(0), alone(2), &message(DhcpMessageType::Discover, 1)), None);
    let mut relayed = message(DhcpMessageType::Discover, 1);
    relayed.relay_address = ip(9);
    assert_eq!(server.ingest(at(0), alone(1), &relayed), None);
    let offer = message(DhcpMessageType::Offer, 1);
    assert_eq!(server.ingest(at(0), alone(1), &offer), None);
    assert_eq!(server.statistics().ignored, 3);
    // Nor can one give back what another has.
    select(&mut server, 0, 1, ip(10));
    let mut release = message(DhcpMessageType::Release, 2);
    (release.client_address, release.server) = (ip(10), Some(ip(1)));
    server.ingest(at(0), alone(2), &release);
    assert_eq!(renew(&mut server, 1, 1, ip(10)), Some(ip(10)));
}

#[test]
fn what_is_declined_is_not_given_out_for_an_hour() {
    let mut server = server();
    select(&mut server, 0, 1, ip(10));
    let mut decline = message(DhcpMessageType::Decline, 1);
    (decline.requested, decline.server) = (Some(ip(10)), Some(ip(1)));
    server.ingest(at(0), alone(1), &decline);
    assert_eq!(discover(&mut server, 1, 1), Some(ip(13)));
    assert_eq!(select(&mut server, 3599, 2, ip(10)), None);
    assert_eq!(select(&mut server, 3600, 2, ip(10)), Some(ip(10)));
}

#[test]
fn another_range_and_a_lease_that_was_ended_are_told_at_the_next_renewal() {
    let mut server = server();
    select(&mut server, 0, 1, ip(10));
    select(&mut server, 0, 2, ip(13));
    server.revoke(at(1), mac(1));
    assert_eq!(renew(&mut server, 2, 1, ip(10)), None);
    assert_eq!(renew(&mut server, 2, 2, ip(13)), Some(ip(13)));
    server.set_range((ip(20), ip(29)));
    assert_eq!(renew(&mut server, 3, 2, ip(13)), None);
    assert_eq!(discover(&mut server, 3, 2), Some(ip(20)));
}

#[test]
fn who_takes_another_servers_offer_frees_ours() {
    let mut server = server();
    discover(&mut server, 0, 1);
    let mut request = message(DhcpMessageType::Request, 1);
    (request.server, request.requested) = (Some(ip(9)), Some(ip(99)));
    assert_eq!(server.ingest(at(0), alone(1), &request), None);
    assert_eq!(server.leases.kept(), (0, 0));
}

/// An answer to who rebinds, which all servers hear.
fn rebind(server: &mut Server, now: u64, client: u32, address: Ipv4Addr) -> Option<DhcpMessageType> {
    let mut request = message(DhcpMessageType::Request, client);
    request.client_address = address;
    let from = Sender { mac: mac(client), to_all: true };
    server.ingest(at(now), from, &request).map(|reply| reply.message.kind)
}

#[test]
fn who_rebinds_is_refused_by_those_alone_whose_address_it_is() {
    let mut server = server();
    select(&mut server, 0, 1, ip(10));
    assert_eq!(rebind(&mut server, 1, 2, ip(200)), None, "another server may have let it");
    assert_eq!(rebind(&mut server, 1, 1, ip(10)), Some(DhcpMessageType::Ack));
    // Of our range, and nobody's: as after a restart, without the books.
    assert_eq!(rebind(&mut server, 1, 2, ip(13)), Some(DhcpMessageType::Ack));
    for (address, why) in [(ip(10), "let to another"), (ip(12), "reserved"), (ip(11), "somebody's for ever")]
    {
        assert_eq!(rebind(&mut server, 2, 3, address), Some(DhcpMessageType::Nak), "{why}");
    }
    let elsewhere = Ipv4Addr::new(10, 1, 0, 9);
    assert_eq!(rebind(&mut server, 2, 3, elsewhere), Some(DhcpMessageType::Nak), "wrong on this network");
    // Who asks this server alone has its lease from it, or thinks so.
    assert_eq!(renew(&mut server, 3, 2, ip(200)), None);
    assert_eq!(server.statistics().refused, 5);
    // Its own client is told of another range by rebinding, too.
    server.set_range((ip(20), ip(29)));
    assert_eq!(rebind(&mut server, 4, 1, ip(10)), Some(DhcpMessageType::Nak));
}
