//! Which crossings of ports are recorded.

use super::World;
use crate::capture::{Crossing, Each, Way};
use crate::network::Frame;
use crate::network::link::DropReason;
use crate::scenario::plan::DeviceRef;

/// What a capture has: by default every crossing of every port.
#[derive(Clone, Debug, Default)]
pub(super) struct Recording {
    each: Each,
    /// For each port; empty: all of them.
    ports: Vec<bool>,
}

impl World {
    /// Records only what tells something, as `each` has it.
    pub fn set_each(&mut self, each: Each) {
        self.recording.each = each;
    }

    /// Records nothing but what crosses these ports, which are numbers of [`World::session`]'s.
    pub fn set_captured_ports(&mut self, ports: impl IntoIterator<Item = u32>) {
        self.recording.ports = vec![false; self.ports.len()];
        for port in ports {
            if let Some(captured) = self.recording.ports.get_mut(port as usize) {
                *captured = true;
            }
        }
    }

    /// A frame leaves by `port`, or its link drops it.
    #[inline]
    pub(super) fn record_departure(
        &mut self,
        port: usize,
        frame: &Frame,
        dropped: Option<DropReason>,
        late: bool,
    ) {
        if self.sink.is_some() && self.is_captured(port) && (dropped.is_some() || self.departure_tells(port))
        {
            self.record(port, Way::Outbound, frame, dropped, late);
        }
    }

    /// A frame reaches `port`; `scheduled` if it does so later than it left, or never left.
    #[inline]
    pub(super) fn record_arrival(&mut self, port: usize, frame: &Frame, scheduled: bool) {
        if self.sink.is_some() && self.is_captured(port) && (scheduled || self.arrival_tells(port)) {
            self.record(port, Way::Inbound, frame, None, false);
        }
    }

    /// A frame that had reached `port` was not taken by what stands behind its device.
    pub(super) fn record_loss(&mut self, port: usize, frame: &Frame) {
        if self.sink.is_some() && self.is_captured(port) {
            self.record(port, Way::Inbound, frame, Some(DropReason::Outside), true);
        }
    }

    fn record(&mut self, port: usize, way: Way, frame: &Frame, dropped: Option<DropReason>, late: bool) {
        let Some(sink) = &mut self.sink else { return };
        let crossing = Crossing { at: self.now, port: port as u32, way, frame, dropped, late };
        self.unflushed = true;
        if let Err(error) = sink.crossing(crossing) {
            // Told once, when the capture is closed; the lab goes on.
            self.sink_error.get_or_insert(error);
            self.sink = None;
        }
    }

    fn is_captured(&self, port: usize) -> bool {
        self.recording.ports.is_empty() || self.recording.ports[port]
    }

    fn departure_tells(&self, port: usize) -> bool {
        match self.recording.each {
            Each::Port => true,
            // What crosses an ideal link does so at one instant: it is told as it arrives.
            Each::Link => {
                let link = self.ports[port].link.as_ref();
                let told =
                    link.is_some_and(|(peer, direction)| direction.is_ideal() && !self.is_switch(*peer));
                !(told && self.is_switch(port))
            }
            Each::Packet => !self.is_switch(port),
        }
    }

    fn arrival_tells(&self, port: usize) -> bool {
        match self.recording.each {
            Each::Port => true,
            Each::Link => !self.is_switch(port) || !self.came_unchanged(port),
            Each::Packet => !self.came_unchanged(port),
        }
    }

    fn is_switch(&self, port: usize) -> bool {
        match self.ports[port].device {
            DeviceRef::Switch(_) => true,
            DeviceRef::Guest(_) | DeviceRef::Router(_) | DeviceRef::Tap(_) | DeviceRef::Service(_) => false,
        }
    }

    /// The link that leads to `port` is ideal.
    fn came_unchanged(&self, port: usize) -> bool {
        let peer = self.ports[port].link.as_ref().map(|&(peer, _)| &self.ports[peer]);
        peer.and_then(|peer| peer.link.as_ref()).is_some_and(|(_, direction)| direction.is_ideal())
    }
}
