//! What travels: an Ethernet II frame with the identity that captures follow it by.

use bytes::Bytes;

/// Follows one packet across every port it crosses (pcapng's `epb_packetid`). Copies that a switch
/// floods and the packet that a router forwards keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(pub u64);

impl PacketId {
    /// Not yet numbered: the world numbers a frame at the first port it leaves by.
    pub const NONE: PacketId = PacketId(0);
}

/// Whether the checksums inside a frame can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksums {
    /// Computed inside this world and not altered since: nobody needs to verify them.
    Valid,
    /// From outside, or altered on the way: whoever parses the frame must verify.
    Unverified,
}

/// An Ethernet II frame, without preamble or frame check sequence. Cloning shares the bytes.
#[derive(Clone, Debug)]
pub struct Frame {
    pub id: PacketId,
    pub bytes: Bytes,
    pub checksums: Checksums,
    /// The side of a partition that it comes from; 0: none. Copies and forwarded packets keep it.
    pub side: u32,
}

impl Frame {
    /// A frame made inside the world.
    pub fn new(bytes: Bytes) -> Self {
        Self { id: PacketId::NONE, bytes, checksums: Checksums::Valid, side: 0 }
    }

    /// A frame that came from outside (a TAP, an injected capture).
    pub fn from_outside(bytes: Bytes) -> Self {
        Self { id: PacketId::NONE, bytes, checksums: Checksums::Unverified, side: 0 }
    }

    /// Length in bytes on the link, Ethernet header included.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}
