//! A TAP with Linux's own IP stack behind it, in a namespace that each test makes for itself through
//! netns/up.
//!
//! Needs root: scripts/test sees to that.

mod common;

use std::fs::{metadata, read_link};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::namespace::{DEVICE, Namespace, script};
use guestnet::live::tap::{Counters, FRAME_BYTES_MAX, Tap, TapError};
use guestnet::rng::Seed;
use miette::Diagnostic;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{Uid, setfsuid};
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr,
    Icmpv4Message, Icmpv4Packet, IpProtocol, Ipv4Address, Ipv4Packet, Ipv6Address, Ipv6Packet,
};

const LINUX: Ipv4Address = Ipv4Address::new(10, 0, 0, 1);
const GUEST: Ipv4Address = Ipv4Address::new(10, 0, 0, 2);
const GUEST_MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);
/// For what should come at once; long, so that a busy machine does not fail the tests.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens a namespace's TAP. A child process of another test has this process's descriptors from its fork to its
/// exec, so one that was closed just now may be busy for that long.
fn open(namespace: &Namespace) -> Tap {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Tap::open(DEVICE, Some(&namespace.name)) {
            Err(TapError::Busy { .. }) if Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(1));
            }
            opened => return opened.unwrap(),
        }
    }
}

/// The next frame, waited for with poll(2); `None` when none comes before the deadline.
fn next(tap: &mut Tap, deadline: Instant) -> io::Result<Option<Bytes>> {
    let mut buffer = vec![0; FRAME_BYTES_MAX];
    loop {
        if let Some(frame) = tap.receive(&mut buffer)? {
            return Ok(Some(frame));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let timeout = PollTimeout::try_from(left).unwrap();
        poll(&mut [PollFd::new(tap.as_fd(), PollFlags::POLLIN)], timeout)?;
    }
}

/// The first frame that `find` makes something of.
fn expect<T>(tap: &mut Tap, what: &str, find: impl Fn(&[u8]) -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    while let Some(frame) = next(tap, deadline).unwrap() {
        if let Some(found) = find(&frame) {
            return found;
        }
    }
    panic!("{what} did not come; {:?}", tap.counters());
}

fn arp(frame: &[u8]) -> Option<ArpRepr> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    (frame.ethertype() == EthernetProtocol::Arp).then_some(())?;
    ArpRepr::parse(&ArpPacket::new_checked(frame.payload()).ok()?).ok()
}

fn ethernet(to: EthernetAddress, ethertype: EthernetProtocol, payload: &[u8]) -> Vec<u8> {
    let header = EthernetRepr { src_addr: GUEST_MAC, dst_addr: to, ethertype };
    let mut frame = vec![0; header.buffer_len() + payload.len()];
    let mut ethernet = EthernetFrame::new_unchecked(&mut frame[..]);
    header.emit(&mut ethernet);
    ethernet.payload_mut().copy_from_slice(payload);
    frame
}

/// What a guest at 10.0.0.2 would say to a frame: it answers ARP requests and pings.
fn answer(frame: &[u8]) -> Option<Vec<u8>> {
    let ethernet_in = EthernetFrame::new_checked(frame).ok()?;
    let to = ethernet_in.src_addr();
    if let Some(ArpRepr::EthernetIpv4 { operation, source_hardware_addr, source_protocol_addr, .. }) =
        arp(frame).filter(|request| target(request) == GUEST)
    {
        assert_eq!(operation, ArpOperation::Request);
        let reply = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Reply,
            source_hardware_addr: GUEST_MAC,
            source_protocol_addr: GUEST,
            target_hardware_addr: source_hardware_addr,
            target_protocol_addr: source_protocol_addr,
        };
        let mut payload = vec![0; reply.buffer_len()];
        reply.emit(&mut ArpPacket::new_unchecked(&mut payload));
        return Some(ethernet(to, EthernetProtocol::Arp, &payload));
    }
    (ethernet_in.ethertype() == EthernetProtocol::Ipv4).then_some(())?;
    let mut packet = ethernet_in.payload().to_vec();
    let mut ip = Ipv4Packet::new_checked(&mut packet[..]).ok()?;
    (ip.next_header() == IpProtocol::Icmp && ip.dst_addr() == GUEST).then_some(())?;
    // The kernel fills checksums in: nobody behind a TAP could.
    assert!(ip.verify_checksum());
    let peer = ip.src_addr();
    ip.set_src_addr(GUEST);
    ip.set_dst_addr(peer);
    ip.fill_checksum();
    let mut icmp = Icmpv4Packet::new_checked(ip.payload_mut()).ok()?;
    (icmp.msg_type() == Icmpv4Message::EchoRequest).then_some(())?;
    assert!(icmp.verify_checksum());
    icmp.set_msg_type(Icmpv4Message::EchoReply);
    icmp.fill_checksum();
    Some(ethernet(to, EthernetProtocol::Ipv4, &packet))
}

