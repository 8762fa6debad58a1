//! A DNS server: a task that never ends, on a node without a guest, over UDP and TCP (RFC 1035, 4.2; RFC 7766), at the unspecified addresses of both
//! families.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::answer::{DATAGRAM_BYTES_MAX, DATAGRAM_BYTES_MIN, Outcome, Transport, answer};
use super::zone::Zones;
use crate::error::{Error, Result};
use crate::network::drops::DeviceDrop;
use crate::node::object::Context;
use crate::node::slab::Id;
use crate::node::stack::{Flow, Listener, Tcp, Udp};
use crate::node::task::{Handle, Task, TaskId};
use crate::node::{Interest, Waiter};
use crate::time::Instant;

pub const PORT: u16 = 53;
/// Queries of one turn: the rest waits for the next, behind whatever else the lab has to do at this instant.
const QUERIES_A_TURN: usize = 128;
/// Askers that may wait for a turn.
const BACKLOG: usize = 256;
/// Connections at once; one more takes the place of the one that has been silent for longest.
const CLIENTS_MAX: usize = 128;
/// How long a connection may be silent (RFC 7766, 6.2.3).
const IDLE: Duration = Duration::from_secs(10);
/// Answers that one connection may leave unread: nothing is read from it meanwhile.
const UNREAD_BYTES_MAX: usize = 128 * 1024;

pub struct DnsServer {
    zones: Zones,
    process: Process,
    sockets: Vec<Id<Udp>>,
    /// Each with where it is bound.
    listeners: Vec<(Id<Listener>, SocketAddr)>,
    clients: Vec<Client>,
    malformed: u64,
    ignored: u64,
    unsent: u64,
}

/// The server's process, as a kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Process {
    Running,
    /// What comes waits at its sockets.
    Paused,
    Killed,
}

/// A connection.
struct Client {
    tcp: Id<Tcp>,
    input: Vec<u8>,
    output: Vec<u8>,
    /// It asks nothing more.
    ended: bool,
    heard: Instant,
}

impl DnsServer {
    pub fn new(zones: Zones) -> DnsServer {
        DnsServer {
            zones,
            process: Process::Running,
            sockets: Vec::new(),
            listeners: Vec::new(),
            clients: Vec::new(),
            malformed: 0,
            ignored: 0,
            unsent: 0,
        }
    }

    fn bind(&mut self, cx: &mut Context) -> Result<()> {
        for ip in [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()] {
            let local = SocketAddr::new(ip, PORT);
            let socket = cx.stack.udp_bind(local)?;
            cx.stack.udp_listen(socket, BACKLOG)?;
            self.sockets.push(socket);
            let local = cx.stack.tcp_bind(local)?;
            self.listeners.push((cx.stack.listen(local, BACKLOG, Default::default()), local));
        }
        Ok(())
    }

    /// Stops its process: nobody is answered until it goes on.
    pub fn pause(&mut self) {
        self.process = Process::Paused;
    }

    pub fn resume(&mut self, cx: &mut Context, me: Handle<DnsServer>) {
        self.process = Process::Running;
        cx.wake_task(me.id());
    }

    /// Kills its process: the kernel closes what it had open, and whoever asks is told that nobody is there.
    pub fn kill(&mut self, cx: &mut Context) {
        self.process = Process::Killed;
        self.abort(cx);
        self.sockets.drain(..).for_each(|socket| cx.stack.udp_release(socket));
        for (listener, local) in self.listeners.drain(..) {
            cx.stack.unlisten(cx.now, listener);
            cx.stack.tcp_unbind(local);
        }
    }

    /// A machine of the lab, by its number in the world, is at other addresses now.
    pub fn place(&mut self, node: usize, addresses: &[IpAddr]) {
        self.zones.place(node, addresses);
    }

    /// What it would not take, by reason.
    pub fn drops(&self) -> [(DeviceDrop, u64); 3] {
        [
            (DeviceDrop::DnsMalformed, self.malformed),
            (DeviceDrop::DnsNoQuery, self.ignored),
            (DeviceDrop::DnsUnsent, self.unsent),
        ]
    }

    /// What is said to a query, if anything.
    fn answer(&mut self, query: &[u8], transport: Transport) -> Option<Vec<u8>> {
        match answer(&self.zones, query, transport) {
            Outcome::Answered(bytes) => Some(bytes),
            Outcome::Malformed(bytes) => {
                self.malformed += 1;
                Some(bytes)
            }
            Outcome::Ignored => {
                self.ignored += 1;
                None
            }
        }
    }

