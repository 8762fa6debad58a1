//! Counters of what a stack drops, and why.

use std::ops::{Deref, DerefMut};
use std::sync::LazyLock;

use super::Stack;
use super::link::Link;

/// Counters of what was dropped here and why; a capture shows the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Frames whose checksums did not hold.
    pub bad_checksum: u64,
    /// Frames cut short, or against their protocol's format.
    pub malformed: u64,
    /// SYNs past a listener's backlog.
    pub backlog_full: u64,
    /// SYNs and datagrams past the node's buffers.
    pub no_buffers: u64,
    /// Datagrams past a flow's buffer or a listener's backlog, that of the protocol over them included.
    pub datagrams_dropped: u64,
    /// Datagrams that are nothing to the protocol over them.
    pub datagrams_foreign: u64,
    /// Loopback packets past the queue.
    pub loopback_dropped: u64,
    /// Fragments that overlapped, and those that came for their packets afterwards.
    pub fragments_overlapping: u64,
    /// Packets put together from fragments, longer than the link takes, that are of no protocol here.
    pub unclaimed: u64,
    /// Packets of which not all fragments came in time.
    pub reassembly_expired: u64,
    /// Packets whose fragments gave way to others.
    pub reassembly_full: u64,
    /// Packets of our own whose next hop did not answer.
    pub unresolved: u64,
    /// Packets of our own that found no room to wait for their next hop.
    pub queue_full: u64,
    /// Packets of our own to where no route leads.
    pub no_route: u64,
    /// ICMP errors about what was never sent, or was acknowledged, and those that cannot be true.
    pub forged: u64,
    /// Packets of our own that no link takes, and that cannot be cut.
    pub too_big: u64,
    /// Addresses that were to be had and somebody else has.
    pub address_conflicts: u64,
}

/// Statistics that take no room before anything is counted.
#[derive(Default)]
pub(super) struct Counted(Option<Box<Statistics>>);

impl Deref for Counted {
    type Target = Statistics;

    fn deref(&self) -> &Statistics {
        static NOTHING: LazyLock<Statistics> = LazyLock::new(Statistics::default);
        self.0.as_deref().unwrap_or(&NOTHING)
    }
}

impl DerefMut for Counted {
    fn deref_mut(&mut self) -> &mut Statistics {
        self.0.get_or_insert_default()
    }
}

impl Stack {
    /// Counters of the links are kept there.
    pub fn statistics(&self) -> Statistics {
        let links = self.nics.iter().filter_map(|nic| nic.link.as_ref());
        Statistics {
            queue_full: links.map(Link::dropped).sum(),
            reassembly_full: self.reassembly.as_ref().map_or(0, |parts| parts.displaced()),
            ..*self.statistics
        }
    }

    /// A protocol over datagrams has no room for what one asks for.
    pub fn count_dropped_datagram(&mut self) {
        self.statistics.datagrams_dropped += 1;
    }

    /// A protocol over datagrams could make nothing of one.
    pub fn count_foreign_datagram(&mut self) {
        self.statistics.datagrams_foreign += 1;
    }
}
