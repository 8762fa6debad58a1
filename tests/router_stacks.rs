//! Real stacks on both sides of a switch and a router: do they find and understand each other?
//!
//! ```text
//! client 10.0.1.2 -- [switch] -- [router] -- server 10.0.2.2
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use guestnet::network::router::{Router, Statistics};
use guestnet::network::switch::Switch;
use guestnet::network::{Egress, Frame, InterfaceConfig};
use guestnet::time::Instant;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

/// One-way delay of every cable.
const DELAY: Duration = Duration::from_millis(1);
const MTU: usize = 1500;

#[derive(Default)]
struct Wire {
    incoming: VecDeque<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
}

struct Received(Vec<u8>);
struct Sending<'a>(&'a mut VecDeque<Vec<u8>>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut bytes = vec![0; len];
        let result = f(&mut bytes);
        self.0.push_back(bytes);
        result
    }
}

impl Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Received, Sending<'_>)> {
        Some((Received(self.incoming.pop_front()?), Sending(&mut self.outgoing)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Sending<'_>> {
        Some(Sending(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = MTU + 14;
        capabilities
    }
}

struct Host {
    wire: Wire,
    interface: Interface,
    sockets: SocketSet<'static>,
    tcp: SocketHandle,
}

impl Host {
    fn new(mac: u8, address: IpCidr, gateway: IpAddress) -> Self {
        let mut wire = Wire::default();
        let config = Config::new(EthernetAddress([2, 0, 0, 0, 0, mac]).into());
        let mut interface = Interface::new(config, &mut wire, smoltcp::time::Instant::ZERO);
        interface.update_ip_addrs(|addresses| addresses.push(address).unwrap());
        match gateway {
            IpAddress::Ipv4(gateway) => drop(interface.routes_mut().add_default_ipv4_route(gateway)),
            IpAddress::Ipv6(gateway) => drop(interface.routes_mut().add_default_ipv6_route(gateway)),
        }
        let buffer = || tcp::SocketBuffer::new(vec![0; 65_536]);
        let mut sockets = SocketSet::new(vec![]);
        let tcp = sockets.add(tcp::Socket::new(buffer(), buffer()));
        Self { wire, interface, sockets, tcp }
    }

    fn poll(&mut self, now: Instant) {
        let now = smoltcp::time::Instant::from_micros((now.nanos() / 1000) as i64);
        self.interface.poll(now, &mut self.wire, &mut self.sockets);
    }

    fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.tcp)
    }
}

/// The devices, and the frames between them by the time of their arrival.
struct Lab {
    now: Instant,
    client: Host,
    server: Host,
    switch: Switch,
    router: Router,
    flying: VecDeque<(Instant, Place, Frame)>,
}

#[derive(Clone, Copy)]
enum Place {
    Client,
    Switch(usize),
    Router(usize),
    Server,
}

impl Lab {
    fn new(client: &str, server: &str, gateways: [&str; 2]) -> Self {
        let interface = |port: u8| {
            let prefix_len = client.split_once('/').unwrap().1;
            InterfaceConfig {
                name: format!("eth{port}"),
                mac: EthernetAddress([2, 0, 0, 0, 1, port]),
                addresses: vec![format!("{}/{prefix_len}", gateways[usize::from(port)]).parse().unwrap()],
                mtu: MTU,
            }
        };
        Self {
            now: Instant::START,
            client: Host::new(1, client.parse().unwrap(), gateways[0].parse().unwrap()),
            server: Host::new(2, server.parse().unwrap(), gateways[1].parse().unwrap()),
            switch: Switch::new(2, Duration::from_secs(300)),
            router: Router::new(&[interface(0), interface(1)], &[]),
            flying: VecDeque::new(),
        }
    }

    fn send(&mut self, to: Place, frame: Frame) {
        self.flying.push_back((self.now + DELAY, to, frame));
    }

    /// A millisecond passes.
    fn step(&mut self) {
        self.now += Duration::from_millis(1);
        while self.flying.front().is_some_and(|&(at, ..)| at <= self.now) {
            let (_, place, frame) = self.flying.pop_front().unwrap();
            let mut out = Egress::new();
            match place {
                Place::Client => self.client.wire.incoming.push_back(frame.bytes.to_vec()),
                Place::Server => self.server.wire.incoming.push_back(frame.bytes.to_vec()),
                Place::Switch(port) => self.switch.ingest(self.now, port, frame, &mut out),
                Place::Router(port) => self.router.ingest(self.now, port, frame, &mut out),
            }
            for (port, frame) in out {
                self.send(beyond(place, port), frame);
            }
        }
        if self.router.poll_at().is_some_and(|at| at <= self.now) {
            let mut out = Egress::new();
            self.router.poll(self.now, &mut out);
            for (port, frame) in out {
                self.send(beyond(Place::Router(port), port), frame);
            }
        }
        self.client.poll(self.now);
        self.server.poll(self.now);
        while let Some(bytes) = self.client.wire.outgoing.pop_front() {
            self.send(Place::Switch(0), Frame::from_outside(Bytes::from(bytes)));
        }
        while let Some(bytes) = self.server.wire.outgoing.pop_front() {
            self.send(Place::Router(1), Frame::from_outside(Bytes::from(bytes)));
        }
    }
}

