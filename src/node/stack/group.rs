//! Group membership of a host: who listens to what at which interface, told by IGMP and MLD (RFC 3376, RFC 3810).
//!
//! A group is reported when its first listener joins, once more within a second, in answer to queries, and when its
//! last listener leaves. All sources are listened to. Where a querier of IGMPv2 speaks, its reports are used.
//! The groups that neighbour discovery needs are answered for as well; smoltcp announces those when they are new.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::BytesMut;
use smoltcp::wire::{IpCidr, IpProtocol};

use super::Stack;
use crate::error::{Error, Result};
use crate::network::ip::group::{self, Message, Record};
use crate::network::ip::ndp::solicited_node;
use crate::network::ip::{ETHERNET_HEADER_BYTES, transport_sum};
use crate::time::Instant;

/// Groups of one interface.
const GROUPS_MAX: usize = 64;
/// The second unsolicited report comes within this time (RFC 3376, 8.11; RFC 3810, 9.11).
const REPEAT_WITHIN: Duration = Duration::from_secs(1);
/// How long a querier of the old version is reckoned with (RFC 3376, 8.12).
const OLD_QUERIER: Duration = Duration::from_secs(400);

/// Of one interface.
#[derive(Debug, Default)]
pub(super) struct Groups {
    listeners: BTreeMap<IpAddr, usize>,
    /// Reports to be sent, each with its time.
    reports: BTreeMap<IpAddr, (Instant, Report)>,
    old_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Report {
    /// A group that was just joined; once more a little later, should it be lost.
    First,
    Second,
    Answer,
    Leave,
}

impl Report {
    fn record(self) -> Record {
        match self {
            Report::First | Report::Second => Record::Joined,
            Report::Answer => Record::Member,
            Report::Leave => Record::Left,
        }
    }
}

impl Stack {
    /// One listener more for a group at interface `index`. What there is to tell is told in the next turn.
    ///
    /// # Errors
    /// No address of the family there, or too many groups.
    pub(super) fn group_join(&mut self, index: usize, group: IpAddr) -> Result<()> {
        if !self.interfaces[index].addresses.iter().any(|cidr| is_of_family(cidr, group)) {
            return Err(Error::AddressNotAvailable);
        }
        let groups = self.groups.entry(index).or_default();
        if !groups.listeners.contains_key(&group) && groups.listeners.len() >= GROUPS_MAX {
            return Err(Error::NoBuffers);
        }
        let count = groups.listeners.entry(group).or_default();
        *count += 1;
        if *count == 1 {
            groups.reports.insert(group, (Instant::START, Report::First));
            self.groups_changed = true;
        }
        Ok(())
    }

    /// One listener less. This is told in the next turn, too.
    pub(super) fn group_leave(&mut self, index: usize, group: IpAddr) {
        let Some(groups) = self.groups.get_mut(&index) else { return };
        let Some(count) = groups.listeners.get_mut(&group) else { return };
        *count -= 1;
        if *count == 0 {
            groups.listeners.remove(&group);
            groups.reports.insert(group, (Instant::START, Report::Leave));
            self.groups_changed = true;
        }
    }

    pub(super) fn is_listening(&self, index: usize, group: IpAddr) -> bool {
        self.groups.get(&index).is_some_and(|groups| groups.listeners.contains_key(&group))
    }

    /// A query: true if the packet was one, or another host's report.
    pub(super) fn heard_membership(&mut self, now: Instant, index: usize, ip: &[u8]) -> bool {
        let Some(message) = group::parse(ip) else { return false };
        let Message::Query { source, group: asked, within, old } = message else { return true };
        let has = |cidr: &IpCidr| is_of_family(cidr, source);
        let solicited = self.interfaces[index].addresses.iter().filter_map(|cidr| match cidr {
            IpCidr::Ipv6(cidr) => Some(IpAddr::V6(solicited_node(cidr.address()))),
            IpCidr::Ipv4(_) => None,
        });
        let mut members: Vec<IpAddr> = solicited.collect();
        if !self.interfaces[index].addresses.iter().any(has) {
            return true;
        }
        let groups = self.groups.entry(index).or_default();
        members.extend(groups.listeners.keys());
        members
            .retain(|group| group.is_ipv4() == source.is_ipv4() && asked.is_none_or(|asked| asked == *group));
        if old && source.is_ipv4() {
            groups.old_until = Some(now + OLD_QUERIER);
        }
        for group in members {
            let after = Duration::from_micros(self.rng.below(within.as_micros() as u64 + 1));
            let due = (now + after, Report::Answer);
            // What was to be told sooner still is.
            let report = groups.reports.entry(group).or_insert(due);
            report.0 = report.0.min(due.0);
        }
        true
    }