fn target(request: &ArpRepr) -> Ipv4Address {
    match request {
        ArpRepr::EthernetIpv4 { target_protocol_addr, .. } => *target_protocol_addr,
        _ => Ipv4Address::UNSPECIFIED,
    }
}

/// Pings the guest from inside, answers for it, and has ping's verdict.
fn ping_gets_through(namespace: &Namespace, tap: &mut Tap) -> bool {
    let mut ping = namespace.start("ping -c 1 -W 5 10.0.0.2");
    loop {
        if let Some(frame) = next(tap, Instant::now() + Duration::from_millis(20)).unwrap()
            && let Some(reply) = answer(&frame)
        {
            assert!(tap.send(&reply).unwrap());
        }
        if let Some(status) = ping.try_wait().unwrap() {
            return status.success();
        }
    }
}

/// An error as the person at the terminal has it: what, and what to do about it.
fn told(error: &TapError) -> String {
    format!("{error}\nhelp: {}", error.help().unwrap())
}

#[test]
fn linux_asks_for_its_neighbours() {
    let namespace = Namespace::new();
    let mut tap = open(&namespace);
    let mut ping = namespace.start("ping -c 1 -W 1 10.0.0.2");
    let request = expect(&mut tap, "an ARP request", arp);
    ping.wait().unwrap();
    let ArpRepr::EthernetIpv4 { operation, source_protocol_addr, target_protocol_addr, .. } = request else {
        panic!("no ARP for IPv4: {request:?}");
    };
    assert_eq!(
        (operation, source_protocol_addr, target_protocol_addr),
        (ArpOperation::Request, LINUX, GUEST)
    );

    let mut ping = namespace.start("ping -6 -c 1 -W 1 fd00::2");
    // No need for the whole of NDP: the type, and the target, are at fixed places (RFC 4861 section 4.3).
    let wanted = expect(&mut tap, "a neighbour solicitation", |frame| {
        let ethernet = EthernetFrame::new_checked(frame).ok()?;
        let ip = Ipv6Packet::new_checked(ethernet.payload()).ok()?;
        let icmp = (ethernet.ethertype() == EthernetProtocol::Ipv6).then(|| ip.payload())?;
        (ip.next_header() == IpProtocol::Icmpv6 && icmp[0] == 135).then_some(())?;
        <[u8; 16]>::try_from(icmp.get(8..24)?).ok()
    });
    ping.wait().unwrap();
    assert_eq!(Ipv6Address::from(wanted), "fd00::2".parse::<Ipv6Address>().unwrap());
}

#[test]
fn ping_is_answered_and_garbage_does_no_harm() {
    let namespace = Namespace::new();
    let mut tap = open(&namespace);
    assert!(ping_gets_through(&namespace, &mut tap));
    assert_eq!(tap.counters(), Counters::default());

    let mut rng = Seed(1).fork("garbage");
    let mut refused = 0;
    for round in 0..2_000u64 {
        let mut frame = vec![0; (round % 200) as usize];
        rng.fill(&mut frame);
        // A third of it looks like IP or ARP at first, to come further than the Ethernet layer.
        if let Some(ethertype) = frame.get_mut(12..14).filter(|_| round % 3 == 0) {
            ethertype.copy_from_slice([&[8, 0], &[8, 6], &[0x86, 0xdd]][(round / 3 % 3) as usize]);
        }
        if !tap.send(&frame).unwrap() {
            refused += 1;
        }
    }
    // Of each 200 frames those of 0 to 13 bytes have no whole Ethernet header.
    assert_eq!((refused, tap.counters().refused), (140, 140));
    tap.send(&[0; 100_000]).unwrap(); // taken or refused, as the kernel has it
    assert!(ping_gets_through(&namespace, &mut tap));
}

