//! A server of leases (RFC 2131, section 4.3).
//!
//! An offer is only a hint: the address is given to whoever asks for it first. So a flood of questions under invented
//! addresses keeps nobody else from a lease; a flood of *requests* does use up the range, as it does with every server
//! that cannot tell one machine's inventions from many machines, until those leases run out. Known clients and
//! reservations are not touched by it, and memory is bounded by the range.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use smoltcp::wire::{DhcpMessageType, EthernetAddress, Ipv4Cidr};

use super::Message;
use crate::time::Instant;

/// How long an address is kept for whom it was offered, while there are others.
const OFFER: Duration = Duration::from_secs(60);
/// How long an address is not given out after a client found that somebody else has it.
const DECLINED: Duration = Duration::from_secs(3600);
/// Messages that wait for a process that is stopped: about as many as a socket's buffer has room for.
const WAITING_MAX: usize = 256;
/// Longer client identifiers than this are not kept apart by what follows.
const IDENTIFIER_BYTES_MAX: usize = 64;

/// What a server gives, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The server's own address with its subnet.
    pub own: Ipv4Cidr,
    /// First and last address that it gives out.
    pub range: (Ipv4Addr, Ipv4Addr),
    /// How long a lease holds; whole seconds, 1 at least.
    pub lease: Duration,
    pub routers: Vec<Ipv4Addr>,
    pub dns: Vec<Ipv4Addr>,
    /// Addresses that are for these clients alone; they may be outside of the range.
    pub reservations: BTreeMap<[u8; 6], Ipv4Addr>,
    /// Addresses in the range that others have.
    pub excluded: BTreeSet<Ipv4Addr>,
}

/// What a server did so far, in messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    pub received: u64,
    /// Not a message of a client, by a relay, or of a client that it did not come from.
    pub ignored: u64,
    pub offered: u64,
    /// Leases given or renewed.
    pub acknowledged: u64,
    pub refused: u64,
    /// Questions that no address was left for.
    pub exhausted: u64,
}

/// An answer, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub to: Ipv4Addr,
    pub mac: EthernetAddress,
    pub message: Message,
}

#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    /// Every address that is offered, let or declined.
    entries: BTreeMap<Ipv4Addr, Entry>,
    by_client: BTreeMap<Client, Ipv4Addr>,
    /// Where the search for a free address goes on.
    next: u32,
    statistics: Statistics,
    process: Process,
}

/// The server's process, as a kernel knows it.
#[derive(Debug)]
enum Process {
    Running,
    /// What came meanwhile waits at its socket.
    Paused(Vec<(EthernetAddress, Message)>),
    Killed,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Client {
    Identifier(Vec<u8>),
    Mac([u8; 6]),
}

#[derive(Debug)]
struct Entry {
    /// `None`: declined.
    client: Option<Client>,
    /// Only offered: may go to somebody else.
    offered: bool,
    until: Instant,
}

impl Server {
    pub fn new(config: ServerConfig) -> Self {
        let next = config.range.0.to_bits();
        Self {
            config,
            entries: BTreeMap::new(),
            by_client: BTreeMap::new(),
            next,
            statistics: Statistics::default(),
            process: Process::Running,
        }
    }

    /// Kills its process: the machine is there, and nobody at the port. Another [`Server`] is one that was started anew.
    pub fn kill(&mut self) {
        self.process = Process::Killed;
    }

    pub fn is_killed(&self) -> bool {
        matches!(self.process, Process::Killed)
    }

    /// Stops its process until it goes on.
    pub fn pause(&mut self) {
        if matches!(self.process, Process::Running) {
            self.process = Process::Paused(Vec::new());
        }
    }

    /// The answers to what came while it was stopped.
    pub fn resume(&mut self, now: Instant) -> Vec<Reply> {
        match std::mem::replace(&mut self.process, Process::Running) {
            Process::Running => Vec::new(),
            Process::Paused(waiting) => {
                waiting.iter().filter_map(|(mac, message)| self.ingest(now, *mac, message)).collect()
            }
            Process::Killed => {
                self.process = Process::Killed;
                Vec::new()
            }
        }
    }

