use super::*;

#[test]
fn forwards_ipv4() {
    let mut router = router_with_neighbours();
    insta::assert_snapshot!(exchange(&mut router, 1, 0, udp4(B4, 64, 10)), @r#"
    port 1, packet 77: EthernetII src=02-00-00-00-01-01 dst=02-00-00-00-00-0b type=IPv4
    \ IPv4 src=10.0.1.2 dst=10.0.2.2 proto=UDP
     \ UDP src=4660 dst=53 len=10
      (TTL 63, DSCP 0)
    "#);
    // By a static route, to the next hop.
    let far = Ipv4Addr::new(192, 168, 3, 4);
    insta::assert_snapshot!(exchange(&mut router, 1, 0, udp4(far, 2, 10)), @r#"
    port 1, packet 77: EthernetII src=02-00-00-00-01-01 dst=02-00-00-00-00-0b type=IPv4
    \ IPv4 src=10.0.1.2 dst=192.168.3.4 proto=UDP
     \ UDP src=4660 dst=53 len=10
      (TTL 1, DSCP 0)
    "#);
    let expected = Statistics { received: 2, forwarded: 2, ..Default::default() };
    assert_eq!(router.statistics(), expected);
}

#[test]
fn forwards_ipv6() {
    let mut router = router_with_neighbours();
    insta::assert_snapshot!(exchange(&mut router, 1, 0, udp6(B6, 64, 10)), @r#"
    port 1, packet 77: EthernetII src=02-00-00-00-01-01 dst=02-00-00-00-00-0b type=IPv6
    \ IPv6 src=2001:db8:1::2 dst=2001:db8:2::2 nxt_hdr=UDP hop_limit=63
     \ UDP src=4660 dst=53 len=10
    "#);
    let expected = Statistics { received: 1, forwarded: 1, ..Default::default() };
    assert_eq!(router.statistics(), expected);
}

#[test]
fn a_shared_frame_is_not_changed_and_padding_is_cut_off() {
    let mut router = router_with_neighbours();
    let frame = change(udp4(B4, 64, 0), |bytes| bytes.resize(60, 0xEE));
    let kept = frame.clone();
    let before = kept.bytes.to_vec();
    let mut out = Egress::new();
    router.ingest(at(1), 0, frame, &mut out);
    assert_eq!(kept.bytes, before);
    assert_eq!(out[0].1.len(), 14 + 28);
    assert_eq!(out[0].1.id, ID);
}

#[test]
fn fragments_ipv4_when_it_may() {
    let mut router = router_with_neighbours();
    insta::assert_snapshot!(exchange(&mut router, 1, 0, udp4(B4, 64, 1472)), @r#"
    port 1, packet 77: EthernetII src=02-00-00-00-01-01 dst=02-00-00-00-00-0b type=IPv4

      (TTL 63, DSCP 0, fragment at 0 of 1, more: true)
    port 1, packet 77: EthernetII src=02-00-00-00-01-01 dst=02-00-00-00-00-0b type=IPv4

      (TTL 63, DSCP 0, fragment at 1256 of 1, more: false)
    "#);
    let expected = Statistics { received: 1, forwarded: 1, fragmented: 1, ..Default::default() };
    assert_eq!(router.statistics(), expected);
    // Exactly the MTU goes in one piece.
    assert_eq!(exchange(&mut router, 1, 0, udp4(B4, 64, 1252)).matches("port 1").count(), 1);
}

#[test]
fn answers_echo_requests_to_any_of_its_addresses() {
    let mut router = router_with_neighbours();
    let echo = |destination| {
        let mut message = vec![8, 0, 0, 0, 0x12, 0x34, 0, 1, b'p', b'i', b'n', b'g'];
        let sum = !smoltcp::wire::checksum::data(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        ip4(A4, destination, IpProtocol::Icmp, 1, &message)
    };
    insta::assert_snapshot!(exchange(&mut router, 1, 0, echo(ROUTER4[0])), @r#"
    port 0, packet 0: EthernetII src=02-00-00-00-01-00 dst=02-00-00-00-00-0a type=IPv4
    \ IPv4 src=10.0.1.1 dst=10.0.1.2 proto=ICMP
     \ ICMPv4 echo reply id=4660 seq=1 len=4
      (TTL 64, DSCP 0)
    "#);
    insta::assert_snapshot!(exchange(&mut router, 1, 0, echo(ROUTER4[1])), @r#"
    port 0, packet 0: EthernetII src=02-00-00-00-01-00 dst=02-00-00-00-00-0a type=IPv4
    \ IPv4 src=10.0.2.1 dst=10.0.1.2 proto=ICMP
     \ ICMPv4 echo reply id=4660 seq=1 len=4
      (TTL 64, DSCP 0)
    "#);
    let echo6 = |source, destination| {
        icmp6(source, destination, 1, vec![128, 0, 0, 0, 0x12, 0x34, 0, 1, b'p', b'i', b'n', b'g'])
    };
    insta::assert_snapshot!(exchange(&mut router, 1, 0, echo6(A6, ROUTER6)), @r#"
    port 0, packet 0: EthernetII src=02-00-00-00-01-00 dst=02-00-00-00-00-0a type=IPv6
    \ IPv6 src=2001:db8:1::1 dst=2001:db8:1::2 nxt_hdr=ICMPv6 hop_limit=64
      (ICMPv6 type 129, code 0: 1234000170696e67)
    "#);
    insta::assert_snapshot!(exchange(&mut router, 1, 0, echo6(A6, crate::network::ip::ndp::ALL_ROUTERS)), @r#"
    port 0, packet 0: EthernetII src=02-00-00-00-01-00 dst=02-00-00-00-00-0a type=IPv6
    \ IPv6 src=2001:db8:1::1 dst=2001:db8:1::2 nxt_hdr=ICMPv6 hop_limit=64
      (ICMPv6 type 129, code 0: 1234000170696e67)
    "#);

    let broken = change(echo(ROUTER4[0]), |bytes| bytes[40] ^= 1);
    assert_eq!(exchange(&mut router, 1, 0, broken), "");
    let broken = change(echo6(A6, ROUTER6), |bytes| bytes[62] ^= 1);
    assert_eq!(exchange(&mut router, 1, 0, broken), "");
    let expected =
        Statistics { received: 6, delivered: 4, originated: 4, bad_checksum: 2, ..Default::default() };
    assert_eq!(router.statistics(), expected);
}

#[test]
fn a_link_local_address_belongs_to_its_link() {
    let mut router = router_with_neighbours();
    let own = router.interfaces[0].ipv6[1].address();
    assert_eq!(own.to_string(), "fe80::ff:fe00:100");
    let host: Ipv6Addr = "fe80::2".parse().unwrap();
    exchange(&mut router, 1, 0, solicitation(0, MAC_A, host, own));
    let echo = |destination| icmp6(host, destination, 1, vec![128, 0, 0, 0, 0, 1, 0, 1]);
    insta::assert_snapshot!(exchange(&mut router, 1, 0, echo(own)), @r#"
    port 0, packet 0: EthernetII src=02-00-00-00-01-00 dst=02-00-00-00-00-0a type=IPv6
    \ IPv6 src=fe80::ff:fe00:100 dst=fe80::2 nxt_hdr=ICMPv6 hop_limit=64
      (ICMPv6 type 129, code 0: 00010001)
    "#);
    // The other interface's is not on this link; and nothing link-local is forwarded.
    assert_eq!(exchange(&mut router, 1, 0, echo(router_link_local(1))), "");
    assert_eq!(exchange(&mut router, 1, 0, echo(B6)), "");
    assert_eq!(router.statistics().martian, 2);
}

fn router_link_local(port: usize) -> Ipv6Addr {
    link_local(mac(port)).address()
}
