//! What devices dropped on their own account, links apart.

use std::collections::BTreeMap;

use super::{Service, World};
use crate::abi::lock;

impl World {
    /// Why stacks, services, routers and switches dropped frames, and how many; reasons that never occurred are left out.
    pub fn device_drops(&self) -> Vec<(&'static str, u64)> {
        let mut malformed = 0;
        let mut bad_checksum = 0;
        let mut backlog_full = 0;
        let mut datagrams = 0;
        let mut loopback = 0;
        for node in &self.nodes {
            for stack in lock(&node.node).stacks().map(|stack| stack.statistics()) {
                malformed += stack.malformed;
                bad_checksum += stack.bad_checksum;
                backlog_full += stack.backlog_full;
                datagrams += stack.datagrams_dropped;
                loopback += stack.loopback_dropped;
            }
        }
        let mut by_services: BTreeMap<&'static str, u64> = BTreeMap::new();
        for (slot, service) in self.nodes[self.guests_planned()..].iter().zip(&self.services) {
            let node = lock(&slot.node);
            let drops = match service {
                Service::Dns(server) => node.task(*server).map(|server| server.drops()),
                Service::Directory => None,
            };
            for (reason, count) in drops.into_iter().flatten() {
                *by_services.entry(reason).or_default() += count;
            }
        }
        let mut unroutable = 0;
        for router in self.routers.iter().map(|router| router.statistics()) {
            malformed += router.malformed;
            bad_checksum += router.bad_checksum;
            unroutable +=
                router.martian + router.no_route + router.expired + router.too_big + router.unresolved;
        }
        malformed += self
            .switches
            .iter()
            .map(|switch| switch.statistics().runts + switch.statistics().oversize)
            .sum::<u64>();
        let drops = [
            ("malformed", malformed),
            ("bad checksum", bad_checksum),
            ("unroutable", unroutable),
            ("SYN past a backlog", backlog_full),
            ("datagram past a buffer", datagrams),
            ("loopback packet past the queue", loopback),
        ];
        drops.into_iter().chain(by_services).filter(|(_, count)| *count > 0).collect()
    }
}
