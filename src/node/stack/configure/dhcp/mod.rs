//! The DHCPv4 client (RFC 2131, section 4.4): from nothing to a lease, and keeping it.
//!
//! ```text
//! Idle --> Selecting --offer--> Requesting --ack--> Probing --nobody has it--> Bound --expired, refused--> Idle
//! ```
//!
//! The first offer is taken. Before an address is used, one ARP question asks whether somebody has it (RFC 5227, with
//! one probe for its three); if so it is declined. Whatever goes wrong twice in a row is tried again more and more
//! slowly, so that servers which refuse, or give leases of no length, get no storm out of a client.

mod lease;
#[cfg(test)]
mod tests;

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::BytesMut;
use smoltcp::wire::{DhcpMessageType, EthernetAddress, IpProtocol};

use crate::network::dhcp::{self, CLIENT_PORT, Message, SERVER_PORT};
use crate::network::ip::ipv4;
use crate::rng::Rng;
use crate::time::Instant;
pub(super) use lease::Lease;

/// Questions are repeated after 4 s, then 8, up to 64, each a second more or less (section 4.1).
const FIRST_WAIT: Duration = Duration::from_secs(4);
const DOUBLINGS_MAX: u32 = 4;
/// Requests for an offered address before all begins anew.
const REQUESTS_MAX: u32 = 4;
/// How long an answer to the ARP question may take.
const PROBE: Duration = Duration::from_millis(500);
/// After a conflict (section 3.1, step 5).
const DECLINED: Duration = Duration::from_secs(10);
/// Between requests while renewing and rebinding, if the lease is that long (section 4.4.5).
const RENEW_WAIT_MIN: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
enum State {
    Idle {
        at: Instant,
    },
    Selecting {
        asking: Asking,
    },
    Requesting {
        asking: Asking,
        offered: Ipv4Addr,
        server: Ipv4Addr,
    },
    Probing {
        lease: Lease,
        until: Instant,
    },
    /// `asking` once it is time to renew.
    Bound {
        lease: Lease,
        asking: Option<Asking>,
    },
}

/// What the client has to send.
#[derive(Debug)]
pub(super) enum Send {
    /// A packet of IPv4.
    Packet(BytesMut),
    /// "Does anybody have this address?" (RFC 5227, section 2.1.1)
    Probe(Ipv4Addr),
}

/// A question that is out.
#[derive(Clone, Copy, Debug)]
struct Asking {
    transaction: u32,
    since: Instant,
    tries: u32,
    again: Instant,
}

pub(super) struct Client {
    mac: EthernetAddress,
    state: State,
    /// Attempts in a row that came to nothing.
    setbacks: u32,
    /// The address that it had last, to be asked for again.
    last: Option<Ipv4Addr>,
}

impl Client {
    pub fn new(mac: EthernetAddress) -> Self {
        Self { mac, state: State::Idle { at: Instant::START }, setbacks: 0, last: None }
    }

    pub fn lease(&self) -> Option<&Lease> {
        match &self.state {
            State::Bound { lease, .. } => Some(lease),
            State::Idle { .. }
            | State::Selecting { .. }
            | State::Requesting { .. }
            | State::Probing { .. } => None,
        }
    }

    pub fn poll_at(&self) -> Instant {
        match &self.state {
            State::Idle { at } => *at,
            State::Selecting { asking } | State::Requesting { asking, .. } => asking.again,
            State::Probing { until, .. } => *until,
            State::Bound { lease, asking: None } => lease.renew.min(lease.expires),
            State::Bound { lease, asking: Some(asking) } => asking.again.min(lease.expires),
        }
    }

    /// Does what is due; frames to be sent are added to `out`.
    pub fn poll(&mut self, now: Instant, rng: &mut Rng, out: &mut Vec<Send>) {
        if self.poll_at() > now {
            return;
        }
        self.state = match std::mem::replace(&mut self.state, State::Idle { at: now }) {
            State::Idle { .. } => {
                State::Selecting { asking: self.discover(Asking::new(now, rng), now, rng, out) }
            }
            State::Selecting { asking } => State::Selecting { asking: self.discover(asking, now, rng, out) },
            State::Requesting { asking, .. } if asking.tries >= REQUESTS_MAX => self.setback(now),
            State::Requesting { asking, offered, server } => {
                let mut request = self.message(DhcpMessageType::Request, &asking, now);
                (request.requested, request.server) = (Some(offered), Some(server));
                out.push(to_all(&request));
                State::Requesting { asking: asking.asked(now, rng), offered, server }
            }
            State::Probing { lease, .. } => {
                self.last = Some(lease.address.address());
                State::Bound { lease, asking: None }
            }
            State::Bound { lease, .. } if lease.expires <= now => self.setback(now),
            State::Bound { lease, asking } => {
                let asking = asking.unwrap_or_else(|| Asking::new(now, rng));
                let mut request = self.message(DhcpMessageType::Request, &asking, now);
                let own = lease.address.address();
                request.client_address = own;
                let (to, limit) = if now < lease.rebind {
                    (lease.server, lease.rebind)
                } else {
                    (Ipv4Addr::BROADCAST, lease.expires)
                };
                out.push(Send::Packet(datagram(own, to, &request)));
                let wait = (limit.since(now) / 2).max(RENEW_WAIT_MIN);
                let again = (now + wait).min(limit).max(now + Duration::from_millis(1));
                State::Bound { lease, asking: Some(Asking { tries: asking.tries + 1, again, ..asking }) }
            }
        };
    }