    /// A message comes to its socket: the answer, if its process is there to give one.
    pub fn receive(&mut self, now: Instant, mac: EthernetAddress, message: Message) -> Option<Reply> {
        match &mut self.process {
            Process::Running => self.ingest(now, mac, &message),
            Process::Paused(waiting) if waiting.len() < WAITING_MAX => {
                waiting.push((mac, message));
                None
            }
            Process::Paused(_) | Process::Killed => {
                self.statistics.ignored += 1;
                None
            }
        }
    }

    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Gives out another range from now on. Who has an address outside of it is refused when he asks to keep it.
    pub fn set_range(&mut self, range: (Ipv4Addr, Ipv4Addr)) {
        self.config.range = range;
        self.next = range.0.to_bits();
    }

    /// Ends the lease of a client: it is refused when it asks to keep it.
    pub fn revoke(&mut self, now: Instant, mac: EthernetAddress) {
        let clients: Vec<Client> = self.by_client.keys().filter(|client| client.is(mac)).cloned().collect();
        for client in clients {
            if let Some(address) = self.by_client.remove(&client) {
                let entry = Entry { client: None, offered: false, until: now + self.config.lease };
                self.entries.insert(address, entry);
            }
        }
    }

    /// Takes a message that came in a frame from `mac`, and has the answer to it, if there is one.
    pub fn ingest(&mut self, now: Instant, mac: EthernetAddress, message: &Message) -> Option<Reply> {
        self.statistics.received += 1;
        // A client speaks for itself; there are no relays here.
        if !message.relay_address.is_unspecified() || message.client_mac != mac || !mac.is_unicast() {
            self.statistics.ignored += 1;
            return None;
        }
        let client = Client::of(message);
        match message.kind {
            DhcpMessageType::Discover => self.offer(now, client, message),
            DhcpMessageType::Request => self.request(now, client, message),
            DhcpMessageType::Decline => {
                let address = message.requested.filter(|address| self.holds(&client, *address));
                if let (Some(address), true) = (address, self.is_meant(message)) {
                    self.by_client.remove(&client);
                    let entry = Entry { client: None, offered: false, until: now + DECLINED };
                    self.entries.insert(address, entry);
                }
                None
            }
            DhcpMessageType::Release => {
                let address = message.client_address;
                if self.holds(&client, address) && self.is_meant(message) {
                    self.by_client.remove(&client);
                    self.entries.remove(&address);
                }
                None
            }
            DhcpMessageType::Inform => {
                let mut answer = self.answer(DhcpMessageType::Ack, message);
                self.describe(&mut answer);
                Some(Reply { to: message.client_address, mac, message: answer })
            }
            DhcpMessageType::Offer
            | DhcpMessageType::Ack
            | DhcpMessageType::Nak
            | DhcpMessageType::Unknown(_) => {
                self.statistics.ignored += 1;
                None
            }
        }
    }

    fn offer(&mut self, now: Instant, client: Client, message: &Message) -> Option<Reply> {
        let Some(address) = self.choose(now, &client, message) else {
            self.statistics.exhausted += 1;
            return None;
        };
        // What it has already is not made less by asking.
        if !self.is_let_to(now, &client, address) {
            self.assign(client, address, Entry { client: None, offered: true, until: now + OFFER });
        }
        self.statistics.offered += 1;
        Some(self.give(DhcpMessageType::Offer, message, address))
    }

    fn request(&mut self, now: Instant, client: Client, message: &Message) -> Option<Reply> {
        if message.server.is_some() && !self.is_meant(message) {
            // It took the offer of another server.
            if let Some(&address) = self.by_client.get(&client)
                && self.entries.get(&address).is_some_and(|entry| entry.offered)
            {
                self.by_client.remove(&client);
                self.entries.remove(&address);
            }
            return None;
        }
        let selecting = message.server.is_some();
        let renewing = !message.client_address.is_unspecified();
        let address = if renewing { message.client_address } else { message.requested? };
        // Who rebinds or comes back may be known to another server: about addresses that are not ours to give, silence.
        if !selecting && !renewing && self.config.own.contains_addr(&address) && !self.holds(&client, address)
        {
            return None;
        }
        if !self.may_have(now, &client, message.client_mac, address) {
            self.statistics.refused += 1;
            let refusal = self.answer(DhcpMessageType::Nak, message);
            return Some(Reply {
                to: Ipv4Addr::BROADCAST,
                mac: EthernetAddress::BROADCAST,
                message: refusal,
            });
        }
        self.assign(client, address, Entry { client: None, offered: false, until: now + self.config.lease });
        self.statistics.acknowledged += 1;
        Some(self.give(DhcpMessageType::Ack, message, address))
    }

