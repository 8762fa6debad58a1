//! The guest's side: handles to the hub.

use super::hub::Hub;
use super::session::Session;
use crate::error::{Error, Result};
use crate::node::object::{Connection, Context, Control, Endpoint, Read, SocketOption, Stream};
use crate::node::slab::Id;
use crate::node::task::Handle;
use crate::node::{Interest, Readiness, SocketKind, Waiter};

pub(super) struct QuicControl {
    hub: Handle<Hub>,
    kind: SocketKind,
}

impl QuicControl {
    pub fn new(hub: Handle<Hub>, kind: SocketKind) -> Self {
        Self { hub, kind }
    }

    fn with<R>(
        &self,
        cx: &mut Context,
        work: impl FnOnce(&mut Hub, &mut Context, Handle<Hub>) -> Result<R>,
    ) -> Result<R> {
        let me = self.hub;
        cx.with_task(me, |hub, cx| work(hub, cx, me)).unwrap_or(Err(Error::BadDescriptor))
    }

    fn connection(&self, session: Id<Session>) -> Box<dyn Connection> {
        Box::new(QuicConnection { hub: self.hub, session, kind: self.kind })
    }

    fn below<'a>(&self, cx: &'a Context) -> Result<&'a dyn Control> {
        cx.tasks.get(self.hub).and_then(|hub| hub.below.as_deref()).ok_or(Error::BadDescriptor)
    }
}

impl Control for QuicControl {
    fn listen(&mut self, cx: &mut Context, backlog: usize) -> Result<()> {
        self.with(cx, |hub, cx, me| hub.listen(cx, me, backlog))
    }

    fn accept(&mut self, cx: &mut Context) -> Result<Box<dyn Connection>> {
        let session = self.with(cx, |hub, cx, me| hub.accept(cx, me))?;
        Ok(self.connection(session))
    }

    fn connect(&mut self, cx: &mut Context, address: &str) -> Result<Box<dyn Connection>> {
        let session = self.with(cx, |hub, cx, me| hub.connect(cx, me, address))?;
        Ok(self.connection(session))
    }
}

impl Endpoint for QuicControl {
    fn readiness(&self, cx: &Context) -> Readiness {
        cx.tasks.get(self.hub).map(Hub::readiness).unwrap_or_default()
    }

    fn watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter) {
        cx.with_task(self.hub, |hub, cx| hub.watch(cx, interest, waiter));
    }

    fn close(&mut self, cx: &mut Context) {
        let me = self.hub;
        cx.with_task(me, |hub, cx| hub.let_go(cx, me));
    }

    fn local_address(&self, cx: &Context) -> Result<String> {
        self.below(cx)?.local_address(cx)
    }

    fn peer_address(&self, _: &Context) -> Result<String> {
        Err(Error::NotConnected)
    }

    fn option(&self, cx: &Context, option: SocketOption) -> Result<u64> {
        self.below(cx)?.option(cx, option)
    }

    fn set_option(&mut self, cx: &mut Context, option: SocketOption, value: u64) -> Result<()> {
        self.with(cx, |hub, cx, _| {
            hub.below.as_mut().ok_or(Error::BadDescriptor)?.set_option(cx, option, value)
        })
    }

    fn kind(&self) -> SocketKind {
        self.kind
    }
}

struct QuicConnection {
    hub: Handle<Hub>,
    session: Id<Session>,
    kind: SocketKind,
}

/// One stream of many, by its number.
struct QuicStream {
    hub: Handle<Hub>,
    session: Id<Session>,
    number: u32,
}

/// The one stream of datagrams.
struct DatagramStream {
    hub: Handle<Hub>,
    session: Id<Session>,
}

/// Works on the session of a handle.
fn with<R>(
    cx: &mut Context,
    hub: Handle<Hub>,
    session: Id<Session>,
    work: impl FnOnce(&mut Session, &mut Context) -> Result<R>,
) -> Result<R> {
    cx.with_task(hub, |all, cx| all.work(cx, hub, session, work)).unwrap_or(Err(Error::BadDescriptor))
}

