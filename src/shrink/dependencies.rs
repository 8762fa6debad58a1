//! Which guests need which others: who speaks first needs whom it speaks to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use smoltcp::wire::{
    ArpOperation, ArpPacket, EthernetFrame, EthernetProtocol, Icmpv6Message, Icmpv6Packet, IpProtocol,
    Ipv4Packet, Ipv6Packet,
};

use crate::capture::Way;
use crate::lab::Report;
use crate::scenario::plan::Plan;

/// Of each guest, by its place in the plan, those that it needs, as far as a run shows.
pub(super) fn dependencies(plan: &Plan, report: &Report) -> Vec<BTreeSet<usize>> {
    let mut owners: BTreeMap<IpAddr, usize> = BTreeMap::new();
    let mut ports: BTreeMap<String, usize> = BTreeMap::new();
    for (number, guest) in plan.guests.iter().enumerate() {
        let addresses = guest.interfaces.iter().flat_map(|interface| &interface.addresses);
        owners.extend(addresses.map(|cidr| (IpAddr::from(cidr.address()), number)));
    }
    for end in plan.links.iter().flat_map(|link| &link.ends) {
        if let crate::scenario::plan::DeviceRef::Guest(number) = end.device {
            ports.insert(end.name.clone(), number);
        }
    }
    let senders: Vec<Option<usize>> =
        report.session.ports.iter().map(|port| ports.get(&port.name).copied()).collect();
    let mut needs = vec![BTreeSet::new(); plan.guests.len()];
    for record in report.records.iter().filter(|record| record.way == Way::Outbound) {
        let Some(&Some(sender)) = senders.get(record.port as usize) else { continue };
        let spoken_to = spoken_to(&record.frame.bytes).and_then(|address| owners.get(&address));
        let Some(&peer) = spoken_to.filter(|&&peer| peer != sender) else { continue };
        let answers: bool = needs[peer].contains(&sender);
        if !answers {
            needs[sender].insert(peer);
        }
    }
    needs
}

/// These guests and all that they need, and so on.
pub(super) fn closure(guests: BTreeSet<usize>, needs: &[BTreeSet<usize>]) -> BTreeSet<usize> {
    let mut open: Vec<usize> = guests.iter().copied().collect();
    let mut closed = guests;
    while let Some(guest) = open.pop() {
        open.extend(needs[guest].iter().copied().filter(|&peer| closed.insert(peer)));
    }
    closed
}

/// Those of `items` that are joined by these pairs, directly or by others of them, together; in the order of the first of each.
pub(super) fn groups<T: Clone + Ord>(items: &[T], pairs: &[(T, T)]) -> Vec<BTreeSet<T>> {
    let mut peers: BTreeMap<&T, Vec<&T>> = items.iter().map(|item| (item, Vec::new())).collect();
    let known: BTreeSet<&T> = items.iter().collect();
    for (a, b) in pairs.iter().filter(|(a, b)| known.contains(a) && known.contains(b)) {
        peers.entry(a).or_default().push(b);
        peers.entry(b).or_default().push(a);
    }
    let mut groups: Vec<BTreeSet<T>> = Vec::new();
    let mut grouped: BTreeSet<&T> = BTreeSet::new();
    for item in items {
        let mut open = vec![item];
        let mut group = BTreeSet::new();
        while let Some(item) = open.pop() {
            if grouped.insert(item) {
                group.insert(item.clone());
                open.extend(&peers[item]);
            }
        }
        if !group.is_empty() {
            groups.push(group);
        }
    }
    groups
}

/// Whose address a frame is for, or asks for.
fn spoken_to(frame: &[u8]) -> Option<IpAddr> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    match frame.ethertype() {
        EthernetProtocol::Arp => {
            let packet = ArpPacket::new_checked(frame.payload()).ok()?;
            let target: [u8; 4] = packet.target_protocol_addr().try_into().ok()?;
            (packet.operation() == ArpOperation::Request).then_some(target.into())
        }
        EthernetProtocol::Ipv4 => {
            let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
            Some(packet.dst_addr().into())
        }
        EthernetProtocol::Ipv6 => {
            let packet = Ipv6Packet::new_checked(frame.payload()).ok()?;
            if packet.next_header() == IpProtocol::Icmpv6
                && let Ok(icmp) = Icmpv6Packet::new_checked(packet.payload())
                && icmp.msg_type() == Icmpv6Message::NeighborSolicit
            {
                return Some(icmp.target_addr().into());
            }
            Some(packet.dst_addr().into())
        }
        EthernetProtocol::Unknown(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_speak_with_one_another_are_a_group() {
        let groups = |pairs: &[(u32, u32)]| groups(&[4, 1, 2, 3], pairs);
        assert_eq!(groups(&[]), [[4].into(), [1].into(), [2].into(), [3].into()]);
        // Nobody who is not among them joins any.
        assert_eq!(groups(&[(1, 9), (2, 9)]).len(), 4);
        assert_eq!(groups(&[(1, 3), (2, 4), (4, 2)]), [[2, 4].into(), BTreeSet::from([1, 3])]);
        assert_eq!(groups(&[(1, 2), (3, 2), (3, 4)]).len(), 1);
    }

    #[test]
    fn what_is_needed_of_what_is_needed_is_needed() {
        let needs = [vec![], vec![0], vec![1], vec![0]].map(|peers| peers.into_iter().collect());
        assert_eq!(closure([2].into(), &needs), [0, 1, 2].into());
        assert_eq!(closure([3].into(), &needs), [0, 3].into());
        assert_eq!(closure([0].into(), &needs), [0].into());
    }
}
