//! rustls over a carrier: ciphertext in and out, as far as it goes without waiting.

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use rustls::{Connection as Tls, HandshakeKind};
use smallvec::SmallVec;

use super::config::Config;
use super::words::words;
use crate::error::{Error, Result};
use crate::node::Interest;
use crate::node::object::Context;
use crate::protocol::layer::Carrier;

/// Plaintext that is taken at a time, and how much ciphertext may still wait for the carrier then: whenever there is
/// room, there is room for whole records, however little the carrier takes at a time.
const ROOM_BYTES: usize = 64 * 1024;
const UNSENT_BYTES_MAX: usize = 16 * 1024;

/// Plaintext is handed to rustls in parts: it copies each, and some processors copy more than that many times slower if the
/// bytes go to where they come from, but for a few, modulo a page, as those of a guest's buffer do.
const PART_BYTES: usize = 2 * 1024;

/// What of the peer's is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbound {
    Open,
    /// It said that it sends no more (close_notify).
    Ended,
    /// The carrier ended, and it did not: whoever cut it may have kept something back (RFC 8446, 6.1).
    Cut,
}

pub struct Engine {
    pub carrier: Carrier,
    pub inbound: Inbound,
    /// Ciphertext that the carrier did not take yet, in bytes.
    pub unsent: usize,
    /// Plaintext that nobody read yet, in bytes.
    pub unread: usize,
    tls: Tls,
    config: Arc<Config>,
}

impl Engine {
    pub fn new(tls: impl Into<Tls>, carrier: Carrier, config: Arc<Config>) -> Engine {
        let mut tls = tls.into();
        // Bounded here, where it is known how much waits.
        tls.set_buffer_limit(None);
        Engine { carrier, inbound: Inbound::Open, unsent: 0, unread: 0, tls, config }
    }

    pub fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Whether a client may ask for the name that it has asked for by now.
    ///
    /// # Errors
    /// `Access` if not, which the journal is told.
    pub fn check_asked(&self, cx: &mut Context) -> Result<()> {
        let Tls::Server(server) = &self.tls else { return Ok(()) };
        let Some(name) = server.server_name() else { return Ok(()) };
        let local = self.carrier.local_address(cx).unwrap_or_default();
        let peer = self.carrier.peer_address(cx).unwrap_or_default();
        self.config.check_asked(cx, "tls", [&local, &peer], name)
    }

    /// Takes in what the carrier has, up to a record or so that nobody read yet.
    ///
    /// # Errors
    /// The carrier's, or `Protocol` where the peer broke it, which the journal is told about.
    pub fn pull(&mut self, cx: &mut Context) -> Result<()> {
        self.config.crypto.clock.set(cx.now);
        while self.inbound == Inbound::Open && self.tls.wants_read() {
            let mut below = Below { carrier: &mut self.carrier, cx, error: None };
            match self.tls.read_tls(&mut below) {
                Ok(0) => self.inbound = Inbound::Cut,
                Ok(_) => {
                    let state = self.tls.process_new_packets();
                    self.tell_secrets(cx);
                    match state {
                        Ok(state) => {
                            self.unread = state.plaintext_bytes_to_read();
                            if state.peer_has_closed() {
                                self.inbound = Inbound::Ended;
                            }
                        }
                        Err(error) => {
                            self.remark(cx, || words(&error));
                            return Err(Error::Protocol);
                        }
                    }
                }
                Err(_) => match below.error.unwrap_or(Error::NoBuffers) {
                    Error::WouldBlock => return Ok(()),
                    error => return Err(error),
                },
            }
        }
        Ok(())
    }

    /// Hands the carrier what it takes.
    ///
    /// # Errors
    /// The carrier's.
    pub fn push(&mut self, cx: &mut Context) -> Result<()> {
        while self.tls.wants_write() {
            let mut below = Below { carrier: &mut self.carrier, cx, error: None };
            if self.tls.write_tls(&mut below).is_err() {
                // rustls tells how much is left only here; after an error of its own it is a few alerts at most.
                self.unsent = self.tls.process_new_packets().map_or(1, |state| state.tls_bytes_to_write());
                return match below.error.unwrap_or(Error::NoBuffers) {
                    Error::WouldBlock => Ok(()),
                    error => Err(error),
                };
            }
        }
        self.unsent = 0;
        Ok(())
    }

