//! Which ports want a group: the switch listens to what hosts report (RFC 4541).
//!
//! Everybody who reported a group is remembered with its port. Groups of the link go to every port. A group that nobody
//! reported does too, unless queries came in: then it goes to the ports of queriers alone, as members' do besides. Where
//! nobody queries, nobody is asked again, so members do not age: they stay until they leave.
//!
//! Bounded: each port has so many memberships. Who is behind a port that reported more is not known any more, so every group
//! goes there, as to a querier's port, for as long as a member would have been remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::network::ip::group::{self, Message};
use crate::time::Instant;

/// Group membership interval: twice the usual query interval, and the time for an answer (RFC 3376, 8.4).
const MEMBER: Duration = Duration::from_secs(260);
/// Other querier present interval (RFC 3376, 8.5).
const QUERIER: Duration = Duration::from_secs(255);
const MEMBERSHIPS_PER_PORT: usize = 128;
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xDD];
const ETHERNET_HEADER_BYTES: usize = 14;

/// Where a frame to an Ethernet group goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Towards {
    Everybody,
    Ports(BTreeSet<usize>),
}

#[derive(Debug, Default)]
pub(super) struct Snooper {
    /// Port and Ethernet address of each member, and when it last said so.
    groups: BTreeMap<IpAddr, BTreeMap<(usize, u64), Instant>>,
    memberships: BTreeMap<usize, usize>,
    queriers: BTreeMap<usize, Instant>,
    /// Ports with members that found no room, and when the last one was turned away.
    crowded: BTreeMap<usize, Instant>,
}

impl Snooper {
    /// A frame to a group, from the host `source` at `port`.
    pub fn ingest(&mut self, now: Instant, port: usize, source: u64, frame: &[u8]) -> Towards {
        let Some(ip) = ip(frame) else { return Towards::Everybody };
        self.queriers.retain(|_, seen| now.since(*seen) < QUERIER);
        match group::parse(ip) {
            Some(Message::Query { source, .. }) => {
                if !source.is_unspecified() {
                    self.queriers.insert(port, now);
                }
                Towards::Everybody
            }
            Some(Message::Report(groups)) => {
                for (group, joined) in groups {
                    match joined {
                        true => self.join(now, port, source, group),
                        false => self.leave(port, source, group),
                    }
                }
                // Hosts need not hear one another's, and one that does may keep silent (2.1.1, 1).
                match self.queriers.is_empty() {
                    true => Towards::Everybody,
                    false => Towards::Ports(self.queriers.keys().copied().collect()),
                }
            }
            None => destination(ip).map_or(Towards::Everybody, |group| self.towards(now, group)),
        }
    }

    fn towards(&mut self, now: Instant, group: IpAddr) -> Towards {
        if group::is_local(group) {
            return Towards::Everybody;
        }
        let aged = !self.queriers.is_empty();
        if aged {
            self.crowded.retain(|_, turned_away| now.since(*turned_away) < MEMBER);
        }
        if aged && let Some(members) = self.groups.get_mut(&group) {
            let memberships = &mut self.memberships;
            members.retain(|&(port, _), seen| {
                let alive = now.since(*seen) < MEMBER;
                if !alive {
                    release(memberships, port);
                }
                alive
            });
            if members.is_empty() {
                self.groups.remove(&group);
            }
        }
        let members = self.groups.get(&group);
        match (members, aged) {
            (None, false) => Towards::Everybody,
            (members, _) => {
                let members = members.into_iter().flat_map(|members| members.keys().map(|&(port, _)| port));
                let everything = self.queriers.keys().chain(self.crowded.keys()).copied();
                Towards::Ports(members.chain(everything).collect())
            }
        }
    }

    fn join(&mut self, now: Instant, port: usize, source: u64, group: IpAddr) {
        if group::is_local(group) {
            return;
        }
        let known = self.groups.get(&group).is_some_and(|members| members.contains_key(&(port, source)));
        let count = self.memberships.entry(port).or_default();
        if !known && *count >= MEMBERSHIPS_PER_PORT {
            self.crowded.insert(port, now);
            return;
        }
        *count += usize::from(!known);
        self.groups.entry(group).or_default().insert((port, source), now);
    }

