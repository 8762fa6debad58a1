//! Frames between ports: recorded, judged by their link, delivered.

use std::net::IpAddr;

use super::{Event, Outbound, Service, World};
use crate::abi::lock;
use crate::capture::{Record, Way};
use crate::network::ip::is_link_local;
use crate::network::link::{DropReason, LinkParameters, Outcome, Verdict};
use crate::network::{Egress, Frame, PacketId};
use crate::scenario::plan::DeviceRef;
use crate::time::Instant;

/// Switches that a frame crosses in one go.
const CROSSING_MAX: usize = 32;

impl World {
    pub(super) fn next_packet(&mut self) -> PacketId {
        self.packets += 1;
        PacketId(self.packets)
    }

    /// A frame leaves its device by `port`. It is captured before the link's verdict, and with it.
    pub(super) fn transmit(&mut self, port: usize, mut frame: Frame) {
        if frame.id == PacketId::NONE {
            frame.id = self.next_packet();
        }
        let now = self.now;
        self.totals.frames += 1;
        self.totals.bytes += frame.len() as u64;
        let (peer, verdict) = match &mut self.ports[port].link {
            Some((peer, _)) if self.timeline.parts(&mut frame, port, *peer) => {
                (*peer, Verdict::Drop(DropReason::Partition))
            }
            Some((peer, direction)) => (*peer, direction.offer(now, &frame, &mut self.outcomes)),
            None => (port, Verdict::Drop(DropReason::Unplugged)),
        };
        let dropped = match verdict {
            Verdict::Deliver(_) | Verdict::Taken => None,
            Verdict::Drop(reason) => Some(reason),
        };
        self.record_departure(port, &frame, dropped, false);
        self.watch_packet(port, Way::Outbound, &frame, dropped, false);
        match verdict {
            Verdict::Deliver(at) => self.arrive(peer, at, frame),
            Verdict::Drop(_) => self.totals.dropped += 1,
            Verdict::Taken => self.follow_link(port),
        }
        if !self.outcomes.is_empty() {
            self.follow_link(port);
        }
    }

    /// Nodes of guests, which come before those of services.
    pub(super) fn guests_planned(&self) -> usize {
        self.nodes.len() - self.services.len()
    }

    /// The node that a device is, if it is one.
    pub(super) fn node_of(&self, device: DeviceRef) -> Option<usize> {
        match device {
            DeviceRef::Guest(guest) => Some(guest),
            DeviceRef::Service(service) => Some(self.guests_planned() + service),
            DeviceRef::Switch(_) | DeviceRef::Router(_) | DeviceRef::Tap(_) => None,
        }
    }

    /// A frame is to reach `port` at `at`.
    fn arrive(&mut self, port: usize, at: Instant, frame: Frame) {
        if at > self.now {
            return self.events.push(at, Event::Deliver { port, frame });
        }
        match self.ports[port].device {
            // A switch adds no time and no work of its own: what crosses it goes on at once, unless the chain is so long
            // that the stack would not bear it.
            DeviceRef::Switch(_) if self.crossing < CROSSING_MAX => {
                self.crossing += 1;
                self.deliver(port, frame, false);
                self.crossing -= 1;
            }
            DeviceRef::Switch(_)
            | DeviceRef::Guest(_)
            | DeviceRef::Router(_)
            | DeviceRef::Tap(_)
            | DeviceRef::Service(_) => {
                self.immediate.push_back((port, frame));
            }
        }
    }

    /// The link behind `port` has frames whose turn it is.
    pub(super) fn poll_link(&mut self, port: usize) {
        if let Some((_, direction)) = &mut self.ports[port].link {
            direction.poll(self.now, &mut self.outcomes);
        }
        self.follow_link(port);
    }

