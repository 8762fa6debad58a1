//! Certificates, keys and roots out of PEM (RFC 7468).

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};
use thiserror::Error;

use super::provider::Crypto;

/// Bytes of a PEM file: the system's roots together are a quarter of it.
pub const PEM_BYTES_MAX: usize = 1 << 20;

/// What is wrong with PEM.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    #[error("is longer than {PEM_BYTES_MAX} bytes")]
    TooLong,
    #[error("has no {0} in it")]
    Missing(&'static str),
    #[error("is broken: {0}")]
    Broken(String),
    #[error("has an unusable certificate in it: {0}")]
    Certificate(String),
    #[error("has an unusable key in it: {0}")]
    Key(String),
    #[error(
        "has an encrypted key in it, and there is nobody to ask for its password; `openssl pkey -in ... -out ...` decrypts it"
    )]
    Encrypted,
    #[error("is not the key of the certificate")]
    Mismatch,
}

/// A certificate with what leads to its root, the certificate first, and its private key.
#[derive(Debug)]
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

impl Identity {
    /// The certificates of one file and the first key of another, which belong together.
    ///
    /// # Errors
    /// See [`certificates`] and [`key`]; the two do not match.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Identity, Problem> {
        let identity = Identity { chain: certificates(chain)?, key: self::key(key)? };
        let key = ring::sign::any_supported_type(&identity.key).map_err(bad_key)?;
        match CertifiedKey::new(identity.chain.clone(), key).keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(identity),
            Err(rustls::Error::InconsistentKeys(_)) => Err(Problem::Mismatch),
            Err(error) => Err(Problem::Certificate(error.to_string())),
        }
    }

    /// Ready to sign.
    ///
    /// # Errors
    /// The provider does not take keys of this kind.
    pub fn certified(self, crypto: &Crypto) -> Result<Arc<CertifiedKey>, Problem> {
        let key = crypto.provider.key_provider.load_private_key(self.key).map_err(bad_key)?;
        Ok(Arc::new(CertifiedKey::new(self.chain, key)))
    }
}

fn bad_key(error: rustls::Error) -> Problem {
    match error {
        rustls::Error::General(why) => Problem::Key(why),
        other => Problem::Key(other.to_string()),
    }
}

/// All certificates, in the file's order.
///
/// # Errors
/// No PEM, none of them, or one that does not parse.
pub fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let found: Vec<CertificateDer<'static>> = sections(text, "certificate")?;
    for certificate in &found {
        rustls::server::ParsedCertificate::try_from(certificate)
            .map_err(|error| Problem::Certificate(error.to_string()))?;
    }
    Ok(found)
}

/// The first private key: PKCS#8, PKCS#1 or SEC1, not encrypted.
///
/// # Errors
/// No PEM, none of them, or one that does not parse.
pub fn key(text: &[u8]) -> Result<PrivateKeyDer<'static>, Problem> {
    // By the label (RFC 7468, 11) or, in the older form, by a header of the section (RFC 1421, 4.6.1.1).
    let encrypted = |label: &[u8]| text.windows(label.len()).any(|window| window == label);
    if text.len() <= PEM_BYTES_MAX
        && (encrypted(b"-BEGIN ENCRYPTED PRIVATE KEY-") || encrypted(b"Proc-Type: 4,ENCRYPTED"))
    {
        return Err(Problem::Encrypted);
    }
    let mut found: Vec<PrivateKeyDer<'static>> = sections(text, "private key")?;
    let first = found.swap_remove(0);
    match ring::sign::any_supported_type(&first) {
        Ok(_) => Ok(first),
        Err(_) if is_rsa(&first) => Err(Problem::Key("one of RSA is to have 2048 to 4096 bits".to_owned())),
        Err(error) => Err(bad_key(error)),
    }
}

fn is_rsa(key: &PrivateKeyDer<'_>) -> bool {
    /// `rsaEncryption` (RFC 8017, A.1).
    const RSA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
    match key {
        PrivateKeyDer::Pkcs1(_) => true,
        // The algorithm stands near the beginning (RFC 5208, 5).
        PrivateKeyDer::Pkcs8(key) => {
            key.secret_pkcs8_der().windows(RSA.len()).take(24).any(|part| part == RSA)
        }
        _ => false,
    }
}

/// What verification trusts.
///
/// # Errors
/// No PEM, none of them, or one that cannot be a root.
pub fn add_roots(text: &[u8], roots: &mut RootCertStore) -> Result<(), Problem> {
    for certificate in certificates(text)? {
        roots.add(certificate).map_err(|error| Problem::Certificate(error.to_string()))?;
    }
    Ok(())
}

/// At least one section of a kind.
fn sections<T: PemObject>(text: &[u8], what: &'static str) -> Result<Vec<T>, Problem> {
    if text.len() > PEM_BYTES_MAX {
        return Err(Problem::TooLong);
    }
    let mut found = Vec::new();
    for section in T::pem_slice_iter(text) {
        found.push(section.map_err(broken)?);
    }
    if found.is_empty() { Err(Problem::Missing(what)) } else { Ok(found) }
}

/// Never with what stands in the file: it may be half a key.
fn broken(error: pem::Error) -> Problem {
    Problem::Broken(match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "a section has no proper beginning".to_owned(),
        pem::Error::Base64Decode(_) => "a section is not base64".to_owned(),
        other => other.to_string(),
    })
}
