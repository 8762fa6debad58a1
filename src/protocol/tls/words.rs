//! What went wrong with TLS, in words for the trace. The guest sees `proto`, whatever it was.

use rustls::{AlertDescription, CertificateError, Error as TlsError, PeerIncompatible};

/// A sentence without a secret in it.
pub fn words(error: &TlsError) -> String {
    match error {
        TlsError::InvalidCertificate(why) => {
            format!("the peer's certificate is refused: {}", certificate(why))
        }
        TlsError::NoCertificatesPresented => "the peer has shown no certificate".to_owned(),
        TlsError::NoApplicationProtocol => "no application protocol in common (ALPN)".to_owned(),
        TlsError::AlertReceived(alert) => format!("the peer gave up: {}", alert_words(*alert)),
        TlsError::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
            "the server speaks neither TLS 1.2 nor TLS 1.3".to_owned()
        }
        TlsError::PeerIncompatible(PeerIncompatible::SupportedVersionsExtensionRequired) => {
            "the client does not speak TLS 1.3".to_owned()
        }
        TlsError::InvalidMessage(_) => "the peer does not speak TLS".to_owned(),
        other => other.to_string(),
    }
}

fn certificate(why: &CertificateError) -> String {
    use CertificateError as E;
    match why {
        E::UnknownIssuer => "unknown issuer".to_owned(),
        E::Expired => "expired".to_owned(),
        E::ExpiredContext { time, not_after } => {
            format!("expired {} s ago", time.as_secs().saturating_sub(not_after.as_secs()))
        }
        E::NotValidYet => "not valid yet".to_owned(),
        E::NotValidYetContext { time, not_before } => {
            format!("not valid yet, but in {} s", not_before.as_secs().saturating_sub(time.as_secs()))
        }
        E::NotValidForName => "wrong name".to_owned(),
        E::NotValidForNameContext { expected, presented } => {
            // The peer chose them: some of them tell enough.
            let presented: Vec<_> = presented.iter().take(8).map(|name| bare(name)).collect();
            format!("wrong name, `{}`: it is for {}", expected.to_str(), presented.join(", "))
        }
        E::UnsupportedSignatureAlgorithmContext { .. }
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "signed in a way that is not known here, or not by such a key".to_owned()
        }
        E::BadSignature => "a bad signature".to_owned(),
        E::BadEncoding => "badly encoded".to_owned(),
        // webpki's own, by its name alone: `CaUsedAsEndEntity`.
        E::Other(why) => spaced(&why.to_string()),
        other => other.to_string(),
    }
}

/// As RFC 8446, 6 names them: `unknown_ca`.
fn alert_words(alert: AlertDescription) -> String {
    spaced(&format!("{alert:?}"))
}

/// `UnknownCA` as words.
fn spaced(name: &str) -> String {
    let mut words = String::new();
    for c in name.chars() {
        // `UnknownCA` and `CertificateExpired`: a capital begins a word, unless it follows another.
        if c.is_ascii_uppercase() && words.ends_with(|last: char| last.is_ascii_lowercase()) {
            words.push(' ');
        }
        words.push(c);
    }
    words.to_lowercase()
}

/// `DnsName("www.example.org")`, as rustls has it, without what surrounds it.
fn bare(name: &str) -> String {
    let inner = name.split_once('(').map_or(name, |(_, inner)| inner).trim_end_matches(')').trim_matches('"');
    inner.chars().take(64).flat_map(char::escape_debug).collect()
}
