//! One stream of a session.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use ::yamux::Stream;
use bytes::{Buf, BytesMut};
use futures_io::{AsyncRead, AsyncWrite};

use crate::error::{Error, Result};
use crate::node::Readiness;
use crate::node::object::Read;
use crate::node::wake::Watch;

/// Bytes that are taken ahead of the guest: so it is known what a read would meet.
const AHEAD_BYTES: usize = 16 * 1024;
/// Bytes that the guest has written and the crate has not taken.
const UNSENT_BYTES: usize = 16 * 1024;

pub(super) struct StreamState {
    stream: Stream,
    /// Tells the session of this stream.
    waker: Waker,
    inbound: Inbound,
    ahead: BytesMut,
    outbound: Outbound,
    unsent: BytesMut,
    /// The peer has reset it.
    is_reset: bool,
    /// What is written is thrown away when the guest closes it.
    pub resets: bool,
    /// The guest has it no more.
    is_orphan: bool,
    pub watch: Watch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inbound {
    Open,
    Ended,
    /// The guest reads no more: what comes is thrown away.
    Shut,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outbound {
    Open,
    /// The end goes out after what is unsent.
    Ending,
    Ended,
    Failed,
}

impl StreamState {
    pub fn new(stream: Stream, waker: Waker) -> StreamState {
        let (ahead, unsent, watch) = Default::default();
        StreamState {
            stream,
            waker,
            inbound: Inbound::Open,
            ahead,
            outbound: Outbound::Open,
            unsent,
            is_reset: false,
            resets: false,
            is_orphan: false,
            watch,
        }
    }

    /// Goes on with whatever goes without waiting.
    pub fn go_on(&mut self) {
        self.pull();
        self.push();
    }

    /// Reads from the crate; `None` once there is nothing to be read now, and `inbound` tells why.
    fn take(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let mut cx = Context::from_waker(&self.waker);
        match Pin::new(&mut self.stream).poll_read(&mut cx, buffer) {
            Poll::Pending => None,
            Poll::Ready(Ok(count @ 1..)) => Some(count),
            Poll::Ready(Ok(0) | Err(_)) => {
                if self.inbound == Inbound::Open {
                    self.inbound = if self.is_reset { Inbound::Failed } else { Inbound::Ended };
                }
                None
            }
        }
    }

    /// Takes ahead what came, as far as there is room; what the guest does not want is thrown away.
    fn pull(&mut self) {
        let mut chunk = [0; 4096];
        while matches!(self.inbound, Inbound::Open | Inbound::Shut) && self.ahead.len() < AHEAD_BYTES {
            let room = chunk.len().min(AHEAD_BYTES - self.ahead.len());
            let Some(count) = self.take(&mut chunk[..room]) else { break };
            if self.inbound == Inbound::Open {
                self.ahead.extend_from_slice(&chunk[..count]);
            }
        }
    }

    fn push(&mut self) {
        while !self.unsent.is_empty() {
            let mut cx = Context::from_waker(&self.waker);
            match Pin::new(&mut self.stream).poll_write(&mut cx, &self.unsent) {
                Poll::Pending => return,
                Poll::Ready(Ok(count)) => self.unsent.advance(count),
                Poll::Ready(Err(_)) => self.fail_writing(),
            }
        }
        if self.outbound == Outbound::Ending {
            let mut cx = Context::from_waker(&self.waker);
            match Pin::new(&mut self.stream).poll_close(&mut cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.outbound = Outbound::Ended,
                Poll::Ready(Err(_)) => self.fail_writing(),
            }
        }
    }

    fn fail_writing(&mut self) {
        self.unsent.clear();
        self.outbound = Outbound::Failed;
    }

    /// The peer has reset it: what came before may be read.
    pub fn reset(&mut self) {
        self.is_reset = true;
        self.fail_writing();
        self.go_on();
    }

    /// `lost`: what became of the session, if it is over.
    pub fn read(&mut self, buffer: &mut [u8], peek: bool, lost: Option<Error>) -> Result<Read> {
        if self.inbound == Inbound::Shut || buffer.is_empty() {
            return Ok(Read::default());
        }
        self.pull();
        let mut count = self.ahead.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.ahead[..count]);
        if !peek {
            self.ahead.advance(count);
            // A long read does not go round by way of what is taken ahead.
            while count < buffer.len() && self.inbound == Inbound::Open {
                let Some(more) = self.take(&mut buffer[count..]) else { break };
                count += more;
            }
            self.pull();
        }
        match (count, self.inbound) {
            (1.., _) => Ok(Read { count, truncated: false }),
            (0, Inbound::Failed) => Err(Error::ConnectionReset),
            (0, Inbound::Open) => Err(lost.unwrap_or(Error::WouldBlock)),
            (0, Inbound::Ended | Inbound::Shut) => lost.map_or(Ok(Read::default()), Err),
        }
    }

    pub fn write(&mut self, bytes: &[u8], lost: Option<Error>) -> Result<usize> {
        self.push();
        match self.outbound {
            Outbound::Ending | Outbound::Ended => return Err(Error::Pipe),
            Outbound::Failed => return Err(lost.unwrap_or(Error::ConnectionReset)),
            Outbound::Open => {}
        }
        if let Some(error) = lost {
            return Err(error);
        }
        let count = bytes.len().min(UNSENT_BYTES - self.unsent.len());
        if count == 0 && !bytes.is_empty() {
            return Err(Error::WouldBlock);
        }
        self.unsent.extend_from_slice(&bytes[..count]);
        self.push();
        Ok(count)
    }

    pub fn shutdown(&mut self, read: bool, write: bool) {
        if read {
            self.stop_reading();
        }
        if write {
            self.end_writing();
        }
    }

    fn stop_reading(&mut self) {
        self.ahead.clear();
        if matches!(self.inbound, Inbound::Open) {
            self.inbound = Inbound::Shut;
        }
        self.pull();
    }

    fn end_writing(&mut self) {
        if self.outbound == Outbound::Open {
            self.outbound = Outbound::Ending;
        }
        self.push();
    }

    /// The guest is done with it. True if nothing is left to do: dropped before its end, it is reset.
    pub fn close(&mut self) -> bool {
        // What nobody will read: the peer is told so, as TCP tells it (RFC 1122, 4.2.2.13).
        if self.resets || !self.ahead.is_empty() || self.is_over() {
            return true;
        }
        self.is_orphan = true;
        self.stop_reading();
        self.end_writing();
        self.is_over()
    }

    /// Both directions have come to their end.
    fn is_over(&self) -> bool {
        matches!(self.outbound, Outbound::Ended | Outbound::Failed)
            && (matches!(self.inbound, Inbound::Ended | Inbound::Failed) || self.stream.is_closed())
    }

    /// The guest has it no more, and neither side has anything to say.
    pub fn is_done(&self) -> bool {
        self.is_orphan && self.is_over()
    }

    /// All that was written is with the crate.
    pub fn is_flushed(&self) -> bool {
        self.unsent.is_empty() && self.outbound != Outbound::Ending
    }

    pub fn readiness(&self, is_lost: bool) -> Readiness {
        let hangup = is_lost || self.inbound != Inbound::Open;
        let open = !is_lost && self.outbound == Outbound::Open;
        let write_bytes = if open { UNSENT_BYTES - self.unsent.len() } else { 0 };
        Readiness {
            read: !self.ahead.is_empty() || hangup,
            write: !open || write_bytes > 0,
            read_bytes: self.ahead.len(),
            write_bytes,
            hangup,
        }
    }
}