    /// Acts on what the link behind `port` said of frames that it had taken, and sees to it that it is asked again. A
    /// frame that it drops now was recorded as it left; the drop is a record of its own.
    fn follow_link(&mut self, port: usize) {
        let Some((peer, direction)) = &self.ports[port].link else { return };
        let (peer, poll_at) = (*peer, direction.poll_at());
        let mut outcomes = std::mem::take(&mut self.outcomes);
        for outcome in outcomes.drain(..) {
            match outcome {
                Outcome::Deliver { at, frame } => self.arrive(peer, at, frame),
                Outcome::Drop { frame, reason } => {
                    self.record_departure(port, &frame, Some(reason), true);
                    self.watch_packet(port, Way::Outbound, &frame, Some(reason), true);
                    self.totals.dropped += 1;
                }
            }
        }
        self.outcomes = outcomes;
        if let Some(at) = poll_at {
            let timer = &mut self.ports[port].link_timer;
            if timer.is_none_or(|timer| at < timer) {
                *timer = Some(at);
                self.events.push(at, Event::LinkTimer { port, at });
            }
        }
    }

    /// Other knobs for what leaves by `port`, from now on.
    pub fn set_link_parameters(&mut self, port: usize, parameters: LinkParameters) {
        let Some((_, direction)) = &mut self.ports[port].link else { return };
        direction.set_parameters(self.now, parameters, &mut self.outcomes);
        let impaired = !direction.is_ideal();
        self.follow_link(port);
        if impaired {
            self.set_checksums(true);
            self.make_eager();
        }
    }

    /// Once a link of the lab is impaired, all stacks are polled for each packet, those beyond switches and routers too: each of
    /// a burst of segments is to be acknowledged, since windows open with each acknowledgement (RFC 5681, section 3.1).
    pub(super) fn make_eager(&mut self) {
        if !std::mem::replace(&mut self.eager, true) {
            (0..self.nodes.len()).for_each(|node| self.make_node_eager(node));
        }
    }

    pub(super) fn make_node_eager(&mut self, node: usize) {
        let slot = &self.nodes[node];
        let mut node = lock(&slot.node);
        (0..slot.ports.len()).for_each(|index| node.set_eager(index, true));
    }

    /// Entries of the timeline may wait for the frame.
    #[inline]
    fn watch_packet(
        &mut self,
        port: usize,
        way: Way,
        frame: &Frame,
        dropped: Option<DropReason>,
        late: bool,
    ) {
        if self.awaits_packets() {
            self.saw_packet(&Record {
                at: self.now,
                port: port as u32,
                way,
                frame: frame.clone(),
                dropped,
                late,
            });
        }
    }

    /// A frame reaches `port` and goes into its device; `scheduled` if an event brought it, rather than its link at once.
    pub(super) fn deliver(&mut self, port: usize, frame: Frame, scheduled: bool) {
        self.record_arrival(port, &frame, scheduled);
        self.watch_packet(port, Way::Inbound, &frame, None, false);
        let index = self.ports[port].index;
        match self.ports[port].device {
            device @ (DeviceRef::Guest(_) | DeviceRef::Service(_)) => {
                let Some(node) = self.node_of(device).filter(|&node| self.nodes[node].powered) else {
                    return;
                };
                let (woken, secrets, qlogs) = {
                    let mut node = lock(&self.nodes[node].node);
                    node.ingest(self.now, index, frame);
                    node.take_egress(&mut self.scratch);
                    (node.take_woken(), node.take_secrets(), node.take_qlogs())
                };
                self.record_secrets(secrets);
                self.record_qlogs(qlogs);
                if !self.scratch.is_empty() {
                    self.send_from_node(node);
                }
                if woken {
                    self.make_ready(node);
                }
                self.mark_dirty(node);
            }
            DeviceRef::Switch(switch) => {
                let mut egress = std::mem::take(&mut self.egress);
                self.switches[switch].ingest(self.now, index, frame, &mut egress);
                for (index, frame) in egress.drain(..) {
                    self.transmit(self.switch_ports[switch][index], frame);
                }
                self.egress = egress;
            }
            DeviceRef::Router(router) if self.routers_off[router] => {}
            DeviceRef::Router(router) => {
                let mut egress = std::mem::take(&mut self.egress);
                self.routers[router].ingest(self.now, index, frame, &mut egress);
                self.send_from_router(router, egress);
            }
            DeviceRef::Tap(tap) => self.outbound.push(Outbound { tap, frame }),
        }
    }