impl QuicConnection {
    fn stream(
        &mut self,
        cx: &mut Context,
        take: impl FnOnce(&mut Session) -> Result<u32>,
    ) -> Result<Box<dyn Stream>> {
        let Self { hub, session, kind } = *self;
        match kind {
            SocketKind::Stream => {
                let number = with(cx, hub, session, |session, _| take(session))?;
                Ok(Box::new(QuicStream { hub, session, number }))
            }
            SocketKind::Datagram => {
                with(cx, hub, session, |session, _| session.take_datagrams())?;
                Ok(Box::new(DatagramStream { hub, session }))
            }
        }
    }
}

impl Connection for QuicConnection {
    fn stream_create(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        self.stream(cx, Session::stream_create)
    }

    fn stream_accept(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        self.stream(cx, Session::stream_accept)
    }
}

impl Stream for QuicStream {
    fn read(&mut self, cx: &mut Context, buffer: &mut [u8], peek: bool) -> Result<Read> {
        with(cx, self.hub, self.session, |session, _| {
            let (stream, connection, lost) = session.stream(self.number)?;
            stream.read(connection, buffer, peek, lost)
        })
    }

    fn write(&mut self, cx: &mut Context, bytes: &[u8]) -> Result<usize> {
        with(cx, self.hub, self.session, |session, _| {
            let (stream, connection, lost) = session.stream(self.number)?;
            stream.write(connection, bytes, lost)
        })
    }

    fn shutdown(&mut self, cx: &mut Context, read: bool, write: bool) -> Result<()> {
        with(cx, self.hub, self.session, |session, _| {
            let (stream, connection, lost) = session.stream(self.number)?;
            lost.map_or(Ok(()), Err)?;
            stream.shutdown(connection, read, write)
        })
    }
}

impl Stream for DatagramStream {
    fn read(&mut self, cx: &mut Context, buffer: &mut [u8], peek: bool) -> Result<Read> {
        with(cx, self.hub, self.session, |session, _| session.datagram_read(buffer, peek))
    }

    fn write(&mut self, cx: &mut Context, bytes: &[u8]) -> Result<usize> {
        with(cx, self.hub, self.session, |session, _| session.datagram_write(bytes))
    }

    fn shutdown(&mut self, cx: &mut Context, read: bool, _: bool) -> Result<()> {
        with(cx, self.hub, self.session, |session, _| {
            session.datagram_shutdown(read);
            Ok(())
        })
    }
}

/// What all three have in common, and what not: `option` and `set_option` take the session.
macro_rules! endpoint {
    (
        $type:ty, $kind:expr,
        readiness: |$handle:ident, $session:ident| $readiness:expr,
        watch: $watch:expr,
        close: $close:expr,
        option: $option:expr,
        set_option: $set_option:expr
    ) => {
        impl Endpoint for $type {
            fn readiness(&self, cx: &Context) -> Readiness {
                let $handle = self;
                match cx.tasks.get(self.hub).and_then(|hub| hub.session(self.session)) {
                    Some($session) => $readiness,
                    None => Readiness { read: true, write: true, hangup: true, ..Default::default() },
                }
            }

            fn watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter) {
                // One that is gone wakes nobody.
                let _ = with(cx, self.hub, self.session, |session, cx| {
                    let watch: fn(&Self, &mut Session, &mut Context, Interest, Waiter) = $watch;
                    watch(self, session, cx, interest, waiter);
                    Ok(())
                });
            }

            fn close(&mut self, cx: &mut Context) {
                let _ = with(cx, self.hub, self.session, |session, cx| {
                    let close: fn(&Self, &mut Session, &mut Context) = $close;
                    close(self, session, cx);
                    Ok(())
                });
            }

            fn local_address(&self, cx: &Context) -> Result<String> {
                cx.tasks.get(self.hub).ok_or(Error::BadDescriptor)?.local_address(cx, self.session)
            }

            fn peer_address(&self, cx: &Context) -> Result<String> {
                let session = cx.tasks.get(self.hub).and_then(|hub| hub.session(self.session));
                Ok(session.ok_or(Error::BadDescriptor)?.remote.to_string())
            }

            fn application_protocol(&self, cx: &Context) -> Result<Vec<u8>> {
                let session = cx.tasks.get(self.hub).and_then(|hub| hub.session(self.session));
                let agreed = session.ok_or(Error::BadDescriptor)?.agreed().ok_or(Error::WouldBlock)?;
                Ok(agreed.protocol.unwrap_or_default())
            }

            fn option(&self, cx: &Context, option: SocketOption) -> Result<u64> {
                let session = cx.tasks.get(self.hub).and_then(|hub| hub.session(self.session));
                let get: fn(&Self, &Session, SocketOption) -> Result<u64> = $option;
                get(self, session.ok_or(Error::BadDescriptor)?, option)
            }

            fn set_option(&mut self, cx: &mut Context, option: SocketOption, value: u64) -> Result<()> {
                with(cx, self.hub, self.session, |session, _| {
                    let set: fn(&Self, &mut Session, SocketOption, u64) -> Result<()> = $set_option;
                    set(self, session, option, value)
                })
            }

            fn kind(&self) -> SocketKind {
                let kind: fn(&Self) -> SocketKind = $kind;
                kind(self)
            }
        }
    };
}

