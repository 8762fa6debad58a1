//! A lab's own certificate authority: an Ed25519 root, and certificates issued by it (RFC 5280).
//!
//! The same secrets and times give the same bytes: Ed25519 signatures draw nothing (RFC 8032), and serial numbers are
//! hashes of the keys.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, PKCS_ED25519, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::material::Identity;
use super::name::Name;

/// Bytes of a common name (RFC 5280, upper bounds of appendix A.1).
const COMMON_NAME_BYTES_MAX: usize = 64;
/// A private key of Ed25519 is its 32 bytes behind these (RFC 8410, section 7).
const PKCS8_ED25519: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// From when until when a certificate is valid: since the Unix epoch, cut to seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub from: Duration,
    pub until: Duration,
}

pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// # Errors
    /// Times that a certificate cannot tell.
    pub fn new(name: &str, valid: Validity, secret: [u8; 32]) -> Result<Authority, rcgen::Error> {
        let mut params = params(&format!("guestnet lab CA {name}"), valid)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Authority { issuer: CertifiedIssuer::self_signed(params, key_pair(secret)?)? })
    }

    pub fn root(&self) -> &CertificateDer<'static> {
        self.issuer.der()
    }

    pub fn root_pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for servers and clients of these names.
    ///
    /// # Errors
    /// Times that a certificate cannot tell.
    pub fn issue(&self, names: &[Name], valid: Validity, secret: [u8; 32]) -> Result<Identity, rcgen::Error> {
        let names: Vec<String> = names.iter().map(Name::to_string).collect();
        let common = names.iter().find(|name| name.len() <= COMMON_NAME_BYTES_MAX);
        let mut params = params(common.map_or("guestnet", String::as_str), valid)?;
        params.subject_alt_names = names.iter().map(|name| alternative(name)).collect::<Result<_, _>>()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = key_pair(secret)?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity { chain: vec![certificate.der().clone()], key: PrivateKeyDer::Pkcs8(pkcs8(secret)) })
    }
}

fn alternative(name: &str) -> Result<SanType, rcgen::Error> {
    match name.parse() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) => Ok(SanType::DnsName(name.try_into()?)),
    }
}

fn params(common_name: &str, valid: Validity) -> Result<CertificateParams, rcgen::Error> {
    // Past the year 9999 there are no dates (RFC 5280, 4.1.2.5).
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    let date =
        |since: Duration| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(since.min(LAST).as_secs());
    let mut params = CertificateParams::default();
    params.not_before = date(valid.from);
    params.not_after = date(valid.until);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}

fn pkcs8(secret: [u8; 32]) -> PrivatePkcs8KeyDer<'static> {
    PrivatePkcs8KeyDer::from([&PKCS8_ED25519[..], &secret[..]].concat())
}

fn key_pair(secret: [u8; 32]) -> Result<KeyPair, rcgen::Error> {
    KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8(secret), &PKCS_ED25519)
}
