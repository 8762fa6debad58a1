//! The streams of a connection that the guest has.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Buf, Bytes};
use quinn_proto::{
    Connection, Dir, FinishError, ReadError, ReadableError, Side, StreamId, VarInt, WriteError,
};

use crate::error::{Error, Result};
use crate::node::Readiness;
use crate::node::object::Read;
use crate::node::wake::Watch;

/// Bytes of a stream that are taken ahead of the guest: so it is known what a read would meet.
const AHEAD_BYTES: usize = 16 * 1024;
/// Nobody here gives codes a meaning.
const CODE: VarInt = VarInt::from_u32(0);

/// One stream.
pub(super) struct StreamState {
    id: StreamId,
    inbound: Inbound,
    ahead: VecDeque<Bytes>,
    ahead_bytes: usize,
    outbound: Outbound,
    /// The last write found no room, and none has been told of since.
    is_full: bool,
    /// What is written is thrown away when the guest closes it.
    pub resets: bool,
    pub watch: Watch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inbound {
    /// The stream goes the other way only.
    None,
    Open,
    Ended,
    /// The guest reads no more.
    Shut,
    /// Reset by the peer, or early data that the server would not have.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outbound {
    /// The stream goes the other way only.
    None,
    Open,
    /// The end was written.
    Ended,
    /// The peer reads no more.
    Stopped,
    Failed,
}

impl StreamState {
    pub fn new(id: StreamId, own: Side) -> StreamState {
        let (mut inbound, mut outbound) = (Inbound::Open, Outbound::Open);
        if id.dir() == Dir::Uni {
            match id.initiator() == own {
                true => inbound = Inbound::None,
                false => outbound = Outbound::None,
            }
        }
        let (ahead, watch) = Default::default();
        StreamState { id, inbound, ahead, ahead_bytes: 0, outbound, is_full: false, resets: false, watch }
    }

    /// Takes ahead what came, as far as there is room.
    pub fn pull(&mut self, connection: &mut Connection) {
        let room = AHEAD_BYTES.saturating_sub(self.ahead_bytes);
        let mut ahead = std::mem::take(&mut self.ahead);
        self.ahead_bytes += self.next(connection, room, |bytes| ahead.push_back(bytes));
        self.ahead = ahead;
    }

    /// Bytes behind those that were taken ahead, up to `limit`, piece by piece; how many. Where there are no more, `inbound`
    /// tells why.
    fn next(&mut self, connection: &mut Connection, limit: usize, mut each: impl FnMut(Bytes)) -> usize {
        if self.inbound != Inbound::Open || limit == 0 {
            return 0;
        }
        let mut stream = connection.recv_stream(self.id);
        let mut chunks = match stream.read(true) {
            Ok(chunks) => chunks,
            Err(ReadableError::ClosedStream | ReadableError::IllegalOrderedRead) => {
                self.inbound = Inbound::Ended;
                return 0;
            }
        };
        let mut count = 0;
        while count < limit {
            match chunks.next(limit - count) {
                Ok(Some(chunk)) => {
                    count += chunk.bytes.len();
                    each(chunk.bytes);
                }
                Ok(None) => {
                    self.inbound = Inbound::Ended;
                    break;
                }
                Err(ReadError::Blocked) => break,
                Err(ReadError::Reset(_)) => {
                    self.inbound = Inbound::Failed;
                    break;
                }
            }
        }
        // It asks to be sent, which the session does after each turn.
        let _ = chunks.finalize();
        count
    }

    /// `lost`: what became of the connection, if it is over.
    pub fn read(
        &mut self,
        connection: &mut Connection,
        buffer: &mut [u8],
        peek: bool,
        lost: Option<Error>,
    ) -> Result<Read> {
        match self.inbound {
            Inbound::None => return Err(Error::NotSupported),
            Inbound::Shut => return Ok(Read::default()),
            Inbound::Open | Inbound::Ended | Inbound::Failed if buffer.is_empty() => {
                return Ok(Read::default());
            }
            Inbound::Open | Inbound::Ended | Inbound::Failed => {}
        }
        let mut count = 0;
        if peek {
            self.pull(connection);
            for bytes in &self.ahead {
                let part = bytes.len().min(buffer.len() - count);
                buffer[count..count + part].copy_from_slice(&bytes[..part]);
                count += part;
            }
        } else {
            while count < buffer.len()
                && let Some(front) = self.ahead.front_mut()
            {
                let part = front.len().min(buffer.len() - count);
                buffer[count..count + part].copy_from_slice(&front[..part]);
                front.advance(part);
                count += part;
                self.ahead_bytes -= part;
                if front.is_empty() {
                    self.ahead.pop_front();
                }
            }
            // A long read does not go round by way of what is taken ahead.
            let mut rest = &mut buffer[count..];
            count += self.next(connection, rest.len(), |bytes| {
                let (part, behind) = std::mem::take(&mut rest).split_at_mut(bytes.len());
                part.copy_from_slice(&bytes);
                rest = behind;
            });
            self.pull(connection);
        }
        match (count, self.inbound) {
            (1.., _) => Ok(Read { count, truncated: false }),
            (0, Inbound::Ended | Inbound::Shut | Inbound::None) => Ok(Read::default()),
            (0, Inbound::Failed) => Err(Error::ConnectionReset),
            (0, Inbound::Open) => Err(lost.unwrap_or(Error::WouldBlock)),
        }
    }

