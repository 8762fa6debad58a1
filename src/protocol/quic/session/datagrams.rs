//! A connection of datagrams (RFC 9221): one stream of them.

use bytes::Bytes;
use quinn_proto::{Connection, SendDatagramError};

use super::Session;
use crate::error::{Error, Result};
use crate::node::object::{Context, Read};
use crate::node::wake::Watch;
use crate::node::{Interest, Readiness, SocketKind, Waiter};

/// The one stream of a connection of datagrams.
#[derive(Default)]
pub(super) struct Datagrams {
    is_taken: bool,
    /// The one that a read would find.
    pub(super) ahead: Option<Bytes>,
    pub(super) is_full: bool,
    is_shut: bool,
    /// Room for those to be sent while none is, in bytes.
    pub(super) room: usize,
    pub(super) watch: Watch,
}

impl Datagrams {
    pub fn of(connection: &mut Connection) -> Datagrams {
        Datagrams { room: connection.datagrams().send_buffer_space(), ..Default::default() }
    }
}

impl Session {
    /// The one stream of datagrams.
    pub fn take_datagrams(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.datagrams.is_taken, true) {
            return Err(Error::NotSupported);
        }
        self.holders += 1;
        Ok(())
    }

    pub(super) fn pull_datagram(&mut self) {
        if self.kind == SocketKind::Datagram && self.datagrams.ahead.is_none() {
            self.datagrams.ahead = self.connection.datagrams().recv();
        }
    }

    pub fn datagram_read(&mut self, buffer: &mut [u8], peek: bool) -> Result<Read> {
        if self.datagrams.is_shut {
            return Ok(Read::default());
        }
        self.pull_datagram();
        let Some(datagram) = &self.datagrams.ahead else {
            return Err(self.lost().unwrap_or(Error::WouldBlock));
        };
        let count = datagram.len().min(buffer.len());
        buffer[..count].copy_from_slice(&datagram[..count]);
        let read = Read { count, truncated: count < datagram.len() };
        if !peek {
            self.datagrams.ahead = None;
            self.pull_datagram();
        }
        Ok(read)
    }

    pub fn datagram_write(&mut self, bytes: &[u8]) -> Result<usize> {
        if let Some(error) = self.lost() {
            return Err(error);
        }
        match self.connection.datagrams().send(Bytes::copy_from_slice(bytes), false) {
            Ok(()) => Ok(bytes.len()),
            Err(SendDatagramError::UnsupportedByPeer | SendDatagramError::Disabled) => {
                Err(Error::NotSupported)
            }
            Err(SendDatagramError::TooLarge) => Err(Error::MessageSize),
            Err(SendDatagramError::Blocked(_)) => {
                self.datagrams.is_full = true;
                Err(Error::WouldBlock)
            }
        }
    }

    pub fn datagram_shutdown(&mut self, read: bool) {
        self.datagrams.is_shut |= read;
    }

    pub fn datagram_watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter) {
        self.datagrams.watch.join(interest, waiter);
        self.datagrams.watch.fire(self.datagram_readiness(), cx.stack.wakes());
    }

    pub fn datagram_readiness(&self) -> Readiness {
        let is_lost = self.lost().is_some();
        let Datagrams { ahead, is_full, is_shut, .. } = &self.datagrams;
        Readiness {
            read: ahead.is_some() || is_lost || *is_shut,
            write: is_lost || !is_full,
            read_bytes: ahead.as_ref().map_or(0, Bytes::len),
            write_bytes: usize::from(!is_lost && !is_full),
            hangup: is_lost || *is_shut,
        }
    }
}
