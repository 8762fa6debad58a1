//! What entries do to the network, to addresses and to clocks.

use std::time::Duration;

use bytes::Bytes;
use smoltcp::wire::IpCidr;

use super::{Partition, World, world_port};
use crate::abi::lock;
use crate::network::Frame;
use crate::scenario::plan::{Action, DeviceRef, FramesPlan, LinkChange, Machines, PortPlan};
use crate::world::Event;

impl World {
    pub(super) fn act(&mut self, action: &Action) {
        match action {
            Action::Change { links, directions, change } => {
                links.iter().for_each(|&link| self.change_link(link, *directions, change));
            }
            Action::Partition(sides) => self.partition(sides),
            Action::Heal => self.timeline.partition = None,
            Action::Kill { machines: Machines { guests, routers, services }, graceful } => {
                guests.iter().for_each(|&guest| self.kill(guest, *graceful));
                routers.iter().for_each(|&router| self.kill_router(router, *graceful));
                services.iter().for_each(|&service| self.kill_service(service, *graceful));
            }
            Action::Pause(Machines { guests, routers, services }) => {
                guests.iter().for_each(|&guest| self.pause(guest));
                routers.iter().for_each(|&router| self.pause_router(router));
                services.iter().for_each(|&service| self.pause_service(service));
            }
            Action::Resume(Machines { guests, routers, services }) => {
                routers.iter().for_each(|&router| self.resume_router(router));
                services.iter().for_each(|&service| self.resume_service(service));
                guests.iter().for_each(|&guest| self.resume(guest));
            }
            Action::Restart { machines: Machines { guests, routers, services }, graceful } => {
                routers.iter().for_each(|&router| self.restart_router(router, *graceful));
                services.iter().for_each(|&service| self.restart_service(service, *graceful));
                guests.iter().for_each(|&guest| self.restart(guest, *graceful));
            }
            Action::Rebind { guest, interface, addresses } => {
                lock(&self.nodes[*guest].node).rebind(self.now, *interface, addresses);
                self.mark_dirty(*guest);
            }
            Action::RebindRouter { router, interface, addresses } => {
                self.rebind_router(*router, *interface, addresses);
            }
            Action::Dhcp { router, range, revoke } => {
                if let Some(server) = self.routers[*router].dhcp_mut(0) {
                    range.iter().for_each(|&range| server.set_range(range));
                    revoke.iter().for_each(|&mac| server.revoke(self.now, mac));
                }
            }
            Action::Inject { port, frames } => self.inject_frames(*port, frames),
            Action::Clock { guests, skew_ns } => {
                for &guest in guests {
                    lock(&self.nodes[guest].node).set_skew(*skew_ns);
                    // Who waits for a time of day looks at the clock again.
                    self.look_after(guest);
                }
            }
        }
    }

    fn rebind_router(&mut self, router: usize, interface: usize, addresses: &[IpCidr]) {
        self.routers[router].rebind(self.now, interface, addresses);
        self.follow_router(router);
    }

    fn change_link(&mut self, link: usize, directions: [bool; 2], change: &LinkChange) {
        let ends = [0, 1].map(|end| world_port(PortPlan { link, end }));
        for (port, _) in ends.into_iter().zip(directions).filter(|(_, changed)| *changed) {
            if let Some((_, direction)) = &self.ports[port].link {
                let parameters = change.over(&direction.parameters());
                self.set_link_parameters(port, parameters);
            }
        }
    }

    fn partition(&mut self, sides: &[Vec<DeviceRef>]) {
        let first_side = self.timeline.sides_used + 1;
        self.timeline.sides_used += sides.len() as u32;
        let side_of = |device| {
            let side = sides.iter().position(|side| side.contains(&device));
            side.map_or(0, |side| first_side + side as u32)
        };
        let sides = self.ports.iter().map(|port| side_of(port.device)).collect();
        self.timeline.partition = Some(Partition { first_side, sides });
    }

    /// Frames enter a device as if its link had brought them.
    fn inject_frames(&mut self, port: PortPlan, frames: &FramesPlan) {
        let port = world_port(port);
        match frames {
            FramesPlan::One(bytes) => self.inject_frame(port, Duration::ZERO, bytes.clone()),
            FramesPlan::Capture(path) => {
                let frames = self.timeline.captures[path].clone();
                for (after, bytes) in frames.iter() {
                    self.inject_frame(port, *after, bytes.clone());
                }
            }
        }
    }

    fn inject_frame(&mut self, port: usize, after: Duration, bytes: Bytes) {
        let id = self.next_packet();
        let frame = Frame { id, ..Frame::from_outside(bytes) };
        self.events.push(self.now + after, Event::Deliver { port, frame });
    }
}