    pub(super) fn send_from_router(&mut self, router: usize, mut egress: Egress) {
        for (index, frame) in egress.drain(..) {
            self.transmit(self.router_ports[router][index], frame);
        }
        self.egress = egress;
        self.follow_router(router);
    }

    /// Sees to it that a router is asked again when it has something to do.
    pub(super) fn follow_router(&mut self, router: usize) {
        if let Some(at) = self.routers[router].poll_at() {
            let at = at.max(self.now);
            if self.router_timers[router].is_none_or(|timer| at < timer) {
                self.router_timers[router] = Some(at);
                self.events.push(at, Event::RouterTimer { router, at });
            }
        }
    }

    /// Sends what a node left in `scratch`.
    fn send_from_node(&mut self, node: usize) {
        let mut frames = std::mem::take(&mut self.scratch);
        for (index, frame) in frames.drain(..) {
            self.transmit(self.nodes[node].ports[index], frame);
        }
        self.scratch = frames;
    }

    pub(super) fn mark_dirty(&mut self, node: usize) {
        if !self.nodes[node].dirty {
            self.nodes[node].dirty = true;
            self.dirty.push(node);
        }
    }

    /// A node is at other addresses: its name leads there from now on, and the lab's name servers say so.
    pub(super) fn follow_node(&mut self, node: usize, addresses: &[IpAddr]) {
        self.whereabouts.moved(node, addresses);
        let first = self.guests_planned();
        let others = addresses.iter().copied().filter(|&address| !is_link_local(address));
        let global: Vec<IpAddr> = others.collect();
        for (index, service) in self.services.iter().enumerate() {
            match service {
                Service::Dns(server) => {
                    let mut of_server = lock(&self.nodes[first + index].node);
                    of_server.with_task(*server, |server, _| server.place(node, &global));
                }
                Service::Directory(_) => {}
            }
        }
    }

    /// Tells a name server that was started anew where nodes are.
    pub(super) fn place_all(&mut self, service: usize) {
        let Service::Dns(server) = self.services[service] else { return };
        let mut of_server = lock(&self.nodes[self.guests_planned() + service].node);
        for (node, addresses) in self.whereabouts.all() {
            let global: Vec<IpAddr> = addresses.iter().copied().filter(|&it| !is_link_local(it)).collect();
            of_server.with_task(server, |server, _| server.place(node, &global));
        }
    }

    /// Polls dirty nodes in order of their number.
    pub(super) fn poll_nodes(&mut self) {
        if self.dirty.is_empty() {
            return;
        }
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_unstable();
        for &node in &dirty {
            self.nodes[node].dirty = false;
            if !self.nodes[node].powered {
                continue;
            }
            let now = self.now;
            let (more, woken, at, drained, moved, secrets, qlogs) = {
                let mut node = lock(&self.nodes[node].node);
                let more = node.poll(now);
                node.take_egress(&mut self.scratch);
                let (at, drained, moved) = (node.poll_at(), node.is_drained(), node.take_moved());
                (more, node.take_woken(), at, drained, moved, node.take_secrets(), node.take_qlogs())
            };
            self.record_secrets(secrets);
            self.record_qlogs(qlogs);
            if let Some(addresses) = moved {
                self.follow_node(node, &addresses);
            }
            if !self.scratch.is_empty() {
                self.send_from_node(node);
            }
            if more {
                self.mark_dirty(node);
            }
            if woken {
                self.make_ready(node);
            }
            if drained {
                self.drained(node);
            }
            if self.guests.get(node).is_some_and(|slot| slot.awaits_address.is_some()) {
                self.start(node);
            }
            if let Some(at) = at {
                // A microsecond at least: smoltcp counts in them, and a timer must move time.
                let at = at.max(now + std::time::Duration::from_micros(1));
                if self.nodes[node].timer.is_none_or(|timer| at < timer || timer <= now) {
                    self.nodes[node].timer = Some(at);
                    self.events.push(at, Event::NodeTimer { node, at });
                }
            }
        }
        dirty.clear();
        if self.dirty.is_empty() {
            self.dirty = dirty;
        }
    }
}
