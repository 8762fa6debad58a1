//! Router discovery and addresses made of advertised prefixes (RFC 4861, section 6.3; RFC 4862, section 5.5).
//!
//! Asks for routers until one answers (RFC 7559), keeps what they say for as long as they say, and forgets it.
//! Addresses are of the modified EUI-64 of the MAC, so prefixes are of 64 bits. Bounded: the first few prefixes, routers
//! and DNS servers of a link count, whatever else is advertised there.

use std::net::Ipv6Addr;
use std::time::Duration;

use smoltcp::wire::EthernetAddress;

use crate::network::ip::address_of_mac;
use crate::network::ip::ndp::{ALL_ROUTERS, OPTION_SOURCE_ADDRESS, ROUTER_SOLICITATION, finish, options};
use crate::time::Instant;

/// Between questions: the first time, and at most (RFC 7559, section 2).
const SOLICIT_FIRST: Duration = Duration::from_secs(4);
const SOLICIT_MAX: Duration = Duration::from_secs(3600);
/// An unauthenticated advertisement leaves an address at least so long (RFC 4862, section 5.5.3 (e)).
const VALID_KEPT: Duration = Duration::from_secs(2 * 3600);
/// "For ever", as a lifetime.
const INFINITE_S: u32 = u32::MAX;

const PREFIXES_MAX: usize = 4;
const ROUTERS_MAX: usize = 4;
const DNS_MAX: usize = 3;

/// Header of an advertisement, up to its options.
const ADVERTISEMENT_BYTES_MIN: usize = 16;
const OPTION_PREFIX: u8 = 3;
const OPTION_DNS: u8 = 25;
const FLAG_ON_LINK: u8 = 0x80;
const FLAG_AUTONOMOUS: u8 = 0x40;

/// An address made of a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub address: Ipv6Addr,
    /// Of the subnet; 128 if the prefix is not on the link.
    pub prefix_len: u8,
    pub preferred_until: Instant,
    valid_until: Instant,
}

pub(super) struct Host {
    mac: EthernetAddress,
    /// `None` once a router answered.
    solicit_at: Option<Instant>,
    wait: Duration,
    made: Vec<Made>,
    /// Default routers, the one that is used first: of those that answer the first that was heard.
    routers: Vec<(Ipv6Addr, Instant)>,
    dns: Vec<(Ipv6Addr, Instant)>,
}

impl Host {
    pub fn new(mac: EthernetAddress) -> Self {
        Self {
            mac,
            solicit_at: Some(Instant::START),
            wait: SOLICIT_FIRST,
            made: Vec::new(),
            routers: Vec::new(),
            dns: Vec::new(),
        }
    }

    pub fn made(&self) -> &[Made] {
        &self.made
    }

    /// The router that is the next hop to everywhere.
    pub fn router(&self) -> Option<Ipv6Addr> {
        self.routers.first().map(|&(router, _)| router)
    }

    /// A router does not answer to its address: it is tried again once all others have fallen silent, too. True if another
    /// one is in its place now.
    pub fn is_silent(&mut self, router: Ipv6Addr) -> bool {
        let Some(at) = self.routers.iter().position(|&(other, _)| other == router) else { return false };
        let silent = self.routers.remove(at);
        self.routers.push(silent);
        at == 0 && self.routers.len() > 1
    }

