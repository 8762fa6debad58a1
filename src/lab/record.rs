//! Keeps a run's records, and the secrets that decrypt them, for its report.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::capture::{Record, Sink};
use crate::time::Instant;

/// What a run's capture has in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pub records: Vec<Record>,
    /// Lines of a key log, each with how many records came before it.
    pub secrets: Vec<(usize, String)>,
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
