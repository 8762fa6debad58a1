//! What devices dropped on their own account, links apart.

use std::collections::BTreeMap;

use super::{Outbound, Port, Service, World};
use crate::abi::lock;
use crate::network::drops::DeviceDrop;
use crate::scenario::plan::DeviceRef;

impl World {
    /// What TAPs did not let through since they were opened.
    pub fn set_outside_drops(&mut self, drops: Vec<(DeviceDrop, u64)>) {
        self.outside_drops = drops;
    }

    /// A frame that had reached a TAP did not get out: the capture had it delivered, and is told.
    pub fn lost_outside(&mut self, outbound: &Outbound) {
        let tap = |port: &Port| port.device == DeviceRef::Tap(outbound.tap);
        if let Some(port) = self.ports.iter().position(tap) {
            self.record_loss(port, &outbound.frame);
        }
    }

    /// Why stacks, services, routers, switches and TAPs dropped frames, and how many; reasons that never occurred are left out.
    pub fn device_drops(&self) -> Vec<(DeviceDrop, u64)> {
        let mut drops: BTreeMap<DeviceDrop, u64> = BTreeMap::new();
        let mut add = |reason, count| *drops.entry(reason).or_default() += count;
        for node in &self.nodes {
            for stack in lock(&node.node).stacks().map(|stack| stack.statistics()) {
                add(DeviceDrop::Malformed, stack.malformed);
                add(DeviceDrop::BadChecksum, stack.bad_checksum);
                add(DeviceDrop::BacklogFull, stack.backlog_full);
                add(DeviceDrop::DatagramDropped, stack.datagrams_dropped);
                add(DeviceDrop::DatagramForeign, stack.datagrams_foreign);
                add(DeviceDrop::LoopbackFull, stack.loopback_dropped);
                add(DeviceDrop::Unresolved, stack.unresolved + stack.queue_full);
                add(DeviceDrop::Unroutable, stack.no_route);
                add(DeviceDrop::TooBig, stack.too_big);
                add(DeviceDrop::Unclaimed, stack.unclaimed);
                add(DeviceDrop::Forged, stack.forged);
                add(DeviceDrop::AddressConflict, stack.address_conflicts);
                add(DeviceDrop::NoBuffers, stack.no_buffers);
                add(DeviceDrop::Overlapping, stack.fragments_overlapping);
                add(DeviceDrop::Incomplete, stack.reassembly_expired + stack.reassembly_full);
            }
        }
        for (slot, service) in self.nodes[self.guests_planned()..].iter().zip(&self.services) {
            let node = lock(&slot.node);
            let of_service = match service {
                Service::Dns(server) => node.task(*server).map(|server| server.drops()),
                Service::Directory(directory) => {
                    let malformed = node.task(*directory).map_or(0, |directory| directory.malformed(&node));
                    add(DeviceDrop::UnixMalformed, malformed);
                    None
                }
            };
            of_service.into_iter().flatten().for_each(|(reason, count)| add(reason, count));
        }
        for router in self.routers.iter().map(|router| router.statistics()) {
            add(DeviceDrop::Malformed, router.malformed);
            add(DeviceDrop::BadChecksum, router.bad_checksum);
            add(DeviceDrop::Unroutable, router.martian + router.no_route);
            add(DeviceDrop::TooBig, router.too_big);
            add(DeviceDrop::Expired, router.expired);
            add(DeviceDrop::Unresolved, router.unresolved);
        }
        for switch in self.switches.iter().map(|switch| switch.statistics()) {
            add(DeviceDrop::Malformed, switch.runts + switch.oversize);
        }
        self.outside_drops.iter().for_each(|&(reason, count)| add(reason, count));
        drops.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}
