//! What the guest does with a connection: it has it, has streams of it, and has it no more.

use bytes::Bytes;
use quinn_proto::{Connection, Dir, StreamId, VarInt};

use super::{GOODBYE, Life, Session};
use crate::error::{Error, Result};
use crate::node::object::Context;
use crate::node::{Interest, Readiness, SocketKind, Waiter};
use crate::protocol::quic::streams::StreamState;
use crate::time::Instant;

impl Session {
    /// The guest has the connection now.
    pub fn hold(&mut self) {
        self.holders += 1;
    }

    /// It has one thing less of it; at the last, the connection comes to its end.
    pub fn release(&mut self, cx: &mut Context) {
        self.holders = self.holders.saturating_sub(1);
        if self.holders == 0 {
            self.end(cx.now);
        }
    }

    /// Ends once what was written is acknowledged.
    pub fn end(&mut self, now: Instant) {
        match self.life {
            Life::Handshaking(_) => {
                self.connection.close(now.to_std(), VarInt::from_u32(0), Bytes::new());
                self.life = Life::Closing(now);
            }
            Life::Early(deadline) => self.life = Life::Closing(deadline.min(now + GOODBYE)),
            Life::Open => self.life = Life::Closing(now + GOODBYE),
            Life::Closing(_) | Life::Lost(_) => {}
        }
        self.refuse_if_closing();
    }

    /// Streams that nobody will ever accept.
    pub(super) fn refuse_if_closing(&mut self) {
        if matches!(self.life, Life::Closing(_)) {
            let own = self.connection.side();
            for id in std::mem::take(&mut self.waiting) {
                StreamState::new(id, own).refuse(&mut self.connection);
            }
        }
    }

    /// Ends at once.
    pub fn abort(&mut self, now: Instant) {
        self.connection.close(now.to_std(), VarInt::from_u32(0), Bytes::new());
        self.life = Life::Lost(Error::ConnectionAborted);
        self.holders = 0;
    }

    pub fn stream_create(&mut self) -> Result<u32> {
        if self.lost().is_some() {
            return Err(Error::ConnectionAborted);
        }
        let dir = if self.unidirectional { Dir::Uni } else { Dir::Bi };
        let id = self.connection.streams().open(dir);
        self.is_full = id.is_none();
        Ok(self.add(id.ok_or(Error::WouldBlock)?))
    }

    pub fn stream_accept(&mut self) -> Result<u32> {
        match (self.waiting.pop_front(), self.lost()) {
            (Some(id), _) => Ok(self.add(id)),
            (None, Some(_)) => Err(Error::ConnectionAborted),
            (None, None) => Err(Error::WouldBlock),
        }
    }

    fn add(&mut self, id: StreamId) -> u32 {
        self.holders += 1;
        let mut stream = StreamState::new(id, self.connection.side());
        stream.pull(&mut self.connection);
        self.streams.insert(stream)
    }

    pub fn stream_close(&mut self, cx: &mut Context, number: u32) {
        if let Some(mut stream) = self.streams.remove(number) {
            stream.close(&mut self.connection);
            self.release(cx);
        }
    }

    /// A stream, and what it needs of the connection.
    pub fn stream(&mut self, number: u32) -> Result<(&mut StreamState, &mut Connection, Option<Error>)> {
        let lost = self.lost();
        let stream = self.streams.get_mut(number).ok_or(Error::BadDescriptor)?;
        Ok((stream, &mut self.connection, lost))
    }

    pub fn stream_readiness(&self, number: u32) -> Readiness {
        let gone = Readiness { read: true, write: true, hangup: true, ..Default::default() };
        self.streams.get(number).map_or(gone, |stream| stream.readiness(self.lost().is_some()))
    }

    /// Wakes at once if what is wanted is there.
    pub fn stream_watch(&mut self, cx: &mut Context, number: u32, interest: Interest, waiter: Waiter) {
        let is_lost = self.lost().is_some();
        if let Some(stream) = self.streams.get_mut(number) {
            stream.watch.join(interest, waiter);
            stream.watch.fire(stream.readiness(is_lost), cx.stack.wakes());
        }
    }

    /// Of the guest's connection: `stream_accept` reads, and `stream_create` writes.
    pub fn readiness(&self) -> Readiness {
        let is_lost = self.lost().is_some();
        Readiness {
            read: is_lost || !self.waiting.is_empty() || self.kind == SocketKind::Datagram,
            write: is_lost || !self.is_full,
            read_bytes: self.waiting.len(),
            write_bytes: 0,
            hangup: is_lost,
        }
    }
}
