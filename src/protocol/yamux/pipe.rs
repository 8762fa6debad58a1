//! What the crate takes for its socket: two buffers, and a look at each frame's header on its way.
//!
//! The crate measures round trips with pings by the machine's clock, and lets windows grow by them. Its first ping is not sent,
//! so it waits for the answer for ever and sends no other, and an answer that nobody asked for is refused: nothing that it
//! does depends on a clock then, and windows stay at the 256 KiB of the specification.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use futures_io::{AsyncRead, AsyncWrite};

/// Bytes on their way in; the crate takes them at once.
const INBOUND_BYTES: usize = 64 * 1024;
/// Bytes on their way out that the carrier did not take, before the crate has to wait; one frame may come on top.
const OUTBOUND_BYTES: usize = 64 * 1024;
/// Both together.
pub(super) const BUFFERS_BYTES: usize = INBOUND_BYTES + OUTBOUND_BYTES;
const HEADER_BYTES: usize = 12;

/// Types of frames.
const DATA: u8 = 0;
const WINDOW_UPDATE: u8 = 1;
const PING: u8 = 2;
const GO_AWAY: u8 = 3;
/// Flags of frames.
const ACK: u16 = 2;
const RST: u16 = 8;

/// What a header says (specification, "Framing"): version, type, flags, stream and length, in network byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    kind: u8,
    flags: u16,
    stream: u32,
    /// Of a data frame, its bytes; a credit, an opaque value or a code otherwise.
    length: u32,
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<Header> {
        let mut bytes = bytes.get(..HEADER_BYTES)?;
        let _version = bytes.get_u8();
        let (kind, flags, stream, length) =
            (bytes.get_u8(), bytes.get_u16(), bytes.get_u32(), bytes.get_u32());
        Some(Header { kind, flags, stream, length })
    }

    /// Bytes that come after it.
    fn body(self) -> usize {
        if self.kind == DATA { self.length as usize } else { 0 }
    }
}

#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub inbound: BytesMut,
    pub outbound: BytesMut,
    /// Nothing more comes in.
    pub ended: bool,
    /// Of the frame that comes in, or goes out, bytes that are still to pass.
    inbound_left: usize,
    outbound_left: usize,
    /// The crate's first ping was swallowed.
    pinged: bool,
    /// The peer says that it opens no more streams, and wants none; or, other than 0, why it ends the session.
    pub peer_goes: Option<u32>,
    /// The same that the crate says of the peer.
    pub we_go: Option<u32>,
    /// Streams that the peer has reset.
    pub resets: Vec<u32>,
}

impl Buffers {
    pub fn room(&self) -> usize {
        INBOUND_BYTES.saturating_sub(self.inbound.len())
    }

    /// Looks at the header that comes next; `None`: not all of it is here. Frames that are not the crate's are taken away.
    fn next_inbound(&mut self) -> io::Result<Option<usize>> {
        loop {
            if self.inbound_left > 0 {
                return Ok(Some(self.inbound_left));
            }
            let Some(header) = Header::parse(&self.inbound) else { return Ok(None) };
            match header.kind {
                PING if header.flags & ACK != 0 => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a pong that nobody asked for"));
                }
                // The crate would end at once, and streams that are open with it: they may go on.
                GO_AWAY if header.length == 0 => {
                    self.peer_goes = Some(0);
                    self.inbound.advance(HEADER_BYTES);
                    continue;
                }
                GO_AWAY => self.peer_goes = Some(header.length),
                DATA | WINDOW_UPDATE if header.flags & RST != 0 => self.resets.push(header.stream),
                _ => {}
            }
            self.inbound_left = HEADER_BYTES + header.body();
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let left = self.next_inbound()?.unwrap_or(0);
        let count = left.min(buffer.len()).min(self.inbound.len());
        if count == 0 {
            return Ok(self.ended.then_some(0));
        }
        self.inbound.copy_to_slice(&mut buffer[..count]);
        self.inbound_left -= count;
        Ok(Some(count))
    }

    /// The crate writes each header as a whole.
    fn write(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.outbound.len() >= OUTBOUND_BYTES {
            return None;
        }
        if self.outbound_left == 0
            && let Some(header) = Header::parse(bytes)
        {
            if header.kind == PING && header.flags & ACK == 0 && !self.pinged {
                self.pinged = true;
                return Some(bytes.len());
            }
            if header.kind == GO_AWAY {
                self.we_go = Some(header.length);
            }
            self.outbound_left = HEADER_BYTES + header.body();
        }
        self.outbound.extend_from_slice(bytes);
        self.outbound_left = self.outbound_left.saturating_sub(bytes.len());
        Some(bytes.len())
    }
}

/// Shared by the crate's connection and the session.
#[derive(Clone, Debug, Default)]
pub(super) struct Pipe(Arc<Mutex<Buffers>>);

impl Pipe {
    pub fn lock(&self) -> MutexGuard<'_, Buffers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// Nobody is woken: the session asks again after each move.
fn ready<T>(value: Option<T>) -> Poll<io::Result<T>> {
    value.map_or(Poll::Pending, |value| Poll::Ready(Ok(value)))
}

impl AsyncRead for Pipe {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let read = self.lock().read(buffer)?;
        ready(read)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = self.lock().write(bytes);
        ready(wrote)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
