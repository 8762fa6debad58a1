//! A lab at work: guests, nodes and network under one event queue, one clock value, one thread.
//!
//! ```text
//! driver --poll(now)--> World: events due --> frames at this instant --> ready guests --> dirty nodes
//!        <--poll_at()--                          (network.rs)          (schedule.rs)
//! ```
//!
//! The world is sans-IO: it reads no clock and opens nothing. [`World::poll`] is one round; the driver repeats it
//! while there is more to do at this instant, then moves time to [`World::poll_at`] or to a frame from outside.
//! Two rounds with the same inputs do the same, in the same order: events by time and insertion, guests in the
//! order in which they were woken, nodes by number.
//!
//! ```text
//! build.rs parts.rs   a world made of a plan         network.rs    frames on their way, devices, nodes' turns
//! slots.rs            what is kept of each part      schedule.rs   guests' turns, their ends
//! timeline/           the scenario's `[[at]]`        recording.rs  the capture (secrets.rs, qlogs.rs)
//! host.rs             sockets of the host            end.rs        how a run ends (netstat.rs, drops.rs: how it stood)
//! ```

mod build;
mod drops;
mod end;
mod host;
mod netstat;
mod network;
mod parts;
mod qlogs;
mod recording;
mod schedule;
mod secrets;
mod slots;
mod timeline;

pub use build::Settings;
pub use qlogs::QlogSink;
pub use schedule::GuestState;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use crate::capture::{Session, Sink};
use crate::event::Queue;
use crate::guest::Exit;
use crate::network::drops::DeviceDrop;
use crate::network::link::Outcome;
use crate::network::router::Router;
use crate::network::switch::Switch;
use crate::network::{Egress, Frame};
use crate::node::{LeftOpen, Output, Whereabouts};
use crate::protocol::tls::supplies::Supplies;
use crate::time::Instant;
use secrets::Secrets;
use slots::{GuestSlot, NodeSlot, Port, Service};
use timeline::{Boot, Timeline};

/// Something that happens at its time.
enum Event {
    /// A frame reaches a port.
    Deliver {
        port: usize,
        frame: Frame,
    },
    NodeTimer {
        node: usize,
        at: Instant,
    },
    RouterTimer {
        router: usize,
        at: Instant,
    },
    /// Frames that wait for the link behind a port have their turn.
    LinkTimer {
        port: usize,
        at: Instant,
    },
    /// A guest may have waited long enough.
    Alarm {
        guest: usize,
    },
    Start {
        guest: usize,
    },
    LingerOver {
        guest: usize,
    },
    /// An entry of the timeline is due.
    Entry {
        number: usize,
    },
}

/// A frame that leaves by a TAP.
pub struct Outbound {
    pub tap: usize,
    pub frame: Frame,
}

/// What a driver shows or acts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    Output { guest: usize, output: Output },
    Exited { guest: usize, exit: Exit, left_open: LeftOpen },
}

/// Totals of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Frames that left a port.
    pub frames: u64,
    pub bytes: u64,
    pub dropped: u64,
}

pub struct World {
    now: Instant,
    settings: Settings,
    /// Of guests, then of services.
    nodes: Vec<NodeSlot>,
    /// What runs on the nodes after the guests', in their order.
    services: Vec<Service>,
    guests: Vec<GuestSlot>,
    /// Guests that are not in the background, and those of them that are not gone.
    foreground: usize,
    at_work: usize,
    switches: Vec<Switch>,
    switch_ports: Vec<Vec<usize>>,
    routers: Vec<Router>,
    router_ports: Vec<Vec<usize>>,
    router_timers: Vec<Option<Instant>>,
    /// The timeline switched them off: they hear nothing and say nothing.
    routers_off: Vec<bool>,
    tap_ports: Vec<usize>,
    /// Stacks are polled for each packet.
    eager: bool,
    ports: Vec<Port>,
    session: Session,
    immediate: VecDeque<(usize, Frame)>,
    /// Switches that the frame at hand crosses one inside another.
    crossing: usize,
    events: Queue<Event>,
    ready: VecDeque<usize>,
    /// When a guest last had a turn.
    turn_at: Instant,
    dirty: Vec<usize>,
    packets: u64,
    sink: Option<Box<dyn Sink>>,
    recording: recording::Recording,
    /// Whether stacks fill in the checksums of TCP and UDP.
    checksums: bool,
    sink_error: Option<std::io::Error>,
    /// Something was recorded since the capture was flushed.
    unflushed: bool,
    outbound: Vec<Outbound>,
    outside_drops: Vec<(DeviceDrop, u64)>,
    reports: Vec<Report>,
    totals: Totals,
    /// Turns that guests had.
    turns: u64,
    timeline: Timeline,
    scratch: Vec<(usize, Frame)>,
    egress: Egress,
    outcomes: Vec<Outcome>,
    supplies: Arc<Supplies>,
    secrets: Secrets,
    qlogs: Option<QlogSink>,
    whereabouts: Whereabouts,
}