    /// Its reservation, what it has or had, what it asks for, or the next one that is free (4.3.1).
    fn choose(&mut self, now: Instant, client: &Client, message: &Message) -> Option<Ipv4Addr> {
        let mac = message.client_mac;
        if let Some(&reserved) = self.config.reservations.get(&mac.0) {
            return self.may_have(now, client, mac, reserved).then_some(reserved);
        }
        let known = self.by_client.get(client).copied();
        let wanted = [known, message.requested].into_iter().flatten();
        for address in wanted {
            if self.may_have(now, client, mac, address) {
                return Some(address);
            }
        }
        let (first, last) = (self.config.range.0.to_bits(), self.config.range.1.to_bits());
        let count = u64::from(last - first) + 1;
        let start = u64::from(self.next.clamp(first, last) - first);
        let at = |step: u64| Ipv4Addr::from_bits(first + ((start + step) % count) as u32);
        let unused = |address: &Ipv4Addr| {
            self.is_ours(*address) && self.entries.get(address).is_none_or(|entry| entry.until <= now)
        };
        // Full: whoever was offered an address and did not take it waits no longer.
        let given_up = |address: &Ipv4Addr| self.may_have(now, client, mac, *address);
        let free = (0..count).map(at).find(unused).or_else(|| (0..count).map(at).find(given_up))?;
        self.next = free.to_bits().wrapping_add(1);
        Some(free)
    }

    /// True if the address is one to give, and nobody else has it.
    fn may_have(&self, now: Instant, client: &Client, mac: EthernetAddress, address: Ipv4Addr) -> bool {
        let reserved_for = self.config.reservations.iter().find(|&(_, &reserved)| reserved == address);
        let ours = match reserved_for {
            Some((&other, _)) => other == mac.0,
            None => self.is_ours(address),
        };
        ours && self
            .entries
            .get(&address)
            .is_none_or(|entry| entry.until <= now || entry.offered || entry.client.as_ref() == Some(client))
    }

    /// In the range, and nobody's for ever.
    fn is_ours(&self, address: Ipv4Addr) -> bool {
        let (first, last) = self.config.range;
        (first..=last).contains(&address)
            && address != self.config.own.address()
            && !self.config.excluded.contains(&address)
            && !self.config.reservations.values().any(|&reserved| reserved == address)
    }

    fn holds(&self, client: &Client, address: Ipv4Addr) -> bool {
        self.by_client.get(client) == Some(&address)
    }

    fn is_let_to(&self, now: Instant, client: &Client, address: Ipv4Addr) -> bool {
        self.holds(client, address)
            && self.entries.get(&address).is_some_and(|entry| !entry.offered && entry.until > now)
    }

    /// Each client has one address, and each address one client.
    fn assign(&mut self, client: Client, address: Ipv4Addr, entry: Entry) {
        if let Some(before) = self.by_client.insert(client.clone(), address)
            && before != address
        {
            self.entries.remove(&before);
        }
        let entry = Entry { client: Some(client.clone()), ..entry };
        if let Some(Entry { client: Some(other), .. }) = self.entries.insert(address, entry)
            && other != client
        {
            self.by_client.remove(&other);
        }
    }

    fn is_meant(&self, message: &Message) -> bool {
        message.server == Some(self.config.own.address())
    }

    fn give(&self, kind: DhcpMessageType, message: &Message, address: Ipv4Addr) -> Reply {
        let mut answer = self.answer(kind, message);
        answer.your_address = address;
        answer.client_address = message.client_address;
        let lease_s = u32::try_from(self.config.lease.as_secs()).unwrap_or(u32::MAX);
        answer.lease_s = Some(lease_s);
        // The defaults of 4.4.5, said outright.
        answer.renew_s = Some(lease_s / 2);
        answer.rebind_s = Some((u64::from(lease_s) * 7 / 8) as u32);
        self.describe(&mut answer);
        // 4.1: to the address that it uses; else to the one that it is given, unless it cannot take that yet.
        let (to, mac) = match message.client_address {
            used if !used.is_unspecified() => (used, message.client_mac),
            _ if message.broadcast => (Ipv4Addr::BROADCAST, EthernetAddress::BROADCAST),
            _ => (address, message.client_mac),
        };
        Reply { to, mac, message: answer }
    }

