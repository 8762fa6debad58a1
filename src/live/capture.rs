//! Captures written by a thread of their own: the world hands a buffer over and goes on.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};
use nix::fcntl::{FallocateFlags, fallocate};

use crate::capture::{Blocks, Destination};

/// Buffers that may wait. When the thread cannot keep up, the world waits: a capture is complete. More of them are no
/// help where the thread is the faster one, and what is written into them finds no place in a processor's cache.
const WAITING_MAX: usize = 2;

/// A file for secrets: nobody but its owner reads it.
///
/// # Errors
/// It cannot be written.
pub fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

enum Message {
    Blocks(usize, Blocks),
    Flush(usize),
    /// To be answered once everything before was done.
    Finish(usize, Sender<()>),
}

/// A destination whose bytes are written by a thread that it shares with the others it was made with.
#[derive(Debug)]
pub struct Threaded {
    number: usize,
    send: Sender<Message>,
    spare: Spare,
    /// At most one: nothing is written after it.
    errors: Receiver<io::Error>,
}

/// Buffers to be filled again, those that were given last first: a processor still has them at hand.
#[derive(Clone, Debug, Default)]
struct Spare(Arc<Mutex<Vec<Blocks>>>);

impl Spare {
    fn give(&self, blocks: Blocks) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(blocks);
    }

    fn take(&self) -> Blocks {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }
}

struct Output {
    /// `None` after an error.
    out: Option<Box<dyn Write + Send>>,
    errors: Sender<io::Error>,
}

impl Threaded {
    /// A destination in front of each of `outs`, and a thread that writes to them all.
    ///
    /// # Errors
    /// No thread to be had.
    pub fn new(outs: Vec<Box<dyn Write + Send>>) -> io::Result<Vec<Threaded>> {
        let (send, receive) = bounded(WAITING_MAX);
        let spare = Spare::default();
        let give_back = spare.clone();
        let mut outputs = Vec::with_capacity(outs.len());
        let mut fronts = Vec::with_capacity(outs.len());
        for (number, out) in outs.into_iter().enumerate() {
            let (tell, errors) = bounded(1);
            outputs.push(Output { out: Some(out), errors: tell });
            fronts.push(Threaded { number, send: send.clone(), spare: spare.clone(), errors });
        }
        std::thread::Builder::new()
            .name("capture".to_owned())
            .spawn(move || write(&mut outputs, &receive, &give_back))?;
        Ok(fronts)
    }

    fn send(&mut self, message: Message) -> io::Result<()> {
        match self.errors.try_recv() {
            Ok(error) => Err(error),
            Err(_) => self.send.send(message).map_err(|_| gone()),
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("the capture's writer is gone")
}

fn write(outputs: &mut [Output], receive: &Receiver<Message>, give_back: &Spare) {
    for message in receive {
        match message {
            Message::Blocks(number, mut blocks) => {
                outputs[number].with(|out| out.write_all(blocks.complete()));
                blocks.clear();
                give_back.give(blocks);
            }
            Message::Flush(number) => outputs[number].with(|out| out.flush()),
            Message::Finish(number, done) => {
                outputs[number].with(|out| out.flush());
                outputs[number].out = None;
                let _ = done.send(());
            }
        }
    }
}

impl Output {
    fn with(&mut self, operation: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>) {
        if let Some(out) = &mut self.out
            && let Err(error) = operation(&mut **out)
        {
            self.out = None;
            let _ = self.errors.try_send(error);
        }
    }
}

impl Destination for Threaded {
    fn take(&mut self, full: Blocks) -> io::Result<Blocks> {
        self.send(Message::Blocks(self.number, full))?;
        Ok(self.spare.take())
    }

    fn pass_on(&mut self) -> io::Result<()> {
        self.send(Message::Flush(self.number))
    }

    fn finish(&mut self) -> io::Result<()> {
        let (done, wait) = bounded(1);
        self.send(Message::Finish(self.number, done))?;
        wait.recv().map_err(|_| gone())?;
        self.errors.try_recv().map_or(Ok(()), Err)
    }
}

/// Bytes from which on room is reserved ahead, and how much at most.
const RESERVED_BYTES_MIN: u64 = 4 << 20;
const RESERVED_BYTES_MAX: u64 = 256 << 20;

/// A file for a capture. It reserves room in larger pieces as it grows, which spares the file system a third of its work
/// for each page; what is left over is given back at the end.
#[derive(Debug)]
pub struct CaptureFile {
    file: File,
    len: u64,
    /// `None`: the file system cannot.
    reserved: Option<u64>,
}

impl CaptureFile {
    /// `file` is empty and written from its beginning.
    pub fn new(file: File) -> Self {
        Self { file, len: 0, reserved: Some(0) }
    }

    fn reserve(&mut self, more: usize) {
        let Some(reserved) = self.reserved else { return };
        let end = self.len + more as u64;
        if end <= reserved || end < RESERVED_BYTES_MIN {
            return;
        }
        let from = reserved.max(self.len);
        let count = end.clamp(RESERVED_BYTES_MIN, RESERVED_BYTES_MAX);
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        // A pipe cannot, and a disk that has not so much left may still have enough.
        let result = fallocate(&self.file, FallocateFlags::FALLOC_FL_KEEP_SIZE, signed(from), signed(count));
        self.reserved = result.is_ok().then_some(from + count);
    }
}

impl Write for CaptureFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.reserve(bytes.len());
        let written = self.file.write(bytes)?;
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for CaptureFile {
    fn drop(&mut self) {
        if self.reserved.is_none_or(|reserved| reserved > self.len) && self.len >= RESERVED_BYTES_MIN {
            // Nothing is lost if it cannot be given back.
            let _ = self.file.set_len(self.len);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::time::Duration;

    use super::*;
    use crate::capture::{PortInfo, Record, Session, Sink, Way, Writer};
    use crate::network::Frame;
    use crate::time::Instant;

    fn writer(out: Box<dyn Write + Send>) -> Writer<Threaded> {
        let ports = vec![PortInfo { name: "client".into(), description: String::new() }];
        let session = Session {
            name: "test".into(),
            seed: 1,
            digest: String::new(),
            epoch: Duration::ZERO,
            ports,
            names: vec![],
        };
        let front = Threaded::new(vec![out]).unwrap().remove(0);
        Writer::new(front, &session).unwrap()
    }

    fn record() -> Record {
        let frame = Frame::new(vec![0; 1500].into());
        Record { at: Instant::START, port: 0, way: Way::Outbound, frame, dropped: None, late: false }
    }

    #[test]
    fn a_full_disk_is_told_once_and_the_capture_does_not_pass_for_whole() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut sink = writer(Box::new(CaptureFile::new(full)));
        let told: Vec<_> = (0..10_000).filter_map(|_| sink.record(&record()).err()).collect();
        assert!(told.len() <= 1, "{told:?}");
        let error = Sink::close(&mut sink, Instant::START).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn room_that_was_reserved_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long.pcapng");
        let mut sink = writer(Box::new(CaptureFile::new(File::create(&path).unwrap())));
        (0..6_000).for_each(|_| sink.record(&record()).unwrap());
        sink.close(Instant::START).unwrap();
        let file = std::fs::metadata(&path).unwrap();
        assert!(file.len() > 2 * RESERVED_BYTES_MIN && file.len() < 10_000_000, "{} bytes", file.len());
        // A few blocks more than the bytes there are, whatever the file system keeps beside them.
        assert!(file.blocks() * 512 < file.len() + 1_000_000, "{} blocks of 512", file.blocks());
        let frames = crate::capture::frames(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(frames.len(), 6_000);
    }
}
