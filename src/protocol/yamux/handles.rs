//! The guest's side: handles to a session.

use super::session::Session;
use super::streams::StreamState;
use crate::error::{Error, Result};
use crate::node::object::{Connection, Context, Endpoint, Read, SocketOption, Stream};
use crate::node::task::Handle;
use crate::node::{Interest, Readiness, SocketKind, Waiter};

pub(super) struct YamuxConnection {
    session: Handle<Session>,
}

impl YamuxConnection {
    pub fn new(session: Handle<Session>) -> Self {
        Self { session }
    }
}

/// One stream of many, by its id.
struct YamuxStream {
    session: Handle<Session>,
    id: u32,
}

fn with<R>(
    cx: &mut Context,
    session: Handle<Session>,
    work: impl FnOnce(&mut Session, &mut Context) -> Result<R>,
) -> Result<R> {
    cx.with_task(session, work).unwrap_or(Err(Error::BadDescriptor))
}

impl Connection for YamuxConnection {
    fn stream_create(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        let session = self.session;
        let id = with(cx, session, |state, cx| state.stream_create(cx, session.id()))?;
        Ok(Box::new(YamuxStream { session, id }))
    }

    fn stream_accept(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        let session = self.session;
        let id = with(cx, session, |state, _| state.stream_accept())?;
        Ok(Box::new(YamuxStream { session, id }))
    }
}

impl YamuxStream {
    fn with<R>(
        &mut self,
        cx: &mut Context,
        work: impl FnOnce(&mut StreamState, Option<Error>) -> Result<R>,
    ) -> Result<R> {
        let Self { session, id } = *self;
        with(cx, session, |state, cx| state.with_stream(cx, session.id(), id, work))
    }
}

impl Stream for YamuxStream {
    fn read(&mut self, cx: &mut Context, buffer: &mut [u8], peek: bool) -> Result<Read> {
        self.with(cx, |stream, lost| stream.read(buffer, peek, lost))
    }

    fn write(&mut self, cx: &mut Context, bytes: &[u8]) -> Result<usize> {
        self.with(cx, |stream, lost| stream.write(bytes, lost))
    }

    fn shutdown(&mut self, cx: &mut Context, read: bool, write: bool) -> Result<()> {
        self.with(cx, |stream, lost| {
            lost.map_or(Ok(()), Err)?;
            stream.shutdown(read, write);
            Ok(())
        })
    }
}

/// What a connection and a stream have in common.
macro_rules! endpoint {
    ($type:ty, $readiness:item, $watch:item, $close:item, $option:item, $set_option:item) => {
        impl Endpoint for $type {
            $readiness
            $watch
            $close
            $option
            $set_option

            fn local_address(&self, cx: &Context) -> Result<String> {
                cx.tasks.get(self.session).ok_or(Error::BadDescriptor)?.carrier.local_address(cx)
            }

            fn peer_address(&self, cx: &Context) -> Result<String> {
                cx.tasks.get(self.session).ok_or(Error::BadDescriptor)?.carrier.peer_address(cx)
            }

            fn kind(&self) -> SocketKind {
                SocketKind::Stream
            }
        }
    };
}

const GONE: Readiness = Readiness { read: true, write: true, read_bytes: 0, write_bytes: 0, hangup: true };

endpoint!(
    YamuxConnection,
    fn readiness(&self, cx: &Context) -> Readiness {
        cx.tasks.get(self.session).map_or(GONE, Session::readiness)
    },
    fn watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter) {
        cx.with_task(self.session, |session, cx| session.watch(cx, interest, waiter));
    },
    fn close(&mut self, cx: &mut Context) {
        let me = self.session.id();
        cx.with_task(self.session, |session, cx| session.release(cx, me));
    },
    fn option(&self, cx: &Context, option: SocketOption) -> Result<u64> {
        cx.tasks.get(self.session).ok_or(Error::BadDescriptor)?.option(cx, option)
    },
    fn set_option(&mut self, cx: &mut Context, option: SocketOption, value: u64) -> Result<()> {
        with(cx, self.session, |session, cx| session.carrier.stream.set_option(cx, option, value))
    }
);
endpoint!(
    YamuxStream,
    fn readiness(&self, cx: &Context) -> Readiness {
        cx.tasks.get(self.session).map_or(GONE, |session| session.stream_readiness(self.id))
    },
    fn watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter) {
        let id = self.id;
        cx.with_task(self.session, |session, cx| session.stream_watch(cx, id, interest, waiter));
    },
    fn close(&mut self, cx: &mut Context) {
        let (me, id) = (self.session.id(), self.id);
        cx.with_task(self.session, |session, cx| session.stream_close(cx, me, id));
    },
    // Lingering is a stream's own; all else is the carrier's, and so of all streams.
    fn option(&self, cx: &Context, option: SocketOption) -> Result<u64> {
        let session = cx.tasks.get(self.session).ok_or(Error::BadDescriptor)?;
        if option != SocketOption::Linger {
            return session.option(cx, option);
        }
        let stream = session.stream(self.id).ok_or(Error::BadDescriptor)?;
        // Closing waits for nothing, and what was written goes on its way meanwhile.
        if stream.resets { Ok(0) } else { Err(Error::NoOption) }
    },
    fn set_option(&mut self, cx: &mut Context, option: SocketOption, value: u64) -> Result<()> {
        if option == SocketOption::Linger {
            return self.with(cx, |stream, _| {
                stream.resets = value == 0;
                Ok(())
            });
        }
        with(cx, self.session, |session, cx| session.carrier.stream.set_option(cx, option, value))
    }
);
