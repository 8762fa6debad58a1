//! What a layer stands on: a connection below, with its one stream.

use crate::error::{Error, Result};
use crate::node::object::{Connection, Context, SocketOption, Stream};
use crate::node::task::TaskId;
use crate::node::{Interest, Readiness, Waiter};

pub struct Carrier {
    pub connection: Box<dyn Connection>,
    pub stream: Box<dyn Stream>,
    /// What `WouldBlock` was the last answer to.
    blocked: Interest,
    /// What its holder waits for: until that comes, the answer is still `WouldBlock`.
    asleep: Interest,
}

impl Carrier {
    pub fn new(connection: Box<dyn Connection>, stream: Box<dyn Stream>) -> Self {
        let (blocked, asleep) = Default::default();
        Self { connection, stream, blocked, asleep }
    }

    /// Takes the stream of a connection that was made; one that has none is closed.
    pub fn connected(cx: &mut Context, mut connection: Box<dyn Connection>) -> Result<Self> {
        match connection.stream_create(cx) {
            Ok(stream) => Ok(Self::new(connection, stream)),
            Err(error) => {
                connection.close(cx);
                Err(error)
            }
        }
    }

    /// The same for one that was accepted.
    pub fn accepted(cx: &mut Context, mut connection: Box<dyn Connection>) -> Result<Self> {
        match connection.stream_accept(cx) {
            Ok(stream) => Ok(Self::new(connection, stream)),
            Err(error) => {
                connection.close(cx);
                Err(error)
            }
        }
    }

    /// Bytes read; 0 at the end of the stream.
    pub fn read(&mut self, cx: &mut Context, buffer: &mut [u8]) -> Result<usize> {
        if self.asleep.read {
            return Err(Error::WouldBlock);
        }
        let read = self.stream.read(cx, buffer, false);
        self.blocked.read = matches!(read, Err(Error::WouldBlock));
        Ok(read?.count)
    }

    /// Shows bytes without taking them.
    pub fn peek(&mut self, cx: &mut Context, buffer: &mut [u8]) -> Result<usize> {
        Ok(self.stream.read(cx, buffer, true)?.count)
    }

    /// Bytes taken: as much as fits.
    pub fn write(&mut self, cx: &mut Context, bytes: &[u8]) -> Result<usize> {
        if self.asleep.write {
            return Err(Error::WouldBlock);
        }
        let wrote = self.stream.write(cx, bytes);
        self.blocked.write = matches!(wrote, Err(Error::WouldBlock));
        wrote
    }

    /// Waits for a task that is to say [`Carrier::wake`] whenever it is polled. Until then, nobody below is asked again for what
    /// they did not have: a task that others put to work in the meantime would otherwise have each layer below ask the next
    /// twice, and that one the next.
    pub fn sleep(&mut self, cx: &mut Context, interest: Interest, task: TaskId) {
        self.stream.watch(cx, interest, Waiter::Task(task));
        self.asleep.read |= interest.read && self.blocked.read;
        self.asleep.write |= interest.write && self.blocked.write;
    }

    pub fn wake(&mut self) {
        self.asleep = Interest::default();
    }

    pub fn watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter) {
        self.stream.watch(cx, interest, waiter);
    }

    pub fn readiness(&self, cx: &Context) -> Readiness {
        self.stream.readiness(cx)
    }

    pub fn close(&mut self, cx: &mut Context) {
        self.stream.close(cx);
        self.connection.close(cx);
    }

    /// Closes so that the peer sees a reset.
    pub fn reset(&mut self, cx: &mut Context) {
        // What cannot linger closes as it does.
        let _ = self.stream.set_option(cx, SocketOption::Linger, 0);
        self.close(cx);
    }

    pub fn local_address(&self, cx: &Context) -> Result<String> {
        self.connection.local_address(cx)
    }

    pub fn peer_address(&self, cx: &Context) -> Result<String> {
        self.connection.peer_address(cx)
    }

    /// Whoever is at the other end, for the trace.
    pub fn peer(&self, cx: &Context) -> String {
        who(self.peer_address(cx))
    }

    pub fn application_protocol(&self, cx: &Context) -> Result<Vec<u8>> {
        self.connection.application_protocol(cx)
    }
}

/// A peer, for the trace: at a path that nobody is bound to, it has no address.
pub(super) fn who(address: Result<String>) -> String {
    address
        .ok()
        .filter(|address| !address.is_empty())
        .unwrap_or_else(|| "a peer without an address".to_owned())
}