/// What is plugged into a device's port.
fn beyond(device: Place, port: usize) -> Place {
    match (device, port) {
        (Place::Switch(_), 0) => Place::Client,
        (Place::Switch(_), 1) => Place::Router(0),
        (Place::Router(_), 0) => Place::Switch(1),
        (Place::Router(_), 1) => Place::Server,
        _ => unreachable!("no such port"),
    }
}

/// Connects, sends `BYTES` and reads them back; returns how long that took.
fn talk(mut lab: Lab) -> (Instant, Statistics) {
    const BYTES: usize = 200_000;
    let server_address = lab.server.interface.ip_addrs()[0].address();
    lab.server.socket().listen(80).unwrap();
    let Host { interface, sockets, tcp, .. } = &mut lab.client;
    let socket = sockets.get_mut::<tcp::Socket>(*tcp);
    socket.connect(interface.context(), (server_address, 80), 49_152).unwrap();
    let (mut sent, mut echoed) = (0, 0);
    while echoed < BYTES {
        assert!(lab.now < Instant::START + Duration::from_secs(60), "{:?}", lab.router.statistics());
        lab.step();
        let server = lab.server.socket();
        while server.can_recv() && server.can_send() {
            let room = server.send_capacity() - server.send_queue();
            let data = server.recv(|data| (data.len().min(room), data[..data.len().min(room)].to_vec()));
            assert!(server.send_slice(&data.unwrap()).is_ok());
        }
        let client = lab.client.socket();
        if client.can_send() && sent < BYTES {
            sent += client.send_slice(&vec![7; BYTES - sent]).unwrap();
        }
        while client.can_recv() {
            echoed +=
                client.recv(|data| (data.len(), data.iter().filter(|&&byte| byte == 7).count())).unwrap();
        }
    }
    (lab.now, lab.router.statistics())
}

#[test]
fn ipv4_stacks_talk_through_a_router() {
    let lab = Lab::new("10.0.1.2/24", "10.0.2.2/24", ["10.0.1.1", "10.0.2.1"]);
    let (took, statistics) = talk(lab);
    check(took, statistics);
}

#[test]
fn ipv6_stacks_talk_through_a_router() {
    let lab = Lab::new("2001:db8:1::2/64", "2001:db8:2::2/64", ["2001:db8:1::1", "2001:db8:2::1"]);
    let (took, statistics) = talk(lab);
    check(took, statistics);
}

#[test]
fn a_connection_to_the_router_is_refused_at_once() {
    for (client, server, gateways) in [
        ("10.0.1.2/24", "10.0.2.2/24", ["10.0.1.1", "10.0.2.1"]),
        ("2001:db8:1::2/64", "2001:db8:2::2/64", ["2001:db8:1::1", "2001:db8:2::1"]),
    ] {
        let mut lab = Lab::new(client, server, gateways);
        let Host { interface, sockets, tcp, .. } = &mut lab.client;
        let target: IpAddress = gateways[1].parse().unwrap();
        sockets.get_mut::<tcp::Socket>(*tcp).connect(interface.context(), (target, 80), 49_152).unwrap();
        let mut steps = 0;
        while lab.client.socket().state() != tcp::State::Closed {
            lab.step();
            steps += 1;
            assert!(steps < 100, "no reset came");
        }
    }
}

/// Nothing was lost or asked for twice: a lost packet would cost smoltcp's second of retransmission.
fn check(took: Instant, statistics: Statistics) {
    assert!(took < Instant::START + Duration::from_secs(2), "{took}");
    let Statistics { malformed, bad_checksum, martian, no_route, expired, unresolved, queue_full, .. } =
        statistics;
    let lost = [malformed, bad_checksum, martian, no_route, expired, unresolved, queue_full];
    assert_eq!(lost, [0; 7]);
    assert!(statistics.forwarded > 2 * 200_000 / 1460);
}
