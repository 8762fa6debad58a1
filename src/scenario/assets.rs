//! The files that a plan names, read once: guests' modules and standard inputs, captures to be injected, golden ones.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;

use super::contents::{FILE_BYTES_MAX, read_file, read_input};
use super::expectation::{Expected, ExpectedContent, ExpectedFile, ExpectedGuest};
use super::plan::{Action, FramesPlan, Plan, StdinPlan};

/// Contents by path. A file that could not be read is kept as its error: it ends the guests that need it
/// and no others.
#[derive(Debug, Default)]
pub struct Assets {
    files: BTreeMap<PathBuf, Result<Vec<u8>, String>>,
    /// The machine's own, if the plan has need of them.
    system_roots: Option<Arc<SystemRoots>>,
}

/// Certificates that the machine trusts, or why there are none.
pub type SystemRoots = Result<Vec<CertificateDer<'static>>, String>;

impl Assets {
    pub fn read(plan: &Plan) -> Assets {
        let mut assets = Assets::default();
        for guest in &plan.guests {
            assets.add(&guest.module);
            match &guest.stdin {
                StdinPlan::File(path) => assets.add_with(path, read_input),
                StdinPlan::Empty | StdinPlan::Text(_) | StdinPlan::Inherit => {}
            }
        }
        plan.certificate_files().for_each(|path| assets.add(path));
        if plan.needs_system_roots() {
            assets.system_roots = Some(Arc::new(system_roots()));
        }
        for entry in &plan.timeline {
            if let Action::Inject { frames: FramesPlan::Capture(path), .. } = &entry.action {
                assets.add(path);
            }
        }
        for expectation in &plan.expectations {
            match &expectation.expected {
                Expected::Golden { path, .. } => assets.add(path),
                Expected::Guest(ExpectedGuest {
                    file: Some(ExpectedFile { content: ExpectedContent::SameAs(path), .. }),
                    ..
                }) => assets.add(path),
                Expected::Guest(_)
                | Expected::Packets(_)
                | Expected::Counter(_)
                | Expected::Ending { .. } => {}
            }
        }
        assets
    }

    fn add(&mut self, path: &Path) {
        self.add_with(path, read_file);
    }

    fn add_with(&mut self, path: &Path, read: fn(&Path, u64) -> io::Result<Vec<u8>>) {
        if !self.files.contains_key(path) {
            let bytes = read(path, FILE_BYTES_MAX);
            let bytes = bytes.map_err(|error| format!("{}: {error}", path.display()));
            self.files.insert(path.to_owned(), bytes);
        }
    }

    /// A file's contents from somewhere else than the disk.
    pub fn insert(&mut self, path: PathBuf, bytes: Vec<u8>) {
        self.files.insert(path, Ok(bytes));
    }

    pub fn system_roots(&self) -> Option<Arc<SystemRoots>> {
        self.system_roots.clone()
    }

    /// # Errors
    /// Why the file could not be read.
    pub fn get(&self, path: &Path) -> Result<&[u8], String> {
        match self.files.get(path) {
            Some(Ok(bytes)) => Ok(bytes),
            Some(Err(error)) => Err(error.clone()),
            None => Err(format!("{}: was not read", path.display())),
        }
    }
}

/// Some of them may not be readable: what is there counts.
fn system_roots() -> SystemRoots {
    let found = rustls_native_certs::load_native_certs();
    match (found.certs.is_empty(), found.errors.first()) {
        (false, _) => Ok(found.certs),
        (true, Some(error)) => Err(format!("the machine's roots: {error}")),
        (true, None) => Err("the machine has no roots: install ca-certificates, or name others".to_owned()),
    }
}
