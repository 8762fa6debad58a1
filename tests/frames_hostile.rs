//! Stacks and worlds under frames that nobody should send: no panic, nothing that grows without bound, and who comes
//! with an honest question afterwards is answered.

#[path = "common/frames.rs"]
mod frames;
#[path = "common/heap.rs"]
mod heap;
#[path = "common/property.rs"]
mod property;

use std::fs;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use frames::{arp_request, echo_request, spoil, syn, whole};
use guestnet::error::Error;
use guestnet::guest::{Engine, EngineSettings};
use guestnet::network::dhcp::{self, Message, Sender, Server, ServerConfig};
use guestnet::network::{Automatic, Frame, InterfaceConfig};
use guestnet::node::stack::TcpOptions;
use guestnet::node::task::Handle;
use guestnet::node::{Node, SocketKind, Stack};
use guestnet::protocol::unix::wire::{Found, Op, Place, Request, decode_reply};
use guestnet::protocol::unix::{DATAGRAM_GATE_PORT, DIRECTORY_PORT, Directory, GATE_PORT, MTU, UnixPath};
use guestnet::rng::{Rng, Seed};
use guestnet::scenario::assets::Assets;
use guestnet::time::Instant;
use guestnet::world::{Settings, World};
use proptest::prelude::*;
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Cidr};

const PORT: u16 = 80;

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

fn cidr(address: &str, length: u8) -> IpCidr {
    IpCidr::new(address.parse().unwrap(), length)
}

/// The first guest's, as a lab would have it: listening for both protocols, and connecting to somebody who is silent.
fn stack() -> Stack {
    let interface = InterfaceConfig {
        name: "eth0".into(),
        mac: EthernetAddress(frames::GUEST_MAC),
        addresses: vec![cidr("10.0.0.2", 24), cidr("fd00::2", 64), cidr("fe80::ff:fe00:1", 64)],
        mtu: 1500,
    };
    let mut stack = Stack::new(&[interface], &[], Seed(3).fork("stack"), Instant::START);
    for any in ["0.0.0.0:80", "[::]:80"] {
        let any = any.parse().unwrap();
        stack.listen(any, 16, TcpOptions::default());
        let udp = stack.udp_bind(any).unwrap();
        stack.udp_listen(udp, 16).unwrap();
    }
    for (local, remote) in [("0.0.0.0:9000", "10.0.0.66:9"), ("[::]:9000", "[fd00::66]:9")] {
        let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
        stack.tcp_connect(Instant::START, local, remote, &TcpOptions::default()).unwrap();
    }
    settle(&mut stack, Instant::START);
    stack
}

/// The same, which has more addresses by DHCP and of advertised prefixes, listens to groups, and waits for an echo.
fn configured() -> Stack {
    let mut stack = stack();
    stack.configure(0, Automatic { dhcp: true, slaac: true, detect: false });
    for (any, group, peer) in
        [("0.0.0.0:5353", "224.0.0.251", "10.0.0.66:0"), ("[::]:5353", "ff02::fb", "[fd00::66]:0")]
    {
        let udp = stack.udp_bind(any.parse().unwrap()).unwrap();
        stack.udp_listen(udp, 16).unwrap();
        stack.udp_join(udp, group.parse().unwrap(), None).unwrap();
        let echo = stack.echo_bind(any.parse().unwrap()).unwrap();
        let flow = stack.udp_connect(Instant::START, echo, peer.parse().unwrap()).unwrap();
        let kind = if any.starts_with('[') { 128 } else { 8 };
        stack.flow_write(flow, &[kind, 0, 0, 0, 0, 0, 0, 1]).unwrap();
    }
    stack
}

/// A server that gives out half of the subnet, for no longer than it takes to look at it.
fn leases() -> Server {
    Server::new(ServerConfig {
        own: Ipv4Cidr::new([10, 0, 0, 1].into(), 24),
        range: ([10, 0, 0, 128].into(), [10, 0, 0, 250].into()),
        lease: Duration::from_secs(20),
        routers: vec![[10, 0, 0, 1].into()],
        dns: vec![[10, 0, 0, 1].into()],
        reservations: Default::default(),
        excluded: Default::default(),
    })
}