#[test]
fn a_frame_longer_than_the_buffer_is_left_out_and_counted() {
    let namespace = Namespace::new();
    namespace.up(&["--mtu", "65521"]);
    let mut tap = open(&namespace);
    assert_eq!(tap.mtu(), 65_521);
    namespace.run("ip neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev gn0");
    // 65 493 bytes, 8 of ICMP and 20 of IP fill the MTU, and 14 of Ethernet come before.
    let mut ping = namespace.start("ping -c 1 -W 1 -s 65493 10.0.0.2");
    let length = expect(&mut tap, "a long ping", |frame| (frame.len() > 10_000).then_some(frame.len()));
    ping.wait().unwrap();
    assert_eq!(length, 65_521 + 14);
    assert_eq!(tap.counters().truncated, 0);

    namespace.run("ip link set dev gn0 mtu 1500");
    let mut ping = namespace.start("ping -c 1 -W 1 -s 1000 10.0.0.2");
    let deadline = Instant::now() + PATIENCE;
    while tap.counters().truncated == 0 && Instant::now() < deadline {
        let short = tap.receive(&mut [0; 512]).unwrap();
        assert!(short.is_none_or(|frame| frame.len() < 512));
        thread::sleep(Duration::from_millis(1));
    }
    ping.wait().unwrap();
    assert_eq!(tap.counters().truncated, 1);
}

