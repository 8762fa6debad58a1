//! The cryptography of a protocol object: rustls's provider, and the clock that certificates are held against.
//!
//! ```text
//! sim    Crypto::seeded(rng)  seeded.rs  ring's ciphers, X25519 by x25519-dalek, Ed25519; every byte out of `rng`
//! live   Crypto::system()                ring as it is, out of the operating system's entropy
//! ```
//!
//! What is drawn from a seed is no secret from anybody who has the scenario. So a seeded provider answers for one
//! world of virtual time and is never made for a live one.

mod seeded;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

use crate::rng::{Rng, Seed};
use crate::time::Instant;
use seeded::Lease;

/// Where a world's secrets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entropy {
    /// Virtual time: the same seed, the same secrets.
    Seed(Seed),
    /// The operating system.
    System,
}

impl Entropy {
    /// The cryptography of the consumer named `label`, in a world that began at `epoch`.
    pub fn crypto(self, label: &str, epoch: Duration) -> Crypto {
        match self {
            Entropy::Seed(seed) => Crypto::seeded(seed.fork(label), epoch),
            Entropy::System => Crypto::system(epoch),
        }
    }

    /// 32 secret bytes for the consumer named `label`.
    ///
    /// # Errors
    /// The operating system has no entropy to give.
    pub fn secret(self, label: &str) -> Result<[u8; 32], rustls::Error> {
        let mut secret = [0; 32];
        match self {
            Entropy::Seed(seed) => seed.fork(label).fill(&mut secret),
            Entropy::System => ring::default_provider().secure_random.fill(&mut secret)?,
        }
        Ok(secret)
    }
}

/// What configurations of rustls (and of QUIC, which is made of them) are built with. Both parts go into one, so
/// that the source of a seeded provider lasts as long as whoever draws from it.
#[derive(Clone, Debug)]
pub struct Crypto {
    pub provider: Arc<CryptoProvider>,
    pub clock: Arc<Clock>,
}

impl Crypto {
    /// Every byte of a handshake out of `rng`. Keys other than Ed25519 are refused: ring draws the nonces of their
    /// signatures itself.
    pub fn seeded(rng: Rng, epoch: Duration) -> Crypto {
        let lease = Lease::new(rng);
        let provider = lease.provider();
        Crypto { provider: Arc::new(provider), clock: Arc::new(Clock::new(epoch, Some(lease))) }
    }

    pub fn system(epoch: Duration) -> Crypto {
        Crypto { provider: Arc::new(ring::default_provider()), clock: Arc::new(Clock::new(epoch, None)) }
    }
}

/// The world's time as certificates and tickets see it: whoever calls into rustls sets it first.
pub struct Clock {
    /// Wall-clock time of the world's first instant, since the Unix epoch.
    epoch: Duration,
    now_ns: AtomicU64,
    /// Every configuration holds its clock, and every connection its configuration: as long as one of them may draw
    /// from a seeded source, the source is not given to another world.
    _lease: Option<Lease>,
}

impl Clock {
    fn new(epoch: Duration, lease: Option<Lease>) -> Clock {
        Clock { epoch, now_ns: AtomicU64::new(0), _lease: lease }
    }

    pub fn set(&self, now: Instant) {
        self.now_ns.store(now.nanos(), Ordering::Relaxed);
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let since = self.epoch.saturating_add(Duration::from_nanos(self.now_ns.load(Ordering::Relaxed)));
        Some(UnixTime::since_unix_epoch(since))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.current_time())
    }
}
