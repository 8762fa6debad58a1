//! What devices dropped on their own account, links apart.

use super::World;
use crate::abi::lock;

impl World {
    /// Why guests' stacks, routers and switches dropped frames, and how many; reasons that never occurred are left out.
    pub fn device_drops(&self) -> Vec<(&'static str, u64)> {
        let mut malformed = 0;
        let mut bad_checksum = 0;
        let mut backlog_full = 0;
        let mut datagrams = 0;
        let mut loopback = 0;
        let mut conflicts = 0;
        for node in &self.nodes {
            let stack = lock(&node.node).stack().statistics();
            malformed += stack.malformed;
            bad_checksum += stack.bad_checksum;
            backlog_full += stack.backlog_full;
            datagrams += stack.datagrams_dropped;
            loopback += stack.loopback_dropped;
            conflicts += stack.address_conflicts;
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
            ("address that another has", conflicts),
        ];
        drops.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}