impl World {
    /// One round at `now`, which must not go back. True if there is more to do at this instant.
    pub fn poll(&mut self, now: Instant) -> bool {
        debug_assert!(now >= self.now);
        self.now = now;
        while let Some(event) = self.events.pop_due(now) {
            self.happen(event);
        }
        for _ in 0..self.immediate.len() {
            if let Some((port, frame)) = self.immediate.pop_front() {
                self.deliver(port, frame, false);
            }
        }
        self.poll_nodes();
        self.run_guests();
        self.poll_nodes();
        self.has_work()
    }

    fn has_work(&self) -> bool {
        !self.immediate.is_empty()
            || !self.ready.is_empty()
            || !self.dirty.is_empty()
            || self.events.next_at().is_some_and(|at| at <= self.now)
    }

    /// True if nothing but guests has anything to do at this instant.
    pub fn is_quiet(&self) -> bool {
        self.immediate.is_empty() && self.dirty.is_empty()
    }

    /// When [`World::poll`] is next due if nothing comes from outside; `None`: never.
    pub fn poll_at(&self) -> Option<Instant> {
        if self.has_work() { Some(self.now) } else { self.events.next_at() }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver { port, frame } => self.deliver(port, frame, true),
            Event::NodeTimer { node, at } => {
                if self.nodes[node].timer == Some(at) {
                    self.nodes[node].timer = None;
                    self.mark_dirty(node);
                }
            }
            Event::RouterTimer { router, at } => {
                if self.router_timers[router] == Some(at) && !self.routers_off[router] {
                    self.router_timers[router] = None;
                    let mut egress = std::mem::take(&mut self.egress);
                    self.routers[router].poll(self.now, &mut egress);
                    self.send_from_router(router, egress);
                }
            }
            Event::LinkTimer { port, at } => {
                if self.ports[port].link_timer == Some(at) {
                    self.ports[port].link_timer = None;
                    self.poll_link(port);
                }
            }
            Event::Alarm { guest } => self.alarm(guest),
            Event::Start { guest } => self.start(guest),
            Event::LingerOver { guest } => self.linger_over(guest),
            Event::Entry { number } => self.take_entry(number),
        }
    }

    /// What happened since the last call: output and ends of guests.
    pub fn take_reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }

    /// Frames that left by a TAP since the last call.
    pub fn take_outbound(&mut self) -> Vec<Outbound> {
        std::mem::take(&mut self.outbound)
    }

    /// A frame came in by a TAP.
    pub fn inject(&mut self, now: Instant, tap: usize, bytes: bytes::Bytes) {
        self.now = self.now.max(now);
        let port = self.tap_ports[tap];
        let packet = self.next_packet();
        self.transmit(port, Frame { id: packet, ..Frame::from_outside(bytes) });
    }

    /// Bytes for a guest's standard input; `None` ends it.
    pub fn feed_stdin(&mut self, guest: usize, bytes: Option<&[u8]>) {
        {
            let mut node = crate::abi::lock(&self.nodes[guest].node);
            match bytes {
                Some(bytes) => node.stdio.feed(bytes),
                None => node.stdio.end_input(),
            }
        }
        self.look_after(guest);
    }

    /// Bytes that a guest's standard input takes now.
    pub fn stdin_room(&self, guest: usize) -> usize {
        crate::abi::lock(&self.nodes[guest].node).stdio.input_room()
    }

    /// The roots of the lab's own authorities in PEM, each with the file that it is to be written to.
    pub fn exports(&self) -> impl Iterator<Item = (&Path, String)> {
        self.supplies.root_pems().filter_map(|(plan, pem)| Some((plan.export.as_deref()?, pem)))
    }

    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Turns that guests had so far, for a driver to see whether any goes on.
    pub fn turns(&self) -> u64 {
        self.turns
    }

    pub fn now(&self) -> Instant {
        self.now
    }

    /// Events to come: frames under way, timers, guests' waits.
    pub fn events_pending(&self) -> usize {
        self.events.len()
    }

    /// Name, state and background of each guest.
    pub fn guests(&self) -> impl Iterator<Item = (&str, GuestState, bool)> {
        self.guests.iter().map(|slot| (slot.name.as_str(), slot.state, slot.background))
    }
}
