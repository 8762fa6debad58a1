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

mod build;
mod drops;
mod netstat;
mod network;
mod parts;
mod qlogs;
mod recording;
mod schedule;
mod secrets;
mod timeline;

pub use build::Settings;
pub use qlogs::QlogSink;
pub use schedule::GuestState;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::abi::SharedNode;
use crate::capture::{Session, Sink};
use crate::dns::server::DnsServer;
use crate::event::Queue;
use crate::guest::{Exit, Guest};
use crate::network::drops::DeviceDrop;
use crate::network::link::{Direction, Outcome};
use crate::network::router::Router;
use crate::network::switch::Switch;
use crate::network::{Egress, Frame};
use crate::node::task::Handle;
use crate::node::{LeftOpen, Output, Whereabouts};
use crate::protocol::tls::supplies::Supplies;
use crate::protocol::unix::Directory;
use crate::protocol::unix::host::{HostCall, HostNews};
use crate::scenario::plan::DeviceRef;
use crate::time::Instant;
use secrets::Secrets;
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

/// A port: where a device meets a link.
struct Port {
    device: DeviceRef,
    /// The device's own number for it.
    index: usize,
    /// The port at the other end, and what lies between; `None`: nothing is plugged in.
    link: Option<(usize, Direction)>,
    link_timer: Option<Instant>,
}

struct NodeSlot {
    node: SharedNode,
    dirty: bool,
    timer: Option<Instant>,
    /// False for a machine without power: it hears nothing and says nothing.
    powered: bool,
    /// How often it was started anew.
    boots: u32,
    /// Programs that were started on it.
    programs: u32,
    /// World ports of its interfaces.
    ports: SmallVec<[usize; 1]>,
}

/// A task in the place of a guest.
enum Service {
    Dns(Handle<DnsServer>),
    Directory(Handle<Directory>),
}

struct GuestSlot {
    name: String,
    linger: Duration,
    /// How long its start waits for addresses; and until when it does.
    address_wait: Duration,
    awaits_address: Option<Instant>,
    background: bool,
    state: GuestState,
    guest: Option<Guest>,
    /// When it is to run again whatever happens.
    deadline: Option<Instant>,
    /// Its alarms in the event queue, the next one last: each is for an earlier time than the one before.
    alarms: SmallVec<[Instant; 1]>,
    ready: bool,
    /// Its process is stopped; what would have woken it is in `missed`.
    paused: bool,
    missed: bool,
    /// The timeline killed it, and has not started it since.
    killed: bool,
    /// Kept for those that the timeline restarts.
    boot: Option<Arc<Boot>>,
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

/// Rounds that what is sent at the end may go on for.
const LAST_ROUNDS: usize = 64;

/// Longer than the lifetimes that anybody advertises.
const IDLE_MAX: Duration = Duration::from_secs(60 * 86_400);

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

    /// True if what happens next, at `at`, is only what machines do by themselves, advertisements and leases, and has
    /// been for so long that no guest will ever hear of it.
    pub fn has_stalled(&self, at: Instant) -> bool {
        at.since(self.turn_at) > IDLE_MAX
            && self.guests.iter().all(|slot| {
                slot.deadline.is_none()
                    && slot.state != GuestState::Waiting
                    && slot.state != GuestState::Lingering
            })
            && !self.timeline.awaits_time()
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

    /// What is to be done with sockets of the host since the last call.
    pub fn take_host_calls(&mut self) -> Vec<HostCall> {
        let Some((node, directory)) = self.directory() else { return Vec::new() };
        let calls = crate::abi::lock(&self.nodes[node].node)
            .with_task(directory, |directory, cx| directory.take_host_calls(cx));
        calls.unwrap_or_default()
    }

    /// What became of it.
    pub fn hear_host(&mut self, now: Instant, news: HostNews) {
        self.now = self.now.max(now);
        let Some((node, directory)) = self.directory() else { return };
        {
            let mut slot = crate::abi::lock(&self.nodes[node].node);
            slot.now = self.now;
            slot.with_task(directory, |directory, cx| directory.hear(cx, news));
        }
        self.mark_dirty(node);
    }

    /// True if nothing is left that guests wrote to sockets of the host, and the host has not taken.
    pub fn is_drained_to_host(&self) -> bool {
        let directory = self.directory().map(|(node, _)| &self.nodes[node].node);
        directory.is_none_or(|node| crate::abi::lock(node).has_drained_tasks())
    }

    /// The node of the directory of paths.
    fn directory(&self) -> Option<(usize, Handle<Directory>)> {
        let first = self.nodes.len() - self.services.len();
        self.services.iter().enumerate().find_map(|(index, service)| match service {
            Service::Directory(directory) => Some((first + index, *directory)),
            Service::Dns(_) => None,
        })
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
    fn set_checksums(&mut self, filled_in: bool) {
        self.checksums = filled_in;
        for slot in &self.nodes {
            crate::abi::lock(&slot.node).set_checksums(filled_in);
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

    /// True once every guest ended and what it wrote was acknowledged. Guests in the background do not count;
    /// a lab without any other is never over by itself. One that was killed counts while it is to be restarted.
    pub fn is_over(&self) -> bool {
        self.foreground > 0 && self.at_work == 0 && !self.awaits_restart()
    }

    /// Ends every guest that is still there, and lets their stacks say so: what they send at this instant is
    /// sent, and nothing after. Connections that are not done by then are reset, as there is nobody left to carry
    /// them on: a peer outside would wait for ever.
    pub fn stop(&mut self) {
        for guest in 0..self.guests.len() {
            if self.guests[guest].state.is_running() {
                self.end(guest, Exit::Stopped);
            }
        }
        self.last_rounds();
        for guest in 0..self.guests.len() {
            self.linger_over(guest);
        }
        self.last_rounds();
    }

    fn last_rounds(&mut self) {
        for _ in 0..LAST_ROUNDS {
            if !self.poll(self.now) {
                break;
            }
        }
    }

    pub fn guest_name(&self, guest: usize) -> &str {
        &self.guests[guest].name
    }

    /// Name, state and background of each guest.
    pub fn guests(&self) -> impl Iterator<Item = (&str, GuestState, bool)> {
        self.guests.iter().map(|slot| (slot.name.as_str(), slot.state, slot.background))
    }

    /// How long a guest's stack may live on: the longest of them.
    pub fn linger_max(&self) -> Duration {
        self.guests.iter().map(|slot| slot.linger).max().unwrap_or_default()
    }
}
