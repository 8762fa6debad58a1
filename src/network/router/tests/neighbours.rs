use super::*;

#[test]
fn answers_arp_requests_and_learns_from_them() {
    let mut router = router();
    insta::assert_snapshot!(exchange(&mut router, 0, 0, arp(ArpOperation::Request, MAC_A, A4, ROUTER4[0])), @r#"
    port 0, packet 0: EthernetII src=02-00-00-00-01-00 dst=02-00-00-00-00-0a type=ARP
    \ ARP type=Ethernet+IPv4 src=02-00-00-00-01-00/10.0.1.1 tgt=02-00-00-00-00-0a/10.0.1.2 op=Reply
    "#);
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
    insta::assert_snapshot!(exchange(&mut router, 0, 0, udp4(B4, 64, 1)), @r#"
    port 1, packet 0: EthernetII src=02-00-00-00-01-01 dst=ff-ff-ff-ff-ff-ff type=ARP
    \ ARP type=Ethernet+IPv4 src=02-00-00-00-01-01/10.0.2.1 tgt=00-00-00-00-00-00/10.0.2.2 op=Request
    "#);
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
    insta::assert_snapshot!(exchange(&mut router, 0, 0, udp6(B6, 64, 1)), @r#"
    port 1, packet 0: EthernetII src=02-00-00-00-01-01 dst=33-33-ff-00-00-02 type=IPv6
    \ IPv6 src=2001:db8:2::1 dst=ff02::1:ff00:2 nxt_hdr=ICMPv6 hop_limit=255
      (ICMPv6 type 135, code 0: 0000000020010db80002000000000000 000000020101020000000101)
    "#);
    let own = "2001:db8:2::1".parse().unwrap();
    let good = advertisement(1, MAC_B, B6, own);
    let forwarded_here = change(good.clone(), |bytes| bytes[21] = 254);
    let broken = change(good.clone(), |bytes| bytes[60] ^= 1);
    let other = advertisement(1, MAC_A, "2001:db8:2::3".parse().unwrap(), own);
    for bad in [forwarded_here, broken, other] {
        assert_eq!(exchange(&mut router, 1, 1, bad), "");
    }
    assert_eq!((router.statistics().malformed, router.statistics().bad_checksum), (1, 1));
    insta::assert_snapshot!(exchange(&mut router, 2, 1, good), @r#"
    port 1, packet 77: EthernetII src=02-00-00-00-01-01 dst=02-00-00-00-00-0b type=IPv6
    \ IPv6 src=2001:db8:1::2 dst=2001:db8:2::2 nxt_hdr=UDP hop_limit=63
     \ UDP src=4660 dst=53 len=1
    "#);
    assert_eq!(router.poll_at(), None);
}

#[test]
fn answers_solicitations() {
    let mut router = router();
    insta::assert_snapshot!(exchange(&mut router, 0, 0, solicitation(0, MAC_A, A6, ROUTER6)), @r#"
    port 0, packet 0: EthernetII src=02-00-00-00-01-00 dst=02-00-00-00-00-0a type=IPv6
    \ IPv6 src=2001:db8:1::1 dst=2001:db8:1::2 nxt_hdr=ICMPv6 hop_limit=255
      (ICMPv6 type 136, code 0: e000000020010db80001000000000000 000000010201020000000100)
    "#);
    // Duplicate address detection: nobody to answer to but everybody.
    let mut message = neighbour_message(135, 0, ROUTER6, MAC_A);
    message.truncate(24);
    let probe = icmp6(Ipv6Addr::UNSPECIFIED, crate::network::ip::ndp::solicited_node(ROUTER6), 255, message);
    insta::assert_snapshot!(exchange(&mut router, 0, 0, probe), @r#"
    port 0, packet 0: EthernetII src=02-00-00-00-01-00 dst=33-33-00-00-00-01 type=IPv6
    \ IPv6 src=2001:db8:1::1 dst=ff02::1 nxt_hdr=ICMPv6 hop_limit=255
      (ICMPv6 type 136, code 0: a000000020010db80001000000000000 000000010201020000000100)
    "#);
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
    assert!(exchange(&mut router, 500, 0, udp6(B6, 64, 1)).contains("ICMPv6 type 135"));
    for due in [1000, 1500, 2000, 2500] {
        assert_eq!(router.poll_at(), Some(at(due)));
        assert_eq!(poll(&mut router, due).lines().filter(|line| line.starts_with("port 1")).count(), 1);
        assert_eq!(poll(&mut router, due), "");
    }
    let mut out = Egress::new();
    router.poll(at(3000), &mut out);
    insta::assert_snapshot!(describe(&out), @r#"
    port 0, packet 0: EthernetII src=02-00-00-00-01-00 dst=02-00-00-00-00-0a type=IPv4
    \ IPv4 src=10.0.1.1 dst=10.0.1.2 proto=ICMP
     \ ICMPv4 destination unreachable (destination host unreachable)
      \ IPv4 src=10.0.1.2 dst=10.0.2.2 proto=UDP
       \ UDP src=4660 dst=53 len=1
      (TTL 64, DSCP 48)
    "#);
    assert_eq!(out[0].1.bytes[14 + 28..], frame.bytes[14..], "quoted as it came in");
    insta::assert_snapshot!(poll(&mut router, 3500), @r#"
    port 0, packet 0: EthernetII src=02-00-00-00-01-00 dst=02-00-00-00-00-0a type=IPv6
    \ IPv6 src=2001:db8:1::1 dst=2001:db8:1::2 nxt_hdr=ICMPv6 hop_limit=64
      (ICMPv6 type 1, code 3: 00000000600000000009114020010db8 00010000000000000000000220010db8 00020000000000000000000212340035 00093cfa55)
    "#);
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