/// What the server answers to a frame, if that is a client's message.
fn leased(server: &mut Server, now: Instant, frame: &[u8]) -> Option<Vec<u8>> {
    let is_dhcp =
        frame.len() > 42 && frame[12..14] == [8, 0] && frame[23] == 17 && frame[34..38] == [0, 68, 0, 67];
    let message = Message::parse(frame.get(42..)?).filter(|_| is_dhcp)?;
    let to_all = frame[30..34] == [255; 4];
    let from = Sender { mac: EthernetAddress(frames::GUEST_MAC), to_all };
    let reply = server.ingest(now, from, &message)?;
    Some(frames::from_server(
        &dhcp::datagram(([10, 0, 0, 1].into(), 67), (reply.to, 68), &reply.message),
        reply.to.octets(),
    ))
}

/// Polls until there is nothing to do at this instant, which has to come; what left.
fn settle(stack: &mut Stack, now: Instant) -> Vec<Bytes> {
    let mut left = Vec::new();
    for _ in 0..1000 {
        if !stack.poll(now) {
            stack.take_egress(&mut left);
            return left.into_iter().map(|(_, frame)| frame.bytes).collect();
        }
    }
    panic!("the stack keeps itself busy at {now}");
}

fn feed(stack: &mut Stack, now: Instant, frame: Vec<u8>) -> Vec<Bytes> {
    stack.ingest(now, 0, Frame::from_outside(frame.into()));
    settle(stack, now)
}

fn is_echo_reply(frame: &[u8], identifier: u16) -> bool {
    frame.len() >= 42 && frame[23] == 1 && frame[34] == 0 && frame[38..40] == identifier.to_be_bytes()
}

/// One frame: which of the whole ones, the seed of what is done to it, and how long after the one before it comes.
fn hostile() -> impl Strategy<Value = Vec<(usize, Option<u64>, u64)>> {
    let seed = prop_oneof![1 => Just(None), 5 => any::<u64>().prop_map(Some)];
    let gap = prop_oneof![8 => Just(0), 4 => 0..100_000_u64, 1 => 0..70_000_000_u64];
    prop::collection::vec((0..whole(PORT).len(), seed, gap), 1..150)
}

proptest! {
    #![proptest_config(property::config(200))]

    #[test]
    fn a_stack_outlives_spoilt_frames(hostile in hostile()) {
        let (mut stack, kinds) = (stack(), whole(PORT));
        let mut now = Instant::START;
        for (kind, seed, gap) in hostile {
            now += Duration::from_micros(gap);
            let mut frame = kinds[kind].clone();
            if let Some(seed) = seed {
                spoil(&mut frame, &mut Seed(seed).fork("spoil"));
            }
            feed(&mut stack, now, frame);
        }
        feed(&mut stack, now, arp_request());
        let answers = feed(&mut stack, now, echo_request(77));
        prop_assert!(answers.iter().any(|frame| is_echo_reply(frame, 77)), "no answer: {answers:?}");
    }

    #[test]
    fn a_stack_that_configures_itself_outlives_spoilt_frames(hostile in hostile(), every in 1..4_u64) {
        let (mut stack, mut server) = (configured(), leases());
        let kinds = [whole(PORT), frames::configuring()].concat();
        let (mut now, mut rng) = (Instant::START, Seed(every).fork("leases"));
        let mut left = settle(&mut stack, now);
        for (kind, seed, gap) in hostile {
            now += Duration::from_micros(gap);
            let mut frame = kinds[(kind + gap as usize) % kinds.len()].clone();
            if let Some(seed) = seed {
                spoil(&mut frame, &mut Seed(seed).fork("spoil"));
            }
            left.extend(feed(&mut stack, now, frame));
            // Answers are spoilt but for some, so that it comes as far as to a lease.
            for frame in std::mem::take(&mut left) {
                let Some(mut answer) = leased(&mut server, now, &frame) else { continue };
                if rng.below(every) > 0 {
                    spoil(&mut answer, &mut rng);
                }
                left.extend(feed(&mut stack, now, answer));
            }
            prop_assert!(stack.addresses().count() < 64, "{} addresses", stack.addresses().count());
        }
        // Other addresses have it forget its neighbours: first whatever is due.
        settle(&mut stack, now);
        feed(&mut stack, now, arp_request());
        let answers = feed(&mut stack, now, echo_request(77));
        prop_assert!(answers.iter().any(|frame| is_echo_reply(frame, 77)), "no answer: {answers:?}");
    }

    #[test]
    fn a_stack_outlives_noise(
        noise in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..200), 0..6_usize), 1..60)
    ) {
        let mut stack = stack();
        for (mut bytes, kind) in noise {
            let ethertype = [[8, 0], [8, 6], [0x86, 0xdd]].get(kind);
            if let (Some(ethertype), true) = (ethertype, bytes.len() > 14) {
                bytes[..6].copy_from_slice(&frames::GUEST_MAC);
                bytes[12..14].copy_from_slice(ethertype);
                bytes[14] = [0x45, bytes[14], 0x60][kind];
            }
            feed(&mut stack, Instant::START, bytes);
        }
    }
}

