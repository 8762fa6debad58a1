//! The peer of the stack: two smoltcp interfaces on an Ethernet in memory, one socket each, polled in turn.
//!
//! Everything is as guestnet has it: MTU 1500, 64 KiB in each buffer, cubic, Nagle's algorithm and delayed
//! acknowledgements, and an application that moves 64 KiB at a time from and to memory of its own.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Instant;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant as Now};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr};

const BUFFER_BYTES: usize = 64 * 1024;
const PORT: u16 = 5001;

/// Who computes checksums. guestnet's stacks trust what they receive, as nothing between them can break a frame, and
/// fill TCP's in where a capture or a TAP can see them.
#[derive(Clone, Copy)]
pub enum Checksums {
    Both,
    Sent,
    None,
}

type Queue = Rc<RefCell<VecDeque<Vec<u8>>>>;

struct Wire {
    checksums: Checksums,
    incoming: Queue,
    outgoing: Queue,
    /// Buffers of frames that were read, to be filled again.
    spare: Queue,
}

struct Received<'a>(Vec<u8>, &'a Queue);
struct Transmit<'a>(&'a Queue, &'a Queue);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let result = f(&self.0);
        self.1.borrow_mut().push_back(self.0);
        result
    }
}

impl TxToken for Transmit<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = self.1.borrow_mut().pop_front().unwrap_or_default();
        frame.resize(len, 0);
        let result = f(&mut frame);
        self.0.borrow_mut().push_back(frame);
        result
    }
}

impl Device for Wire {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Transmit<'a>;

    fn receive(&mut self, _: Now) -> Option<(Received<'_>, Transmit<'_>)> {
        let frame = self.incoming.borrow_mut().pop_front()?;
        Some((Received(frame, &self.spare), Transmit(&self.outgoing, &self.spare)))
    }

    fn transmit(&mut self, _: Now) -> Option<Transmit<'_>> {
        Some(Transmit(&self.outgoing, &self.spare))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let each = || match self.checksums {
            Checksums::Both => Checksum::Both,
            Checksums::Sent => Checksum::Tx,
            Checksums::None => Checksum::None,
        };
        let mut checksum = ChecksumCapabilities::default();
        (checksum.ipv4, checksum.tcp) = (each(), each());
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities.checksum = checksum;
        capabilities
    }
}

struct Host {
    interface: Interface,
    wire: Wire,
    set: SocketSet<'static>,
    handle: SocketHandle,
}

impl Host {
    fn new(number: u8, wire: Wire) -> Self {
        let mut wire = wire;
        let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress([2, 0, 0, 0, 0, number])));
        config.random_seed = u64::from(number);
        let mut interface = Interface::new(config, &mut wire, Now::ZERO);
        interface.update_ip_addrs(|list| {
            list.push(IpCidr::new(address(number).into(), 24)).expect("room for an address");
        });
        let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER_BYTES]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_congestion_control(tcp::CongestionControl::Cubic);
        socket.set_ack_delay(Some(Duration::from_millis(10)));
        let mut set = SocketSet::new(vec![]);
        let handle = set.add(socket);
        Self { interface, wire, set, handle }
    }

    fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.set.get_mut(self.handle)
    }

    fn poll(&mut self, now: Now) {
        self.interface.poll(now, &mut self.wire, &mut self.set);
    }
}

fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, number)
}

/// A client and a server, connected.
struct Pair {
    client: Host,
    server: Host,
    clock: Instant,
}

impl Pair {
    fn connect(checksums: Checksums) -> Self {
        let (there, back, spare) = (Queue::default(), Queue::default(), Queue::default());
        let wire = |incoming: &Queue, outgoing: &Queue| Wire {
            checksums,
            incoming: Rc::clone(incoming),
            outgoing: Rc::clone(outgoing),
            spare: Rc::clone(&spare),
        };
        let mut client = Host::new(1, wire(&back, &there));
        let mut server = Host::new(2, wire(&there, &back));
        server.socket().listen(PORT).expect("a socket that listens");
        let socket = client.set.get_mut::<tcp::Socket>(client.handle);
        socket.connect(client.interface.context(), (address(2), PORT), 49152).expect("a connection begun");
        let mut pair = Self { client, server, clock: Instant::now() };
        while !(pair.client.socket().may_send() && pair.server.socket().may_recv()) {
            pair.poll();
        }
        pair
    }

    fn poll(&mut self) {
        let now = Now::from_micros(self.clock.elapsed().as_micros() as i64);
        self.client.poll(now);
        self.server.poll(now);
    }
}

/// Seconds for so many bytes from the client to the server.
pub fn bulk(bytes: u64, checksums: Checksums) -> f64 {
    let mut pair = Pair::connect(checksums);
    let (from, mut into) = (vec![7; BUFFER_BYTES], vec![0; BUFFER_BYTES]);
    let (mut sent, mut received) = (0, 0);
    let start = Instant::now();
    while received < bytes {
        while sent < bytes && pair.client.socket().can_send() {
            let len = from.len().min((bytes - sent) as usize);
            sent += pair.client.socket().send_slice(&from[..len]).expect("a connection") as u64;
        }
        pair.poll();
        while pair.server.socket().can_recv() {
            received += pair.server.socket().recv_slice(&mut into).expect("a connection") as u64;
        }
    }
    start.elapsed().as_secs_f64()
}

/// Seconds for one byte there and back, with checksums computed by the sender.
pub fn ping_pong(rounds: u64) -> f64 {
    let mut pair = Pair::connect(Checksums::Sent);
    let mut byte = [0];
    let start = Instant::now();
    for _ in 0..rounds {
        pair.client.socket().send_slice(&[1]).expect("a connection");
        while !pair.client.socket().can_recv() {
            pair.poll();
            if pair.server.socket().can_recv() {
                pair.server.socket().recv_slice(&mut byte).expect("a connection");
                pair.server.socket().send_slice(&byte).expect("a connection");
            }
        }
        pair.client.socket().recv_slice(&mut byte).expect("a connection");
    }
    start.elapsed().as_secs_f64() / rounds as f64
}