    fn answer(&self, kind: DhcpMessageType, message: &Message) -> Message {
        Message {
            broadcast: message.broadcast,
            client_identifier: message.client_identifier.clone(),
            server: Some(self.config.own.address()),
            ..Message::new(kind, message.transaction, message.client_mac)
        }
    }

    fn describe(&self, answer: &mut Message) {
        answer.mask = Some(self.config.own.netmask());
        answer.routers = self.config.routers.clone();
        answer.dns = self.config.dns.clone();
    }
}

impl Client {
    fn of(message: &Message) -> Self {
        match &message.client_identifier {
            Some(identifier) => {
                Client::Identifier(identifier[..identifier.len().min(IDENTIFIER_BYTES_MAX)].to_vec())
            }
            None => Client::Mac(message.client_mac.0),
        }
    }

    /// By its MAC, which most identifiers are, too: the type of the hardware and its address.
    fn is(&self, mac: EthernetAddress) -> bool {
        match self {
            Client::Identifier(identifier) => identifier.strip_prefix(&[1]) == Some(mac.as_bytes()),
            Client::Mac(own) => *own == mac.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::START + Duration::from_secs(seconds)
    }

    fn mac(number: u32) -> EthernetAddress {
        let [a, b, c, d] = number.to_be_bytes();
        EthernetAddress([2, 0, a, b, c, d])
    }

    fn ip(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, last)
    }

    fn server() -> Server {
        Server::new(ServerConfig {
            own: Ipv4Cidr::new(ip(1), 24),
            range: (ip(10), ip(13)),
            lease: Duration::from_secs(100),
            routers: vec![ip(1)],
            dns: vec![ip(2)],
            reservations: [(mac(50).0, ip(12))].into(),
            excluded: [ip(11)].into(),
        })
    }

    fn message(kind: DhcpMessageType, client: u32) -> Message {
        Message::new(kind, 7, mac(client))
    }

    fn discover(server: &mut Server, now: u64, client: u32) -> Option<Ipv4Addr> {
        let question = message(DhcpMessageType::Discover, client);
        server.ingest(at(now), mac(client), &question).map(|reply| reply.message.your_address)
    }

    /// Asks for an address that was offered; `None` for a refusal.
    fn select(server: &mut Server, now: u64, client: u32, address: Ipv4Addr) -> Option<Ipv4Addr> {
        let mut request = message(DhcpMessageType::Request, client);
        (request.server, request.requested) = (Some(ip(1)), Some(address));
        acknowledged(server.ingest(at(now), mac(client), &request)?)
    }

    fn renew(server: &mut Server, now: u64, client: u32, address: Ipv4Addr) -> Option<Ipv4Addr> {
        let mut request = message(DhcpMessageType::Request, client);
        request.client_address = address;
        acknowledged(server.ingest(at(now), mac(client), &request)?)
    }

    fn acknowledged(reply: Reply) -> Option<Ipv4Addr> {
        (reply.message.kind == DhcpMessageType::Ack).then_some(reply.message.your_address)
    }

    #[test]
    fn a_lease_is_offered_given_renewed_and_runs_out() {
        let mut server = server();
        assert_eq!(discover(&mut server, 0, 1), Some(ip(10)));
        assert_eq!(select(&mut server, 0, 1, ip(10)), Some(ip(10)));
        assert_eq!(renew(&mut server, 50, 1, ip(10)), Some(ip(10)));
        // .11 is somebody else's, .12 reserved.
        assert_eq!(discover(&mut server, 50, 2), Some(ip(13)));
        assert_eq!(select(&mut server, 50, 2, ip(13)), Some(ip(13)));
        assert_eq!(renew(&mut server, 140, 2, ip(13)), Some(ip(13)));
        assert_eq!(discover(&mut server, 149, 3), None);
        assert_eq!(server.statistics().exhausted, 1);
        assert_eq!(discover(&mut server, 150, 3), Some(ip(10)), "the lease is over");
        assert_eq!(select(&mut server, 150, 3, ip(10)), Some(ip(10)));
        assert_eq!(renew(&mut server, 151, 1, ip(10)), None, "it is another's now");
    }

