//! Bits that flip on the way.

use bytes::Bytes;

use crate::network::{Checksums, Frame};
use crate::rng::Rng;

/// The frame with one bit of it wrong, each as likely as any other. Whoever parses it must verify its checksums.
/// Always one draw.
pub(super) fn flip_one_bit(frame: &Frame, rng: &mut Rng) -> Frame {
    let bit = rng.below(8 * frame.len().max(1) as u64);
    let mut bytes = frame.bytes.to_vec();
    if let Some(byte) = bytes.get_mut((bit / 8) as usize) {
        *byte ^= 1 << (bit % 8);
    }
    Frame { bytes: Bytes::from(bytes), checksums: Checksums::Unverified, ..*frame }
}
