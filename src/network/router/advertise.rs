//! Router advertisements (RFC 4861, section 6.2; RFC 8106 for DNS servers).
//!
//! Three soon after the beginning, then one each interval, to all nodes; and one to whoever asks, alone. Nothing here
//! draws a random number: intervals are what they are, where the RFC would vary them to keep routers out of step.
//!
//! Prefixes are those of the interface's addresses. One that the interface had and has no more goes on being told of
//! for a while, with lifetimes of nothing, so that hosts give it up (RFC 4862, section 5.5.3, lets them keep an address
//! for two hours).

use std::net::Ipv6Addr;
use std::time::Duration;

use smoltcp::wire::{EthernetAddress, EthernetProtocol, Ipv6Cidr};

use super::{Discard, Interface, Router};
use crate::network::Egress;
use crate::network::ip::ndp::{
    ALL_NODES, HOP_LIMIT_OF_NEIGHBOURS, OPTION_SOURCE_ADDRESS, ROUTER_ADVERTISEMENT, finish, group_mac,
    link_address,
};
use crate::time::Instant;

/// MAX_INITIAL_RTR_ADVERTISEMENTS and MAX_INITIAL_RTR_ADVERT_INTERVAL (section 10).
const FIRST_COUNT: u8 = 3;
const FIRST_INTERVAL: Duration = Duration::from_secs(16);
/// MIN_DELAY_BETWEEN_RAS: to all nodes, whatever they ask.
const MULTICAST_INTERVAL_MIN: Duration = Duration::from_secs(3);
/// How long a prefix that is gone is told of.
const RETIRED: Duration = Duration::from_secs(2 * 3600);
const RETIRED_MAX: usize = 8;

const OPTION_PREFIX: u8 = 3;
const OPTION_MTU: u8 = 5;
const OPTION_DNS: u8 = 25;
/// On-link, and for addresses.
const PREFIX_FLAGS: u8 = 0x80 | 0x40;
/// Solicitation: header and reserved word.
const SOLICITATION_BYTES_MIN: usize = 8;

/// What one interface advertises besides its prefixes. Lifetimes are told in whole seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertise {
    /// How long the router is a default router; zero: it is none.
    pub lifetime: Duration,
    /// Between advertisements to all nodes.
    pub interval: Duration,
    /// Of the addresses that hosts make from a prefix.
    pub valid: Duration,
    pub preferred: Duration,
    pub dns: Vec<Ipv6Addr>,
}

#[derive(Debug)]
pub(super) struct Advertiser {
    settings: Advertise,
    sent: u8,
    last: Option<Instant>,
    next: Instant,
    retired: Vec<(Ipv6Cidr, Instant)>,
}

impl Advertiser {
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Soon, for there is news.
    fn hurry(&mut self, now: Instant) {
        let earliest = self.last.map_or(now, |last| last + MULTICAST_INTERVAL_MIN);
        self.next = self.next.min(earliest.max(now));
    }
}

impl Router {
    /// Advertises this router at `port`, from `now` on.
    pub fn advertise(&mut self, now: Instant, port: usize, settings: Advertise) {
        self.interfaces[port].advertiser =
            Some(Box::new(Advertiser { settings, sent: 0, last: None, next: now, retired: Vec::new() }));
    }

    /// The prefixes that hosts at `port` have been told of are others now.
    pub(super) fn prefixes_changed(&mut self, now: Instant, port: usize, before: &[Ipv6Cidr]) {
        let interface = &mut self.interfaces[port];
        let present: Vec<Ipv6Cidr> = prefixes(&interface.ipv6).collect();
        let Some(advertiser) = &mut interface.advertiser else { return };
        advertiser.retired.retain(|(prefix, _)| !present.contains(prefix));
        for prefix in prefixes(before).filter(|prefix| !present.contains(prefix)) {
            advertiser.retired.retain(|(other, _)| *other != prefix);
            if advertiser.retired.len() == RETIRED_MAX {
                advertiser.retired.remove(0);
            }
            advertiser.retired.push((prefix, now + RETIRED));
        }
        advertiser.hurry(now);
    }

    pub(super) fn advertise_if_due(&mut self, now: Instant, port: usize, out: &mut Egress) {
        let Some(advertiser) = &mut self.interfaces[port].advertiser else { return };
        if advertiser.next > now {
            return;
        }
        advertiser.retired.retain(|&(_, until)| until > now);
        let interval = advertiser.settings.interval;
        let wait = if advertiser.sent < FIRST_COUNT { interval.min(FIRST_INTERVAL) } else { interval };
        advertiser.sent = advertiser.sent.saturating_add(1).min(FIRST_COUNT);
        advertiser.last = Some(now);
        // It must move time, whatever the settings are.
        advertiser.next = now + wait.max(MULTICAST_INTERVAL_MIN);
        self.send_advertisement(port, ALL_NODES, group_mac(ALL_NODES), out);
    }

