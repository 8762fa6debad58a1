//! What a node hands out: protocols, controls, connections and streams, known by their traits alone.
//!
//! Every operation answers at once, with [`Error::WouldBlock`] where it cannot; whoever wants to wait
//! registers an interest with `watch` and runs the operation again when it was woken.
//! The kinds live in `protocol/`; stacking them is composition.

use bytes::BytesMut;

use super::SocketKind;
use super::journal::Journal;
use super::namespace::Namespace;
use super::slab::Id;
use super::stack::Stack;
use super::task::Tasks;
use super::wake::{Interest, Readiness, Waiter};
use super::whereabouts::Whereabouts;
use crate::error::{Error, Result};
use crate::rng::Rng;
use crate::time::Instant;

/// No datagram is longer.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// What an operation may use: the time, the node's stack, its randomness, its tasks and its journal.
pub struct Context<'a> {
    pub now: Instant,
    pub stack: &'a mut Stack,
    /// For Unix-domain sockets; `None` for a node that has none.
    pub namespace: &'a mut Option<Box<Namespace>>,
    pub rng: &'a mut Rng,
    pub tasks: &'a mut Tasks,
    pub journal: &'a mut Journal,
    /// Of the lab's nodes.
    pub whereabouts: &'a Whereabouts,
}

/// The settings of `option_get` and `option_set`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketOption {
    /// 0 or 1.
    NoDelay,
    /// Seconds between probes; 0 is off.
    KeepAlive,
    /// 1 to 255.
    HopLimit,
    /// Bytes.
    ReceiveBuffer,
    /// Bytes.
    SendBuffer,
    /// Milliseconds; 0 resets on close.
    Linger,
    /// 0 or 1, of a connection: streams that are created from now on go one way.
    Unidirectional,
    /// 0 to 255.
    GroupHopLimit,
    /// 0 or 1.
    GroupLoop,
}

/// What all but protocols have.
pub trait Endpoint: Send {
    fn readiness(&self, cx: &Context) -> Readiness;
    /// Why `interest` is never met as things stand, such as an accept on a control that does not listen: what a call
    /// would answer, so that nobody waits for it.
    fn never(&self, cx: &Context, interest: Interest) -> Option<Error> {
        let _ = (cx, interest);
        None
    }
    /// Wakes `waiter` once when `interest` is met.
    fn watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter);
    fn close(&mut self, cx: &mut Context);
    /// As `open` takes it.
    fn local_address(&self, cx: &Context) -> Result<String>;
    /// As `connect` takes it.
    fn peer_address(&self, cx: &Context) -> Result<String>;
    /// What both sides agreed to speak (ALPN, RFC 7301), of 255 bytes at most; empty if they did not.
    ///
    /// # Errors
    /// `NoOption` where there is no such agreement; `WouldBlock` before the end of the handshake.
    fn application_protocol(&self, cx: &Context) -> Result<Vec<u8>> {
        let _ = cx;
        Err(Error::NoOption)
    }
    fn option(&self, cx: &Context, option: SocketOption) -> Result<u64>;
    fn set_option(&mut self, cx: &mut Context, option: SocketOption, value: u64) -> Result<()>;
    fn kind(&self) -> SocketKind;
}

/// A factory of connections and a sandbox at once.
pub trait Protocol: Send {
    fn open(&mut self, cx: &mut Context, bind: &str, kind: SocketKind) -> Result<Box<dyn Control>>;

    /// The guest has no use for it any more; what was opened goes on.
    fn close(&mut self, _: &mut Context) {}
}

pub trait Control: Endpoint {
    /// Whether it is bound where it was opened: `WouldBlock`, and ready for writing after, where another node has to be
    /// asked. An error is that of `open`.
    fn opened(&mut self, _: &mut Context) -> Result<()> {
        Ok(())
    }

