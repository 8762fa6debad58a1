//! Connections, and the one stream of each: bytes as TCP has them, or datagrams (`datagram.rs`).

use std::time::Duration;

use super::datagram::Datagrams;
use crate::error::{Error, Result};
use crate::node::object::{Connection, Context, Endpoint, Read, SocketOption, Stream};
use crate::node::slab::Id;
use crate::node::stack::{Tcp, TcpOptions};
use crate::node::{Interest, Readiness, SocketKind, Waiter};

/// What a connection and its stream have in common.
#[derive(Clone)]
struct Ends {
    tcp: Id<Tcp>,
    kind: SocketKind,
    local: String,
    peer: String,
}

pub struct UnixConnection {
    ends: Ends,
    /// There is exactly one stream.
    stream_taken: bool,
}

impl UnixConnection {
    pub fn new(tcp: Id<Tcp>, kind: SocketKind, local: String, peer: String) -> Self {
        Self { ends: Ends { tcp, kind, local, peer }, stream_taken: false }
    }

    fn stream(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        if self.stream_taken {
            return Err(Error::NotSupported);
        }
        self.stream_taken = true;
        cx.unix()?.tcp_hold(self.ends.tcp);
        let ends = self.ends.clone();
        Ok(match ends.kind {
            SocketKind::Stream => Box::new(Bytes { ends }),
            SocketKind::Datagram => Box::new(Messages { datagrams: Datagrams::new(ends.tcp), ends }),
        })
    }
}

impl Connection for UnixConnection {
    fn stream_create(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        self.stream(cx)
    }

    fn stream_accept(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        self.stream(cx)
    }
}

/// A stream of bytes.
pub struct Bytes {
    ends: Ends,
}

impl Stream for Bytes {
    fn read(&mut self, cx: &mut Context, buffer: &mut [u8], peek: bool) -> Result<Read> {
        let count = cx.unix()?.tcp_read(self.ends.tcp, buffer, peek)?;
        Ok(Read { count, truncated: false })
    }

    fn write(&mut self, cx: &mut Context, bytes: &[u8]) -> Result<usize> {
        cx.unix()?.tcp_write(self.ends.tcp, bytes)
    }

    fn shutdown(&mut self, cx: &mut Context, read: bool, write: bool) -> Result<()> {
        cx.unix()?.tcp_shutdown(self.ends.tcp, read, write)
    }
}

/// A stream of datagrams.
pub struct Messages {
    ends: Ends,
    datagrams: Datagrams,
}

impl Stream for Messages {
    fn read(&mut self, cx: &mut Context, buffer: &mut [u8], peek: bool) -> Result<Read> {
        self.datagrams.read(cx.unix()?, buffer, peek)
    }

    fn write(&mut self, cx: &mut Context, bytes: &[u8]) -> Result<usize> {
        self.datagrams.write(cx.unix()?, bytes)
    }

    fn shutdown(&mut self, _: &mut Context, read: bool, write: bool) -> Result<()> {
        self.datagrams.shutdown(read, write);
        Ok(())
    }
}

/// How long a closed stream goes on, at most, where that can be set.
fn linger(value: u64) -> Option<Duration> {
    (value != u64::MAX).then(|| Duration::from_millis(value))
}

pub fn get(options: &TcpOptions, option: SocketOption) -> Result<u64> {
    match option {
        SocketOption::ReceiveBuffer => Ok(options.receive_buffer as u64),
        SocketOption::SendBuffer => Ok(options.send_buffer as u64),
        SocketOption::Linger => Ok(options.linger.map_or(u64::MAX, |linger| linger.as_millis() as u64)),
        SocketOption::NoDelay
        | SocketOption::KeepAlive
        | SocketOption::HopLimit
        | SocketOption::GroupHopLimit
        | SocketOption::GroupLoop
        | SocketOption::Unidirectional => Err(Error::NoOption),
    }
}

