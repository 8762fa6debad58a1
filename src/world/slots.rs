//! What a world keeps of each port, node, service and guest.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::GuestState;
use super::timeline::Boot;
use crate::abi::SharedNode;
use crate::dns::server::DnsServer;
use crate::guest::Guest;
use crate::network::link::Direction;
use crate::node::task::Handle;
use crate::protocol::unix::Directory;
use crate::scenario::plan::DeviceRef;
use crate::time::Instant;

/// A port: where a device meets a link.
pub struct Port {
    pub device: DeviceRef,
    /// The device's own number for it.
    pub index: usize,
    /// The port at the other end, and what lies between; `None`: nothing is plugged in.
    pub link: Option<(usize, Direction)>,
    pub link_timer: Option<Instant>,
}

pub struct NodeSlot {
    pub node: SharedNode,
    pub dirty: bool,
    pub timer: Option<Instant>,
    /// False for a machine without power: it hears nothing and says nothing.
    pub powered: bool,
    /// How often it was started anew.
    pub boots: u32,
    /// Programs that were started on it.
    pub programs: u32,
    /// World ports of its interfaces.
    pub ports: SmallVec<[usize; 1]>,
}

/// A task in the place of a guest.
pub enum Service {
    Dns(Handle<DnsServer>),
    Directory(Handle<Directory>),
}

pub struct GuestSlot {
    pub name: String,
    pub linger: Duration,
    /// How long its start waits for addresses; and until when it does.
    pub address_wait: Duration,
    pub awaits_address: Option<Instant>,
    pub background: bool,
    pub state: GuestState,
    pub guest: Option<Guest>,
    /// When it is to run again whatever happens.
    pub deadline: Option<Instant>,
    /// Its alarms in the event queue, the next one last: each is for an earlier time than the one before.
    pub alarms: SmallVec<[Instant; 1]>,
    pub ready: bool,
    /// Its process is stopped; what would have woken it is in `missed`.
    pub paused: bool,
    pub missed: bool,
    /// The timeline killed it, and has not started it since.
    pub killed: bool,
    /// Kept for those that the timeline restarts.
    pub boot: Option<Arc<Boot>>,
}