    /// Plaintext, as much as there is; 0 bytes if there is none.
    pub fn read(&mut self, buffer: &mut [u8], peek: bool) -> usize {
        use std::io::BufRead;
        if peek {
            let mut reader = self.tls.reader();
            let ahead = reader.fill_buf().unwrap_or_default();
            let count = ahead.len().min(buffer.len());
            buffer[..count].copy_from_slice(&ahead[..count]);
            return count;
        }
        // What it answers where nothing is there, `inbound` tells better.
        let count = self.tls.reader().read(buffer).unwrap_or(0);
        self.unread = self.unread.saturating_sub(count);
        count
    }

    /// Bytes that [`Engine::write`] takes now.
    pub fn room(&self) -> usize {
        if self.unsent <= UNSENT_BYTES_MAX { ROOM_BYTES } else { 0 }
    }

    /// Encrypts as much of `bytes` as may wait; 0 bytes if nothing more may.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let room = self.room();
        let parts: SmallVec<[IoSlice<'_>; ROOM_BYTES / PART_BYTES]> =
            bytes[..bytes.len().min(room)].chunks(PART_BYTES).map(IoSlice::new).collect();
        self.tls.writer().write_vectored(&parts).unwrap_or(0)
    }

    /// Tells the peer that nothing more comes.
    pub fn send_close_notify(&mut self) {
        self.tls.send_close_notify();
    }

    /// What this waits for: what the peer sends, while there is room for it, and room for what was not sent.
    pub fn interest(&self) -> Interest {
        let read = self.inbound == Inbound::Open && self.tls.wants_read();
        Interest { read, write: self.tls.wants_write() }
    }

    fn tell_secrets(&self, cx: &mut Context) {
        self.config.tell_secrets(cx.journal);
    }

    /// A sentence about this connection for the trace.
    pub fn remark(&self, cx: &mut Context, what: impl FnOnce() -> String) {
        let peer = self.carrier.peer(cx);
        cx.journal.remark(|| format!("tls with {peer}: {}", what()));
    }

    /// The application protocol that was agreed on; empty if none was.
    pub fn application_protocol(&self) -> &[u8] {
        self.tls.alpn_protocol().unwrap_or_default()
    }

    /// What was agreed on: `TLS 1.3, TLS13_AES_256_GCM_SHA384, resumed, ALPN h2`.
    pub fn agreed(&self) -> String {
        let version = self.tls.protocol_version().map(|version| format!("{version:?}"));
        let version = version.map(|version| version.replace("TLSv", "TLS ").replace('_', "."));
        let suite = self.tls.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
        let resumed = self.tls.handshake_kind() == Some(HandshakeKind::Resumed);
        let resumed = resumed.then(|| "resumed".to_owned());
        let alpn = self
            .tls
            .alpn_protocol()
            .map(|name| format!("ALPN {}", Bytes::copy_from_slice(name).escape_ascii()));
        [version, suite, resumed, alpn].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// The carrier as rustls wants it. An answer that is none of rustls's is kept.
struct Below<'a, 'b, 'c> {
    carrier: &'a mut Carrier,
    cx: &'b mut Context<'c>,
    error: Option<Error>,
}

impl Below<'_, '_, '_> {
    fn answer(&mut self, answer: Result<usize>) -> io::Result<usize> {
        answer.map_err(|error| {
            self.error = Some(error);
            io::ErrorKind::WouldBlock.into()
        })
    }
}

impl Read for Below<'_, '_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let answer = self.carrier.read(self.cx, buffer);
        self.answer(answer)
    }
}

impl Write for Below<'_, '_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let answer = self.carrier.write(self.cx, bytes);
        self.answer(answer)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut total = 0;
        for part in parts {
            match self.write(part) {
                Ok(count) => {
                    total += count;
                    if count < part.len() {
                        return Ok(total);
                    }
                }
                // It is asked again for the rest.
                Err(_) if total > 0 => return Ok(total),
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