#[test]
fn a_frame_with_wrong_checksums_is_dropped_and_counted() {
    let mut stack = stack();
    let kinds = whole(PORT);
    // ARP has no checksum, protocols unknown here are nobody's to verify, and a fragment has only a part of what was summed.
    let without = [0, 18, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37];
    for index in (0..kinds.len()).filter(|index| !without.contains(index)) {
        let mut frame = kinds[index].clone();
        *frame.last_mut().unwrap() ^= 0x10;
        let before = stack.statistics().bad_checksum;
        let answers = feed(&mut stack, Instant::START, frame);
        assert!(answers.is_empty(), "frame {index}: {answers:?}");
        assert_eq!(stack.statistics().bad_checksum, before + 1, "frame {index}");
    }
}

#[test]
fn a_flood_of_syns_stays_within_the_backlog_and_passes() {
    let mut stack = stack();
    let mut rng = Seed(9).fork("flood");
    let mut now = Instant::START;
    let flooded = |stack: &Stack| stack.statistics().backlog_full;
    for number in 0..20_000_u32 {
        now += Duration::from_micros(50);
        let source = [10, 0, 0, 100 + rng.below(100) as u8];
        feed(&mut stack, now, syn(source, 1024 + (number % 60_000) as u16, PORT));
    }
    assert!(flooded(&stack) > 19_000, "{:?}", stack.statistics());
    // A second later those who never answered give way.
    now += Duration::from_secs(1);
    feed(&mut stack, now, arp_request());
    let before = flooded(&stack);
    let answers = feed(&mut stack, now, syn(frames::STRANGER, 5000, PORT));
    let is_syn_ack =
        |frame: &Bytes| frame.len() > 47 && frame[30..34] == frames::STRANGER && frame[47] == 0x12;
    assert!(answers.iter().any(is_syn_ack), "no SYN+ACK: {answers:?}");
    assert_eq!(flooded(&stack), before);
}

/// Datagrams to a listener whose guest never accepts, pings and SYNs to closed ports, each from somebody else.
#[test]
fn whoever_speaks_once_is_not_remembered_for_ever() {
    let mut stack = stack();
    let mut rng = Seed(10).fork("crowd");
    let mut now = Instant::START;
    let mut crowd = |frames: u32| {
        for number in 0..frames {
            now += Duration::from_millis(1);
            let source =
                if rng.chance(0.5) { [10, 0, 0, rng.below(256) as u8] } else { rng.next_u32().to_be_bytes() };
            let from = rng.next_u32() as u16;
            let frame = match number % 3 {
                0 => frames::datagram(source, from, PORT),
                1 => frames::datagram(source, from, PORT + 1),
                _ => syn(source, from, PORT + 1),
            };
            feed(&mut stack, now, frame);
        }
        heap::live_bytes()
    };
    let before = crowd(20_000);
    let grown = crowd(100_000) - before;
    assert!(grown < 1 << 20, "100,000 frames cost {grown} bytes");
    println!("grown by {grown} bytes");
    assert!(stack.statistics().datagrams_dropped > 30_000, "{:?}", stack.statistics());
}

