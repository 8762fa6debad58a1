//! Standard input, output and error of a guest: bytes in a node, moved by the driver.

use std::collections::VecDeque;

use crate::error::{Error, Result};

/// Output that may wait to be taken by the driver; a guest that writes more sleeps until then.
const OUTPUT_BYTES_MAX: usize = 256 * 1024;
/// Input that may wait to be read.
const INPUT_BYTES_MAX: usize = 256 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputStream {
    Stdout,
    Stderr,
    /// A line about one of its calls.
    Trace,
}

/// What a guest wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    pub stream: OutputStream,
    pub bytes: Vec<u8>,
}

#[derive(Debug, Default)]
pub struct Stdio {
    input: VecDeque<u8>,
    /// Nothing more will come.
    input_ended: bool,
    input_waiting: bool,
    output: Vec<Output>,
    output_bytes: usize,
    output_waiting: bool,
    woken: bool,
}

impl Stdio {
    pub fn feed(&mut self, bytes: &[u8]) {
        self.input.extend(bytes);
        self.woken |= std::mem::take(&mut self.input_waiting);
    }

    pub fn end_input(&mut self) {
        self.input_ended = true;
        self.woken |= std::mem::take(&mut self.input_waiting);
    }

    /// Bytes that may be fed now.
    pub fn input_room(&self) -> usize {
        INPUT_BYTES_MAX.saturating_sub(self.input.len())
    }

    /// Bytes to be read; `None` at the end.
    pub fn readable(&self) -> Option<usize> {
        (!self.input.is_empty() || !self.input_ended).then_some(self.input.len())
    }

    /// 0 at the end of input.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.input.is_empty() && !self.input_ended && !buffer.is_empty() {
            return Err(Error::WouldBlock);
        }
        let count = buffer.len().min(self.input.len());
        for (to, from) in buffer.iter_mut().zip(self.input.drain(..count)) {
            *to = from;
        }
        Ok(count)
    }

    pub fn watch_input(&mut self) {
        self.input_waiting = true;
    }

    pub fn write(&mut self, stream: OutputStream, bytes: &[u8]) -> Result<usize> {
        let room = OUTPUT_BYTES_MAX - self.output_bytes;
        if room == 0 && !bytes.is_empty() {
            return Err(Error::WouldBlock);
        }
        let bytes = &bytes[..bytes.len().min(room)];
        self.output_bytes += bytes.len();
        match self.output.last_mut() {
            Some(last) if last.stream == stream => last.bytes.extend_from_slice(bytes),
            _ => self.output.push(Output { stream, bytes: bytes.to_vec() }),
        }
        Ok(bytes.len())
    }

    /// A line of the call trace. Never waits: a call is a line, and each call gives the driver its turn in the end.
    pub fn trace(&mut self, line: String) {
        self.output_bytes = (self.output_bytes + line.len()).min(OUTPUT_BYTES_MAX);
        self.output.push(Output { stream: OutputStream::Trace, bytes: line.into_bytes() });
    }

    pub fn watch_output(&mut self) {
        self.output_waiting = true;
    }

    pub fn has_output(&self) -> bool {
        self.output_bytes > 0
    }

    pub fn take_output(&mut self) -> Vec<Output> {
        self.output_bytes = 0;
        self.woken |= std::mem::take(&mut self.output_waiting);
        std::mem::take(&mut self.output)
    }

    pub(super) fn take_woken(&mut self) -> bool {
        std::mem::take(&mut self.woken)
    }
}