    /// Takes an answer.
    pub fn ingest(&mut self, now: Instant, rng: &mut Rng, message: &Message, out: &mut Vec<Send>) {
        let Some(server) = message.server else { return };
        if message.client_mac != self.mac || Some(message.transaction) != self.transaction() {
            return;
        }
        let state = std::mem::replace(&mut self.state, State::Idle { at: now });
        self.state = match (state, message.kind) {
            (State::Selecting { asking }, DhcpMessageType::Offer) => match Lease::granted(now, message) {
                Some(offer) => {
                    let asking = Asking { tries: 0, again: now, ..asking };
                    State::Requesting { asking, offered: offer.address.address(), server }
                }
                None => State::Selecting { asking },
            },
            (State::Requesting { asking, offered, server: chosen }, DhcpMessageType::Ack) => {
                match Lease::granted(now, message)
                    .filter(|it| it.address.address() == offered && server == chosen)
                {
                    Some(lease) => {
                        out.push(Send::Probe(offered));
                        State::Probing { lease, until: now + PROBE }
                    }
                    None => State::Requesting { asking, offered, server: chosen },
                }
            }
            (State::Requesting { server: chosen, .. }, DhcpMessageType::Nak) if server == chosen => {
                self.setback(now)
            }
            (State::Bound { lease: held, asking: Some(_) }, DhcpMessageType::Ack)
                if server == held.server || now >= held.rebind =>
            {
                match Lease::granted(now, message) {
                    Some(renewed) if renewed.address.address() == held.address.address() => {
                        self.setbacks = 0;
                        State::Bound { lease: renewed, asking: None }
                    }
                    Some(_) => self.setback(now),
                    None => State::Bound { lease: held, asking: None }.hold(now, rng),
                }
            }
            (State::Bound { lease: held, asking: Some(_) }, DhcpMessageType::Nak)
                if server == held.server || now >= held.rebind =>
            {
                self.last = None;
                self.setback(now)
            }
            (state, _) => state,
        };
        self.poll(now, rng, out);
    }

    /// Somebody at `mac` uses `address`.
    pub fn heard(
        &mut self,
        now: Instant,
        address: Ipv4Addr,
        mac: EthernetAddress,
        out: &mut Vec<Send>,
    ) -> bool {
        let State::Probing { lease, .. } = &self.state else { return false };
        if lease.address.address() != address || mac == self.mac {
            return false;
        }
        let asking = Asking { transaction: 0, since: now, tries: 0, again: now };
        let mut decline = self.message(DhcpMessageType::Decline, &asking, now);
        (decline.requested, decline.server) = (Some(address), Some(lease.server));
        out.push(to_all(&decline));
        self.setbacks += 1;
        self.last = None;
        self.state = State::Idle { at: now + DECLINED };
        true
    }

    /// The transaction that answers may be for.
    fn transaction(&self) -> Option<u32> {
        match &self.state {
            State::Selecting { asking } | State::Requesting { asking, .. } => Some(asking.transaction),
            State::Bound { asking, .. } => asking.map(|asking| asking.transaction),
            State::Idle { .. } | State::Probing { .. } => None,
        }
    }

    fn discover(&self, asking: Asking, now: Instant, rng: &mut Rng, out: &mut Vec<Send>) -> Asking {
        let mut discover = self.message(DhcpMessageType::Discover, &asking, now);
        discover.requested = self.last;
        out.push(to_all(&discover));
        asking.asked(now, rng)
    }

    fn message(&self, kind: DhcpMessageType, asking: &Asking, now: Instant) -> Message {
        let mut identifier = vec![1];
        identifier.extend_from_slice(self.mac.as_bytes());
        Message {
            seconds: u16::try_from(now.since(asking.since).as_secs()).unwrap_or(u16::MAX),
            client_identifier: Some(identifier),
            ..Message::new(kind, asking.transaction, self.mac)
        }
    }

    /// From the beginning: at once after the first time, later and later after more.
    fn setback(&mut self, now: Instant) -> State {
        self.setbacks += 1;
        let wait = match self.setbacks {
            0 | 1 => Duration::ZERO,
            more => FIRST_WAIT * (1 << (more - 2).min(DOUBLINGS_MAX)),
        };
        State::Idle { at: now + wait }
    }
}

impl State {
    /// A bound state that goes on asking later: the answer made no sense.
    fn hold(self, now: Instant, rng: &mut Rng) -> State {
        match self {
            State::Bound { lease, .. } => {
                let asking = Asking { again: now + RENEW_WAIT_MIN, ..Asking::new(now, rng) };
                State::Bound { lease, asking: Some(asking) }
            }
            other => other,
        }
    }
}

impl Asking {
    fn new(now: Instant, rng: &mut Rng) -> Self {
        Self { transaction: rng.next_u32(), since: now, tries: 0, again: now }
    }

    fn asked(self, now: Instant, rng: &mut Rng) -> Self {
        let wait = FIRST_WAIT * (1 << self.tries.min(DOUBLINGS_MAX));
        let spread = Duration::from_micros(rng.below(2_000_001));
        let again = now + (wait + spread - Duration::from_secs(1));
        Self { tries: self.tries.saturating_add(1), again, ..self }
    }
}

/// From nobody yet.
fn to_all(message: &Message) -> Send {
    Send::Packet(datagram(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, message))
}

/// A message of the client, with room for the Ethernet header in front.
fn datagram(source: Ipv4Addr, destination: Ipv4Addr, message: &Message) -> BytesMut {
    let datagram = dhcp::datagram((source, CLIENT_PORT), (destination, SERVER_PORT), message);
    ipv4(source, destination, IpProtocol::Udp, 0, 0, &datagram)
}
