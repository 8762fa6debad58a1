//! The guest's side of a connection: handles to its session.

use super::session::Session;
use crate::error::{Error, Result};
use crate::node::object::{Connection, Context, Endpoint, Read, SocketOption, Stream};
use crate::node::task::Handle;
use crate::node::{Interest, Readiness, SocketKind, Waiter};

pub(super) struct TlsConnection {
    session: Handle<Session>,
    /// TLS has exactly one stream.
    stream_taken: bool,
}

impl TlsConnection {
    pub fn new(session: Handle<Session>) -> Self {
        Self { session, stream_taken: false }
    }

    fn stream(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        if self.stream_taken {
            return Err(Error::NotSupported);
        }
        cx.with_task(self.session, |session, _| session.hold()).ok_or(Error::BadDescriptor)?;
        self.stream_taken = true;
        Ok(Box::new(TlsStream { session: self.session }))
    }
}

impl Connection for TlsConnection {
    fn stream_create(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        self.stream(cx)
    }

    fn stream_accept(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        self.stream(cx)
    }
}

struct TlsStream {
    session: Handle<Session>,
}

impl TlsStream {
    fn with<R>(
        &mut self,
        cx: &mut Context,
        work: impl FnOnce(&mut Session, &mut Context) -> Result<R>,
    ) -> Result<R> {
        cx.with_task(self.session, work).unwrap_or(Err(Error::BadDescriptor))
    }
}

impl Stream for TlsStream {
    fn read(&mut self, cx: &mut Context, buffer: &mut [u8], peek: bool) -> Result<Read> {
        let me = self.session.id();
        self.with(cx, |session, cx| session.read(cx, me, buffer, peek))
    }

    fn write(&mut self, cx: &mut Context, bytes: &[u8]) -> Result<usize> {
        let me = self.session.id();
        self.with(cx, |session, cx| session.write(cx, me, bytes))
    }

    fn shutdown(&mut self, cx: &mut Context, read: bool, write: bool) -> Result<()> {
        let me = self.session.id();
        self.with(cx, |session, cx| session.shutdown(cx, me, read, write))
    }
}

/// A connection and its stream differ in what closing means, and in that a connection has nothing to wait for.
macro_rules! endpoint {
    ($type:ty, $stream:literal, |$session:ident| $readiness:expr) => {
        impl Endpoint for $type {
            fn readiness(&self, cx: &Context) -> Readiness {
                match cx.tasks.get(self.session) {
                    Some($session) => $readiness,
                    None => Readiness { read: true, write: true, hangup: true, ..Default::default() },
                }
            }

            fn never(&self, _: &Context, interest: Interest) -> Option<Error> {
                // Nothing is written to a connection.
                (!$stream && interest.write).then_some(Error::Invalid)
            }

            fn watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter) {
                cx.with_task(self.session, |session, cx| session.watch(cx, interest, waiter));
            }

            fn close(&mut self, cx: &mut Context) {
                let me = self.session.id();
                cx.with_task(self.session, |session, cx| session.release(cx, me, $stream));
            }

            fn local_address(&self, cx: &Context) -> Result<String> {
                cx.tasks.get(self.session).ok_or(Error::BadDescriptor)?.local_address(cx)
            }

            fn peer_address(&self, cx: &Context) -> Result<String> {
                cx.tasks.get(self.session).ok_or(Error::BadDescriptor)?.peer_address(cx)
            }

            fn application_protocol(&self, cx: &Context) -> Result<Vec<u8>> {
                Ok(cx.tasks.get(self.session).ok_or(Error::BadDescriptor)?.application_protocol())
            }

            fn option(&self, cx: &Context, option: SocketOption) -> Result<u64> {
                cx.tasks.get(self.session).ok_or(Error::BadDescriptor)?.option(cx, option)
            }

            fn set_option(&mut self, cx: &mut Context, option: SocketOption, value: u64) -> Result<()> {
                cx.with_task(self.session, |session, cx| session.set_option(cx, option, value))
                    .unwrap_or(Err(Error::BadDescriptor))
            }

            fn kind(&self) -> SocketKind {
                SocketKind::Stream
            }
        }
    };
}

// `stream_accept` answers at once, whether with the stream or with an error.
endpoint!(TlsConnection, false, |session| Readiness {
    read: true,
    hangup: session.readiness().hangup,
    ..Default::default()
});
endpoint!(TlsStream, true, |session| session.readiness());