    pub(super) fn groups_due(&mut self, now: Instant) {
        self.groups_changed = false;
        if self.groups_poll_at().is_none_or(|at| at > now) {
            return;
        }
        for index in self.groups.keys().copied().collect::<Vec<_>>() {
            let Some(groups) = self.groups.get_mut(&index) else { continue };
            let due: Vec<_> =
                groups.reports.iter().filter(|(_, (at, _))| *at <= now).map(|(g, r)| (*g, r.1)).collect();
            groups.reports.retain(|_, (at, _)| *at > now);
            for &(group, report) in &due {
                if report == Report::First {
                    let after = Duration::from_micros(self.rng.below(REPEAT_WITHIN.as_micros() as u64));
                    groups.reports.insert(group, (now + after, Report::Second));
                }
            }
            for (group, report) in due {
                self.report_group(now, index, group, report.record());
            }
        }
    }

    pub(super) fn groups_poll_at(&self) -> Option<Instant> {
        self.groups.values().flat_map(|groups| groups.reports.values()).map(|&(at, _)| at).min()
    }

    fn report_group(&mut self, now: Instant, index: usize, group: IpAddr, record: Record) {
        let addresses = self.interfaces[index].addresses.iter().map(|cidr| IpAddr::from(cidr.address()));
        let source = addresses.into_iter().find(|&own| match own {
            IpAddr::V4(_) => group.is_ipv4(),
            IpAddr::V6(own) => group.is_ipv6() && own.is_unicast_link_local(),
        });
        let old =
            self.groups.get(&index).and_then(|groups| groups.old_until).is_some_and(|until| until > now);
        if let Some(source) = source
            && let Some((_, packet)) = group::report(source, group, record, old)
        {
            self.send(now, index, packet);
        }
    }

    /// True for an address that everybody on the link of interface `index` hears.
    pub(super) fn is_broadcast(&self, index: usize, address: IpAddr) -> bool {
        let IpAddr::V4(address) = address else { return false };
        let of_subnet = |cidr: &IpCidr| match cidr {
            IpCidr::Ipv4(cidr) => cidr.broadcast() == Some(address),
            IpCidr::Ipv6(_) => false,
        };
        address.is_broadcast()
            || self.interfaces.get(index).is_some_and(|it| it.addresses.iter().any(of_subnet))
    }

    /// The interface that a group is joined at: the one of that name, or the first.
    pub(super) fn interface_named(&self, name: Option<&str>) -> Result<usize> {
        let found = match name {
            Some(name) => self.interfaces.iter().position(|interface| interface.name == name),
            None => (!self.interfaces.is_empty()).then_some(0),
        };
        found.ok_or(Error::AddressNotAvailable)
    }
}

fn is_of_family(cidr: &IpCidr, address: IpAddr) -> bool {
    match cidr {
        IpCidr::Ipv4(_) => address.is_ipv4(),
        IpCidr::Ipv6(_) => address.is_ipv6(),
    }
}

/// smoltcp tells of a new group as of one that is left, and of one that is left as of a new one: the two kinds of record
/// (RFC 3810, 5.2.12) changed places in it. Puts them right in a report of its own.
pub(super) fn mend_report(packet: &mut BytesMut) {
    const RECORD: usize = 40 + 8 + 8;
    let Some(ip) = packet.get_mut(ETHERNET_HEADER_BYTES..) else { return };
    let is_report = ip.len() >= RECORD + 20 && ip[0] >> 4 == 6 && ip[6] == 0 && ip[40] == 58 && ip[48] == 143;
    let kind = match (is_report, ip.get(RECORD)) {
        (true, Some(3)) => 4,
        (true, Some(4)) => 3,
        _ => return,
    };
    ip[RECORD] = kind;
    let address = |at: usize, ip: &[u8]| -> IpAddr {
        let mut octets = [0; 16];
        octets.copy_from_slice(&ip[at..at + 16]);
        octets.into()
    };
    let (source, destination) = (address(8, ip), address(24, ip));
    ip[50..52].fill(0);
    let sum = !transport_sum(source, destination, IpProtocol::Icmpv6, &ip[48..]);
    ip[50..52].copy_from_slice(&sum.to_be_bytes());
}

pub(super) use crate::network::ip::group::is_local;

/// A group, or the address of everybody.
pub(super) fn is_many(address: IpAddr) -> bool {
    address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST)
}