    /// Answers a router solicitation (6.2.6). The checksum was verified.
    pub(super) fn ingest_router_solicitation(
        &mut self,
        now: Instant,
        port: usize,
        source: Ipv6Addr,
        hop_limit: u8,
        message: &[u8],
        out: &mut Egress,
    ) -> Result<(), Discard> {
        if hop_limit != HOP_LIMIT_OF_NEIGHBOURS || message.len() < SOLICITATION_BYTES_MIN || message[1] != 0 {
            return Err(Discard::Malformed);
        }
        let mac = link_address(&message[SOLICITATION_BYTES_MIN..], OPTION_SOURCE_ADDRESS)
            .ok_or(Discard::Malformed)?;
        let interface = &mut self.interfaces[port];
        let Some(advertiser) = &mut interface.advertiser else { return Err(Discard::Ignored) };
        match mac {
            Some(_) if source.is_unspecified() => Err(Discard::Malformed),
            Some(mac) if source.is_unicast_link_local() => {
                if !interface.errors.take(now) {
                    return Err(Discard::Ignored);
                }
                self.send_advertisement(port, source, mac, out);
                Ok(())
            }
            Some(_) | None => {
                advertiser.hurry(now);
                self.advertise_if_due(now, port, out);
                Ok(())
            }
        }
    }

    fn send_advertisement(&mut self, port: usize, to: Ipv6Addr, mac: EthernetAddress, out: &mut Egress) {
        let interface = &self.interfaces[port];
        let own = interface.ipv6.iter().map(|cidr| cidr.address());
        // 6.1.2: hosts believe a link-local source alone.
        let Some(source) = own.into_iter().find(|address| address.is_unicast_link_local()) else { return };
        let Some(message) = message(interface) else { return };
        let packet = finish(source, to, message);
        self.transmit_made(port, mac, EthernetProtocol::Ipv6, &packet, out);
    }
}

/// The advertisement of an interface, its checksum zero.
fn message(interface: &Interface) -> Option<Vec<u8>> {
    let Advertiser { settings, retired, .. } = interface.advertiser.as_deref()?;
    // 65,535 seconds fit, and 9000 are the most that hosts are to believe (section 4.2).
    let lifetime_s = u16::try_from(settings.lifetime.as_secs()).unwrap_or(u16::MAX);
    let mut message = vec![ROUTER_ADVERTISEMENT, 0, 0, 0, crate::network::ip::HOP_LIMIT, 0];
    message.extend_from_slice(&lifetime_s.to_be_bytes());
    // Reachable and retransmission time: unspecified.
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(&[OPTION_SOURCE_ADDRESS, 1]);
    message.extend_from_slice(interface.mac.as_bytes());
    message.extend_from_slice(&[OPTION_MTU, 1, 0, 0]);
    message.extend_from_slice(&u32::try_from(interface.mtu).unwrap_or(u32::MAX).to_be_bytes());
    let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    let (valid_s, preferred_s) = (seconds(settings.valid), seconds(settings.preferred));
    for prefix in prefixes(&interface.ipv6) {
        prefix_option(&mut message, prefix, valid_s, preferred_s);
    }
    for &(prefix, _) in retired {
        prefix_option(&mut message, prefix, 0, 0);
    }
    if !settings.dns.is_empty() {
        message.extend_from_slice(&[OPTION_DNS, 1 + 2 * settings.dns.len() as u8, 0, 0]);
        // As long as three advertisements (RFC 8106, section 5.1).
        message.extend_from_slice(&seconds(settings.interval * 3).to_be_bytes());
        settings.dns.iter().for_each(|server| message.extend_from_slice(&server.octets()));
    }
    Some(message)
}

fn prefix_option(message: &mut Vec<u8>, prefix: Ipv6Cidr, valid_s: u32, preferred_s: u32) {
    message.extend_from_slice(&[OPTION_PREFIX, 4, prefix.prefix_len(), PREFIX_FLAGS]);
    message.extend_from_slice(&valid_s.to_be_bytes());
    message.extend_from_slice(&preferred_s.min(valid_s).to_be_bytes());
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(&prefix.address().octets());
}

/// The subnets of these addresses, link-local ones left out.
fn prefixes(addresses: &[Ipv6Cidr]) -> impl Iterator<Item = Ipv6Cidr> + '_ {
    let mut seen = Vec::new();
    addresses.iter().filter(|cidr| !cidr.address().is_unicast_link_local()).filter_map(move |cidr| {
        let mask = u128::MAX.checked_shl(128 - u32::from(cidr.prefix_len())).unwrap_or(0);
        let network = Ipv6Addr::from_bits(cidr.address().to_bits() & mask);
        let prefix = Ipv6Cidr::new(network, cidr.prefix_len());
        (!seen.contains(&prefix)).then(|| {
            seen.push(prefix);
            prefix
        })
    })
}
