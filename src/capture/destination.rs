//! Where a capture's bytes go.

use std::io::{self, Write};

use crate::network::checksum;

/// Blocks of a capture that stand one behind the other, but for the checksums of TCP segments and UDP datagrams: to fill
/// those in is for whoever writes the bytes, as that may be another thread.
#[derive(Debug, Default)]
pub struct Blocks {
    pub(super) bytes: Vec<u8>,
    /// Where frames stand that may lack a checksum, first byte and length.
    pub(super) incomplete: Vec<(usize, usize)>,
}

impl Blocks {
    /// The bytes as they are to be written.
    pub fn complete(&mut self) -> &[u8] {
        for (start, len) in self.incomplete.drain(..) {
            checksum::complete(&mut self.bytes[start..start + len], true);
        }
        &self.bytes
    }

    /// Keeps the room and nothing else.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.incomplete.clear();
    }
}

/// Takes a capture by the bufferful. Any [`Write`] is one.
pub trait Destination: Send {
    /// Takes all of `full`, and gives empty ones back, those or others.
    ///
    /// # Errors
    /// As [`Write::write`], perhaps those of an earlier call: whatever is told once is not told again.
    fn take(&mut self, full: Blocks) -> io::Result<Blocks>;

    /// What was taken is to reach whoever reads along.
    ///
    /// # Errors
    /// As [`Destination::take`].
    fn pass_on(&mut self) -> io::Result<()>;

    /// Waits until everything that was taken is where it should be.
    ///
    /// # Errors
    /// As [`Destination::take`].
    fn finish(&mut self) -> io::Result<()> {
        self.pass_on()
    }
}

impl<W: Write + Send> Destination for W {
    fn take(&mut self, mut full: Blocks) -> io::Result<Blocks> {
        self.write_all(full.complete())?;
        full.clear();
        Ok(full)
    }

    fn pass_on(&mut self) -> io::Result<()> {
        self.flush()
    }
}
