//! The secrets of TLS connections as a file of their own, in the format that NSS began and Wireshark reads
//! (draft-ietf-tls-keylogfile).

use std::io::{self, Write};

use super::{Record, Sink};
use crate::time::Instant;

/// Writes secrets to `out`, and hands on everything to the capture beside it, if there is one.
pub struct KeyLog<W> {
    out: W,
    capture: Option<Box<dyn Sink>>,
}

impl<W: Write> KeyLog<W> {
    pub fn new(out: W, capture: Option<Box<dyn Sink>>) -> Self {
        Self { out, capture }
    }

    /// Gives the file back; the capture is dropped unfinished.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn hand_on(&mut self, what: impl FnOnce(&mut dyn Sink) -> io::Result<()>) -> io::Result<()> {
        match &mut self.capture {
            Some(capture) => what(&mut **capture),
            None => Ok(()),
        }
    }
}

impl<W: Write + Send> Sink for KeyLog<W> {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        self.hand_on(|capture| capture.record(record))
    }

    fn fills_in_checksums(&self) -> bool {
        self.capture.as_ref().is_some_and(|capture| capture.fills_in_checksums())
    }

    /// At once: whoever follows the file has them before the packets.
    fn secrets(&mut self, lines: &str) -> io::Result<()> {
        let written = self.out.write_all(lines.as_bytes()).and_then(|()| self.out.flush());
        written.and(self.hand_on(|capture| capture.secrets(lines)))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hand_on(|capture| capture.flush())
    }

    fn close(&mut self, at: Instant) -> io::Result<()> {
        let flushed = self.out.flush();
        flushed.and(self.hand_on(|capture| capture.close(at)))
    }
}
