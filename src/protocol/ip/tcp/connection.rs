//! A connection of TCP, and its one stream.

use super::options::{get, set};
use crate::error::{Error, Result};
use crate::node::object::{Connection, Context, Endpoint, Read, SocketOption, Stream};
use crate::node::slab::Id;
use crate::node::stack::Tcp;
use crate::node::{Interest, Readiness, SocketKind, Waiter};

/// A connection, made or accepted.
pub struct TcpConnection {
    tcp: Id<Tcp>,
    /// TCP has exactly one stream.
    stream_taken: bool,
}

impl TcpConnection {
    pub fn new(tcp: Id<Tcp>) -> Self {
        Self { tcp, stream_taken: false }
    }

    fn stream(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        if self.stream_taken {
            return Err(Error::NotSupported);
        }
        self.stream_taken = true;
        cx.stack.tcp_hold(self.tcp);
        Ok(Box::new(TcpStream { tcp: self.tcp }))
    }
}

impl Connection for TcpConnection {
    fn stream_create(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        self.stream(cx)
    }

    fn stream_accept(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        self.stream(cx)
    }
}

struct TcpStream {
    tcp: Id<Tcp>,
}

impl Stream for TcpStream {
    fn read(&mut self, cx: &mut Context, buffer: &mut [u8], peek: bool) -> Result<Read> {
        let count = cx.stack.tcp_read(self.tcp, buffer, peek)?;
        Ok(Read { count, truncated: false })
    }

    fn write(&mut self, cx: &mut Context, bytes: &[u8]) -> Result<usize> {
        cx.stack.tcp_write(self.tcp, bytes)
    }

    fn shutdown(&mut self, cx: &mut Context, read: bool, write: bool) -> Result<()> {
        cx.stack.tcp_shutdown(self.tcp, read, write)
    }
}

/// A connection and its stream differ only in what closing and waiting mean.
macro_rules! endpoint {
    ($type:ty, stream: $stream:literal, |$endpoint:ident, $stack:ident| $readiness:expr) => {
        impl Endpoint for $type {
            fn readiness(&self, cx: &Context) -> Readiness {
                let ($endpoint, $stack) = (self, &*cx.stack);
                $readiness
            }

            fn never(&self, _: &Context, interest: Interest) -> Option<Error> {
                // Nothing is written to a connection.
                (!$stream && interest.write).then_some(Error::Invalid)
            }

            fn watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter) {
                cx.stack.tcp_watch(self.tcp, interest, waiter);
            }

            fn close(&mut self, cx: &mut Context) {
                cx.stack.tcp_release(cx.now, self.tcp, $stream);
            }

            fn local_address(&self, cx: &Context) -> Result<String> {
                let addresses = cx.stack.tcp_addresses(self.tcp).ok_or(Error::BadDescriptor)?;
                Ok(addresses.0.to_string())
            }

            fn peer_address(&self, cx: &Context) -> Result<String> {
                let addresses = cx.stack.tcp_addresses(self.tcp).ok_or(Error::BadDescriptor)?;
                Ok(addresses.1.to_string())
            }

            fn option(&self, cx: &Context, option: SocketOption) -> Result<u64> {
                get(&cx.stack.tcp_options(self.tcp).ok_or(Error::BadDescriptor)?, option)
            }

            fn set_option(&mut self, cx: &mut Context, option: SocketOption, value: u64) -> Result<()> {
                let options = cx.stack.tcp_options(self.tcp).ok_or(Error::BadDescriptor)?;
                cx.stack.tcp_set_options(cx.now, self.tcp, set(options, option, value)?);
                Ok(())
            }

            fn kind(&self) -> SocketKind {
                SocketKind::Stream
            }
        }
    };
}

// `stream_accept` answers at once, whether with the stream or with an error.
endpoint!(TcpConnection, stream: false, |connection, stack| Readiness {
    read: true,
    hangup: stack.tcp_readiness(connection.tcp).hangup,
    ..Default::default()
});
endpoint!(TcpStream, stream: true, |stream, stack| stack.tcp_readiness(stream.tcp));
