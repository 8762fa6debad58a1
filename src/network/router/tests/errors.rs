use super::*;

/// The error that a frame provokes, and nothing else.
fn error(router: &mut Router, frame: Frame) -> String {
    exchange(router, 1, 0, frame)
}

#[test]
fn ipv4_errors() {
    let mut router = router_with_neighbours();
    insta::assert_snapshot!(error(&mut router, udp4(B4, 1, 10)), @r#"
    port 0, packet 0: EthernetII src=02-00-00-00-01-00 dst=02-00-00-00-00-0a type=IPv4
    \ IPv4 src=10.0.1.1 dst=10.0.1.2 proto=ICMP
     \ ICMPv4 time exceeded (time-to-live exceeded in transit)
      \ IPv4 src=10.0.1.2 dst=10.0.2.2 proto=UDP
       \ UDP src=4660 dst=53 len=10
      (TTL 64, DSCP 48)
    "#);
    insta::assert_snapshot!(error(&mut router, udp4(Ipv4Addr::new(172, 16, 0, 1), 64, 10)), @r#"
    port 0, packet 0: EthernetII src=02-00-00-00-01-00 dst=02-00-00-00-00-0a type=IPv4
    \ IPv4 src=10.0.1.1 dst=10.0.1.2 proto=ICMP
     \ ICMPv4 destination unreachable (destination network unreachable)
      \ IPv4 src=10.0.1.2 dst=172.16.0.1 proto=UDP
       \ UDP src=4660 dst=53 len=10
      (TTL 64, DSCP 48)
    "#);
    insta::assert_snapshot!(error(&mut router, udp4(ROUTER4[1], 64, 10)), @r#"
    port 0, packet 0: EthernetII src=02-00-00-00-01-00 dst=02-00-00-00-00-0a type=IPv4
    \ IPv4 src=10.0.1.1 dst=10.0.1.2 proto=ICMP
     \ ICMPv4 destination unreachable (destination port unreachable)
      \ IPv4 src=10.0.1.2 dst=10.0.2.1 proto=UDP
       \ UDP src=4660 dst=53 len=10
      (TTL 64, DSCP 48)
    "#);
    insta::assert_snapshot!(error(&mut router, ip4(A4, ROUTER4[0], IpProtocol::Igmp, 1, &[0; 8])), @r#"
    port 0, packet 0: EthernetII src=02-00-00-00-01-00 dst=02-00-00-00-00-0a type=IPv4
    \ IPv4 src=10.0.1.1 dst=10.0.1.2 proto=ICMP
     \ ICMPv4 destination unreachable (destination protocol unreachable)
      \ IPv4 src=10.0.1.2 dst=10.0.1.1 proto=IGMP
      (TTL 64, DSCP 48)
    "#);
    let whole = change(udp4(B4, 64, 1400), |bytes| {
        bytes[20] = 0x40;
        fill_ipv4_checksum(&mut bytes[14..]);
    });
    insta::assert_snapshot!(error(&mut router, whole.clone()), @r#"
    port 0, packet 0: EthernetII src=02-00-00-00-01-00 dst=02-00-00-00-00-0a type=IPv4
    \ IPv4 src=10.0.1.1 dst=10.0.1.2 proto=ICMP
     \ ICMPv4 (wire::Error) type=DstUnreachable code=FragRequired
      \ (wire::Error)
      (TTL 64, DSCP 48)
    "#);
    let expected = Statistics {
        received: 5,
        delivered: 2,
        originated: 5,
        expired: 1,
        no_route: 1,
        too_big: 1,
        errors_sent: 5,
        ..Default::default()
    };
    assert_eq!(router.statistics(), expected);
    let mut out = Egress::new();
    router.ingest(at(1), 0, whole, &mut out);
    assert_eq!(out[0].1.bytes[38..42], [0, 0, 5, 0], "the next link's MTU, 1280");
}

#[test]
fn an_error_is_at_most_576_bytes_and_quotes_what_came_in() {
    let mut router = router_with_neighbours();
    let frame = udp4(B4, 1, 1400);
    let mut out = Egress::new();
    router.ingest(at(1), 0, frame.clone(), &mut out);
    let sent = &out[0].1;
    assert_eq!(sent.len(), 14 + 576);
    assert_eq!(sent.id, PacketId::NONE);
    assert_eq!(sent.bytes[14 + 28..], frame.bytes[14..14 + 548]);
}

#[test]
fn ipv6_errors() {
    let mut router = router_with_neighbours();
    insta::assert_snapshot!(error(&mut router, udp6(B6, 1, 10)), @r#"
    port 0, packet 0: EthernetII src=02-00-00-00-01-00 dst=02-00-00-00-00-0a type=IPv6
    \ IPv6 src=2001:db8:1::1 dst=2001:db8:1::2 nxt_hdr=ICMPv6 hop_limit=64
      (ICMPv6 type 3, code 0: 00000000600000000012110120010db8 00010000000000000000000220010db8 00020000000000000000000212340035 0012e73d55555555555555555555)
    "#);
    insta::assert_snapshot!(error(&mut router, udp6("2001:db8:9::1".parse().unwrap(), 64, 10)), @r#"
    port 0, packet 0: EthernetII src=02-00-00-00-01-00 dst=02-00-00-00-00-0a type=IPv6
    \ IPv6 src=2001:db8:1::1 dst=2001:db8:1::2 nxt_hdr=ICMPv6 hop_limit=64
      (ICMPv6 type 1, code 0: 00000000600000000012114020010db8 00010000000000000000000220010db8 00090000000000000000000112340035 0012e73755555555555555555555)
    "#);
    insta::assert_snapshot!(error(&mut router, udp6(ROUTER6, 64, 10)), @r#"
    port 0, packet 0: EthernetII src=02-00-00-00-01-00 dst=02-00-00-00-00-0a type=IPv6
    \ IPv6 src=2001:db8:1::1 dst=2001:db8:1::2 nxt_hdr=ICMPv6 hop_limit=64
      (ICMPv6 type 1, code 4: 00000000600000000012114020010db8 00010000000000000000000220010db8 00010000000000000000000112340035 0012e73f55555555555555555555)
    "#);
    insta::assert_snapshot!(error(&mut router, ip6(A6, ROUTER6, IpProtocol::from(253), 1, &[0; 8])), @r#"
    port 0, packet 0: EthernetII src=02-00-00-00-01-00 dst=02-00-00-00-00-0a type=IPv6
    \ IPv6 src=2001:db8:1::1 dst=2001:db8:1::2 nxt_hdr=ICMPv6 hop_limit=64
      (ICMPv6 type 4, code 1: 00000006600000000008fd0120010db8 00010000000000000000000220010db8 00010000000000000000000100000000 00000000)
    "#);
    let mut out = Egress::new();
    let frame = udp6(B6, 64, 1400);
    router.ingest(at(1), 0, frame.clone(), &mut out);
    let sent = &out[0].1.bytes;
    assert_eq!(sent.len(), 14 + 1280);
    assert_eq!(sent[54..58], [2, 0, sent[56], sent[57]], "packet too big");
    assert_eq!(sent[58..62], 1280u32.to_be_bytes());
    assert_eq!(sent[62..], frame.bytes[14..14 + 1232]);
    assert_eq!(transport_sum(ROUTER6.into(), A6.into(), IpProtocol::Icmpv6, &sent[54..]), 0xFFFF);
}

#[test]
fn a_segment_to_the_router_is_reset() {
    let mut router = router_with_neighbours();
    let mut segment = vec![0xC0, 0x00, 0, 80, 0, 0, 0, 9, 0, 0, 0, 0, 0x50, 0x02, 0x10, 0, 0, 0, 0, 0];
    let sum = !transport_sum(A4.into(), ROUTER4[0].into(), IpProtocol::Tcp, &segment);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    insta::assert_snapshot!(error(&mut router, ip4(A4, ROUTER4[0], IpProtocol::Tcp, 64, &segment)), @r#"
    port 0, packet 0: EthernetII src=02-00-00-00-01-00 dst=02-00-00-00-00-0a type=IPv4
    \ IPv4 src=10.0.1.1 dst=10.0.1.2 proto=TCP
     \ TCP src=80 dst=49152 rst seq=0 ack=10 win=0 len=0
      (TTL 64, DSCP 0)
    "#);
    let mut reset = segment.clone();
    reset[13] = 0x04;
    assert_eq!(error(&mut router, ip4(A4, ROUTER4[0], IpProtocol::Tcp, 64, &reset)), "");
}

#[test]
fn nothing_is_said_where_nothing_may_be_said() {
    let mut router = router_with_neighbours();
    let icmp = |kind| ip4(A4, B4, IpProtocol::Icmp, 1, &[kind, 0, 0, 0, 0, 0, 0, 0]);
    for kind in [3, 5, 11, 12] {
        assert_eq!(error(&mut router, icmp(kind)), "", "about ICMP error {kind}");
    }
    let later_fragment = change(udp4(B4, 1, 10), |bytes| {
        bytes[21] = 1;
        fill_ipv4_checksum(&mut bytes[14..]);
    });
    assert_eq!(error(&mut router, later_fragment), "");
    for kind in [1, 2, 3, 4, 127, 137] {
        let message = vec![kind, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(error(&mut router, icmp6(A6, B6, 1, message)), "", "about ICMPv6 error {kind}");
    }
    let later_fragment =
        ip6(A6, B6, IpProtocol::Ipv6Frag, 1, &[17, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(error(&mut router, later_fragment), "");
    assert_eq!(router.statistics().expired, 12);
    assert_eq!(router.statistics().errors_sent, 0);

    // Sent to everybody on the link, or to no single host.
    let to_all = readdress(udp4(B4, 1, 10), EthernetAddress::BROADCAST, MAC_A);
    assert_eq!(error(&mut router, to_all), "");
    for destination in ["10.0.1.255", "10.0.2.255", "10.0.2.0", "255.255.255.255", "224.0.0.5"] {
        assert_eq!(error(&mut router, udp4(destination.parse().unwrap(), 64, 10)), "", "{destination}");
    }
    assert_eq!(router.statistics().ignored, 6);
}

#[test]
fn errors_are_limited_for_each_port() {
    let mut router = router_with_neighbours();
    let mut out = Egress::new();
    for _ in 0..1000 {
        router.ingest(at(1), 0, udp4(B4, 1, 10), &mut out);
    }
    assert_eq!((router.statistics().errors_sent, router.statistics().errors_limited), (50, 950));
    let from_b = readdress(ip4(B4, A4, IpProtocol::Udp, 1, &udp(B4.into(), A4.into(), 1)), mac(1), MAC_B);
    router.ingest(at(1), 1, from_b, &mut out);
    assert_eq!(router.statistics().errors_sent, 51, "another port's guest is not affected");
}