/// The directory of Unix-domain sockets on a node that everybody may send to, and a host that has questions.
struct Unix {
    node: Node,
    directory: Handle<Directory>,
    asker: Stack,
    now: Instant,
}

impl Unix {
    fn new() -> Self {
        let interface = |mac, address| InterfaceConfig {
            name: "unix0".into(),
            mac: EthernetAddress(mac),
            addresses: vec![cidr(address, 64)],
            mtu: MTU,
        };
        let own = interface(frames::GUEST_MAC, "fd00::2");
        let mut node = Node::new(&[own], &[], Seed(3).fork("stack"), Seed(3).fork("guest"));
        let directory = node.spawn(Directory::default());
        let other = interface([2, 0, 0, 0, 0, 9], "fd00::9");
        let asker = Stack::new(&[other], &[], Seed(4).fork("stack"), Instant::START);
        Self { node, directory, asker, now: Instant::START }
    }

    fn feed(&mut self, frame: Bytes) {
        self.node.ingest(self.now, 0, Frame::from_outside(frame));
        self.exchange();
    }

    /// Until both are quiet, which has to come.
    fn exchange(&mut self) {
        let mut left = Vec::new();
        for _ in 0..1000 {
            let mut busy = self.node.poll(self.now);
            self.node.take_egress(&mut left);
            busy |= !left.is_empty();
            left.drain(..).for_each(|(_, frame)| self.asker.ingest(self.now, 0, frame));
            busy |= self.asker.poll(self.now);
            self.asker.take_egress(&mut left);
            busy |= !left.is_empty();
            left.drain(..).for_each(|(_, frame)| self.node.ingest(self.now, 0, frame));
            if !busy {
                return;
            }
        }
        panic!("they keep each other busy at {}", self.now);
    }

    /// What is answered to whoever connects and says this; nothing if the connection was reset.
    fn ask(&mut self, port: u16, question: &[u8]) -> Vec<u8> {
        let remote = SocketAddr::new("fd00::2".parse().unwrap(), port);
        let local = self.asker.tcp_ephemeral(self.now, Ipv6Addr::UNSPECIFIED.into(), remote).unwrap();
        let tcp = self.asker.tcp_connect(self.now, local, remote, &TcpOptions::default()).unwrap();
        self.exchange();
        self.asker.tcp_write(tcp, question).unwrap();
        self.exchange();
        let mut answer = vec![0; 64];
        let count = self.asker.tcp_read(tcp, &mut answer, false).unwrap_or(0);
        answer.truncate(count);
        self.asker.tcp_release(self.now, tcp, true);
        self.exchange();
        answer
    }

    fn find(&mut self) -> guestnet::error::Result<Found> {
        let place = Place { folder: 0, path: UnixPath::parse("/run/nobody").unwrap() };
        let request = Request { op: Op::Find { from: None }, kind: SocketKind::Stream, place, boot: 1 };
        let answer = self.ask(DIRECTORY_PORT, &request.encode());
        decode_reply(answer.first_chunk().expect("an answer")).expect("an answer that is one")
    }

    fn malformed(&self) -> u64 {
        self.node.task(self.directory).unwrap().malformed(&self.node)
    }
}

const UNIX_PORTS: [u16; 3] = [DIRECTORY_PORT, GATE_PORT, DATAGRAM_GATE_PORT];

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_directory_of_unix_sockets_outlives_spoilt_frames(hostile in hostile(), port in 0..3_usize) {
        let (mut unix, kinds) = (Unix::new(), whole(UNIX_PORTS[port]));
        for (kind, seed, gap) in hostile {
            unix.now += Duration::from_micros(gap);
            let mut frame = kinds[kind].clone();
            if let Some(seed) = seed {
                spoil(&mut frame, &mut Seed(seed).fork("spoil"));
            }
            unix.feed(frame.into());
        }
        unix.now += Duration::from_secs(2);
        prop_assert_eq!(unix.find(), Err(Error::NoEntry));
    }
}