    #[test]
    fn the_answer_says_what_the_subnet_has() {
        let mut server = server();
        let reply = server.ingest(at(0), mac(1), &message(DhcpMessageType::Discover, 1)).unwrap();
        assert_eq!((reply.to, reply.mac), (ip(10), mac(1)));
        let offer = reply.message;
        assert_eq!(offer.mask, Some(Ipv4Addr::new(255, 255, 255, 0)));
        assert_eq!((offer.routers, offer.dns, offer.server), (vec![ip(1)], vec![ip(2)], Some(ip(1))));
        assert_eq!((offer.lease_s, offer.renew_s, offer.rebind_s), (Some(100), Some(50), Some(87)));
        let mut loud = message(DhcpMessageType::Discover, 1);
        loud.broadcast = true;
        assert_eq!(server.ingest(at(0), mac(1), &loud).unwrap().to, Ipv4Addr::BROADCAST);
    }

    #[test]
    fn reservations_are_for_their_client_alone() {
        let mut server = server();
        assert_eq!(discover(&mut server, 0, 50), Some(ip(12)));
        assert_eq!(select(&mut server, 0, 1, ip(12)), None);
        assert_eq!(select(&mut server, 0, 50, ip(12)), Some(ip(12)));
    }

    #[test]
    fn questions_under_invented_names_use_nothing_up() {
        let mut server = server();
        for client in 100..10_100 {
            discover(&mut server, 0, client);
        }
        assert!(server.entries.len() <= 4 && server.by_client.len() <= 4);
        let offered = discover(&mut server, 0, 1).unwrap();
        discover(&mut server, 0, 99_999);
        discover(&mut server, 0, 99_998);
        assert_eq!(select(&mut server, 0, 1, offered), Some(offered));
        // A lease holds against all who only ask.
        for client in 100..200 {
            assert_ne!(discover(&mut server, 1, client), Some(offered));
            assert_eq!(select(&mut server, 1, client, offered), None);
        }
    }

    #[test]
    fn who_speaks_for_another_is_not_heard() {
        let mut server = server();
        assert_eq!(server.ingest(at(0), mac(2), &message(DhcpMessageType::Discover, 1)), None);
        let mut relayed = message(DhcpMessageType::Discover, 1);
        relayed.relay_address = ip(9);
        assert_eq!(server.ingest(at(0), mac(1), &relayed), None);
        let offer = message(DhcpMessageType::Offer, 1);
        assert_eq!(server.ingest(at(0), mac(1), &offer), None);
        assert_eq!(server.statistics().ignored, 3);
        // Nor can one give back what another has.
        select(&mut server, 0, 1, ip(10));
        let mut release = message(DhcpMessageType::Release, 2);
        (release.client_address, release.server) = (ip(10), Some(ip(1)));
        server.ingest(at(0), mac(2), &release);
        assert_eq!(renew(&mut server, 1, 1, ip(10)), Some(ip(10)));
    }

    #[test]
    fn what_is_declined_is_not_given_out_for_an_hour() {
        let mut server = server();
        select(&mut server, 0, 1, ip(10));
        let mut decline = message(DhcpMessageType::Decline, 1);
        (decline.requested, decline.server) = (Some(ip(10)), Some(ip(1)));
        server.ingest(at(0), mac(1), &decline);
        assert_eq!(discover(&mut server, 1, 1), Some(ip(13)));
        assert_eq!(select(&mut server, 3599, 2, ip(10)), None);
        assert_eq!(select(&mut server, 3600, 2, ip(10)), Some(ip(10)));
    }

    #[test]
    fn another_range_and_a_lease_that_was_ended_are_told_at_the_next_renewal() {
        let mut server = server();
        select(&mut server, 0, 1, ip(10));
        select(&mut server, 0, 2, ip(13));
        server.revoke(at(1), mac(1));
        assert_eq!(renew(&mut server, 2, 1, ip(10)), None);
        assert_eq!(renew(&mut server, 2, 2, ip(13)), Some(ip(13)));
        server.set_range((ip(20), ip(29)));
        assert_eq!(renew(&mut server, 3, 2, ip(13)), None);
        assert_eq!(discover(&mut server, 3, 2), Some(ip(20)));
    }

    #[test]
    fn who_takes_another_servers_offer_frees_ours() {
        let mut server = server();
        discover(&mut server, 0, 1);
        let mut request = message(DhcpMessageType::Request, 1);
        (request.server, request.requested) = (Some(ip(9)), Some(ip(99)));
        assert_eq!(server.ingest(at(0), mac(1), &request), None);
        assert!(server.entries.is_empty() && server.by_client.is_empty());
    }
}
