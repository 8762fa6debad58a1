//! Keeps a run's records, and the secrets that decrypt them, for its report.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::capture::{Record, Sink};
use crate::time::Instant;
use crate::world::QlogSink;

/// What a run's capture has in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pub records: Vec<Record>,
    /// Lines of a key log, each with how many records came before it.
    pub secrets: Vec<(usize, String)>,
    /// By the files that they are meant for.
    pub qlogs: BTreeMap<PathBuf, Vec<u8>>,
}

/// A sink whose records can be taken from outside the world that has it.
#[derive(Clone, Default)]
pub(super) struct Records(Arc<Mutex<Kept>>);

impl Records {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records so far.
    pub fn count(&self) -> usize {
        self.lock().records.len()
    }

    pub fn take(&self) -> Kept {
        std::mem::take(&mut *self.lock())
    }

    /// What a world tells of the events of QUIC connections is kept too.
    pub fn qlogs(&self) -> QlogSink {
        let me = self.clone();
        Box::new(move |path, mut bytes| {
            me.lock().qlogs.entry(path.to_owned()).or_default().append(&mut bytes);
        })
    }
}

impl Sink for Records {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        self.lock().records.push(record.clone());
        Ok(())
    }

    fn secrets(&mut self, lines: &str) -> io::Result<()> {
        let mut kept = self.lock();
        let before = kept.records.len();
        kept.secrets.push((before, lines.to_owned()));
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self, _at: Instant) -> io::Result<()> {
        Ok(())
    }
}
