//! The tables `[ca.NAME]`, and the keys of protocol objects of kind `tls`.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::mistake::{Mistakes, Problem, quote};
use super::super::read::{Named, Reader, article, boolean, string, word};
use super::super::units;
use super::guest::path;
use super::missing;
use crate::protocol::tls::config::{Clients, Versions};
use crate::protocol::tls::name::Name;
use crate::protocol::tls::plan::{DEFAULT_VALIDITY, ValidityPlan};

/// Certificates of one protocol object, and roots of one list.
const CERTIFICATES_MAX: usize = 64;
/// A name of a protocol has a byte for its length (RFC 7301, 3.1).
const ALPN_BYTES_MAX: usize = 255;

pub(in super::super) struct AuthoritySpec {
    pub name: Spanned<String>,
    pub valid: ValidityPlan,
    pub export: Option<Spanned<PathBuf>>,
}

#[derive(Default)]
pub(in super::super) struct TlsSpec {
    pub certificates: Vec<CertificateSpec>,
    /// `None`: not given.
    pub roots: Option<Vec<Spanned<RootSpec>>>,
    pub client_roots: Option<Vec<Spanned<RootSpec>>>,
    pub clients: Option<Spanned<Clients>>,
    pub server_name: Option<String>,
    pub alpn: Vec<String>,
    pub versions: Versions,
    pub resumption: Option<bool>,
    pub timeout: Option<Duration>,
}

pub(in super::super) enum CertificateSpec {
    Files {
        chain: Spanned<PathBuf>,
        key: Spanned<PathBuf>,
    },
    /// Without names: the guest's name and addresses.
    Issued {
        authority: Spanned<String>,
        names: Vec<Name>,
        valid: ValidityPlan,
    },
}

pub(in super::super) enum RootSpec {
    Authority(Spanned<String>),
    File(PathBuf),
    System,
}

pub(super) fn authority(Named { name, table }: Named<'_>, mistakes: &Mistakes) -> AuthoritySpec {
    let mut reader = Reader::new(table, format!("ca `{}`", name.get_ref()), mistakes);
    let valid = validity(&mut reader);
    let export = reader.get("export", path);
    reader.finish();
    AuthoritySpec { name, valid, export }
}

/// `valid = { from = "-1h", until = "24h" }`.
fn validity(reader: &mut Reader<'_>) -> ValidityPlan {
    let mistakes = reader.mistakes;
    let mut valid = DEFAULT_VALIDITY;
    let Some((at, table)) = reader.table("valid") else { return valid };
    let mut inner = Reader::new(table, "`valid`", mistakes);
    let mut time = |key, default| inner.get(key, units::skew).map_or(default, Spanned::into_inner);
    valid.from_ns = time("from", valid.from_ns);
    valid.until_ns = time("until", valid.until_ns);
    inner.finish();
    if valid.from_ns >= valid.until_ns {
        let help = "both count from the lab's beginning: `valid = { from = \"-1h\", until = \"24h\" }`";
        mistakes.add(at, "valid: ends before it begins", help);
    }
    valid
}

/// The keys of a protocol object that only `tls` has.
pub(super) fn tls(reader: &mut Reader<'_>, what: &str) -> TlsSpec {
    let mistakes = reader.mistakes;
    let mut certificates = Vec::new();
    for (at, table) in reader.tables("certificate") {
        if certificates.len() == CERTIFICATES_MAX {
            let message = format!("{what} has more than {CERTIFICATES_MAX} certificates");
            mistakes.add(at, message, "one for several names does for many: `names = [...]`");
            break;
        }
        certificates.extend(certificate(at, table, what, mistakes));
    }
    let alpn = reader.list("alpn", alpn).unwrap_or_default();
    TlsSpec {
        certificates,
        roots: reader.list("roots", root(mistakes)),
        client_roots: reader.list("client_roots", root(mistakes)),
        clients: reader.get("clients", clients),
        server_name: reader.get("server_name", server_name).map(Spanned::into_inner),
        alpn: alpn.into_iter().map(Spanned::into_inner).collect(),
        versions: versions(reader),
        resumption: reader.get("resumption", boolean).map(Spanned::into_inner),
        timeout: reader.get("timeout", units::duration).map(Spanned::into_inner),
    }
}

