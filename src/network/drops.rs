//! What devices drop on their own account, links apart.

/// Why a guest's stack, a router or a switch dropped a frame. The words stand in reports and expectations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceDrop {
    /// Cut short, or against its protocol's format.
    Malformed,
    BadChecksum,
    /// A router or stack had nowhere to send it, or was not to send it on.
    Unroutable,
    /// A packet that is longer than its next link takes, and that nobody may cut.
    TooBig,
    /// A packet whose hop limit, or time to live, a router used up.
    Expired,
    /// A packet for a next hop that did not answer, or past its queue.
    Unresolved,
    /// An ICMP error that quotes nothing that was sent.
    Forged,
    /// A SYN past a listener's backlog.
    BacklogFull,
    /// A datagram past its receiver's buffer.
    DatagramDropped,
    /// A datagram that the protocol above could make nothing of, such as a packet of a QUIC connection that is over.
    DatagramForeign,
    /// An address that was to be had, and that somebody else has: what it cost is no frame, but told here.
    AddressConflict,
    /// Past what a guest's buffers may take of the host's memory.
    NoBuffers,
    /// A fragment that overlaps another (RFC 5722).
    Overlapping,
    /// A packet of which fragments were missing when its time or the room for it was over.
    Incomplete,
    /// A long packet, put together from fragments, of a protocol that its host does not have.
    Unclaimed,
    /// A packet past the queue of a guest's loopback interface.
    LoopbackFull,
    /// A query that a DNS server of the lab could not read.
    DnsMalformed,
    /// A DNS message that is no query.
    DnsNoQuery,
    /// A DNS answer for which there was no room.
    DnsUnsent,
    /// A frame for a TAP whose queue in the kernel was full.
    TapQueueFull,
    /// A frame for a TAP that is down.
    TapDown,
    /// A frame that the kernel would not have from a TAP.
    TapRefused,
    /// A frame from a TAP that was cut short.
    TapTruncated,
    /// What began a connection to the directory of Unix-domain sockets, and is nothing that it can be asked.
    UnixMalformed,
}

impl DeviceDrop {
    pub const ALL: [DeviceDrop; 24] = [
        DeviceDrop::Malformed,
        DeviceDrop::BadChecksum,
        DeviceDrop::Unroutable,
        DeviceDrop::TooBig,
        DeviceDrop::Expired,
        DeviceDrop::Unresolved,
        DeviceDrop::Forged,
        DeviceDrop::BacklogFull,
        DeviceDrop::DatagramDropped,
        DeviceDrop::DatagramForeign,
        DeviceDrop::AddressConflict,
        DeviceDrop::NoBuffers,
        DeviceDrop::Overlapping,
        DeviceDrop::Incomplete,
        DeviceDrop::Unclaimed,
        DeviceDrop::LoopbackFull,
        DeviceDrop::DnsMalformed,
        DeviceDrop::DnsNoQuery,
        DeviceDrop::DnsUnsent,
        DeviceDrop::TapQueueFull,
        DeviceDrop::TapDown,
        DeviceDrop::TapRefused,
        DeviceDrop::TapTruncated,
        DeviceDrop::UnixMalformed,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            DeviceDrop::Malformed => "malformed",
            DeviceDrop::BadChecksum => "bad checksum",
            DeviceDrop::Unroutable => "unroutable",
            DeviceDrop::TooBig => "too big for the next link",
            DeviceDrop::Expired => "hop limit used up",
            DeviceDrop::Unresolved => "next hop did not answer",
            DeviceDrop::Forged => "forged ICMP error",
            DeviceDrop::BacklogFull => "SYN past a backlog",
            DeviceDrop::DatagramDropped => "datagram past a buffer",
            DeviceDrop::DatagramForeign => "datagram that is nothing to its protocol",
            DeviceDrop::AddressConflict => "address that another has",
            DeviceDrop::NoBuffers => "past the guest's buffers",
            DeviceDrop::Overlapping => "overlapping fragment",
            DeviceDrop::Incomplete => "packet short of fragments",
            DeviceDrop::Unclaimed => "packet of a protocol that its host does not have",
            DeviceDrop::LoopbackFull => "loopback packet past the queue",
            DeviceDrop::DnsMalformed => "malformed DNS query",
            DeviceDrop::DnsNoQuery => "DNS message that is no query",
            DeviceDrop::DnsUnsent => "DNS answer that could not be sent",
            DeviceDrop::TapQueueFull => "past a TAP's queue",
            DeviceDrop::TapDown => "TAP device down",
            DeviceDrop::TapRefused => "refused by a TAP",
            DeviceDrop::TapTruncated => "cut short by a TAP",
            DeviceDrop::UnixMalformed => "malformed question of Unix-domain sockets",
        }
    }
}
