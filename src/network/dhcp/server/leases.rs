//! Which client has which address, and until when; and the choice of one for who asks.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use smoltcp::wire::EthernetAddress;

use super::ServerConfig;
use crate::network::dhcp::Message;
use crate::time::Instant;

/// How long an address is kept for whom it was offered, while there are others.
const OFFER: Duration = Duration::from_secs(60);
/// How long an address is not given out after a client found that somebody else has it.
const DECLINED: Duration = Duration::from_secs(3600);
/// Longer client identifiers than this are not kept apart by what follows.
const IDENTIFIER_BYTES_MAX: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Client {
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

#[derive(Debug)]
pub struct Leases {
    pub config: ServerConfig,
    /// Every address that is offered, let or declined.
    entries: BTreeMap<Ipv4Addr, Entry>,
    by_client: BTreeMap<Client, Ipv4Addr>,
    /// Where the search for a free address goes on.
    next: u32,
}

impl Leases {
    pub fn new(config: ServerConfig) -> Self {
        let next = config.range.0.to_bits();
        Self { config, entries: BTreeMap::new(), by_client: BTreeMap::new(), next }
    }

    /// Addresses and clients that it keeps.
    #[cfg(test)]
    pub fn kept(&self) -> (usize, usize) {
        (self.entries.len(), self.by_client.len())
    }

    /// Gives out another range from now on.
    pub fn set_range(&mut self, range: (Ipv4Addr, Ipv4Addr)) {
        self.config.range = range;
        self.next = range.0.to_bits();
    }

    /// Ends the lease of a client, and leaves its address out for as long.
    pub fn revoke(&mut self, now: Instant, mac: EthernetAddress) {
        let clients: Vec<Client> = self.by_client.keys().filter(|client| client.is(mac)).cloned().collect();
        for client in clients {
            if let Some(address) = self.by_client.remove(&client) {
                let entry = Entry { client: None, offered: false, until: now + self.config.lease };
                self.entries.insert(address, entry);
            }
        }
    }

    /// Its reservation, what it has or had, what it asks for, or the next one that is free (4.3.1).
    pub fn choose(&mut self, now: Instant, client: &Client, message: &Message) -> Option<Ipv4Addr> {
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
    pub fn may_have(&self, now: Instant, client: &Client, mac: EthernetAddress, address: Ipv4Addr) -> bool {
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

    /// True if it is this server that says who has the address: it gives it out, or keeps it for somebody.
    pub fn is_known(&self, address: Ipv4Addr) -> bool {
        let (first, last) = self.config.range;
        (first..=last).contains(&address)
            || self.entries.contains_key(&address)
            || self.config.reservations.values().any(|&reserved| reserved == address)
    }

    pub fn holds(&self, client: &Client, address: Ipv4Addr) -> bool {
        self.by_client.get(client) == Some(&address)
    }

    pub fn is_let_to(&self, now: Instant, client: &Client, address: Ipv4Addr) -> bool {
        self.holds(client, address)
            && self.entries.get(&address).is_some_and(|entry| !entry.offered && entry.until > now)
    }

    /// Keeps an address for whom it is offered, for a while.
    pub fn offer(&mut self, now: Instant, client: Client, address: Ipv4Addr) {
        self.assign(client, address, Entry { client: None, offered: true, until: now + OFFER });
    }

    /// From now on, for as long as a lease holds.
    pub fn let_to(&mut self, now: Instant, client: Client, address: Ipv4Addr) {
        self.assign(client, address, Entry { client: None, offered: false, until: now + self.config.lease });
    }

    /// Its client found that somebody else has it.
    pub fn decline(&mut self, now: Instant, client: &Client, address: Ipv4Addr) {
        self.by_client.remove(client);
        let entry = Entry { client: None, offered: false, until: now + DECLINED };
        self.entries.insert(address, entry);
    }

    /// Its client has no more use for it.
    pub fn release(&mut self, client: &Client, address: Ipv4Addr) {
        self.by_client.remove(client);
        self.entries.remove(&address);
    }

    /// What a client was offered, and did not take.
    pub fn take_back(&mut self, client: &Client) {
        if let Some(&address) = self.by_client.get(client)
            && self.entries.get(&address).is_some_and(|entry| entry.offered)
        {
            self.release(client, address);
        }
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
}

impl Client {
    pub fn of(message: &Message) -> Self {
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