    pub fn write(&mut self, connection: &mut Connection, bytes: &[u8], lost: Option<Error>) -> Result<usize> {
        match self.outbound {
            Outbound::None => return Err(Error::NotSupported),
            Outbound::Ended | Outbound::Stopped => return Err(Error::Pipe),
            Outbound::Failed => return Err(Error::ConnectionReset),
            Outbound::Open => {}
        }
        if let Some(error) = lost {
            return Err(error);
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        match connection.send_stream(self.id).write(bytes) {
            Ok(count) => Ok(count),
            Err(WriteError::Blocked) => {
                self.is_full = true;
                Err(Error::WouldBlock)
            }
            Err(WriteError::Stopped(_) | WriteError::ClosedStream) => {
                self.stopped(connection);
                Err(Error::Pipe)
            }
        }
    }

    /// There may be room for a write again.
    pub fn has_room(&mut self) {
        self.is_full = false;
    }

    /// The peer reads no more: what it was not sent yet it need not be (RFC 9000, 3.5).
    pub fn stopped(&mut self, connection: &mut Connection) {
        if matches!(self.outbound, Outbound::Open | Outbound::Ended) {
            self.outbound = Outbound::Stopped;
            self.is_full = false;
            // One that was acknowledged to its end is gone already.
            let _ = connection.send_stream(self.id).reset(CODE);
        }
    }

    /// Early data that came to nothing: the server has never heard of this stream.
    pub fn fail(&mut self) {
        if self.inbound != Inbound::None {
            self.inbound = Inbound::Failed;
        }
        if self.outbound != Outbound::None {
            self.outbound = Outbound::Failed;
        }
        self.ahead.clear();
        self.ahead_bytes = 0;
    }

    pub fn shutdown(&mut self, connection: &mut Connection, read: bool, write: bool) -> Result<()> {
        if read {
            self.stop_reading(connection);
        }
        if write {
            self.end_writing(connection);
        }
        Ok(())
    }

    fn stop_reading(&mut self, connection: &mut Connection) {
        match self.inbound {
            Inbound::Open => {
                // One that is gone needs no stopping.
                let _ = connection.recv_stream(self.id).stop(CODE);
                self.inbound = Inbound::Shut;
            }
            Inbound::Ended | Inbound::Failed => self.inbound = Inbound::Shut,
            Inbound::None | Inbound::Shut => {}
        }
        self.ahead.clear();
        self.ahead_bytes = 0;
    }

    fn end_writing(&mut self, connection: &mut Connection) {
        if self.outbound != Outbound::Open {
            return;
        }
        self.outbound = Outbound::Ended;
        match connection.send_stream(self.id).finish() {
            Ok(()) | Err(FinishError::ClosedStream) => {}
            Err(FinishError::Stopped(_)) => self.stopped(connection),
        }
    }

    /// The guest is done with it: the peer hears that nobody reads any more, and that nothing more comes.
    pub fn close(&mut self, connection: &mut Connection) {
        self.stop_reading(connection);
        if self.resets && matches!(self.outbound, Outbound::Open | Outbound::Ended) {
            self.outbound = Outbound::Failed;
            let _ = connection.send_stream(self.id).reset(CODE);
        }
        self.end_writing(connection);
    }

    /// Nobody will ever have it.
    pub fn refuse(&mut self, connection: &mut Connection) {
        self.resets = true;
        self.close(connection);
    }

    pub fn readiness(&self, is_lost: bool) -> Readiness {
        let hangup = is_lost || self.inbound != Inbound::Open && self.inbound != Inbound::None;
        // A call that is answered with an error does not wait.
        let write = is_lost || self.outbound != Outbound::Open || !self.is_full;
        Readiness {
            read: self.ahead_bytes > 0 || self.inbound != Inbound::Open || is_lost,
            write,
            read_bytes: self.ahead_bytes,
            // At least: how much more there is room for, only a write finds out.
            write_bytes: usize::from(!is_lost && self.outbound == Outbound::Open && !self.is_full),
            hangup,
        }
    }
}

/// Streams by the numbers that the guest's descriptors have: ids may come again after early data that was refused.
#[derive(Default)]
pub(super) struct Streams {
    by_number: BTreeMap<u32, StreamState>,
    by_id: BTreeMap<StreamId, u32>,
    next: u32,
}

impl Streams {
    pub fn insert(&mut self, stream: StreamState) -> u32 {
        while self.by_number.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.by_id.insert(stream.id, number);
        self.by_number.insert(number, stream);
        number
    }

    pub fn get(&self, number: u32) -> Option<&StreamState> {
        self.by_number.get(&number)
    }

    pub fn get_mut(&mut self, number: u32) -> Option<&mut StreamState> {
        self.by_number.get_mut(&number)
    }

    pub fn by_id(&mut self, id: StreamId) -> Option<&mut StreamState> {
        self.by_number.get_mut(self.by_id.get(&id)?)
    }

    pub fn remove(&mut self, number: u32) -> Option<StreamState> {
        let stream = self.by_number.remove(&number)?;
        if self.by_id.get(&stream.id) == Some(&number) {
            self.by_id.remove(&stream.id);
        }
        Some(stream)
    }

    /// None of them is the peer's.
    pub fn forget_ids(&mut self) {
        self.by_id.clear();
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut StreamState> {
        self.by_number.values_mut()
    }
}
