//! An IP packet inside the router.

use bytes::{Bytes, BytesMut};
use smoltcp::wire::checksum;

use crate::network::ip::ETHERNET_HEADER_BYTES;
use crate::network::{Checksums, Frame, PacketId};

/// An IP packet on its way out. The header is complete; the Ethernet addresses are still missing.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    /// Room for the Ethernet header, then the IP packet without padding.
    pub(super) bytes: BytesMut,
    pub(super) id: PacketId,
    pub(super) checksums: Checksums,
    pub(super) side: u32,
    /// The port that a forwarded packet came in by; `None` for a packet that the router made.
    pub(super) from: Option<usize>,
}

impl Packet {
    /// A packet made by the router.
    pub(super) fn made(bytes: BytesMut) -> Self {
        Self { bytes, id: PacketId::NONE, checksums: Checksums::Valid, side: 0, from: None }
    }

    /// A packet to be forwarded: `ip_bytes` long, with TTL or hop limit taken down by one.
    pub(super) fn forwarded(frame: Frame, ip_bytes: usize, from: usize) -> Self {
        let Frame { id, mut bytes, checksums, side } = frame;
        bytes.truncate(ETHERNET_HEADER_BYTES + ip_bytes);
        // Nobody else holds the bytes: change them in place. A capture does: copy them.
        let mut bytes = bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        change_hops(&mut bytes[ETHERNET_HEADER_BYTES..], u8::wrapping_sub);
        Self { bytes, id, checksums, side, from: Some(from) }
    }

    pub(super) fn ip(&self) -> &[u8] {
        &self.bytes[ETHERNET_HEADER_BYTES..]
    }

    /// The IP packet of a forwarded one as it came in: errors quote that (RFC 1812 4.3.2.2).
    pub(super) fn as_received(&self) -> Bytes {
        let mut bytes = BytesMut::from(self.ip());
        change_hops(&mut bytes, u8::wrapping_add);
        bytes.freeze()
    }
}

/// Changes TTL or hop limit by one and keeps an IPv4 header checksum right (RFC 1624 equation 3). A
/// checksum that was wrong stays wrong by the same amount.
fn change_hops(ip: &mut [u8], change: fn(u8, u8) -> u8) {
    if ip[0] >> 4 == 6 {
        ip[7] = change(ip[7], 1);
        return;
    }
    let before = u16::from_be_bytes([ip[8], ip[9]]);
    ip[8] = change(ip[8], 1);
    let after = u16::from_be_bytes([ip[8], ip[9]]);
    let old = u16::from_be_bytes([ip[10], ip[11]]);
    let new = !checksum::combine(&[!old, !before, after]);
    ip[10..12].copy_from_slice(&new.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::ip::fill_ipv4_checksum;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_incremental_checksum_is_the_recomputed_one(
            words in proptest::collection::vec(any::<u8>(), 20), ttl in 1u8..,
        ) {
            let mut ip = words;
            ip[0] = 0x45;
            ip[8] = ttl;
            fill_ipv4_checksum(&mut ip);
            let original = ip.clone();
            change_hops(&mut ip, u8::wrapping_sub);
            prop_assert_eq!(ip[8], ttl - 1);
            prop_assert_eq!(checksum::data(&ip), 0xFFFF);
            change_hops(&mut ip, u8::wrapping_add);
            prop_assert_eq!(&ip[..10], &original[..10]);
            prop_assert_eq!(checksum::data(&ip), 0xFFFF);
        }
    }
}
