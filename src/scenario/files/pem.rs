//! Certificates, keys and roots are there, can be read, and belong together.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use toml::Spanned;

use super::looked_for;
use crate::protocol::tls::material::{self, Identity, PEM_BYTES_MAX, Problem};
use crate::scenario::mistake::{Mistakes, quote};
use crate::scenario::spec::{CertificateSpec, RootSpec, TlsSpec};

pub(super) fn check(tls: &TlsSpec, folder: &Path, mistakes: &Mistakes) {
    for certificate in &tls.certificates {
        if let CertificateSpec::Files { chain, key } = certificate {
            pair(chain, key, folder, mistakes);
        }
    }
    for (name, list) in [("roots", &tls.roots), ("client_roots", &tls.client_roots)] {
        for root in list.iter().flatten() {
            if let RootSpec::File(path) = root.get_ref() {
                let path = Spanned::new(root.span(), path.clone());
                read(name, &path, folder, mistakes, |pem| {
                    material::add_roots(pem, &mut RootCertStore::empty())
                });
            }
        }
    }
}

fn pair(chain: &Spanned<PathBuf>, key: &Spanned<PathBuf>, folder: &Path, mistakes: &Mistakes) {
    let chain_pem = read("chain", chain, folder, mistakes, |pem| material::certificates(pem).map(|_| ()));
    let key_pem = read("key", key, folder, mistakes, |pem| material::key(pem).map(|_| ()));
    let Some((chain_pem, key_pem)) = chain_pem.zip(key_pem) else { return };
    if let Err(problem) = Identity::from_pem(&chain_pem, &key_pem) {
        let path = quote(&key.get_ref().to_string_lossy());
        let chain = quote(&chain.get_ref().to_string_lossy());
        let help = format!("the certificate is the first of {chain}");
        mistakes.add(key.span(), format!("key: {path} {problem}"), help);
    }
}

/// A file's contents, if `parse` likes them.
fn read(
    key: &str,
    named: &Spanned<PathBuf>,
    folder: &Path,
    mistakes: &Mistakes,
    parse: impl FnOnce(&[u8]) -> Result<(), Problem>,
) -> Option<Vec<u8>> {
    let path = folder.join(named.get_ref());
    let shown = quote(&named.get_ref().to_string_lossy());
    match contents(&path) {
        Err(error) => mistakes.add(named.span(), format!("{key}: {shown}: {error}"), looked_for(&path)),
        Ok(bytes) => match parse(&bytes) {
            Ok(()) => return Some(bytes),
            Err(problem) => {
                let help = "PEM: sections that begin with a line such as `-----BEGIN CERTIFICATE-----`";
                mistakes.add(named.span(), format!("{key}: {shown} {problem}"), help);
            }
        },
    }
    None
}

/// Never more than PEM may have, whatever stands there.
fn contents(path: &Path) -> std::io::Result<Vec<u8>> {
    if !path.metadata()?.is_file() {
        return Err(std::io::Error::other("is not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(PEM_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