    /// Each asker's datagrams; true if more wait than this turn takes.
    fn datagrams(&mut self, cx: &mut Context, me: Waiter, socket: Id<Udp>, left: &mut usize) -> bool {
        let mut buffer = [0; 4096];
        while *left > 0 {
            let Ok(flow) = cx.stack.udp_accept(socket) else {
                cx.stack.udp_watch(socket, Interest::READ, me);
                return false;
            };
            while let Ok((count, length)) = cx.stack.flow_read(flow, &mut buffer, false) {
                *left = left.saturating_sub(1);
                if count < length {
                    self.malformed += 1;
                } else {
                    self.answer_datagram(cx, flow, &buffer[..count]);
                }
            }
            cx.stack.flow_release(flow);
        }
        true
    }

    fn answer_datagram(&mut self, cx: &mut Context, flow: Id<Flow>, query: &[u8]) {
        let mut send =
            |server: &mut DnsServer, bytes_max| match server.answer(query, Transport::Datagram(bytes_max)) {
                Some(answer) => cx.stack.flow_write(flow, &answer),
                None => Ok(()),
            };
        let sent = match send(self, DATAGRAM_BYTES_MAX) {
            // A narrow interface: what does not fit is asked for again over TCP.
            Err(Error::MessageSize) => send(self, DATAGRAM_BYTES_MIN),
            sent => sent,
        };
        self.unsent += u64::from(sent.is_err());
    }

    fn accept(&mut self, cx: &mut Context, me: Waiter) {
        for (listener, _) in self.listeners.clone() {
            while let Ok(tcp) = cx.stack.accept(listener) {
                if self.clients.len() >= CLIENTS_MAX
                    && let Some(silent) = (0..self.clients.len()).min_by_key(|&at| self.clients[at].heard)
                {
                    let client = self.clients.remove(silent);
                    cx.stack.tcp_release(cx.now, client.tcp, true);
                }
                self.clients.push(Client {
                    tcp,
                    input: Vec::new(),
                    output: Vec::new(),
                    ended: false,
                    heard: cx.now,
                });
            }
            cx.stack.listener_watch(listener, Interest::READ, me);
        }
    }

    /// Reads, answers and writes what there is; false once the connection is over.
    fn serve(&mut self, cx: &mut Context, me: Waiter, client: &mut Client, left: &mut usize) -> bool {
        loop {
            while let Some(query) = client.next_query().filter(|_| client.output.len() < UNREAD_BYTES_MAX) {
                if *left == 0 {
                    return true;
                }
                *left -= 1;
                if let Some(answer) = self.answer(&query, Transport::Stream) {
                    // As long as a length of 16 bits says: it was made so.
                    client.output.extend_from_slice(&(answer.len() as u16).to_be_bytes());
                    client.output.extend_from_slice(&answer);
                }
                client.input.drain(..2 + query.len());
            }
            match client.exchange(cx) {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => return false,
            }
        }
        let mut interest = Interest { read: !client.ended, write: !client.output.is_empty() };
        if client.output.len() >= UNREAD_BYTES_MAX {
            interest.read = false;
        }
        cx.stack.tcp_watch(client.tcp, interest, me);
        let over = client.ended && client.output.is_empty();
        !over && cx.now < client.heard + IDLE
    }
}

impl Client {
    /// The query that has come whole, behind its length.
    fn next_query(&self) -> Option<Vec<u8>> {
        let length = u16::from_be_bytes([*self.input.first()?, *self.input.get(1)?]);
        self.input.get(2..2 + usize::from(length)).map(<[u8]>::to_vec)
    }

