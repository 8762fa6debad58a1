use proptest::prelude::*;

use super::*;

#[test]
fn martians_are_not_forwarded() {
    let mut router = router_with_neighbours();
    let sources =
        ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "169.254.1.1"];
    for source in sources.into_iter().chain(["10.0.1.1", "10.0.2.1", "10.0.1.255"]) {
        let frame = ip4(source.parse().unwrap(), B4, IpProtocol::Udp, 64, &[0; 8]);
        assert_eq!(exchange(&mut router, 1, 0, frame), "", "{source}");
    }
    for destination in ["0.0.0.0", "127.0.0.1", "169.254.1.1", "240.0.0.1"] {
        assert_eq!(
            exchange(&mut router, 1, 0, udp4(destination.parse().unwrap(), 64, 1)),
            "",
            "{destination}"
        );
    }
    assert_eq!(router.statistics().martian, 14);
    for source in ["::", "::1", "ff02::1", "::ffff:10.0.1.2", "fe80::9", "2001:db8:1::1", "2001:db8:2::1"] {
        let frame = ip6(source.parse().unwrap(), B6, IpProtocol::Udp, 64, &[0; 8]);
        assert_eq!(exchange(&mut router, 1, 0, frame), "", "{source}");
    }
    for destination in ["::", "::1", "fe80::9", "::ffff:10.0.2.2"] {
        assert_eq!(
            exchange(&mut router, 1, 0, udp6(destination.parse().unwrap(), 64, 1)),
            "",
            "{destination}"
        );
    }
    assert_eq!(router.statistics().martian, 25);
    assert_eq!(router.statistics().originated, 0);
}

#[test]
fn frames_for_others_and_broken_ones_are_counted() {
    let mut router = router_with_neighbours();
    let strange = [
        readdress(udp4(B4, 64, 1), MAC_B, MAC_A),
        change(udp4(B4, 64, 1), |bytes| bytes.truncate(13)),
        change(udp4(B4, 64, 1), |bytes| bytes.truncate(33)),
        change(udp4(B4, 64, 1), |bytes| bytes[14] = 0x55),
        change(udp4(B4, 64, 1), |bytes| bytes[14] = 0x44),
        change(udp4(B4, 64, 1), |bytes| bytes[6] = 1),
        change(udp4(B4, 64, 1), |bytes| bytes[20..22].copy_from_slice(&[0x3F, 0xFF])),
        change(udp6(B6, 64, 1), |bytes| bytes[19] += 1),
        change(udp6(B6, 64, 1), |bytes| bytes[12] = 0x99),
        unverified(change(udp4(B4, 64, 1), |bytes| bytes[24] ^= 1)),
    ];
    for frame in strange {
        assert_eq!(exchange(&mut router, 1, 0, frame), "");
    }
    assert_eq!(exchange(&mut router, 1, 2, udp4(B4, 64, 1)), "");
    let expected = Statistics {
        received: 11,
        not_for_us: 2,
        malformed: 7,
        ignored: 1,
        bad_checksum: 1,
        ..Default::default()
    };
    assert_eq!(router.statistics(), expected);
}

fn samples() -> Vec<Frame> {
    let options = [0, 0, 0, 0, 0, 0, 0, 0];
    let extended = [&[60, 0, 1, 4, 0, 0, 0, 0][..], &[44, 0, 1, 4, 0, 0, 0, 0], &[17, 0, 0, 1, 0, 0, 0, 9]];
    let mut segment = vec![0; 20];
    segment[12] = 0x50;
    vec![
        udp4(B4, 64, 30),
        udp4(B4, 1, 1450),
        udp4(ROUTER4[0], 64, 30),
        udp6(B6, 64, 30),
        udp6(ROUTER6, 64, 1400),
        ip4(A4, ROUTER4[0], IpProtocol::Tcp, 1, &segment),
        ip6(A6, ROUTER6, IpProtocol::Tcp, 1, &segment),
        ip6(A6, B6, IpProtocol::HopByHop, 1, &[&extended.concat()[..], &options].concat()),
        ip6(A6, ROUTER6, IpProtocol::HopByHop, 1, &[&extended.concat()[..], &options].concat()),
        arp(ArpOperation::Request, MAC_A, A4, ROUTER4[0]),
        arp(ArpOperation::Reply, MAC_B, B4, ROUTER4[1]),
        solicitation(0, MAC_A, A6, ROUTER6),
        advertisement(1, MAC_B, B6, ROUTER6),
    ]
}

/// Whatever comes in: no panic, no frame beyond the MTU, every frame counted, and an end to it.
fn survives(frames: impl IntoIterator<Item = (usize, Frame)>) {
    let mut router = router_with_neighbours();
    let mut out = Egress::new();
    let mut received = 0;
    for (port, frame) in frames {
        router.ingest(at(1), port, frame, &mut out);
        received += 1;
    }
    let mut polls = 0;
    while let Some(at) = router.poll_at() {
        router.poll(at, &mut out);
        polls += 1;
        assert!(polls < 100, "timers must run out");
    }
    for (port, frame) in &out {
        assert!(frame.len() <= 14 + router.interfaces[*port].mtu);
    }
    assert_eq!(router.statistics().received, received);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes(
        frames in proptest::collection::vec((0usize..3, proptest::collection::vec(any::<u8>(), 0..200)), 1..8),
        aimed: bool,
    ) {
        survives(frames.into_iter().map(|(port, mut bytes)| {
            if aimed && bytes.len() >= 14 {
                bytes[0..6].copy_from_slice(mac(port).as_bytes());
                bytes[6] = 2;
                let protocol = [[0x08, 0x00], [0x86, 0xDD], [0x08, 0x06]][usize::from(bytes[13]) % 3];
                bytes[12..14].copy_from_slice(&protocol);
            }
            (port, Frame::new(Bytes::from(bytes)))
        }));
    }

    #[test]
    fn mutated_frames(
        mutations in proptest::collection::vec(
            (0usize..2, any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), any::<prop::sample::Index>()),
            1..20,
        ),
        cut: bool,
    ) {
        let samples = samples();
        survives(mutations.into_iter().map(|(port, which, where_, value, length)| {
            let frame = change(which.get(&samples).clone(), |bytes| {
                let index = where_.index(bytes.len());
                bytes[index] = value;
                if cut {
                    bytes.truncate(length.index(bytes.len() + 1));
                }
            });
            (port, frame)
        }));
    }
}
