//! The lab's authorities, and `tls` protocol objects with the authorities that they name.

use std::net::IpAddr;
use std::path::Path;

use super::super::address::address_of;
use super::super::mistake::{Mistakes, quote};
use super::super::spec::{AuthoritySpec, CertificateSpec, RootSpec, TlsSpec};
use crate::network::InterfaceConfig;
use crate::network::ip::is_link_local;
use crate::protocol::tls::config::Clients;
use crate::protocol::tls::name::Name;
use crate::protocol::tls::plan::{AuthorityPlan, CertificatePlan, DEFAULT_HANDSHAKE, RootPlan, TlsPlan};
use toml::Spanned;

/// What `tls` protocol objects of one guest refer to.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub authorities: &'a [AuthoritySpec],
    /// The guest's name and interfaces, which its certificates are for.
    pub guest: &'a str,
    pub interfaces: &'a [InterfaceConfig],
    /// Folder that paths are relative to.
    pub folder: &'a Path,
    pub mistakes: &'a Mistakes,
}

pub(super) fn authorities(specs: &[AuthoritySpec], folder: &Path) -> Vec<AuthorityPlan> {
    let plan = |spec: &AuthoritySpec| AuthorityPlan {
        name: spec.name.get_ref().clone(),
        valid: spec.valid,
        export: spec.export.as_ref().map(|export| folder.join(export.get_ref())),
    };
    specs.iter().map(plan).collect()
}

impl Scope<'_> {
    pub fn tls(&self, spec: &TlsSpec) -> TlsPlan {
        let clients = spec.clients.as_ref().map(|clients| *clients.get_ref()).unwrap_or_default();
        let own = || (0..self.authorities.len()).map(RootPlan::Authority).collect::<Vec<_>>();
        let client_roots = spec.client_roots.as_deref().map_or_else(own, |roots| self.roots(roots));
        if let Some(at) = spec.clients.as_ref().filter(|_| clients != Clients::Anonymous).map(Spanned::span) {
            let help = "add `certificate = { chain = \"...\", key = \"...\" }`, or leave `clients` out";
            if spec.certificates.is_empty() {
                self.mistakes.add(
                    at,
                    "clients: only a server asks for certificates, and this has none itself",
                    help,
                );
            } else if client_roots.is_empty() {
                let help = "name whom to trust: `client_roots = { file = \"...\" }` or `{ ca = \"...\" }`";
                self.mistakes.add(at, "clients: nothing to hold their certificates against", help);
            }
        }
        let roots = match &spec.roots {
            Some(roots) => self.roots(roots),
            None if self.authorities.is_empty() => vec![RootPlan::SystemIfLive],
            None => own(),
        };
        TlsPlan {
            certificates: spec.certificates.iter().filter_map(|spec| self.certificate(spec)).collect(),
            roots,
            client_roots,
            clients,
            server_name: spec.server_name.clone(),
            alpn: spec.alpn.clone(),
            versions: spec.versions,
            resumption: spec.resumption.unwrap_or(true),
            early_data: spec.early_data,
            timeout: spec.timeout.unwrap_or(DEFAULT_HANDSHAKE),
        }
    }

    fn certificate(&self, spec: &CertificateSpec) -> Option<CertificatePlan> {
        Some(match spec {
            CertificateSpec::Files { chain, key } => CertificatePlan::Files {
                chain: self.folder.join(chain.get_ref()),
                key: self.folder.join(key.get_ref()),
            },
            CertificateSpec::Issued { authority, names, valid } => CertificatePlan::Issued {
                authority: self.authority(authority)?,
                names: if names.is_empty() { self.own_names() } else { names.clone() },
                valid: *valid,
            },
        })
    }

    fn roots(&self, specs: &[Spanned<RootSpec>]) -> Vec<RootPlan> {
        let root = |spec: &Spanned<RootSpec>| match spec.get_ref() {
            RootSpec::Authority(name) => self.authority(name).map(RootPlan::Authority),
            RootSpec::File(path) => Some(RootPlan::File(self.folder.join(path))),
            RootSpec::System => Some(RootPlan::System),
        };
        specs.iter().filter_map(root).collect()
    }

    /// The guest's name, if hosts can be called that, and its addresses.
    fn own_names(&self) -> Vec<Name> {
        let addresses = self.interfaces.iter().flat_map(|interface| &interface.addresses);
        let addresses =
            addresses.map(|&cidr| address_of(cidr)).filter(|&address: &IpAddr| !is_link_local(address));
        self.guest.parse().into_iter().chain(addresses.map(Name::Address)).collect()
    }

    fn authority(&self, name: &Spanned<String>) -> Option<usize> {
        let names = || self.authorities.iter().map(|authority| authority.name.get_ref().as_str());
        let wanted = name.get_ref();
        let found = names().position(|known| known == wanted);
        if found.is_none() {
            let meant = self.mistakes.did_you_mean(wanted, names());
            let known: Vec<_> = names().collect();
            let help = match known.len() {
                0 => format!("add [ca.{wanted}]"),
                _ => {
                    format!("{meant}{}there is {}", if meant.is_empty() { "" } else { " " }, known.join(", "))
                }
            };
            self.mistakes.add(name.span(), format!("ca: the lab has no CA {}", quote(wanted)), help);
        }
        found
    }
}