#[test]
fn one_program_at_a_time_and_as_often_as_wanted() {
    let namespace = Namespace::new();
    let own = || read_link("/proc/thread-self/ns/net").unwrap();
    let before = own();
    let first = open(&namespace);
    assert_eq!(own(), before);
    let busy = Tap::open(DEVICE, Some(&namespace.name)).unwrap_err();
    insta::assert_snapshot!(told(&busy), @"
    the TAP `gn0` is busy: another program has it open
    help: end that program (another guestnet?), or use a TAP with another name
    ");
    drop(first);
    let mut tap = open(&namespace);
    assert_eq!((tap.name(), tap.mtu()), (DEVICE, 1500));
    assert!(ping_gets_through(&namespace, &mut tap));
}

#[test]
fn a_tap_of_its_own_is_up_and_goes_with_it() {
    let namespace = Namespace::new();
    let tap = Tap::open("gn-own", Some(&namespace.name)).unwrap();
    assert!(namespace.run("ip -o link show dev gn-own").contains(",UP,LOWER_UP>"));
    drop(tap);
    let deadline = Instant::now() + PATIENCE; // see `open`
    while namespace.command("ip link show dev gn-own").output().unwrap().status.success() {
        assert!(Instant::now() < deadline, "the TAP stays");
    }
}

#[test]
fn a_link_that_is_down_costs_frames_only() {
    let namespace = Namespace::new();
    let mut tap = open(&namespace);
    namespace.run("ip link set dev gn0 down");
    assert!(!tap.send(&[0; 64]).unwrap());
    assert_eq!(tap.counters(), Counters { link_down: 1, ..Counters::default() });
    assert!(tap.receive(&mut [0; 2048]).is_ok());
    namespace.run("ip link set dev gn0 up");
    assert!(ping_gets_through(&namespace, &mut tap));

    namespace.run("ip link set dev gn0 down");
    drop(tap);
    let mut tap = open(&namespace);
    assert!(namespace.run("ip -o link show dev gn0").contains(",UP,LOWER_UP>"));
    assert!(tap.send(&[0; 64]).unwrap());
}

#[test]
fn a_device_that_goes_away_is_an_error_at_once() {
    let namespace = Namespace::new();
    let mut tap = open(&namespace);
    namespace.down();
    let deadline = Instant::now() + PATIENCE;
    let gone = loop {
        match next(&mut tap, deadline) {
            Ok(Some(_)) => {}
            Ok(None) => panic!("nobody said that the device is gone"),
            Err(error) => break error,
        }
    };
    assert!(Instant::now() < deadline);
    insta::assert_snapshot!(gone, @"File descriptor in bad state (os error 77)");
    insta::assert_snapshot!(tap.send(&[0; 64]).unwrap_err(), @"File descriptor in bad state (os error 77)");
}

#[test]
fn what_cannot_be_opened_says_what_to_do() {
    let namespace = Namespace::new();
    let errors = |cases: &[(&str, Option<&str>)]| {
        let told = cases.iter().map(|(device, netns)| told(&Tap::open(device, *netns).unwrap_err()));
        told.collect::<Vec<_>>().join("\n\n")
    };
    insta::assert_snapshot!(errors(&[
        ("gn0", Some("gntest-none")),
        ("gn0", Some("../mnt")),
        ("gn0", Some("")),
        ("sixteen-bytes-xx", None),
        ("", None),
        ("gn%d", None),
        ("lo", Some(&namespace.name)),
    ]), @"
    there is no network namespace `gntest-none`
    help: make it together with its TAP: netns/up --netns gntest-none
    or alone: ip netns add gntest-none

    `../mnt` cannot name a network namespace
    help: give the name alone, as `ip netns list` shows it, not a path

    `` cannot name a network namespace
    help: give the name alone, as `ip netns list` shows it, not a path

    `sixteen-bytes-xx` cannot name a TAP
    help: a device's name has 1 to 15 bytes, without spaces, `/`, `:` and `%`; this one has 16

    `` cannot name a TAP
    help: a device's name has 1 to 15 bytes, without spaces, `/`, `:` and `%`; this one has 0

    `gn%d` cannot name a TAP
    help: a device's name has 1 to 15 bytes, without spaces, `/`, `:` and `%`; this one has 4

    the device `lo` is there, but it is no TAP with a single queue
    help: use another name; netns/up and `ip tuntap add dev NAME mode tap` make TAPs that fit
    ");

    // Any file can stand where a namespace is looked for.
    let name = format!("{}-file", namespace.name);
    let path = Path::new("/run/netns").join(&name);
    std::fs::write(&path, "").unwrap();
    let error = Tap::open(DEVICE, Some(&name)).unwrap_err();
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(error, TapError::NamespaceEntry { .. }), "{error:?}");

    // Whose files a thread may open is its own matter, so one thread can be nobody here. Some machines let
    // anybody open the device, and there this one case does not exist.
    if metadata("/dev/net/tun").unwrap().mode() & 0o006 == 0 {
        let netns = namespace.name.clone();
        let error = thread::spawn(move || {
            setfsuid(Uid::from_raw(65_534));
            Tap::open(DEVICE, Some(&netns)).unwrap_err()
        });
        insta::assert_snapshot!(told(&error.join().unwrap()), @"
        no permission to open /dev/net/tun
        help: run guestnet as root, or with sudo; as /dev/net/tun is open to root alone on most machines, `unshare -Urn` does not suffice
        ");
    }
}

#[test]
fn netns_up_can_run_again_and_down_takes_it_all() {
    let namespace = Namespace::new();
    let again = namespace.up(&["--address", "10.0.0.1/24", "--address", "fd00:7::1/64", "--mtu", "9000"]);
    assert!(again.contains("10.0.0.1/24 fd00:7::1/64"), "{again}");
    let kept =
        format!("Made: fd00:7::1/64\nThere already: namespace {}, TAP gn0, 10.0.0.1/24\n", namespace.name);
    assert!(again.starts_with(&kept), "{again}");
    let other = namespace.up(&["--tap", "gn1", "--address", "192.0.2.1/24"]);
    let made = format!("Made: TAP gn1, 192.0.2.1/24\nThere already: namespace {}\n", namespace.name);
    assert!(other.starts_with(&made), "{other}");
    // Another address of the same subnet is another address.
    let more = namespace.up(&["--tap", "gn1", "--address", "192.0.2.9/24", "--address", "192.0.2.1/24"]);
    assert!(more.starts_with("Made: 192.0.2.9/24\nThere already: "), "{more}");
    let tap = open(&namespace);
    assert_eq!(tap.mtu(), 9000);
    // At once, as there is no wait for duplicates.
    let addresses = namespace.run("ip -o addr show dev gn0");
    for address in ["10.0.0.1/24", "fd00::1/64", "fd00:7::1/64", "fe80::"] {
        assert!(addresses.contains(address), "{address} is missing: {addresses}");
    }
    assert!(!addresses.contains("tentative"), "{addresses}");

    let taken = script("up", &["--netns", &namespace.name, "--tap", "lo"]);
    let complaint = String::from_utf8(taken.stderr).unwrap();
    assert!(!taken.status.success() && complaint.contains("is no TAP"), "{complaint}");

    namespace.down();
    assert!(!Path::new("/run/netns").join(&namespace.name).exists());
    namespace.down();
}