    /// Moves bytes each way; true if more has come.
    fn exchange(&mut self, cx: &mut Context) -> Result<bool> {
        while !self.output.is_empty() {
            match cx.stack.tcp_write(self.tcp, &self.output) {
                Ok(count) => {
                    self.output.drain(..count);
                    self.heard = cx.now;
                }
                Err(Error::WouldBlock) => break,
                Err(error) => return Err(error),
            }
        }
        if self.ended || self.output.len() >= UNREAD_BYTES_MAX {
            return Ok(false);
        }
        let mut buffer = [0; 4096];
        match cx.stack.tcp_read(self.tcp, &mut buffer, false) {
            Ok(0) => {
                self.ended = true;
                Ok(false)
            }
            Ok(count) => {
                self.input.extend_from_slice(&buffer[..count]);
                self.heard = cx.now;
                Ok(true)
            }
            Err(Error::WouldBlock) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Task for DnsServer {
    fn poll(&mut self, cx: &mut Context, me: TaskId) {
        match self.process {
            Process::Running => {}
            Process::Paused | Process::Killed => return,
        }
        if self.sockets.is_empty() {
            // Nobody else is here who could have the port.
            let bound = self.bind(cx);
            debug_assert_eq!(bound, Ok(()));
        }
        let waiter = Waiter::Task(me);
        let mut left = QUERIES_A_TURN;
        let mut more = false;
        for socket in self.sockets.clone() {
            more |= self.datagrams(cx, waiter, socket, &mut left);
        }
        self.accept(cx, waiter);
        for mut client in std::mem::take(&mut self.clients) {
            if self.serve(cx, waiter, &mut client, &mut left) {
                self.clients.push(client);
            } else {
                cx.stack.tcp_release(cx.now, client.tcp, true);
            }
        }
        if more || left == 0 {
            cx.wake_task(me);
        }
    }

    fn poll_at(&self) -> Option<Instant> {
        match self.process {
            Process::Running => {}
            Process::Paused | Process::Killed => return None,
        }
        self.clients.iter().map(|client| client.heard + IDLE).min()
    }

    fn is_over(&self) -> bool {
        self.process == Process::Killed
    }

    fn abort(&mut self, cx: &mut Context) {
        self.clients.drain(..).for_each(|client| cx.stack.tcp_release(cx.now, client.tcp, true));
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::{Message, MessageType, OpCode, Query};
    use hickory_proto::rr::RecordType;

    use super::*;
    use crate::dns::name::fully_qualified;
    use crate::dns::zone::Zone;
    use crate::node::Node;
    use crate::rng::Seed;

    /// Asks the server of its own node, over loopback.
    #[derive(Default)]
    struct Asker {
        queries: Vec<Vec<u8>>,
        flow: Option<Id<Flow>>,
        answers: Vec<Vec<u8>>,
    }

    impl Task for Asker {
        fn poll(&mut self, cx: &mut Context, me: TaskId) {
            let flow = *self.flow.get_or_insert_with(|| {
                let udp = cx.stack.udp_bind("127.0.0.1:0".parse().unwrap()).unwrap();
                cx.stack.udp_connect(cx.now, udp, "127.0.0.1:53".parse().unwrap()).unwrap()
            });
            for query in self.queries.drain(..) {
                cx.stack.flow_write(flow, &query).unwrap();
            }
            let mut buffer = [0; 2048];
            while let Ok((count, _)) = cx.stack.flow_read(flow, &mut buffer, false) {
                self.answers.push(buffer[..count].to_vec());
            }
            cx.stack.flow_watch(flow, Interest::READ, Waiter::Task(me));
        }

        fn is_over(&self) -> bool {
            false
        }

        fn abort(&mut self, _: &mut Context) {}
    }

    #[test]
    fn nonsense_is_counted_and_the_rest_answered() {
        let mut node = Node::new(&[], &[], Seed(1).fork("stack"), Seed(1).fork("guest"));
        let name = fully_qualified("test").unwrap();
        let server = node.spawn(DnsServer::new(Zones::new(vec![Zone::new(&name, 1)])));
        let mut question = Message::new(7, MessageType::Query, OpCode::Query);
        question.add_query(Query::query(name, RecordType::SOA));
        let good = question.to_vec().unwrap();
        let cut = good[..good.len() - 1].to_vec();
        let answer = question.into_response().to_vec().unwrap();
        let asker = Asker { queries: vec![cut, vec![1], answer, good], ..Default::default() };
        let asker: Handle<Asker> = node.spawn(asker);
        for _ in 0..20 {
            node.poll(Instant::START);
        }
        let codes: Vec<_> = node.task(asker).unwrap().answers.iter().map(|bytes| bytes[3] & 15).collect();
        assert_eq!(codes, [1, 0], "one that is malformed, one that is well");
        let drops: Vec<u64> = node.task(server).unwrap().drops().iter().map(|(_, count)| *count).collect();
        assert_eq!(drops, [1, 2, 0]);
    }
}
