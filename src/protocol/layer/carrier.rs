//! What a layer stands on: a connection below, with its one stream.

use crate::error::Result;
use crate::node::object::{Connection, Context, SocketOption, Stream};
use crate::node::{Interest, Readiness, Waiter};

pub struct Carrier {
    pub connection: Box<dyn Connection>,
    pub stream: Box<dyn Stream>,
}

impl Carrier {
    /// Takes the stream of a connection that was made; one that has none is closed.
    pub fn connected(cx: &mut Context, mut connection: Box<dyn Connection>) -> Result<Self> {
        let stream = connection.stream_create(cx);
        Self::with(cx, connection, stream)
    }

    /// The same for one that was accepted.
    pub fn accepted(cx: &mut Context, mut connection: Box<dyn Connection>) -> Result<Self> {
        let stream = connection.stream_accept(cx);
        Self::with(cx, connection, stream)
    }

    fn with(
        cx: &mut Context,
        mut connection: Box<dyn Connection>,
        stream: Result<Box<dyn Stream>>,
    ) -> Result<Self> {
        match stream {
            Ok(stream) => Ok(Self { connection, stream }),
            Err(error) => {
                connection.close(cx);
                Err(error)
            }
        }
    }

    /// Bytes read; 0 at the end of the stream.
    pub fn read(&mut self, cx: &mut Context, buffer: &mut [u8]) -> Result<usize> {
        Ok(self.stream.read(cx, buffer, false)?.count)
    }

    /// Shows bytes without taking them.
    pub fn peek(&mut self, cx: &mut Context, buffer: &mut [u8]) -> Result<usize> {
        Ok(self.stream.read(cx, buffer, true)?.count)
    }

    /// Bytes taken: as much as fits.
    pub fn write(&mut self, cx: &mut Context, bytes: &[u8]) -> Result<usize> {
        self.stream.write(cx, bytes)
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

    /// Whoever is at the other end, for the trace: at a path that nobody is bound to, it has no address.
    pub fn peer(&self, cx: &Context) -> String {
        let address = self.peer_address(cx).ok().filter(|address| !address.is_empty());
        address.unwrap_or_else(|| "a peer without an address".to_owned())
    }
}