/// `{ chain = "server.pem", key = "server.key" }` or `{ ca = "test", names = ["server"] }`.
fn certificate(
    at: Range<usize>,
    table: &DeTable<'_>,
    what: &str,
    mistakes: &Mistakes,
) -> Option<CertificateSpec> {
    const HELP: &str =
        "PEM files, `chain` and `key`; or `ca`, one of the lab's own, and the `names` that it is for";
    let what = format!("a certificate of {what}");
    let mut reader = Reader::new(table, what.clone(), mistakes);
    let [files, issued] =
        [["chain", "key"], ["ca", "names"]].map(|keys| keys.iter().any(|key| reader.has(key)));
    let chain = reader.get("chain", path);
    let key = reader.get("key", path);
    let authority = reader.get("ca", string);
    let names = reader.list("names", name).unwrap_or_default();
    let valid = validity(&mut reader);
    let has = |key: &str| table.contains_key(key);
    let spec = match (files, issued) {
        (true, true) | (false, false) => {
            mistakes.add(at, format!("{what} is neither of files nor of a CA, or both"), HELP);
            None
        }
        (true, false) => {
            for key in ["chain", "key"].into_iter().filter(|key| !has(key)) {
                missing(mistakes, at.clone(), &what, key, HELP);
            }
            if has("valid") {
                mistakes.add(at, "valid: a certificate from a file is valid as it is", "leave it out");
            }
            chain.zip(key).map(|(chain, key)| CertificateSpec::Files { chain, key })
        }
        (false, true) => {
            if !has("ca") {
                missing(mistakes, at, &what, "ca", HELP);
            }
            let names = names.into_iter().map(Spanned::into_inner).collect();
            authority.map(|authority| CertificateSpec::Issued { authority, names, valid })
        }
    };
    reader.finish();
    spec
}

/// `"system"`, `{ ca = "test" }` or `{ file = "roots.pem" }`.
fn root<'a>(mistakes: &'a Mistakes) -> impl Fn(&DeValue<'_>) -> Result<RootSpec, Problem> + 'a {
    const HELP: &str = "`{ ca = \"NAME\" }`, `{ file = \"roots.pem\" }`, or \"system\" for the machine's own";
    move |value| {
        let table = match value {
            DeValue::Table(table) => table,
            other => {
                return word(other, "a root", &[("system", ())])
                    .map(|()| RootSpec::System)
                    .map_err(|problem| Problem::new(problem.message, HELP));
            }
        };
        let mut reader = Reader::new(table, "a root", mistakes);
        let authority = reader.get("ca", string);
        let file = reader.get("file", path);
        reader.finish();
        match (authority, file) {
            (Some(authority), None) => Ok(RootSpec::Authority(authority)),
            (None, Some(file)) => Ok(RootSpec::File(file.into_inner())),
            (None, None) | (Some(_), Some(_)) => {
                Err(Problem::new("names neither a CA nor a file, or both", HELP))
            }
        }
    }
}

fn clients(value: &DeValue<'_>) -> Result<Clients, Problem> {
    let words =
        [("anonymous", Clients::Anonymous), ("optional", Clients::Optional), ("required", Clients::Required)];
    word(value, "what clients are asked for", &words)
}

fn name(value: &DeValue<'_>) -> Result<Name, Problem> {
    let text = string(value)?;
    text.parse().map_err(|_| {
        let help = "an address, or a host's name such as \"www.example.org\" or \"*.example.org\"";
        Problem::new(format!("{} is no name for a certificate", quote(&text)), help)
    })
}

fn server_name(value: &DeValue<'_>) -> Result<String, Problem> {
    match name(value)? {
        name @ (Name::Host(_) | Name::Address(_)) => Ok(name.to_string()),
        Name::AnyHostOf(_) => Err(Problem::new("is no single name", "the one server's, without an asterisk")),
    }
}

fn alpn(value: &DeValue<'_>) -> Result<String, Problem> {
    let text = string(value)?;
    if (1..=ALPN_BYTES_MAX).contains(&text.len()) {
        return Ok(text);
    }
    Err(Problem::new(format!("{} cannot name a protocol", quote(&text)), "1 to 255 bytes, such as \"h2\""))
}

/// `["1.2", "1.3"]`, or one of them.
fn versions(reader: &mut Reader<'_>) -> Versions {
    const HELP: &str = "\"1.2\", \"1.3\", or a list of both";
    let version = |value: &DeValue<'_>| match value {
        DeValue::String(_) => word(
            value,
            "a version of TLS that is spoken here",
            &[("1.2", Versions::Tls12), ("1.3", Versions::Tls13)],
        ),
        other => Err(Problem::new(format!("{} where a version belongs", article(other)), HELP)),
    };
    let list = reader.list("versions", version);
    match list.as_deref() {
        Some([one]) => *one.get_ref(),
        None | Some([]) | Some([_, _, ..]) => Versions::Both,
    }
}
