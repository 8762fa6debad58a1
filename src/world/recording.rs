//! The capture: what it is written to, and which crossings of ports it has.

use std::net::IpAddr;

use super::World;
use crate::abi::lock;
use crate::capture::{Crossing, Each, Session, Sink, Way};
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
    /// Where every frame is recorded from now on.
    pub fn set_sink(&mut self, sink: Box<dyn Sink>) {
        // A router may cut a packet into fragments, and nobody could fill in the checksum of those.
        if !sink.fills_in_checksums() || !self.routers.is_empty() {
            self.set_checksums(true);
        }
        self.sink = Some(sink);
    }

    /// Checksums of TCP and UDP are work for nothing where nobody sees them: no capture that needs them, no TAP to a host that verifies, and no
    /// link that may alter what it carries.
    pub(super) fn set_checksums(&mut self, filled_in: bool) {
        self.checksums = filled_in;
        for slot in &self.nodes {
            lock(&slot.node).set_checksums(filled_in);
        }
    }

    /// True if whoever reads the capture as it grows would not see all of it.
    pub fn is_unflushed(&self) -> bool {
        self.unflushed
    }

    /// Records are on their way to whoever reads the capture as it grows.
    pub fn flush_sink(&mut self) {
        self.unflushed = false;
        if let Some(sink) = &mut self.sink
            && let Err(error) = sink.flush()
        {
            self.sink_error.get_or_insert(error);
            self.sink = None;
        }
    }

    /// Completes the capture. The first error that writing it met, if any.
    pub fn close_sink(&mut self) -> std::io::Result<()> {
        let closed = match self.sink.take() {
            Some(mut sink) => sink.close(self.now),
            None => Ok(()),
        };
        self.sink_error.take().map_or(closed, Err)
    }

    /// The capture's head: its ports are this world's.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Tells captures that are opened after this what an address outside the lab is called.
    pub fn add_name(&mut self, address: IpAddr, name: &str) {
        self.session.names.push((address, name.to_owned()));
    }

    /// For each guest, the capture's port numbers of its interfaces.
    pub fn guest_ports(&self) -> impl Iterator<Item = (&str, Vec<u32>)> {
        self.guests
            .iter()
            .zip(&self.nodes)
            .map(|(guest, node)| (guest.name.as_str(), node.ports.iter().map(|&port| port as u32).collect()))
    }

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
