//! A connection whose bytes are the carrier's own: what a layer leaves once it has said its piece.

use bytes::{Buf, Bytes};

use super::Carrier;
use crate::error::{Error, Result};
use crate::node::object::{Connection, Context, Endpoint, Read, SocketOption, Stream};
use crate::node::{Interest, Readiness, SocketKind, Waiter};

pub struct Tunnel {
    connection: Box<dyn Connection>,
    /// `None` once the guest has it.
    stream: Option<TunnelStream>,
    addresses: Addresses,
}

/// What the layer knows better than the connection below.
#[derive(Clone, Debug, Default)]
struct Addresses {
    local: Option<String>,
    peer: Option<String>,
}

impl Tunnel {
    /// `ahead` was read from the carrier already, and is the guest's.
    pub fn new(carrier: Carrier, ahead: Bytes) -> Self {
        let Carrier { connection, stream, .. } = carrier;
        let addresses = Addresses::default();
        let stream = TunnelStream { stream, ahead, addresses: addresses.clone() };
        Self { connection, stream: Some(stream), addresses }
    }

    /// What `local_address` and `peer_address` answer, where that is not what they are below.
    pub fn with_addresses(mut self, local: Option<String>, peer: Option<String>) -> Self {
        self.addresses = Addresses { local, peer };
        if let Some(stream) = &mut self.stream {
            stream.addresses = self.addresses.clone();
        }
        self
    }

    fn stream(&mut self) -> Result<Box<dyn Stream>> {
        Ok(Box::new(self.stream.take().ok_or(Error::NotSupported)?))
    }
}

impl Connection for Tunnel {
    fn stream_create(&mut self, _: &mut Context) -> Result<Box<dyn Stream>> {
        self.stream()
    }

    fn stream_accept(&mut self, _: &mut Context) -> Result<Box<dyn Stream>> {
        self.stream()
    }
}

struct TunnelStream {
    stream: Box<dyn Stream>,
    ahead: Bytes,
    addresses: Addresses,
}

impl Stream for TunnelStream {
    fn read(&mut self, cx: &mut Context, buffer: &mut [u8], peek: bool) -> Result<Read> {
        if self.ahead.is_empty() {
            return self.stream.read(cx, buffer, peek);
        }
        let count = buffer.len().min(self.ahead.len());
        buffer[..count].copy_from_slice(&self.ahead[..count]);
        if !peek {
            self.ahead.advance(count);
        }
        Ok(Read { count, truncated: false })
    }

    fn write(&mut self, cx: &mut Context, bytes: &[u8]) -> Result<usize> {
        self.stream.write(cx, bytes)
    }

    fn shutdown(&mut self, cx: &mut Context, read: bool, write: bool) -> Result<()> {
        self.stream.shutdown(cx, read, write)
    }
}

/// What both hand on to what they stand for.
macro_rules! endpoint {
    ($type:ty, $below:ident, $readiness:item, $close:item) => {
        impl Endpoint for $type {
            $readiness
            $close

            fn never(&self, cx: &Context, interest: Interest) -> Option<Error> {
                self.$below.never(cx, interest)
            }

            fn watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter) {
                self.$below.watch(cx, interest, waiter);
            }

            fn local_address(&self, cx: &Context) -> Result<String> {
                self.addresses.local.clone().map_or_else(|| self.$below.local_address(cx), Ok)
            }

            fn peer_address(&self, cx: &Context) -> Result<String> {
                self.addresses.peer.clone().map_or_else(|| self.$below.peer_address(cx), Ok)
            }

            fn option(&self, cx: &Context, option: SocketOption) -> Result<u64> {
                self.$below.option(cx, option)
            }

            fn set_option(&mut self, cx: &mut Context, option: SocketOption, value: u64) -> Result<()> {
                self.$below.set_option(cx, option, value)
            }

            fn kind(&self) -> SocketKind {
                SocketKind::Stream
            }
        }
    };
}

endpoint!(
    Tunnel,
    connection,
    fn readiness(&self, cx: &Context) -> Readiness {
        self.connection.readiness(cx)
    },
    fn close(&mut self, cx: &mut Context) {
        if let Some(mut stream) = self.stream.take() {
            stream.close(cx);
        }
        self.connection.close(cx);
    }
);
endpoint!(
    TunnelStream,
    stream,
    fn readiness(&self, cx: &Context) -> Readiness {
        let below = self.stream.readiness(cx);
        let ahead = self.ahead.len();
        Readiness { read: below.read || ahead > 0, read_bytes: below.read_bytes + ahead, ..below }
    },
    fn close(&mut self, cx: &mut Context) {
        self.stream.close(cx);
    }
);
