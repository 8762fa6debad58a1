//! A provider whose randomness is a stream of the world.
//!
//! rustls wants the parts of a provider to live for ever. A source is made once, lent to one protocol object at a
//! time, and lent again when that is gone: what is never freed is bounded by how many there were at once.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::crypto::ring::{self, sign};
use rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, SharedSecret,
    SupportedKxGroup,
};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;
use rustls::{Error, NamedGroup, PeerMisbehaved};
use x25519_dalek::{PublicKey, StaticSecret};

use crate::rng::Rng;

/// Sources that nobody has.
static IDLE: Mutex<Vec<&'static Source>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Random numbers, key exchanges and keys, all out of one stream.
struct Source {
    /// `None` while nobody has it.
    rng: Mutex<Option<Rng>>,
}

impl Source {
    fn draw(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        lock(&self.rng).as_mut().ok_or(GetRandomFailed)?.fill(bytes);
        Ok(())
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("seeded")
    }
}

/// The right to a source.
pub(super) struct Lease(&'static Source);

impl Lease {
    pub fn new(rng: Rng) -> Lease {
        let idle = lock(&IDLE).pop();
        let source = idle.unwrap_or_else(|| Box::leak(Box::new(Source { rng: Mutex::new(None) })));
        *lock(&source.rng) = Some(rng);
        Lease(source)
    }

    /// Ring's ciphers and verification, which draw nothing, and the source for whatever does.
    pub fn provider(&self) -> CryptoProvider {
        CryptoProvider {
            kx_groups: vec![self.0],
            secure_random: self.0,
            key_provider: self.0,
            ..ring::default_provider()
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        *lock(&self.0.rng) = None;
        lock(&IDLE).push(self.0);
    }
}

impl SecureRandom for Source {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), GetRandomFailed> {
        self.draw(buffer)
    }
}

impl KeyProvider for Source {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        match key {
            PrivateKeyDer::Pkcs8(key) => sign::any_eddsa_type(&key),
            _ => Err(Error::General("not an Ed25519 key".to_owned())),
        }
    }
}

/// X25519 (RFC 7748), the one group that a seeded peer speaks.
impl SupportedKxGroup for Source {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut secret = [0; 32];
        self.draw(&mut secret)?;
        let secret = StaticSecret::from(secret);
        let public = PublicKey::from(&secret);
        Ok(Box::new(Exchange { secret, public }))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

struct Exchange {
    secret: StaticSecret,
    public: PublicKey,
}

impl ActiveKeyExchange for Exchange {
    /// A peer whose point has a small order would choose the secret by itself: refused (RFC 8446, 7.4.2).
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let peer: [u8; 32] = peer.try_into().map_err(|_| PeerMisbehaved::InvalidKeyShare)?;
        let shared = self.secret.diffie_hellman(&PublicKey::from(peer));
        if !shared.was_contributory() {
            return Err(PeerMisbehaved::InvalidKeyShare.into());
        }
        Ok(SharedSecret::from(&shared.as_bytes()[..]))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }

    fn pub_key(&self) -> &[u8] {
        self.public.as_bytes()
    }
}
