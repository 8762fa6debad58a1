//! The four kinds of descriptors.

use core::mem::forget;

use crate::errno::{Errno, Result};
use crate::raw;
use crate::rights::Rights;

const NONBLOCK: u16 = 1 << 2;

/// What a connection carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Whole datagrams, each of which arrives or does not.
    Datagram = 5,
    /// Bytes, in order and complete.
    Stream = 6,
}

/// Which directions of a stream end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shutdown {
    /// Nothing more will be read.
    Read = 1,
    /// Nothing more will be written: the peer reads its end.
    Write = 2,
    /// Both.
    Both = 3,
}

/// A property of a control, a connection or a stream, each with one number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SocketOption {
    /// 1: send small segments at once.
    NoDelay = 0,
    /// Seconds of silence before the peer is asked whether it is there; 0: never.
    KeepAlive = 1,
    /// Time to live or hop limit, 1 to 255.
    HopLimit = 2,
    /// Bytes.
    ReceiveBuffer = 3,
    /// Bytes.
    SendBuffer = 4,
    /// Milliseconds to have what was written acknowledged after the close.
    Linger = 5,
    /// 0 or 1, of a connection with many streams: those created from now on go one way.
    Unidirectional = 6,
    /// The hop limit of datagrams to groups, 0 to 255; 1 at first.
    GroupHopLimit = 7,
    /// Whether the guest's own listeners hear what it sends to groups.
    GroupLoop = 8,
}

/// How to open a control, where [`Protocol::open`]'s choice is not the right one.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// The rights of the control itself.
    pub rights: Rights,
    /// The rights of its connections, and the most that their streams get.
    pub inheriting: Rights,
    /// Whether calls answer `AGAIN` (or `INPROGRESS`) rather than wait.
    pub nonblocking: bool,
}

impl Default for Opening {
    fn default() -> Opening {
        Opening { rights: Rights::SOCKET, inheriting: Rights::SOCKET, nonblocking: false }
    }
}

macro_rules! descriptor {
    ($(#[$docs:meta])* $name:ident) => {
        $(#[$docs])*
        #[derive(Debug)]
        pub struct $name(u32);

        impl $name {
            /// Takes over a descriptor, which is closed with this value.
            pub fn from_fd(fd: u32) -> $name {
                $name(fd)
            }

            /// The descriptor, still owned by this value.
            pub fn fd(&self) -> u32 {
                self.0
            }

            /// Gives the descriptor away without closing it.
            pub fn into_fd(self) -> u32 {
                let fd = self.0;
                forget(self);
                fd
            }

            /// Has calls answer `AGAIN` rather than wait, or not.
            pub fn set_nonblocking(&self, nonblocking: bool) -> Result<()> {
                raw::set_flags(self.0, if nonblocking { NONBLOCK } else { 0 })
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                // A descriptor that is not there any more leaves nothing to do.
                let _ = raw::close(self.0);
            }
        }
    };
}

macro_rules! endpoint {
    ($name:ident) => {
        impl $name {
            /// The address of this side as text, in `buf`; 64 bytes hold any IP address and port.
            pub fn local_address<'a>(&self, buf: &'a mut [u8]) -> Result<&'a str> {
                let len = raw::local_address(self.0, buf)?;
                text(buf, len)
            }

            /// An option's value.
            pub fn option(&self, option: SocketOption) -> Result<u64> {
                raw::option_get(self.0, option as u16)
            }

            /// Sets an option.
            pub fn set_option(&self, option: SocketOption, value: u64) -> Result<()> {
                raw::option_set(self.0, option as u16, value)
            }
        }
    };
}

fn text(buf: &[u8], len: usize) -> Result<&str> {
    buf.get(..len).and_then(|bytes| core::str::from_utf8(bytes).ok()).ok_or(Errno::ILSEQ)
}

descriptor! {
    /// A protocol object: a factory of controls, and all of the network that the guest may reach.
    Protocol
}
descriptor! {
    /// An address of the guest's own, to listen on or to connect from.
    Control
}
descriptor! {
    /// A connection with one peer. Streams of it go on when it is dropped.
    Connection
}
descriptor! {
    /// A stream of a connection.
    Stream
}
endpoint!(Control);
endpoint!(Connection);
endpoint!(Stream);

impl Protocol {
    /// A control at an address, with the rights that a socket has a use for; its calls wait.
    pub fn open(&self, bind: &str, kind: Kind) -> Result<Control> {
        self.open_with(bind, kind, Opening::default())
    }

    /// A control at an address.
    pub fn open_with(&self, bind: &str, kind: Kind, opening: Opening) -> Result<Control> {
        let flags = if opening.nonblocking { NONBLOCK } else { 0 };
        let inheriting = opening.inheriting.bits();
        raw::open(self.0, bind, kind as u8, opening.rights.bits(), inheriting, flags).map(Control)
    }
}

impl Control {
    /// Lets peers connect; up to `backlog` of them wait.
    pub fn listen(&self, backlog: u32) -> Result<()> {
        raw::listen(self.0, backlog)
    }

    /// The next peer's connection.
    pub fn accept(&self) -> Result<Connection> {
        raw::accept(self.0).map(Connection)
    }

    /// A connection to a peer. On a non-blocking control this answers `INPROGRESS`: poll for writing, call again.
    pub fn connect(&self, address: &str) -> Result<Connection> {
        raw::connect(self.0, address).map(Connection)
    }

    /// Has a control for datagrams listen to a group, such as `239.1.2.3` or `ff02::fb%eth1`.
    pub fn join_group(&self, group: &str) -> Result<()> {
        raw::group_join(self.0, group)
    }

    /// Has it listen to the group no longer.
    pub fn leave_group(&self, group: &str) -> Result<()> {
        raw::group_leave(self.0, group)
    }
}

impl Connection {
    /// A stream of this side's making, or the connection's only one.
    pub fn stream_create(&self) -> Result<Stream> {
        raw::stream_create(self.0, Rights::SOCKET.bits(), 0).map(Stream)
    }

    /// The next stream of the peer's making, or the connection's only one.
    pub fn stream_accept(&self) -> Result<Stream> {
        raw::stream_accept(self.0).map(Stream)
    }

    /// The peer's address as text, in `buf`.
    pub fn peer_address<'a>(&self, buf: &'a mut [u8]) -> Result<&'a str> {
        let len = raw::peer_address(self.0, buf)?;
        text(buf, len)
    }

    /// The application protocol that both sides of TLS or QUIC agreed on (ALPN), in `buf`; empty if they agreed on none. 255 bytes hold
    /// any.
    pub fn application_protocol<'a>(&self, buf: &'a mut [u8]) -> Result<&'a [u8]> {
        let len = raw::application_protocol(self.0, buf)?;
        buf.get(..len).ok_or(Errno::IO)
    }
}

impl Stream {
    /// Reads what there is, at most a buffer of it; 0 bytes is the end, or an empty datagram.
    pub fn read(&self, buf: &mut [u8]) -> Result<usize> {
        raw::read(self.0, buf)
    }

    /// Writes what there is room for; a datagram whole or not at all.
    pub fn write(&self, buf: &[u8]) -> Result<usize> {
        raw::write(self.0, buf)
    }

    /// Writes everything.
    pub fn write_all(&self, mut buf: &[u8]) -> Result<()> {
        while !buf.is_empty() {
            let wrote = self.write(buf)?;
            buf = buf.get(wrote..).ok_or(Errno::IO)?;
        }
        Ok(())
    }

    /// Ends one direction or both.
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        raw::shutdown(self.0, how as u8)
    }
}