    fn listen(&mut self, cx: &mut Context, backlog: usize) -> Result<()>;
    fn accept(&mut self, cx: &mut Context) -> Result<Box<dyn Connection>>;
    /// The first call to an address starts the connection and answers `InProgress`; called again with the same
    /// address it answers the connection, an error, or `InProgress` still.
    fn connect(&mut self, cx: &mut Context, address: &str) -> Result<Box<dyn Connection>>;
    /// Listens to a group: an address, and after `%` the name of an interface if it is not the first.
    fn join_group(&mut self, cx: &mut Context, group: &str) -> Result<()> {
        let _ = (cx, group);
        Err(Error::NoOption)
    }
    fn leave_group(&mut self, cx: &mut Context, group: &str) -> Result<()> {
        let _ = (cx, group);
        Err(Error::NoOption)
    }
}

pub trait Connection: Endpoint {
    fn stream_create(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>>;
    fn stream_accept(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>>;
}

/// Bytes read, and whether the rest of a datagram was cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Read {
    pub count: usize,
    pub truncated: bool,
}

pub trait Stream: Endpoint {
    fn read(&mut self, cx: &mut Context, buffer: &mut [u8], peek: bool) -> Result<Read>;
    /// Stream: takes as much as fits. Datagram: all or nothing.
    fn write(&mut self, cx: &mut Context, bytes: &[u8]) -> Result<usize>;
    /// Takes a datagram whole, without a copy where it can be had so; otherwise by way of `scratch`.
    fn take(&mut self, cx: &mut Context, scratch: &mut Vec<u8>) -> Result<BytesMut> {
        scratch.resize(DATAGRAM_BYTES_MAX, 0);
        let read = self.read(cx, scratch, false)?;
        Ok(BytesMut::from(&scratch[..read.count]))
    }
    /// Writes datagrams of `segment` bytes each, of which the last may be shorter; the bytes of those that were taken.
    fn write_burst(&mut self, cx: &mut Context, bytes: &[u8], segment: usize) -> Result<usize> {
        let mut taken = 0;
        for datagram in bytes.chunks(segment.max(1)) {
            match self.write(cx, datagram) {
                Ok(count) => taken += count,
                Err(error) if taken == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(taken)
    }
    /// Datagrams are never cut into fragments from now on, but lost where a link does not take them: for protocols that find
    /// out by that what their path takes (RFC 9000, 14; RFC 8899).
    fn keep_whole(&mut self, cx: &mut Context) {
        let _ = cx;
    }
    fn shutdown(&mut self, cx: &mut Context, read: bool, write: bool) -> Result<()>;
}

pub enum Object {
    Protocol(Box<dyn Protocol>),
    Control(Box<dyn Control>),
    Connection(Box<dyn Connection>),
    Stream(Box<dyn Stream>),
}

pub type ObjectId = Id<Object>;

impl Object {
    pub fn protocol(&mut self) -> Result<&mut dyn Protocol> {
        match self {
            Object::Protocol(protocol) => Ok(&mut **protocol),
            Object::Control(_) | Object::Connection(_) | Object::Stream(_) => Err(Error::Invalid),
        }
    }

    pub fn control(&mut self) -> Result<&mut dyn Control> {
        match self {
            Object::Control(control) => Ok(&mut **control),
            Object::Protocol(_) | Object::Connection(_) | Object::Stream(_) => Err(Error::Invalid),
        }
    }

    pub fn connection(&mut self) -> Result<&mut dyn Connection> {
        match self {
            Object::Connection(connection) => Ok(&mut **connection),
            Object::Protocol(_) | Object::Control(_) | Object::Stream(_) => Err(Error::Invalid),
        }
    }

    pub fn stream(&mut self) -> Result<&mut dyn Stream> {
        match self {
            Object::Stream(stream) => Ok(&mut **stream),
            Object::Protocol(_) | Object::Control(_) | Object::Connection(_) => Err(Error::Invalid),
        }
    }

    /// A protocol is no endpoint.
    pub fn endpoint(&mut self) -> Result<&mut dyn Endpoint> {
        match self {
            Object::Protocol(_) => Err(Error::Invalid),
            Object::Control(control) => Ok(&mut **control),
            Object::Connection(connection) => Ok(&mut **connection),
            Object::Stream(stream) => Ok(&mut **stream),
        }
    }
}
