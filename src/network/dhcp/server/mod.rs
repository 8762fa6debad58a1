//! A server of leases (RFC 2131, section 4.3).
//!
//! An offer is only a hint: the address is given to whoever asks for it first. So a flood of questions under invented
//! addresses keeps nobody else from a lease; a flood of *requests* does use up the range, as it does with every server
//! that cannot tell one machine's inventions from many machines, until those leases run out. Known clients and
//! reservations are not touched by it, and memory is bounded by the range.

mod leases;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use smoltcp::wire::{DhcpMessageType, EthernetAddress, Ipv4Cidr};

use super::Message;
use crate::time::Instant;
use leases::{Client, Leases};

/// Messages that wait for a process that is stopped: about as many as a socket's buffer has room for.
const WAITING_MAX: usize = 256;

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

/// Where a message came from, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    pub mac: EthernetAddress,
    /// Every server heard it: a client that renews asks its own alone, one that rebinds asks all.
    pub to_all: bool,
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
    leases: Leases,
    statistics: Statistics,
    process: Process,
}

/// The server's process, as a kernel knows it.
#[derive(Debug)]
enum Process {
    Running,
    /// What came meanwhile waits at its socket.
    Paused(Vec<(Sender, Message)>),
    Killed,
}

impl Server {
    pub fn new(config: ServerConfig) -> Self {
        Self { leases: Leases::new(config), statistics: Statistics::default(), process: Process::Running }
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
                waiting.iter().filter_map(|(from, message)| self.ingest(now, *from, message)).collect()
            }
            Process::Killed => {
                self.process = Process::Killed;
                Vec::new()
            }
        }
    }

    /// A message comes to its socket: the answer, if its process is there to give one.
    pub fn receive(&mut self, now: Instant, from: Sender, message: Message) -> Option<Reply> {
        match &mut self.process {
            Process::Running => self.ingest(now, from, &message),
            Process::Paused(waiting) if waiting.len() < WAITING_MAX => {
                waiting.push((from, message));
                None
            }
            Process::Paused(_) | Process::Killed => {
                self.statistics.ignored += 1;
                None
            }
        }
    }

    fn config(&self) -> &ServerConfig {
        &self.leases.config
    }

    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Gives out another range from now on. Who has an address outside of it is refused when he asks to keep it.
    pub fn set_range(&mut self, range: (Ipv4Addr, Ipv4Addr)) {
        self.leases.set_range(range);
    }

    /// Ends the lease of a client: it is refused when it asks to keep it.
    pub fn revoke(&mut self, now: Instant, mac: EthernetAddress) {
        self.leases.revoke(now, mac);
    }

    /// Takes a message, and has the answer to it, if there is one.
    pub fn ingest(&mut self, now: Instant, from: Sender, message: &Message) -> Option<Reply> {
        let Sender { mac, to_all } = from;
        self.statistics.received += 1;
        // A client speaks for itself; there are no relays here.
        if !message.relay_address.is_unspecified() || message.client_mac != mac || !mac.is_unicast() {
            self.statistics.ignored += 1;
            return None;
        }
        let client = Client::of(message);
        match message.kind {
            DhcpMessageType::Discover => self.offer(now, client, message),
            DhcpMessageType::Request => self.request(now, client, to_all, message),
            DhcpMessageType::Decline => {
                let address = message.requested.filter(|address| self.leases.holds(&client, *address));
                if let (Some(address), true) = (address, self.is_meant(message)) {
                    self.leases.decline(now, &client, address);
                }
                None
            }
            DhcpMessageType::Release => {
                let address = message.client_address;
                if self.leases.holds(&client, address) && self.is_meant(message) {
                    self.leases.release(&client, address);
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
        let Some(address) = self.leases.choose(now, &client, message) else {
            self.statistics.exhausted += 1;
            return None;
        };
        // What it has already is not made less by asking.
        if !self.leases.is_let_to(now, &client, address) {
            self.leases.offer(now, client, address);
        }
        self.statistics.offered += 1;
        Some(self.give(DhcpMessageType::Offer, message, address))
    }

    fn request(&mut self, now: Instant, client: Client, to_all: bool, message: &Message) -> Option<Reply> {
        if message.server.is_some() && !self.is_meant(message) {
            // It took the offer of another server.
            self.leases.take_back(&client);
            return None;
        }
        let selecting = message.server.is_some();
        let renewing = !message.client_address.is_unspecified();
        let address = if renewing { message.client_address } else { message.requested? };
        // Who rebinds or comes back asks everybody, and may be known to another server: about addresses of the subnet that
        // are not ours to judge, silence (4.3.2).
        let is_judged = if renewing { !to_all || self.leases.is_known(address) } else { selecting };
        let is_on_subnet = self.config().own.contains_addr(&address);
        if !is_judged && is_on_subnet && !self.leases.holds(&client, address) {
            return None;
        }
        if !self.leases.may_have(now, &client, message.client_mac, address) {
            self.statistics.refused += 1;
            let refusal = self.answer(DhcpMessageType::Nak, message);
            return Some(Reply {
                to: Ipv4Addr::BROADCAST,
                mac: EthernetAddress::BROADCAST,
                message: refusal,
            });
        }
        self.leases.let_to(now, client, address);
        self.statistics.acknowledged += 1;
        Some(self.give(DhcpMessageType::Ack, message, address))
    }

    fn is_meant(&self, message: &Message) -> bool {
        message.server == Some(self.config().own.address())
    }

    fn give(&self, kind: DhcpMessageType, message: &Message, address: Ipv4Addr) -> Reply {
        let mut answer = self.answer(kind, message);
        answer.your_address = address;
        answer.client_address = message.client_address;
        let lease_s = u32::try_from(self.config().lease.as_secs()).unwrap_or(u32::MAX);
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
            server: Some(self.config().own.address()),
            ..Message::new(kind, message.transaction, message.client_mac)
        }
    }

    fn describe(&self, answer: &mut Message) {
        answer.mask = Some(self.config().own.netmask());
        answer.routers = self.config().routers.clone();
        answer.dns = self.config().dns.clone();
    }
}