/// The options that mean something to QUIC.
enum Meant {
    /// Of a connection of streams.
    Unidirectional,
    /// Of a stream.
    Linger,
}

/// # Errors
/// `NoOption` for those of TCP and of IP.
fn meant(option: SocketOption) -> Result<Meant> {
    match option {
        SocketOption::Unidirectional => Ok(Meant::Unidirectional),
        SocketOption::Linger => Ok(Meant::Linger),
        SocketOption::NoDelay
        | SocketOption::KeepAlive
        | SocketOption::HopLimit
        | SocketOption::GroupHopLimit
        | SocketOption::GroupLoop
        | SocketOption::ReceiveBuffer
        | SocketOption::SendBuffer => Err(Error::NoOption),
    }
}

endpoint!(
    QuicConnection, |connection| connection.kind,
    readiness: |_connection, session| session.readiness(),
    watch: |_, session, cx, interest, waiter| {
        session.watch.join(interest, waiter);
        session.fire(cx);
    },
    close: |_, session, cx| session.release(cx),
    option: |_, session, option| match meant(option)? {
        Meant::Unidirectional => Ok(u64::from(session.unidirectional)),
        Meant::Linger => Err(Error::NoOption),
    },
    set_option: |connection, session, option, value| match (meant(option)?, connection.kind, value) {
        (Meant::Unidirectional, SocketKind::Stream, 0 | 1) => {
            session.unidirectional = value == 1;
            Ok(())
        }
        (Meant::Unidirectional, SocketKind::Stream, 2..) => Err(Error::Invalid),
        (Meant::Unidirectional, SocketKind::Datagram, _) | (Meant::Linger, _, _) => Err(Error::NoOption),
    }
);
endpoint!(
    QuicStream, |_| SocketKind::Stream,
    readiness: |handle, session| session.stream_readiness(handle.number),
    watch: |stream, session, cx, interest, waiter| session.stream_watch(cx, stream.number, interest, waiter),
    close: |stream, session, cx| session.stream_close(cx, stream.number),
    option: |stream, session, option| match meant(option)? {
        // Closing waits for nothing, and what was written goes on its way meanwhile.
        Meant::Linger => {
            let stream = session.streams.get(stream.number).ok_or(Error::BadDescriptor)?;
            if stream.resets { Ok(0) } else { Err(Error::NoOption) }
        }
        Meant::Unidirectional => Err(Error::NoOption),
    },
    set_option: |stream, session, option, value| match meant(option)? {
        Meant::Linger => {
            session.streams.get_mut(stream.number).ok_or(Error::BadDescriptor)?.resets = value == 0;
            Ok(())
        }
        Meant::Unidirectional => Err(Error::NoOption),
    }
);
endpoint!(
    DatagramStream, |_| SocketKind::Datagram,
    readiness: |_handle, session| session.datagram_readiness(),
    watch: |_, session, cx, interest, waiter| session.datagram_watch(cx, interest, waiter),
    close: |_, session, cx| session.release(cx),
    option: |_, _, _| Err(Error::NoOption),
    set_option: |_, _, _, _| Err(Error::NoOption)
);