    pub fn dns(&self) -> impl Iterator<Item = Ipv6Addr> + '_ {
        self.dns.iter().map(|&(server, _)| server)
    }

    pub fn poll_at(&self, now: Instant) -> Option<Instant> {
        let preferred = self.made.iter().map(|made| made.preferred_until).filter(|&until| until > now);
        let valid = self.made.iter().map(|made| made.valid_until);
        let others = self.routers.iter().chain(&self.dns).map(|&(_, until)| until);
        let ends = preferred.chain(valid).chain(others).filter(|&until| until < Instant::FAR_FUTURE);
        ends.chain(self.solicit_at).min()
    }

    /// Forgets what is over, and asks for routers if it is time; `own` is the interface's link-local address. Packets
    /// to be sent are added to `out`, each with its group.
    pub fn poll(&mut self, now: Instant, own: Option<Ipv6Addr>, out: &mut Vec<(Ipv6Addr, Vec<u8>)>) {
        self.made.retain(|made| made.valid_until > now);
        self.routers.retain(|&(_, until)| until > now);
        self.dns.retain(|&(_, until)| until > now);
        if self.solicit_at.is_none_or(|at| at > now) {
            return;
        }
        // Without an address of its own it cannot say who asks; the answer goes to all.
        let mut solicit = vec![ROUTER_SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
        if own.is_some() {
            solicit.extend_from_slice(&[OPTION_SOURCE_ADDRESS, 1]);
            solicit.extend_from_slice(self.mac.as_bytes());
        }
        let source = own.unwrap_or(Ipv6Addr::UNSPECIFIED);
        out.push((ALL_ROUTERS, finish(source, ALL_ROUTERS, solicit)));
        self.solicit_at = Some(now + self.wait);
        self.wait = (self.wait * 2).min(SOLICIT_MAX);
    }

    /// Takes an advertisement: an ICMPv6 message whose checksum is right, from the link-local address `router`. False
    /// if there is something wrong with it; then none of it counts.
    pub fn ingest(&mut self, now: Instant, router: Ipv6Addr, message: &[u8]) -> bool {
        let read = |bytes| options(bytes).collect::<Option<Vec<_>>>();
        let Some(options) = message.get(ADVERTISEMENT_BYTES_MIN..).and_then(read) else { return false };
        if message[1] != 0 {
            return false;
        }
        let lifetime_s = u16::from_be_bytes([message[6], message[7]]);
        let until = now + Duration::from_secs(lifetime_s.into());
        remember(&mut self.routers, router, (lifetime_s > 0).then_some(until), ROUTERS_MAX);
        for (kind, data) in options {
            match kind {
                OPTION_PREFIX => self.take_prefix(now, data),
                OPTION_DNS => self.take_dns(now, data),
                _ => {}
            }
        }
        // Whoever is no default router may not be the one that is looked for (RFC 7559, section 2.2).
        if lifetime_s > 0 {
            self.solicit_at = None;
            self.wait = SOLICIT_FIRST;
        }
        true
    }

    /// RFC 4862, section 5.5.3; `data` follows the option's length.
    fn take_prefix(&mut self, now: Instant, data: &[u8]) {
        let Some(data) = data.first_chunk::<30>() else { return };
        let (prefix_len, flags) = (data[0], data[1]);
        let seconds = |at: usize| u32::from_be_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]]);
        let (valid_s, preferred_s) = (seconds(2), seconds(6));
        let mut octets = [0; 16];
        octets.copy_from_slice(&data[14..30]);
        let prefix = Ipv6Addr::from(octets);
        let fits = flags & FLAG_AUTONOMOUS != 0
            && prefix_len == 64
            && preferred_s <= valid_s
            && !prefix.is_unicast_link_local()
            && !prefix.is_multicast()
            && prefix.segments()[..4] != [0; 4];
        if !fits {
            return;
        }
        let address = address_of_mac(prefix, self.mac);
        let after = |seconds: u32| match seconds {
            INFINITE_S => Instant::FAR_FUTURE,
            seconds => now + Duration::from_secs(seconds.into()),
        };
        let (valid_until, preferred_until) = (after(valid_s), after(preferred_s));
        let prefix_len = if flags & FLAG_ON_LINK != 0 { 64 } else { 128 };
        let room = self.made.len() < PREFIXES_MAX;
        match self.made.iter_mut().find(|made| made.address == address) {
            Some(made) => {
                // Nobody can end an address at once by one forged advertisement.
                let kept = now + VALID_KEPT;
                made.valid_until = if valid_until > kept || valid_until > made.valid_until {
                    valid_until
                } else {
                    made.valid_until.min(kept)
                };
                (made.preferred_until, made.prefix_len) = (preferred_until, prefix_len);
            }
            None if valid_s > 0 && room => {
                self.made.push(Made { address, prefix_len, preferred_until, valid_until });
            }
            None => {}
        }
    }

    /// RFC 8106, section 5.1.
    fn take_dns(&mut self, now: Instant, data: &[u8]) {
        let Some((head, servers)) = data.split_first_chunk::<6>() else { return };
        let lifetime_s = u32::from_be_bytes([head[2], head[3], head[4], head[5]]);
        let until = match lifetime_s {
            INFINITE_S => Instant::FAR_FUTURE,
            seconds => now + Duration::from_secs(seconds.into()),
        };
        let (servers, _) = servers.as_chunks::<16>();
        for server in servers.iter().map(|octets| Ipv6Addr::from(*octets)) {
            if !server.is_multicast() && !server.is_unspecified() {
                remember(&mut self.dns, server, (lifetime_s > 0).then_some(until), DNS_MAX);
            }
        }
    }
}

