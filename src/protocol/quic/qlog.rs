//! Events of connections (draft-ietf-quic-qlog-main-schema), for whoever asked for them: quinn-proto tells of packets sent, received
//! and lost, and of how the path is judged, with the times of our clock.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quinn_proto::{QlogConfig, QlogStream};

use crate::node::Journal;
use crate::time::Instant;

/// The events of one protocol object: JSON text sequences (RFC 7464), each with an id of its connection as its group.
pub struct Qlog {
    path: Arc<Path>,
    pub stream: QlogStream,
    written: Written,
}

impl Qlog {
    /// `path`: the file that they are meant for.
    ///
    /// # Errors
    /// A sentence, if the head cannot be written.
    pub fn new(path: PathBuf, title: &str) -> Result<Qlog, String> {
        let written = Written::default();
        // By default its times count from when the machine's clock says it was made; they are to count from the world's first instant.
        let mut config = QlogConfig::default();
        config
            .start_time(Instant::START.to_std())
            .title(Some(title.to_owned()))
            .writer(Box::new(written.clone()));
        let stream = config.into_stream().ok_or("a qlog cannot be begun")?;
        Ok(Qlog { path: path.into(), stream, written })
    }

    /// What was written since the last time.
    pub fn tell(&self, journal: &mut Journal) {
        let bytes = std::mem::take(&mut *self.written.lock());
        if !bytes.is_empty() {
            journal.qlog(&self.path, bytes);
        }
    }
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