/// `options` with one of them set.
pub fn set(options: TcpOptions, option: SocketOption, value: u64) -> Result<TcpOptions> {
    match option {
        SocketOption::Linger => Ok(TcpOptions { linger: linger(value), ..options }),
        SocketOption::NoDelay
        | SocketOption::KeepAlive
        | SocketOption::HopLimit
        | SocketOption::GroupHopLimit
        | SocketOption::GroupLoop
        | SocketOption::Unidirectional
        | SocketOption::ReceiveBuffer
        | SocketOption::SendBuffer => Err(Error::NoOption),
    }
}

impl Ends {
    fn tcp_readiness(&self, cx: &Context) -> Readiness {
        cx.unix_stack().map(|stack| stack.tcp_readiness(self.tcp)).unwrap_or_default()
    }

    fn watch(&self, cx: &mut Context, interest: Interest, waiter: Waiter) {
        if let Ok(stack) = cx.unix() {
            stack.tcp_watch(self.tcp, interest, waiter);
        }
    }

    fn close(&self, cx: &mut Context, stream: bool) {
        let now = cx.now;
        if let Ok(stack) = cx.unix() {
            stack.tcp_release(now, self.tcp, stream);
        }
    }

    fn options(&self, cx: &Context) -> Result<TcpOptions> {
        cx.unix_stack().and_then(|stack| stack.tcp_options(self.tcp)).ok_or(Error::BadDescriptor)
    }

    fn set_option(&self, cx: &mut Context, option: SocketOption, value: u64) -> Result<()> {
        let (now, options) = (cx.now, set(self.options(cx)?, option, value)?);
        cx.unix()?.tcp_set_options(now, self.tcp, options);
        Ok(())
    }
}

macro_rules! endpoint {
    ($type:ty, $stream:literal, |$endpoint:ident, $cx:ident| $readiness:expr, |$watching:ident, $with:ident, $interest:ident, $waiter:ident| $watch:expr) => {
        impl Endpoint for $type {
            fn readiness(&self, $cx: &Context) -> Readiness {
                let $endpoint = self;
                $readiness
            }

            fn watch(&mut self, $with: &mut Context, $interest: Interest, $waiter: Waiter) {
                let $watching = self;
                $watch
            }

            fn close(&mut self, cx: &mut Context) {
                self.ends.close(cx, $stream);
            }

            fn local_address(&self, _: &Context) -> Result<String> {
                Ok(self.ends.local.clone())
            }

            fn peer_address(&self, _: &Context) -> Result<String> {
                Ok(self.ends.peer.clone())
            }

            fn option(&self, cx: &Context, option: SocketOption) -> Result<u64> {
                get(&self.ends.options(cx)?, option)
            }

            fn set_option(&mut self, cx: &mut Context, option: SocketOption, value: u64) -> Result<()> {
                self.ends.set_option(cx, option, value)
            }

            fn kind(&self) -> SocketKind {
                self.ends.kind
            }
        }
    };
}

// `stream_accept` answers at once, whether with the stream or with an error.
endpoint!(
    UnixConnection,
    false,
    |it, cx| Readiness { read: true, hangup: it.ends.tcp_readiness(cx).hangup, ..Default::default() },
    |it, cx, interest, waiter| it.ends.watch(cx, interest, waiter)
);
endpoint!(Bytes, true, |it, cx| it.ends.tcp_readiness(cx), |it, cx, interest, waiter| it
    .ends
    .watch(cx, interest, waiter));
endpoint!(
    Messages,
    true,
    |it, cx| it.datagrams.readiness(it.ends.tcp_readiness(cx)),
    |it, cx, interest, waiter| {
        let ready = cx.unix().is_ok_and(|stack| it.datagrams.look(stack, interest));
        if ready {
            // A length that nobody had looked at yet, with all of its datagram behind it.
            cx.stack.wakes().wake(waiter);
        } else {
            it.ends.watch(cx, interest, waiter);
        }
    }
);
