//! What the `tls` protocol objects of one world are made with: its entropy, its authorities, and the PEM files that
//! its scenario names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use super::authority::{Authority, Validity};
use super::config::{Config, Settings};
use super::material::{self, Identity};
use super::plan::{AuthorityPlan, CertificatePlan, RootPlan, TlsPlan, ValidityPlan};
use super::provider::Entropy;

/// Contents of a file, or why it could not be read.
pub type File = Result<Vec<u8>, String>;

pub struct Supplies {
    pub entropy: Entropy,
    /// Wall-clock time of the world's first instant, since the Unix epoch.
    pub epoch: Duration,
    /// Whether protocol objects tell the secrets of their connections.
    pub log_secrets: bool,
    authorities: Vec<(AuthorityPlan, Result<Authority, String>)>,
    files: BTreeMap<PathBuf, File>,
    system_roots: Arc<Result<Vec<CertificateDer<'static>>, String>>,
}

impl Supplies {
    /// Without authorities and files.
    pub fn new(entropy: Entropy, epoch: Duration, log_secrets: bool) -> Supplies {
        let system_roots = Arc::new(Err("the machine's roots were not read".to_owned()));
        let (authorities, files) = Default::default();
        Supplies { entropy, epoch, log_secrets, authorities, files, system_roots }
    }

    pub fn add_authority(&mut self, plan: &AuthorityPlan) {
        let secret = self.entropy.secret(&format!("ca:{}", plan.name)).map_err(|error| error.to_string());
        let made = secret.and_then(|secret| {
            let valid = validity(plan.valid, self.epoch);
            Authority::new(&plan.name, valid, secret).map_err(|error| error.to_string())
        });
        self.authorities.push((plan.clone(), made));
    }

    pub fn add_file(&mut self, path: &Path, file: File) {
        self.files.insert(path.to_owned(), file);
    }

    pub fn set_system_roots(&mut self, roots: Arc<Result<Vec<CertificateDer<'static>>, String>>) {
        self.system_roots = roots;
    }

    /// The roots of the lab's authorities in PEM, by name; none of one that could not be made.
    pub fn root_pems(&self) -> impl Iterator<Item = (&AuthorityPlan, String)> {
        self.authorities.iter().filter_map(|(plan, made)| Some((plan, made.as_ref().ok()?.root_pem())))
    }

    /// `text` with each `{ca:NAME}` as that authority's root in PEM.
    pub fn with_roots(&self, text: &str) -> String {
        let mut text = text.to_owned();
        if text.contains("{ca:") {
            for (plan, pem) in self.root_pems() {
                text = text.replace(&format!("{{ca:{}}}", plan.name), &pem);
            }
        }
        text
    }

    /// The configuration of the protocol object called `label`, started for the `boots`th time since the first.
    ///
    /// # Errors
    /// A sentence that names what it cannot be made of.
    pub fn config(&self, label: &str, boots: u32, plan: &TlsPlan) -> Result<Config, String> {
        let identities = (0..).zip(&plan.certificates);
        let identities = identities.map(|(number, certificate)| self.identity(label, number, certificate));
        let settings = Settings {
            identities: identities.collect::<Result<_, _>>()?,
            roots: Arc::new(self.roots(&plan.roots)?),
            client_roots: Arc::new(self.roots(&plan.client_roots)?),
            clients: plan.clients,
            server_name: plan.server_name.clone(),
            alpn: plan.alpn.iter().map(|name| name.clone().into_bytes()).collect(),
            versions: plan.versions,
            resumption: plan.resumption,
            timeout: plan.timeout,
            log_secrets: self.log_secrets,
        };
        let crypto = self.entropy.crypto(&format!("tls:{label}:{boots}"), self.epoch);
        Config::new(settings, crypto).map_err(|error| error.to_string())
    }

    fn identity(&self, label: &str, number: usize, plan: &CertificatePlan) -> Result<Identity, String> {
        match plan {
            CertificatePlan::Files { chain, key } => {
                let (chain_pem, key_pem) = (self.file(chain)?, self.file(key)?);
                let paths = || format!("{} and {}", chain.display(), key.display());
                Identity::from_pem(chain_pem, key_pem).map_err(|problem| format!("{}: {problem}", paths()))
            }
            CertificatePlan::Issued { authority, names, valid } => {
                let (authority_plan, _) = &self.authorities[*authority];
                // One that is started again keeps its certificate.
                let secret =
                    self.entropy.secret(&format!("certificate:{}:{label}:{number}", authority_plan.name));
                let secret = secret.map_err(|error| error.to_string())?;
                let issued = self.authority(*authority)?.issue(names, validity(*valid, self.epoch), secret);
                issued.map_err(|error| format!("certificate {}: {error}", number + 1))
            }
        }
    }

    fn roots(&self, plans: &[RootPlan]) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        for plan in plans {
            match plan {
                RootPlan::Authority(authority) => {
                    let root = self.authority(*authority)?.root().clone();
                    roots.add(root).map_err(|error| error.to_string())?;
                }
                RootPlan::File(path) => material::add_roots(self.file(path)?, &mut roots)
                    .map_err(|problem| format!("{}: {problem}", path.display()))?,
                RootPlan::System | RootPlan::SystemIfLive => match self.entropy {
                    Entropy::System => {
                        let system = Result::as_ref(&self.system_roots).map_err(String::clone)?;
                        roots.add_parsable_certificates(system.iter().cloned());
                    }
                    Entropy::Seed(_) if *plan == RootPlan::SystemIfLive => {}
                    Entropy::Seed(_) => {
                        let help = "name a CA of the lab or a PEM file, or run it live";
                        return Err(format!("virtual time knows nothing of the machine's own roots: {help}"));
                    }
                },
            }
        }
        Ok(roots)
    }

    fn authority(&self, number: usize) -> Result<&Authority, String> {
        let (plan, made) = &self.authorities[number];
        made.as_ref().map_err(|error| format!("ca {}: {error}", plan.name))
    }

    fn file(&self, path: &Path) -> Result<&[u8], String> {
        match self.files.get(path) {
            Some(Ok(bytes)) => Ok(bytes),
            Some(Err(error)) => Err(error.clone()),
            None => Err(format!("{}: was not read", path.display())),
        }
    }
}

fn validity(plan: ValidityPlan, epoch: Duration) -> Validity {
    let at = |offset_ns: i64| {
        let offset = Duration::from_nanos(offset_ns.unsigned_abs());
        if offset_ns < 0 { epoch.saturating_sub(offset) } else { epoch.saturating_add(offset) }
    };
    Validity { from: at(plan.from_ns), until: at(plan.until_ns) }
}
