//! Where events of QUIC connections go: the files that the scenario's `qlog` keys come to.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use guestnet::world::World;

use super::Failure;

/// Files, each made when there is something for it.
#[derive(Clone, Default)]
pub struct Qlogs(Arc<Mutex<Files>>);

#[derive(Default)]
struct Files {
    open: BTreeMap<PathBuf, BufWriter<File>>,
    /// The first one that could not be written; nothing is, from then on.
    failed: Option<(PathBuf, io::Error)>,
}

impl Qlogs {
    /// Has `world` write them.
    pub fn begin(&self, world: &mut World) {
        let me = self.clone();
        world.set_qlogs(Box::new(move |path, bytes| me.lock().write(path, &bytes)));
    }

    /// Completes them.
    pub fn finish(&self) -> Result<(), Failure> {
        let mut files = self.lock();
        for (path, mut file) in std::mem::take(&mut files.open) {
            if let Err(error) = file.flush() {
                files.failed.get_or_insert((path, error));
            }
        }
        match files.failed.take() {
            None => Ok(()),
            Some((path, error)) => Err(Failure::io(format!("qlog {}", path.display()))(error)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Files> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files {
    fn write(&mut self, path: &Path, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        if let Err(error) = self.try_write(path, bytes) {
            self.failed = Some((path.to_owned(), error));
        }
    }

    fn try_write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if !self.open.contains_key(path) {
            self.open.insert(path.to_owned(), BufWriter::new(File::create(path)?));
        }
        self.open.get_mut(path).map_or(Ok(()), |file| file.write_all(bytes))
    }
}