/// Whoever is on the network of Unix-domain sockets and says nonsense is sent away and counted, and leaves nothing behind.
#[test]
fn questions_that_are_none_are_counted_and_forgotten() {
    let mut unix = Unix::new();
    let mut rng = Seed(12).fork("noise");
    let mut noise = |unix: &mut Unix, rounds: u64| {
        for round in 0..rounds {
            // Past a half-open connection's minute, so that as many go as come.
            unix.now += Duration::from_millis(50);
            let mut bytes = vec![0; 300];
            rng.fill(&mut bytes);
            // Half of them begin well.
            if round % 2 == 0 {
                bytes[..4].copy_from_slice(b"unix");
            }
            assert!(unix.ask(UNIX_PORTS[round as usize % 3], &bytes).is_empty());
            let mut frame = whole(UNIX_PORTS[round as usize % 3])[round as usize % 38].clone();
            spoil(&mut frame, &mut rng);
            unix.feed(frame.into());
        }
        heap::live_bytes()
    };
    let before = noise(&mut unix, 3_000);
    let grown = noise(&mut unix, 3_000) - before;
    // A few connections with buffers for datagrams, that are not over yet.
    assert!(grown < 2 << 20, "3,000 questions cost {grown} bytes");
    println!("grown by {grown} bytes");
    assert_eq!(unix.malformed(), 6_000);
    let dropped = unix.node.stack().statistics();
    assert!(dropped.malformed > 0 && dropped.bad_checksum > 0, "{dropped:?}");
    assert_eq!(unix.find(), Err(Error::NoEntry));
}

fn world(folder: &Path) -> World {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/guests");
    let guest = |name: &str, module: &str, args: &str| {
        format!("[guest.{name}]\nmodule = \"{}/{module}.wasm\"\nargs = [{args}]\n", modules.display())
    };
    let text = [
        "[switch.lan]\n[tap.host]\nnetwork = \"lan\"\n".to_owned(),
        guest("tcp", "echo_server", "\"0.0.0.0:80\""),
        guest("udp", "echo_server", "\"0.0.0.0:80\", \"dgram\""),
        guest("client", "echo_client", "\"10.0.0.66:9\""),
    ];
    let path = folder.join("lab.toml");
    fs::write(&path, text.concat()).unwrap();
    let plan = guestnet::scenario::load(&path).unwrap();
    let assets = Assets::read(&plan);
    let engine = Engine::new(EngineSettings { cache_folder: None, guests: plan.guests.len() }).unwrap();
    World::new(&plan, &assets, Settings::sim(&plan, 1), &engine, &mut |_| {})
}

/// Rounds at one instant, which have to come to an end; the frames that left by the TAP.
fn rounds(world: &mut World, now: Instant) -> Vec<Bytes> {
    let mut left = Vec::new();
    for _ in 0..10_000 {
        let more = world.poll(now);
        left.extend(world.take_outbound().into_iter().map(|outbound| outbound.frame.bytes));
        world.take_reports();
        if !more {
            return left;
        }
    }
    panic!("the lab keeps itself busy at {now}");
}

fn assault(world: &mut World, now: &mut Instant, rng: &mut Rng, frames: usize) {
    let kinds = whole(PORT);
    for _ in 0..frames {
        *now += Duration::from_micros(rng.below(2_000));
        let mut frame = kinds[rng.below(kinds.len() as u64) as usize].clone();
        spoil(&mut frame, rng);
        world.inject(*now, 0, frame.into());
        rounds(world, *now);
    }
}

#[test]
fn a_world_outlives_an_assault_and_does_not_grow_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world(folder.path());
    let (mut now, mut rng) = (Instant::START, Seed(11).fork("assault"));
    rounds(&mut world, now);
    // Past a half-open connection's minute, so that as many go as come.
    assault(&mut world, &mut now, &mut rng, 100_000);
    let before = heap::live_bytes();
    assault(&mut world, &mut now, &mut rng, 60_000);
    let grown = heap::live_bytes() - before;
    assert!(grown < 2 << 20, "60,000 frames cost {grown} bytes");
    println!("grown by {grown} bytes");

    now += Duration::from_secs(1);
    world.inject(now, 0, arp_request().into());
    rounds(&mut world, now);
    world.inject(now, 0, echo_request(78).into());
    let answers = rounds(&mut world, now);
    assert!(answers.iter().any(|frame| is_echo_reply(frame, 78)), "no answer: {answers:?}");
}
