//! What devices drop on their own account, links apart.

/// Why a guest's stack, a router or a switch dropped a frame. The words stand in reports and expectations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceDrop {
    /// Cut short, or against its protocol's format.
    Malformed,
    BadChecksum,
    /// A router had nowhere to send it, or was not to send it on.
    Unroutable,
    /// A SYN past a listener's backlog.
    BacklogFull,
    /// A datagram past its receiver's buffer.
    DatagramDropped,
    /// A packet past the queue of a guest's loopback interface.
    LoopbackFull,
}

impl DeviceDrop {
    pub const ALL: [DeviceDrop; 6] = [
        DeviceDrop::Malformed,
        DeviceDrop::BadChecksum,
        DeviceDrop::Unroutable,
        DeviceDrop::BacklogFull,
        DeviceDrop::DatagramDropped,
        DeviceDrop::LoopbackFull,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            DeviceDrop::Malformed => "malformed",
            DeviceDrop::BadChecksum => "bad checksum",
            DeviceDrop::Unroutable => "unroutable",
            DeviceDrop::BacklogFull => "SYN past a backlog",
            DeviceDrop::DatagramDropped => "datagram past a buffer",
            DeviceDrop::LoopbackFull => "loopback packet past the queue",
        }
    }
}
