//! The capture on a thread of its own: the world hands a record over and goes on.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::capture::{Record, Sink};
use crate::time::Instant;

/// Records handed over at once, or fewer if their frames have so many bytes; and batches that may wait. When the writer
/// cannot keep up, the world waits: a capture is complete.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 512 * 1024;
const BATCHES: usize = 32;

/// A file for secrets: nobody but its owner reads it.
///
/// # Errors
/// It cannot be written.
pub fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

enum Message {
    Records(Vec<Record>),
    Secrets(String),
    Flush,
    Close(Instant),
}

/// Hands records to a sink on another thread.
pub struct Threaded {
    batch: Vec<Record>,
    batch_bytes: usize,
    fills_in_checksums: bool,
    send: Sender<Message>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Threaded {
    /// # Errors
    /// No thread to be had.
    pub fn new(sink: Box<dyn Sink>) -> io::Result<Threaded> {
        let (send, receive) = bounded(BATCHES);
        let fills_in_checksums = sink.fills_in_checksums();
        let thread =
            std::thread::Builder::new().name("capture".to_owned()).spawn(move || write(sink, &receive))?;
        Ok(Threaded {
            batch: Vec::with_capacity(BATCH),
            batch_bytes: 0,
            fills_in_checksums,
            send,
            thread: Some(thread),
        })
    }

    fn hand_over_batch(&mut self) -> io::Result<()> {
        self.batch_bytes = 0;
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        self.hand_over(Message::Records(batch))
    }

    fn hand_over(&mut self, message: Message) -> io::Result<()> {
        self.send.send(message).map_err(|_| self.end())
    }

    /// The writer's error: it is gone.
    fn end(&mut self) -> io::Error {
        let result = self.thread.take().map(JoinHandle::join);
        match result {
            Some(Ok(Err(error))) => error,
            _ => io::Error::other("the capture's writer is gone"),
        }
    }
}

fn write(mut sink: Box<dyn Sink>, receive: &Receiver<Message>) -> io::Result<()> {
    for message in receive {
        match message {
            Message::Records(records) => {
                for record in records {
                    sink.record(&record)?;
                }
            }
            Message::Secrets(lines) => sink.secrets(&lines)?,
            Message::Flush => sink.flush()?,
            Message::Close(at) => return sink.close(at),
        }
    }
    Ok(())
}

impl Sink for Threaded {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        self.batch_bytes += record.frame.len();
        self.batch.push(record.clone());
        if self.batch.len() < BATCH && self.batch_bytes < BATCH_BYTES {
            return Ok(());
        }
        self.hand_over_batch()
    }

    fn fills_in_checksums(&self) -> bool {
        self.fills_in_checksums
    }

    fn secrets(&mut self, lines: &str) -> io::Result<()> {
        if !self.batch.is_empty() {
            self.hand_over_batch()?;
        }
        self.hand_over(Message::Secrets(lines.to_owned()))
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.batch.is_empty() {
            self.hand_over_batch()?;
        }
        self.hand_over(Message::Flush)
    }

    fn close(&mut self, at: Instant) -> io::Result<()> {
        self.hand_over_batch()?;
        self.hand_over(Message::Close(at))?;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            _ => Err(io::Error::other("the capture's writer is gone")),
        }
    }
}