    fn leave(&mut self, port: usize, source: u64, group: IpAddr) {
        let Some(members) = self.groups.get_mut(&group) else { return };
        if members.remove(&(port, source)).is_some() {
            release(&mut self.memberships, port);
        }
        if members.is_empty() {
            self.groups.remove(&group);
        }
    }
}

fn release(memberships: &mut BTreeMap<usize, usize>, port: usize) {
    if let Some(count) = memberships.get_mut(&port) {
        *count -= 1;
        if *count == 0 {
            memberships.remove(&port);
        }
    }
}

/// The IP packet of an untagged frame.
fn ip(frame: &[u8]) -> Option<&[u8]> {
    let ethertype: [u8; 2] = frame.get(12..ETHERNET_HEADER_BYTES)?.try_into().ok()?;
    let ip = &frame[ETHERNET_HEADER_BYTES..];
    let version = ip.first()? >> 4;
    ((ethertype == ETHERTYPE_IPV4 && version == 4) || (ethertype == ETHERTYPE_IPV6 && version == 6))
        .then_some(ip)
}

/// The group that a packet goes to.
fn destination(ip: &[u8]) -> Option<IpAddr> {
    let destination = match ip.first()? >> 4 {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(ip.get(16..20)?).ok()?)),
        _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(ip.get(24..40)?).ok()?)),
    };
    destination.is_multicast().then_some(destination)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::ip::group::{Record, report};

    fn at(seconds: u64) -> Instant {
        Instant::START + Duration::from_secs(seconds)
    }

    fn frame(ip: &[u8]) -> Vec<u8> {
        let ethertype = if ip[0] >> 4 == 4 { ETHERTYPE_IPV4 } else { ETHERTYPE_IPV6 };
        [&[0; 12][..], &ethertype, ip].concat()
    }

    fn told(group: &str, record: Record) -> Vec<u8> {
        let source = if group.contains(':') { "fe80::2" } else { "10.0.0.2" };
        let (_, packet) = report(source.parse().unwrap(), group.parse().unwrap(), record, false).unwrap();
        frame(&packet[ETHERNET_HEADER_BYTES..])
    }

    fn data(group: &str) -> Vec<u8> {
        match group.parse().unwrap() {
            IpAddr::V4(group) => {
                let mut ip = vec![0x45; 20];
                ip[16..20].copy_from_slice(&group.octets());
                frame(&ip)
            }
            IpAddr::V6(group) => {
                let mut ip = vec![0x60; 40];
                ip[24..40].copy_from_slice(&group.octets());
                frame(&ip)
            }
        }
    }

    fn query(source: [u8; 4]) -> Vec<u8> {
        let mut ip = vec![0x45, 0, 0, 32, 0, 0, 0, 0, 1, 2, 0, 0];
        ip.extend_from_slice(&source);
        ip.extend_from_slice(&[224, 0, 0, 1, 0x11, 100, 0xEE, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0]);
        frame(&ip)
    }

    fn ports(list: &[usize]) -> Towards {
        Towards::Ports(list.iter().copied().collect())
    }

    #[test]
    fn a_group_goes_to_its_members_and_to_nobody_else() {
        for group in ["239.1.2.3", "ff05::99"] {
            let mut snooper = Snooper::default();
            let mut ingest = |port, source, frame: &[u8]| snooper.ingest(at(0), port, source, frame);
            assert_eq!(ingest(0, 1, &data(group)), Towards::Everybody, "nobody said anything");
            assert_eq!(ingest(1, 2, &told(group, Record::Joined)), Towards::Everybody, "nobody asks");
            assert_eq!(ingest(0, 1, &data(group)), ports(&[1]));
            // Two hosts behind one port, and one of them leaves.
            ingest(2, 3, &told(group, Record::Joined));
            ingest(2, 4, &told(group, Record::Joined));
            ingest(2, 3, &told(group, Record::Left));
            assert_eq!(ingest(0, 1, &data(group)), ports(&[1, 2]));
            ingest(2, 4, &told(group, Record::Left));
            assert_eq!(ingest(0, 1, &data(group)), ports(&[1]));
            // Nobody leaves for another.
            ingest(3, 2, &told(group, Record::Left));
            assert_eq!(ingest(0, 1, &data(group)), ports(&[1]));
        }
    }

    #[test]
    fn groups_of_the_link_go_everywhere_and_are_not_kept() {
        let mut snooper = Snooper::default();
        for group in ["224.0.0.251", "ff02::fb"] {
            snooper.ingest(at(0), 1, 2, &told(group, Record::Joined));
            assert_eq!(snooper.ingest(at(0), 0, 1, &data(group)), Towards::Everybody);
        }
        assert!(snooper.groups.is_empty() && snooper.memberships.is_empty());
    }

    #[test]
    fn where_somebody_queries_members_age_and_strangers_are_pruned() {
        let mut snooper = Snooper::default();
        snooper.ingest(at(0), 1, 2, &told("239.1.2.3", Record::Joined));
        assert_eq!(snooper.ingest(at(1000), 0, 1, &data("239.1.2.3")), ports(&[1]), "nobody asks");
        snooper.ingest(at(1000), 3, 9, &query([0, 0, 0, 0]));
        assert_eq!(snooper.ingest(at(1000), 0, 1, &data("239.9.9.9")), Towards::Everybody, "no real querier");
        assert_eq!(snooper.ingest(at(1000), 3, 9, &query([10, 0, 0, 1])), Towards::Everybody);
        assert_eq!(snooper.ingest(at(1000), 0, 1, &data("239.9.9.9")), ports(&[3]));
        assert_eq!(snooper.ingest(at(1000), 2, 3, &told("239.1.2.3", Record::Member)), ports(&[3]));
        assert_eq!(snooper.ingest(at(1001), 0, 1, &data("239.1.2.3")), ports(&[2, 3]), "the first has aged");
        assert_eq!(
            snooper.ingest(at(1255), 0, 1, &data("239.9.9.9")),
            Towards::Everybody,
            "the querier has aged"
        );
    }

    #[test]
    fn a_host_that_invents_groups_and_addresses_is_heard_so_far_and_starves_nobody() {
        let mut snooper = Snooper::default();
        snooper.ingest(at(0), 1, 2, &told("239.1.2.3", Record::Joined));
        for number in 0..5000u32 {
            let group = format!("239.77.{}.{}", number >> 8, number & 0xFF);
            snooper.ingest(at(0), 2, u64::from(number), &told(&group, Record::Joined));
            snooper.ingest(at(0), 2, u64::from(number), &told("239.1.2.3", Record::Joined));
        }
        assert_eq!(snooper.memberships[&2], MEMBERSHIPS_PER_PORT);
        assert!(snooper.groups.values().map(BTreeMap::len).sum::<usize>() <= MEMBERSHIPS_PER_PORT + 1);
        let late = data("239.77.19.135");
        assert_eq!(snooper.ingest(at(0), 0, 1, &late), Towards::Everybody, "unknown: flooded");
        // Somebody else's membership takes nothing from the member that was not noted.
        snooper.ingest(at(0), 3, 3, &told("239.77.19.135", Record::Joined));
        assert_eq!(snooper.ingest(at(0), 0, 1, &late), ports(&[2, 3]));
        snooper.ingest(at(0), 3, 3, &told("239.1.2.3", Record::Joined));
        assert_eq!(snooper.ingest(at(0), 0, 1, &data("239.1.2.3")), ports(&[1, 2, 3]));
        // Neither does a querier, until those behind the port have been asked again and there was room.
        snooper.ingest(at(100), 4, 9, &query([10, 0, 0, 1]));
        assert_eq!(snooper.ingest(at(100), 0, 1, &data("239.5.5.5")), ports(&[2, 4]));
        snooper.ingest(at(250), 4, 9, &query([10, 0, 0, 1]));
        assert_eq!(snooper.ingest(at(260), 0, 1, &data("239.5.5.5")), ports(&[4]), "nobody reported again");
    }
}