/// Keeps something until then, or no longer.
fn remember(list: &mut Vec<(Ipv6Addr, Instant)>, address: Ipv6Addr, until: Option<Instant>, most: usize) {
    let known = list.iter().position(|&(other, _)| other == address);
    match (known, until) {
        (Some(at), Some(until)) => list[at].1 = until,
        (Some(at), None) => {
            list.remove(at);
        }
        (None, Some(until)) if list.len() < most => list.push((address, until)),
        (None, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 9]);
    const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

    fn at(seconds: u64) -> Instant {
        Instant::START + Duration::from_secs(seconds)
    }

    fn advertisement(lifetime_s: u16, prefixes: &[(&str, u32, u32)]) -> Vec<u8> {
        let mut message = vec![134, 0, 0, 0, 64, 0];
        message.extend_from_slice(&lifetime_s.to_be_bytes());
        message.extend_from_slice(&[0; 8]);
        for (prefix, valid_s, preferred_s) in prefixes {
            message.extend_from_slice(&[OPTION_PREFIX, 4, 64, FLAG_ON_LINK | FLAG_AUTONOMOUS]);
            message.extend_from_slice(&valid_s.to_be_bytes());
            message.extend_from_slice(&preferred_s.to_be_bytes());
            message.extend_from_slice(&[0; 4]);
            message.extend_from_slice(&prefix.parse::<Ipv6Addr>().unwrap().octets());
        }
        message
    }

    fn addresses(host: &Host) -> Vec<String> {
        host.made().iter().map(|made| made.address.to_string()).collect()
    }

    #[test]
    fn a_router_that_does_not_answer_gives_way_to_the_next() {
        let routers = [1, 2, 3].map(|last| Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last));
        let mut host = Host::new(MAC);
        for router in routers {
            assert!(host.ingest(at(0), router, &advertisement(1800, &[])));
        }
        assert!(!host.is_silent(routers[1]), "it was not the one in use");
        assert_eq!(host.router(), Some(routers[0]));
        assert!(host.is_silent(routers[0]));
        assert_eq!(host.router(), Some(routers[2]));
        // What it says of itself later does not bring it back in front of one that answers.
        host.ingest(at(1), routers[0], &advertisement(1800, &[]));
        assert_eq!(host.router(), Some(routers[2]));
        assert!(host.is_silent(routers[2]));
        assert_eq!(host.router(), Some(routers[1]), "each in its turn");
        // The last one that is left stays, whatever it does.
        for router in [routers[0], routers[2]] {
            host.ingest(at(2), router, &advertisement(0, &[]));
        }
        assert!(!host.is_silent(routers[1]) && !host.is_silent(routers[0]));
        assert_eq!(host.router(), Some(routers[1]));
    }

    #[test]
    fn asks_until_a_router_answers_and_keeps_what_it_says_for_so_long() {
        let mut host = Host::new(MAC);
        let mut out = Vec::new();
        for seconds in [0, 4, 12, 28] {
            assert_eq!(host.poll_at(at(seconds)), Some(at(seconds)));
            host.poll(at(seconds), Some(ROUTER), &mut out);
        }
        assert_eq!(out.len(), 4);
        assert!(host.ingest(at(30), ROUTER, &advertisement(1800, &[("fd00:7::", 3600, 600)])));
        assert_eq!(addresses(&host), ["fd00:7::ff:fe00:9"]);
        assert_eq!(host.router(), Some(ROUTER));
        assert_eq!(host.poll_at(at(30)), Some(at(630)), "deprecated then");
        host.poll(at(630), Some(ROUTER), &mut out);
        assert_eq!(host.poll_at(at(630)), Some(at(1830)), "no default router then");
        host.poll(at(1830), Some(ROUTER), &mut out);
        assert_eq!((host.router(), addresses(&host).len()), (None, 1));
        host.poll(at(3630), Some(ROUTER), &mut out);
        assert!(addresses(&host).is_empty());
        assert_eq!((host.poll_at(at(3630)), out.len()), (None, 4));
    }

    #[test]
    fn one_advertisement_ends_no_address_within_two_hours() {
        let mut host = Host::new(MAC);
        host.ingest(at(0), ROUTER, &advertisement(0, &[("fd00:7::", 86_400, 86_400)]));
        host.ingest(at(10), ROUTER, &advertisement(0, &[("fd00:7::", 0, 0)]));
        assert_eq!(host.made()[0].preferred_until, at(10));
        assert_eq!(host.made()[0].valid_until, at(10 + 7200));
        // Again and again does not make it longer.
        host.ingest(at(1000), ROUTER, &advertisement(0, &[("fd00:7::", 0, 0)]));
        assert_eq!(host.made()[0].valid_until, at(10 + 7200));
        host.ingest(at(1000), ROUTER, &advertisement(0, &[("fd00:7::", 7300, 0)]));
        assert_eq!(host.made()[0].valid_until, at(8300));
        assert!(host.solicit_at.is_some(), "no default router yet");
    }

    #[test]
    fn prefixes_that_cannot_be_used_are_not() {
        let mut host = Host::new(MAC);
        let wrong = [
            ("fe80::", 60, 60),
            ("ff05::", 60, 60),
            ("::", 60, 60),
            ("fd00:1::", 60, 61),
            ("fd00:2::", 0, 0),
        ];
        host.ingest(at(0), ROUTER, &advertisement(60, &wrong));
        let mut longer = advertisement(60, &[("fd00:3::", 60, 60)]);
        longer[ADVERTISEMENT_BYTES_MIN + 2] = 65;
        host.ingest(at(0), ROUTER, &longer);
        assert!(addresses(&host).is_empty());
        let many: Vec<String> = (0..100).map(|n| format!("fd00:{n:x}::")).collect();
        let many: Vec<_> = many.iter().map(|prefix| (prefix.as_str(), 60, 60)).collect();
        host.ingest(at(0), ROUTER, &advertisement(60, &many));
        assert_eq!(addresses(&host).len(), PREFIXES_MAX);
        for number in 0..100 {
            let router = Ipv6Addr::from_bits(ROUTER.to_bits() + number);
            host.ingest(at(0), router, &advertisement(60, &[]));
        }
        assert_eq!(host.routers.len(), ROUTERS_MAX);
        assert!(!host.ingest(at(0), ROUTER, &[134; 15]));
        assert!(!host.ingest(
            at(0),
            ROUTER,
            &[&advertisement(60, &[])[..], &[3, 0, 0, 0, 0, 0, 0, 0]].concat()
        ));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), now in 0u64..1 << 40) {
            let mut host = Host::new(MAC);
            host.ingest(at(now), ROUTER, &bytes);
            host.poll(at(now), None, &mut Vec::new());
            prop_assert!(host.made().len() <= PREFIXES_MAX && host.dns().count() <= DNS_MAX);
        }
    }
}
