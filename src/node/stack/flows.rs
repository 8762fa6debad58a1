//! Flows by their two ends, and tables of them.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

/// Both ends of a flow, as this node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tuple {
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

/// In as few words as it fits into, since every packet is looked up by it.
impl Hash for Tuple {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for end in [self.local, self.remote] {
            match end {
                SocketAddr::V4(end) => {
                    state.write_u64(u64::from(end.ip().to_bits()) << 16 | u64::from(end.port()))
                }
                SocketAddr::V6(end) => {
                    let bits = end.ip().to_bits();
                    state.write_u64((bits >> 64) as u64);
                    state.write_u64(bits as u64);
                    state.write_u16(end.port());
                }
            }
        }
    }
}

impl Tuple {
    /// `local`'s own `port` towards `remote`.
    pub fn new(local: IpAddr, port: u16, remote: SocketAddr) -> Self {
        Self { local: SocketAddr::new(local, port), remote }
    }

    /// True if either end is a loopback address.
    pub fn has_loopback(&self) -> bool {
        self.local.ip().is_loopback() || self.remote.ip().is_loopback()
    }
}

/// Flows by both ends. Looked up, never iterated: its order is nobody's business.
pub type Table<V> = HashMap<Tuple, V, Keyed>;

/// A multiply-and-fold hash keyed by the node's seed: cheap, and a peer who does not know the seed
/// cannot aim at one bucket.
#[derive(Clone, Debug)]
pub struct Keyed(pub u64);

pub struct Fold(u64);

impl BuildHasher for Keyed {
    type Hasher = Fold;

    fn build_hasher(&self) -> Fold {
        Fold(self.0)
    }
}

impl Fold {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product as u64) ^ ((product >> 64) as u64).rotate_left(23);
    }
}

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u16(&mut self, value: u16) {
        self.mix(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.mix(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.mix(value);
    }

    fn write_isize(&mut self, value: isize) {
        self.mix(value as u64);
    }

    fn write_usize(&mut self, value: usize) {
        self.mix(value as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
