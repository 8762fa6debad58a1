//! The datagrams exchanged with one peer, as a connection and its stream.

use bytes::BytesMut;

use super::{get, set};
use crate::error::{Error, Result};
use crate::node::object::{Connection, Context, Endpoint, Read, SocketOption, Stream};
use crate::node::slab::Id;
use crate::node::stack::{Flow, Udp};
use crate::node::{Interest, Readiness, SocketKind, Waiter};

pub struct UdpConnection {
    flow: Id<Flow>,
    udp: Id<Udp>,
    /// A flow has exactly one stream.
    stream_taken: bool,
}

impl UdpConnection {
    pub fn new(flow: Id<Flow>, udp: Id<Udp>) -> Self {
        Self { flow, udp, stream_taken: false }
    }

    fn stream(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        if self.stream_taken {
            return Err(Error::NotSupported);
        }
        self.stream_taken = true;
        cx.stack.flow_hold(self.flow);
        Ok(Box::new(UdpStream { flow: self.flow, udp: self.udp, write_shut: false }))
    }
}

impl Connection for UdpConnection {
    fn stream_create(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        self.stream(cx)
    }

    fn stream_accept(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        self.stream(cx)
    }
}

pub struct UdpStream {
    flow: Id<Flow>,
    udp: Id<Udp>,
    /// The guest said that it writes no more.
    write_shut: bool,
}

impl Stream for UdpStream {
    fn read(&mut self, cx: &mut Context, buffer: &mut [u8], peek: bool) -> Result<Read> {
        let (count, length) = cx.stack.flow_read(self.flow, buffer, peek)?;
        Ok(Read { count, truncated: count < length })
    }

    fn write(&mut self, cx: &mut Context, bytes: &[u8]) -> Result<usize> {
        if self.write_shut {
            return Err(Error::Pipe);
        }
        cx.stack.flow_write(self.flow, bytes)?;
        Ok(bytes.len())
    }

    fn take(&mut self, cx: &mut Context, _: &mut Vec<u8>) -> Result<BytesMut> {
        cx.stack.flow_take(self.flow)
    }

    fn write_burst(&mut self, cx: &mut Context, bytes: &[u8], segment: usize) -> Result<usize> {
        if self.write_shut {
            return Err(Error::Pipe);
        }
        cx.stack.flow_write_burst(self.flow, bytes, segment)
    }

    fn keep_whole(&mut self, cx: &mut Context) {
        cx.stack.flow_keep_whole(self.flow);
    }

    /// The peer hears nothing of it: a datagram has no end to send.
    fn shutdown(&mut self, cx: &mut Context, read: bool, write: bool) -> Result<()> {
        self.write_shut |= write;
        if read {
            cx.stack.flow_shutdown(self.flow);
        }
        Ok(())
    }
}

/// A flow and its stream differ only in what waiting means.
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
                cx.stack.flow_watch(self.flow, interest, waiter);
            }

            fn close(&mut self, cx: &mut Context) {
                cx.stack.flow_release(self.flow);
            }

            fn local_address(&self, cx: &Context) -> Result<String> {
                let addresses = cx.stack.flow_addresses(self.flow).ok_or(Error::BadDescriptor)?;
                Ok(addresses.0.to_string())
            }

            fn peer_address(&self, cx: &Context) -> Result<String> {
                let (_, peer) = cx.stack.flow_addresses(self.flow).ok_or(Error::BadDescriptor)?;
                match cx.stack.udp_is_echo(self.udp) {
                    true => Ok(peer.ip().to_string()),
                    false => Ok(peer.to_string()),
                }
            }

            fn option(&self, cx: &Context, option: SocketOption) -> Result<u64> {
                get(cx.stack, self.udp, option)
            }

            fn set_option(&mut self, cx: &mut Context, option: SocketOption, value: u64) -> Result<()> {
                set(cx, self.udp, option, value)
            }

            fn kind(&self) -> SocketKind {
                SocketKind::Datagram
            }
        }
    };
}

// `stream_accept` answers at once, whether with the stream or with an error.
endpoint!(UdpConnection, stream: false, |connection, stack| Readiness {
    read: true,
    hangup: stack.flow_readiness(connection.flow).hangup,
    ..Default::default()
});
endpoint!(UdpStream, stream: true, |stream, stack| stack.flow_readiness(stream.flow));
