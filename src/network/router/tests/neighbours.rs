use super::*;

#[test]
fn answers_arp_requests_and_learns_from_them() {
    let mut router = router();
    insta::assert_snapshot!(exchange(&mut router, 0, 0, arp(ArpOperation::Request, MAC_A, A4, ROUTER4[0])), @"");
    // For somebody else, for another subnet's address, from an impostor.
    for (sender, target) in [(A4, B4), (A4, ROUTER4[1]), (ROUTER4[0], ROUTER4[0])] {
        assert_eq!(exchange(&mut router, 0, 0, arp(ArpOperation::Request, MAC_A, sender, target)), "");
    }
    // A probe is answered, but has no address to learn.
    let probe = arp(ArpOperation::Request, MAC_A, Ipv4Addr::UNSPECIFIED, ROUTER4[0]);
    assert_eq!(exchange(&mut router, 0, 0, probe).matches("Reply").count(), 1);
    let expected = Statistics { received: 5, delivered: 2, originated: 2, ignored: 3, ..Default::default() };
    assert_eq!(router.statistics(), expected);
}

#[test]
fn resolves_ipv4_neighbours() {
    let mut router = router();
    exchange(&mut router, 0, 0, arp(ArpOperation::Request, MAC_A, A4, ROUTER4[0]));
    insta::assert_snapshot!(exchange(&mut router, 0, 0, udp4(B4, 64, 1)), @"");
    assert_eq!(exchange(&mut router, 1, 0, udp4(B4, 64, 2)), "", "waits for the first question's answer");
    // An announcement, and a reply at the wrong port, are not believed.
    assert_eq!(exchange(&mut router, 2, 1, arp(ArpOperation::Request, MAC_A, B4, B4)), "");
    assert_eq!(exchange(&mut router, 2, 0, arp(ArpOperation::Reply, MAC_A, B4, ROUTER4[0])), "");
    let reply = arp(ArpOperation::Reply, MAC_B, B4, ROUTER4[1]);
    let sent = exchange(&mut router, 3, 1, reply);
    assert_eq!(sent.matches("src=10.0.1.2 dst=10.0.2.2").count(), 2, "{sent}");
    assert_eq!(sent.matches("dst=02-00-00-00-00-0b").count(), 2, "{sent}");
    assert_eq!(router.poll_at(), None);
    // Unasked, a reply changes nothing.
    exchange(&mut router, 4, 1, arp(ArpOperation::Reply, MAC_A, B4, ROUTER4[1]));
    assert!(exchange(&mut router, 5, 0, udp4(B4, 64, 3)).contains("dst=02-00-00-00-00-0b"));
}

#[test]
fn resolves_ipv6_neighbours() {
    let mut router = router();
    insta::assert_snapshot!(exchange(&mut router, 0, 0, udp6(B6, 64, 1)), @"");
    let own = "2001:db8:2::1".parse().unwrap();
    let good = advertisement(1, MAC_B, B6, own);
    let forwarded_here = change(good.clone(), |bytes| bytes[21] = 254);
    let broken = change(good.clone(), |bytes| bytes[60] ^= 1);
    let other = advertisement(1, MAC_A, "2001:db8:2::3".parse().unwrap(), own);
    for bad in [forwarded_here, broken, other] {
        assert_eq!(exchange(&mut router, 1, 1, bad), "");
    }
    assert_eq!((router.statistics().malformed, router.statistics().bad_checksum), (1, 1));
    insta::assert_snapshot!(exchange(&mut router, 2, 1, good), @"");
    assert_eq!(router.poll_at(), None);
}

#[test]
fn answers_solicitations() {
    let mut router = router();
    insta::assert_snapshot!(exchange(&mut router, 0, 0, solicitation(0, MAC_A, A6, ROUTER6)), @"");
    // Duplicate address detection: nobody to answer to but everybody.
    let mut message = neighbour_message(135, 0, ROUTER6, MAC_A);
    message.truncate(24);
    let probe = icmp6(Ipv6Addr::UNSPECIFIED, ipv6::solicited_node(ROUTER6), 255, message);
    insta::assert_snapshot!(exchange(&mut router, 0, 0, probe), @"");
    assert_eq!(exchange(&mut router, 0, 0, solicitation(0, MAC_A, A6, B6)), "");
    let off_link = change(solicitation(0, MAC_A, A6, ROUTER6), |bytes| bytes[21] = 64);
    assert_eq!(exchange(&mut router, 0, 0, off_link), "");
}

#[test]
fn gives_up_and_says_so() {
    let mut router = router();
    exchange(&mut router, 0, 0, arp(ArpOperation::Request, MAC_A, A4, ROUTER4[0]));
    exchange(&mut router, 0, 0, solicitation(0, MAC_A, A6, ROUTER6));
    let frame = udp4(B4, 64, 1);
    assert!(exchange(&mut router, 0, 0, frame.clone()).contains("ARP"));
    assert!(exchange(&mut router, 500, 0, udp6(B6, 64, 1)).contains("NDISC") || router.poll_at().is_some());
    for due in [1000, 1500, 2000, 2500] {
        assert_eq!(router.poll_at(), Some(at(due)));
        assert_eq!(poll(&mut router, due).lines().filter(|line| line.starts_with("port 1")).count(), 1);
        assert_eq!(poll(&mut router, due), "");
    }
    let mut out = Egress::new();
    router.poll(at(3000), &mut out);
    insta::assert_snapshot!(describe(&out), @"");
    assert_eq!(out[0].1.bytes[14 + 28..], frame.bytes[14..], "quoted as it came in");
    insta::assert_snapshot!(poll(&mut router, 3500), @"");
    assert_eq!(router.poll_at(), None);
    assert_eq!(router.statistics().unresolved, 2);
}

#[test]
fn an_answer_of_the_router_itself_waits_too_but_is_not_reported() {
    let mut router = router();
    let stranger = Ipv4Addr::new(10, 0, 1, 77);
    let datagram = udp(stranger.into(), ROUTER4[0].into(), 1);
    let asked = exchange(&mut router, 0, 0, ip4(stranger, ROUTER4[0], IpProtocol::Udp, 9, &datagram));
    assert!(asked.contains("ARP"), "{asked}");
    assert_eq!(poll(&mut router, 1000).lines().count(), asked.lines().count());
    poll(&mut router, 2000);
    assert_eq!(poll(&mut router, 3000), "");
    assert_eq!(router.statistics().unresolved, 1);
}
