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
        let mut unresolved = 0;
        let mut unroutable = 0;
        let mut forged = 0;
        let mut no_buffers = 0;
        let mut overlapping = 0;
        let mut incomplete = 0;
        for node in &self.nodes {
            let stack = lock(&node.node).stack().statistics();
            malformed += stack.malformed;
            bad_checksum += stack.bad_checksum;
            backlog_full += stack.backlog_full;
            datagrams += stack.datagrams_dropped;
            loopback += stack.loopback_dropped;
            unresolved += stack.unresolved + stack.queue_full;
            unroutable += stack.no_route + stack.too_big;
            forged += stack.forged;
            no_buffers += stack.no_buffers;
            overlapping += stack.fragments_overlapping;
            incomplete += stack.reassembly_expired + stack.reassembly_full;
        }
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
            ("next hop did not answer", unresolved),
            ("forged ICMP error", forged),
            ("SYN past a backlog", backlog_full),
            ("datagram past a buffer", datagrams),
            ("past the guest's buffers", no_buffers),
            ("overlapping fragment", overlapping),
            ("packet short of fragments", incomplete),
            ("loopback packet past the queue", loopback),
        ];
        drops.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}
